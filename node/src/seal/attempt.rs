//! Which attempt at a ceremony a share belongs to. Every node works the id out of what it has read from the store and
//! a number that only rises, so all nodes show the same nonce, and a late message is known to be late.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::id::{SealEpoch, TenantId};

/// One life of a store. `restore` and `copy` begin a new one; a store that saw neither may have none written, and is
/// all zeros then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Incarnation(pub [u8; 16]);

/// What shares are collected for. A share given for one purpose counts for no other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Purpose {
    /// `operator unseal`.
    Unseal = 1,
    /// `operator rekey`, and `operator rotate-keys`, which is OpenBao's name for it.
    Rekey = 2,
    /// `operator generate-root`.
    GenerateRoot = 4,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unseal, Self::Rekey, Self::GenerateRoot];

    /// The purpose with this number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| *purpose as u8 == number)
    }

    /// Whether shares may be given without starting anything, and every node acts on them by itself. The other purposes
    /// are started first, and done by the node that was given the last share.
    pub fn is_always_open(self) -> bool {
        matches!(self, Self::Unseal)
    }
}

/// A digest of what an attempt was begun with; zero while it was not begun, and for an unseal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Subject(pub [u8; 16]);

/// The identity of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AttemptId {
    /// In which life of the store.
    pub incarnation: Incarnation,
    /// At which add-on.
    pub tenant: TenantId,
    /// What for.
    pub purpose: Purpose,
    /// With which generation of shares.
    pub generation: u64,
    /// After which seal.
    pub epoch: SealEpoch,
    /// The how manieth, from 1, at this generation and epoch.
    pub number: u64,
    /// What it was begun with.
    pub subject: Subject,
}

impl AttemptId {
    /// Whether who speaks of `other` has missed that this attempt came after it: the same seal, a lower number.
    pub fn overtakes(&self, other: &Self) -> bool {
        let number = self.number;
        *self
            == Self {
                number,
                subject: self.subject,
                ..*other
            }
            && other.number < number
    }
}

/// What Vault calls a nonce: shown beside the progress, so that share holders can tell that they work on the same
/// attempt. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nonce(uuid::Uuid);

impl AttemptId {
    /// The nonce to show, a version 8 (custom) UUID of RFC 9562.
    pub fn nonce(&self) -> Nonce {
        let digest = Sha256::new()
            .chain_update(b"conclave attempt 2")
            .chain_update(self.incarnation.0)
            .chain_update(self.tenant.as_bytes())
            .chain_update([self.purpose as u8])
            .chain_update(self.generation.to_be_bytes())
            .chain_update(self.epoch.0.to_be_bytes())
            .chain_update(self.number.to_be_bytes())
            .chain_update(self.subject.0)
            .finalize();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = from;
        }
        Nonce(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl FromStr for Nonce {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        uuid::Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| Error::invalid("nonce", "the nonce is the UUID that the status shows"))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_id_changes_the_nonce() {
        let id = AttemptId {
            incarnation: Incarnation([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            purpose: Purpose::Unseal,
            generation: 1,
            epoch: SealEpoch(1),
            number: 1,
            subject: Subject::default(),
        };
        let others = [
            AttemptId {
                incarnation: Incarnation::default(),
                ..id
            },
            AttemptId {
                tenant: TenantId::from_bytes([3; 16]),
                ..id
            },
            AttemptId {
                purpose: Purpose::Rekey,
                ..id
            },
            AttemptId {
                generation: 2,
                ..id
            },
            AttemptId {
                epoch: SealEpoch(2),
                ..id
            },
            AttemptId { number: 2, ..id },
            AttemptId {
                subject: Subject([1; 16]),
                ..id
            },
        ];
        assert_eq!(id.nonce(), id.nonce());
        for other in others {
            assert_ne!(id.nonce(), other.nonce());
        }
        let text = id.nonce().to_string();
        assert_eq!((text.len(), text.as_bytes()[14]), (36, b'8'));
    }
}
