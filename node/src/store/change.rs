//! What the change feed's records say: which cached state of which add-on is out of date.

use super::key::Pseudonym;
use crate::error::Error;
use crate::id::{MountId, TenantId};

/// The part of an add-on's cached state that a commit changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Facet {
    /// The add-on was made, deleted, or its token epochs moved.
    AddOn,
    /// The seal epoch rose, or the seal configuration changed.
    Seal,
    /// The mount table.
    Mounts,
    /// Some policy.
    Policies,
    /// The token with this pseudonym.
    Token(Pseudonym),
    /// The key with this pseudonym in this transit mount.
    TransitKey(MountId, Pseudonym),
    /// One Biscuit was revoked: where it is filed.
    RevokedBiscuit(Pseudonym),
    /// A data key was added.
    Terms,
}

impl Facet {
    /// The stored form: the add-on's id, a tag, and what the tag calls for.
    pub fn encode(self, tenant: TenantId) -> Vec<u8> {
        let mut record = tenant.as_bytes().to_vec();
        match self {
            Self::AddOn => record.push(1),
            Self::Seal => record.push(2),
            Self::Mounts => record.push(3),
            Self::Policies => record.push(4),
            Self::Token(token) => {
                record.push(5);
                record.extend_from_slice(&token.0);
            }
            Self::TransitKey(mount, key) => {
                record.push(6);
                record.extend_from_slice(mount.as_bytes());
                record.extend_from_slice(&key.0);
            }
            Self::RevokedBiscuit(part) => {
                record.push(7);
                record.extend_from_slice(&part.0);
            }
            Self::Terms => record.push(8),
        }
        record
    }

    /// The change that a record tells of.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a record of another format.
    pub fn decode(record: &[u8]) -> Result<(TenantId, Self), Error> {
        let damaged = || Error::Corrupt("a change record".into());
        let (tenant, rest) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (tag, rest) = rest.split_first().ok_or_else(damaged)?;
        let facet = match (tag, rest.len()) {
            (1, 0) => Self::AddOn,
            (2, 0) => Self::Seal,
            (3, 0) => Self::Mounts,
            (4, 0) => Self::Policies,
            (5, 16) => {
                let token = rest.first_chunk().ok_or_else(damaged)?;
                Self::Token(Pseudonym(*token))
            }
            (6, 32) => {
                let (mount, key) = rest.split_first_chunk().ok_or_else(damaged)?;
                let key = key.first_chunk().ok_or_else(damaged)?;
                Self::TransitKey(MountId::from_bytes(*mount), Pseudonym(*key))
            }
            (7, 16) => {
                let part = rest.first_chunk().ok_or_else(damaged)?;
                Self::RevokedBiscuit(Pseudonym(*part))
            }
            (8, 0) => Self::Terms,
            _ => return Err(damaged()),
        };
        Ok((TenantId::from_bytes(*tenant), facet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_round_trip() {
        let tenant = TenantId::from_bytes([9; 16]);
        let pseudonym = Pseudonym([3; 16]);
        for facet in [
            Facet::AddOn,
            Facet::Seal,
            Facet::Mounts,
            Facet::Policies,
            Facet::Token(pseudonym),
            Facet::TransitKey(MountId::from_bytes([4; 16]), pseudonym),
            Facet::RevokedBiscuit(pseudonym),
            Facet::Terms,
        ] {
            let record = facet.encode(tenant);
            assert_eq!(Facet::decode(&record).unwrap(), (tenant, facet));
            assert!(Facet::decode(&record[..record.len() - 1]).is_err());
        }
        assert!(Facet::decode(&[]).is_err());
    }
}
