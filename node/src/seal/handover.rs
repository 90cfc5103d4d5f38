//! Handing an open add-on over to a node that has restarted. Pure: who may be given the keys, and whether what came may
//! be used. Both sides decide on a read of the store that they made for it.
//!
//! What is handed over are the two keys that open the seal's own rows ([`SealKeys`](super::seal_keys::SealKeys)); the
//! keyring itself is read from the store, so a peer cannot make a node open anything but what is stored there.

use std::collections::VecDeque;

use super::attempt::Incarnation;
use super::faults::{Faults, Mutant};
use crate::id::{SealEpoch, TenantId};
use crate::secret::Secret;

/// How many questions may be open: more than a cluster has nodes to come up at once, as a rule.
const MAX_ASKED: usize = 16;

/// What a node asks for, and what the answer is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Which add-on.
    pub tenant: TenantId,
    /// What the store says, as read by who asks.
    pub stored: Stored,
    /// Drawn for this question: an answer to another one is none to this.
    pub nonce: [u8; 16],
}

/// The questions of a node that have no answer yet. Several, because peers are asked when they come up, and two may come
/// up at once.
#[derive(Debug, Default)]
pub struct Asked(VecDeque<Ask>);

impl Asked {
    /// Notes a question; the oldest is forgotten when there are too many.
    pub fn note(&mut self, ask: Ask) {
        if self.0.len() >= MAX_ASKED {
            self.0.pop_front();
        }
        self.0.push_back(ask);
    }

    /// The question that this answers, which is answered then.
    pub fn take(&mut self, answered: &Ask) -> Option<Ask> {
        let at = self.0.iter().position(|asked| asked == answered)?;
        self.0.remove(at)
    }
}

/// What the store says of a seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// In which life it is.
    pub incarnation: Incarnation,
    /// Which shares there are.
    pub generation: u64,
    /// How often the add-on was sealed.
    pub epoch: SealEpoch,
}

/// The answer.
#[derive(Debug)]
pub struct HandedOver {
    /// The question, as it was understood.
    pub ask: Ask,
    /// See [`MacKey`](super::authentic::MacKey).
    pub mac_key: Secret<[u8; 32]>,
    /// The key of the cipher around the stored keyring.
    pub keyring_key: Secret<[u8; 32]>,
}

/// Why keys are not given or not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// The node asked has no keys.
    #[error("the add-on is sealed there too")]
    Sealed = 1,
    /// The node, or the add-on's root, has switched it off.
    #[error("handing over is switched off")]
    SwitchedOff = 2,
    /// The two nodes do not see the same store, or one of them is behind.
    #[error("the two nodes have read different seals")]
    Different = 3,
    /// The store could not be read, or too much is waiting.
    #[error("the node asked cannot tell now")]
    Unavailable = 4,
    /// There is no such add-on.
    #[error("there is no such add-on there")]
    Unknown = 5,
}

impl Refusal {
    /// The refusal with this number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Sealed,
            Self::SwitchedOff,
            Self::Different,
            Self::Unavailable,
            Self::Unknown,
        ]
        .into_iter()
        .find(|refusal| *refusal as u8 == number)
    }
}

/// Whether the keys of an add-on that is open at `open`, while the store says `stored`, may be given to who asks.
///
/// # Errors
/// The [`Refusal`] to answer.
pub fn may_give(
    ask: &Ask,
    open: Option<SealEpoch>,
    stored: &Stored,
    switched_on: bool,
) -> Result<(), Refusal> {
    let open = open.ok_or(Refusal::Sealed)?;
    if !switched_on {
        return Err(Refusal::SwitchedOff);
    }
    if open == stored.epoch && ask.stored == *stored {
        Ok(())
    } else {
        Err(Refusal::Different)
    }
}

/// Whether what came may be used, given what was asked and what the store says now, after it came: a seal in between
/// wins.
///
/// # Errors
/// [`Refusal::Different`].
pub fn may_take(
    asked: &Ask,
    answered: &Ask,
    stored_now: &Stored,
    faults: Faults,
) -> Result<(), Refusal> {
    let unchanged = asked.stored == *stored_now || faults.has(Mutant::EpochNotCheckedAtHandOver);
    if answered == asked && unchanged {
        Ok(())
    } else {
        Err(Refusal::Different)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: Stored = Stored {
        incarnation: Incarnation([1; 16]),
        generation: 2,
        epoch: SealEpoch(3),
    };

    fn ask() -> Ask {
        Ask {
            tenant: TenantId::from_bytes([5; 16]),
            stored: STORED,
            nonce: [7; 16],
        }
    }

    fn others() -> [Stored; 3] {
        [
            Stored {
                incarnation: Incarnation::default(),
                ..STORED
            },
            Stored {
                generation: 1,
                ..STORED
            },
            Stored {
                epoch: SealEpoch(4),
                ..STORED
            },
        ]
    }

    #[test]
    fn keys_are_given_only_by_who_is_open_to_who_sees_the_same() {
        let open = Some(SealEpoch(3));
        assert_eq!(may_give(&ask(), open, &STORED, true), Ok(()));
        assert_eq!(
            may_give(&ask(), open, &STORED, false),
            Err(Refusal::SwitchedOff)
        );
        assert_eq!(may_give(&ask(), None, &STORED, true), Err(Refusal::Sealed));
        assert_eq!(
            may_give(&ask(), Some(SealEpoch(2)), &STORED, true),
            Err(Refusal::Different)
        );
        for other in others() {
            assert_eq!(
                may_give(&ask(), open, &other, true),
                Err(Refusal::Different)
            );
        }
    }

    #[test]
    fn keys_are_taken_only_as_the_answer_and_while_nothing_has_changed() {
        let none = Faults::default();
        assert_eq!(may_take(&ask(), &ask(), &STORED, none), Ok(()));
        let replayed = Ask {
            nonce: [8; 16],
            ..ask()
        };
        let elsewhere = Ask {
            tenant: TenantId::from_bytes([6; 16]),
            ..ask()
        };
        for answered in [replayed, elsewhere] {
            assert!(may_take(&ask(), &answered, &STORED, none).is_err());
        }
        for other in others() {
            assert!(may_take(&ask(), &ask(), &other, none).is_err());
        }
    }

    #[test]
    fn each_question_is_answered_once_and_few_are_open() {
        let mut asked = Asked::default();
        let numbered = |number: u8| Ask {
            nonce: [number; 16],
            ..ask()
        };
        (0..20).for_each(|number| asked.note(numbered(number)));
        assert_eq!(asked.take(&numbered(0)), None, "forgotten");
        assert_eq!(asked.take(&numbered(10)), Some(numbered(10)));
        assert_eq!(asked.take(&numbered(10)), None, "answered");
        assert_eq!(asked.take(&numbered(19)), Some(numbered(19)));
    }

    #[test]
    fn refusals_have_numbers() {
        for number in 0..=u8::MAX {
            let refusal = Refusal::from_number(number);
            assert_eq!(
                refusal.map(|refusal| refusal as u8),
                (1..=5).contains(&number).then_some(number)
            );
        }
    }
}
