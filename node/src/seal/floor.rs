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

    /// Takes in a read of the store.
    pub fn learn(&mut self, incarnation: Incarnation, epoch: SealEpoch) -> Learned {
        let learned = match self.incarnation {
            None => Learned::Raised,
            Some(known) if known != incarnation => Learned::Restored,
            Some(_) if epoch > self.epoch => Learned::Raised,
            Some(_) if epoch < self.epoch => Learned::RolledBack,
            Some(_) => Learned::Same,
        };
        let by_min = self.faults.has(Mutant::MergeByMin);
        match learned {
            Learned::Raised if by_min && self.incarnation.is_some() => {}
            Learned::RolledBack if !by_min => {}
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

    #[test]
    fn a_seal_once_seen_stays_and_a_roll_back_is_not_taken_over() {
        let mut floor = Floor::default();
        assert!(!floor.admits(HERE, SealEpoch(1)), "nothing opens unread");
        assert_eq!(floor.learn(HERE, SealEpoch(3)), Learned::Raised);
        assert_eq!(floor.learn(HERE, SealEpoch(3)), Learned::Same);
        assert!(floor.admits(HERE, SealEpoch(3)));
        assert!(!floor.admits(HERE, SealEpoch(2)));
        assert_eq!(floor.learn(HERE, SealEpoch(2)), Learned::RolledBack);
        assert!(!floor.admits(HERE, SealEpoch(2)));
        assert_eq!(floor.learn(ELSEWHERE, SealEpoch(1)), Learned::Restored);
        assert!(floor.admits(ELSEWHERE, SealEpoch(1)));
        assert!(!floor.admits(HERE, SealEpoch(9)));
    }

    #[test]
    fn a_word_is_verified_only_when_it_says_more_than_is_known() {
        let mut floor = Floor::default();
        assert_eq!(floor.hear(HERE, SealEpoch(9)), Hearing::Ignore);
        floor.learn(HERE, SealEpoch(3));
        assert_eq!(floor.hear(HERE, SealEpoch(2)), Hearing::Ignore);
        assert_eq!(floor.hear(ELSEWHERE, SealEpoch(9)), Hearing::Ignore);
        assert_eq!(floor.hear(HERE, SealEpoch(3)), Hearing::Verify);
        assert!(floor.contradicts(HERE, SealEpoch(3)));
        floor.learn(HERE, SealEpoch(4));
        assert!(!floor.contradicts(HERE, SealEpoch(3)));
    }

    proptest! {
        #[test]
        fn the_order_of_reads_does_not_matter(mut epochs in prop::collection::vec(0..9u64, 1..9)) {
            let play = |epochs: &[u64]| {
                let mut floor = Floor::default();
                for epoch in epochs {
                    floor.learn(HERE, SealEpoch(*epoch));
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
