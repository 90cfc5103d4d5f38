//! [`Floor`]: the lowest epoch at which an add-on may be open on this node. It only rises within one life of the store,
//! so whatever opens or closes, in any order, a seal that was once seen here stays.

use super::attempt::Incarnation;
use super::faults::{Faults, Mutant};
use crate::id::SealEpoch;

/// See the module. Pure.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    incarnation: Option<Incarnation>,
    epoch: SealEpoch,
    faults: Faults,
}

/// What a read of the store said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// Nothing new.
    Same,
    /// The add-on was sealed since, or this is the first read.
    Raised,
    /// The store was restored or copied: another life, in which epochs count anew.
    Restored,
    /// The store says less than it said before, in the same life. What it says is not taken over.
    RolledBack,
}

/// What was known before a read of the store was sent. Reads may come back in another order than they saw the store in,
/// and only one that was sent later can say that the store went back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sight {
    incarnation: Option<Incarnation>,
    epoch: SealEpoch,
}

/// What to do about another node's word that an add-on was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hearing {
    /// It is known, or of another life of the store.
    Ignore,
    /// Read the store, and only the store decides; close if it does not answer.
    Verify,
}

impl Floor {
    /// Nothing was read yet.
    #[cfg(test)]
    pub fn new(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// What is known now; to be taken before a read is sent.
    pub fn sight(&self) -> Sight {
        Sight {
            incarnation: self.incarnation,
            epoch: self.epoch,
        }
    }

    /// Takes in a read of the store that was sent when `before` was known.
    pub fn learn(&mut self, before: Sight, incarnation: Incarnation, epoch: SealEpoch) -> Learned {
        let is_overtaken = before != self.sight();
        let learned = match self.incarnation {
            None => Learned::Raised,
            // A read of the life before, which came back after one of this life.
            Some(known) if known != incarnation && is_overtaken => Learned::Same,
            Some(known) if known != incarnation => Learned::Restored,
            Some(_) if epoch > self.epoch => Learned::Raised,
            Some(_) if epoch < self.epoch && is_overtaken && epoch >= before.epoch => Learned::Same,
            Some(_) if epoch < self.epoch => Learned::RolledBack,
            Some(_) => Learned::Same,
        };
        let by_min = self.faults.has(Mutant::MergeByMin);
        match learned {
            Learned::Raised if by_min && self.incarnation.is_some() => {}
            Learned::RolledBack if !by_min => {}
            Learned::Same => {}
            _ => {
                self.incarnation = Some(incarnation);
                self.epoch = epoch;
            }
        }
        learned
    }

    /// The epoch that the store had when it was read last.
    pub fn epoch(&self) -> SealEpoch {
        self.epoch
    }

    /// Whether the add-on may be open at this epoch.
    pub fn admits(&self, incarnation: Incarnation, epoch: SealEpoch) -> bool {
        self.incarnation == Some(incarnation) && epoch >= self.epoch
    }

    /// Takes in another node's word that all openings up to and including `through` are over.
    pub fn hear(&self, incarnation: Incarnation, through: SealEpoch) -> Hearing {
        if self.incarnation == Some(incarnation) && through >= self.epoch {
            Hearing::Verify
        } else {
            Hearing::Ignore
        }
    }

    /// Whether the store, as read since, contradicts that word.
    pub fn contradicts(&self, incarnation: Incarnation, through: SealEpoch) -> bool {
        self.incarnation != Some(incarnation) || self.epoch <= through
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Incarnation = Incarnation([1; 16]);
    const ELSEWHERE: Incarnation = Incarnation([2; 16]);

    /// A read that nothing overtook.
    fn learn(floor: &mut Floor, incarnation: Incarnation, epoch: u64) -> Learned {
        floor.learn(floor.sight(), incarnation, SealEpoch(epoch))
    }

    #[test]
    fn a_read_that_was_overtaken_by_a_later_one_is_no_roll_back() {
        let mut floor = Floor::default();
        learn(&mut floor, HERE, 3);
        let before = floor.sight();
        learn(&mut floor, HERE, 5);
        assert_eq!(floor.learn(before, HERE, SealEpoch(3)), Learned::Same);
        assert_eq!(floor.learn(before, HERE, SealEpoch(2)), Learned::RolledBack);
        assert_eq!(floor.epoch(), SealEpoch(5));
        learn(&mut floor, ELSEWHERE, 1);
        assert_eq!(floor.learn(before, HERE, SealEpoch(3)), Learned::Same);
        assert!(floor.admits(ELSEWHERE, SealEpoch(1)));
    }

    #[test]
    fn a_seal_once_seen_stays_and_a_roll_back_is_not_taken_over() {
        let mut floor = Floor::default();
        assert!(!floor.admits(HERE, SealEpoch(1)), "nothing opens unread");
        assert_eq!(learn(&mut floor, HERE, 3), Learned::Raised);
        assert_eq!(learn(&mut floor, HERE, 3), Learned::Same);
        assert!(floor.admits(HERE, SealEpoch(3)));
        assert!(!floor.admits(HERE, SealEpoch(2)));
        assert_eq!(learn(&mut floor, HERE, 2), Learned::RolledBack);
        assert!(!floor.admits(HERE, SealEpoch(2)));
        assert_eq!(learn(&mut floor, ELSEWHERE, 1), Learned::Restored);
        assert!(floor.admits(ELSEWHERE, SealEpoch(1)));
        assert!(!floor.admits(HERE, SealEpoch(9)));
    }

    #[test]
    fn a_word_is_verified_only_when_it_says_more_than_is_known() {
        let mut floor = Floor::default();
        assert_eq!(floor.hear(HERE, SealEpoch(9)), Hearing::Ignore);
        learn(&mut floor, HERE, 3);
        assert_eq!(floor.hear(HERE, SealEpoch(2)), Hearing::Ignore);
        assert_eq!(floor.hear(ELSEWHERE, SealEpoch(9)), Hearing::Ignore);
        assert_eq!(floor.hear(HERE, SealEpoch(3)), Hearing::Verify);
        assert!(floor.contradicts(HERE, SealEpoch(3)));
        learn(&mut floor, HERE, 4);
        assert!(!floor.contradicts(HERE, SealEpoch(3)));
    }

    proptest! {
        #[test]
        fn the_order_of_reads_does_not_matter(mut epochs in prop::collection::vec(0..9u64, 1..9)) {
            let play = |epochs: &[u64]| {
                let mut floor = Floor::default();
                for epoch in epochs {
                    learn(&mut floor, HERE, *epoch);
                }
                floor.epoch
            };
            let highest = epochs.iter().max().copied().unwrap();
            prop_assert_eq!(play(&epochs), SealEpoch(highest));
            epochs.reverse();
            prop_assert_eq!(play(&epochs), SealEpoch(highest));
        }
    }
}
