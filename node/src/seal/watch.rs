//! [`Watch`]: whether an add-on may be open on this node, as far as is known. The actor that opens it and the change feed
//! that learns of a seal look at the same watch, so neither can overtake the other: what was opened too late is closed
//! by whoever comes second. Pure.

use super::attempt::Incarnation;
#[cfg(test)]
use super::faults::Faults;
use super::floor::{Floor, Hearing, Learned, Sight};
use crate::id::SealEpoch;

/// An opening: in which life of the store, after how many seals.
pub type Opening = (Incarnation, SealEpoch);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    floor: Floor,
    open: Option<Opening>,
    /// Up to where a user had the add-on sealed, when the store may not know it yet.
    ordered: Option<Opening>,
}

/// What follows from a read of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What it said.
    pub learned: Learned,
    /// Whether the add-on has to be closed here.
    pub close: bool,
}

/// Why an add-on may not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    /// It was sealed since its rows were read.
    Sealed,
    /// A user had it sealed, and the store does not know that yet.
    Ordered,
}

impl Watch {
    /// Nothing is known, and nothing open.
    #[cfg(test)]
    pub fn new(faults: Faults) -> Self {
        Self {
            floor: Floor::new(faults),
            ..Self::default()
        }
    }

    /// What is known now; to be taken before a read is sent.
    pub fn sight(&self) -> Sight {
        self.floor.sight()
    }

    /// Takes in a read of the store that was sent when `before` was known.
    pub fn learn(&mut self, before: Sight, incarnation: Incarnation, epoch: SealEpoch) -> Verdict {
        let learned = self.floor.learn(before, incarnation, epoch);
        self.ordered = self
            .ordered
            .filter(|(life, through)| self.floor.admits(*life, *through));
        let stays = learned != Learned::RolledBack
            && self
                .open
                .is_none_or(|(life, epoch)| self.floor.admits(life, epoch));
        let close = !stays && self.open.take().is_some();
        Verdict { learned, close }
    }

    /// Notes that the add-on is open, or says why it must not be.
    ///
    /// # Errors
    /// A [`Bar`]; it has to be closed again.
    pub fn open(&mut self, opening: Opening) -> Result<(), Bar> {
        let (incarnation, epoch) = opening;
        if !self.floor.admits(incarnation, epoch) {
            return Err(Bar::Sealed);
        }
        if self.is_ordered(opening) {
            return Err(Bar::Ordered);
        }
        self.open = Some(opening);
        Ok(())
    }

    /// Notes that it is closed.
    pub fn closed(&mut self) {
        self.open = None;
    }

    /// What is open.
    pub fn opening(&self) -> Option<Opening> {
        self.open
    }

    /// Takes an order to seal; whether the add-on has to be closed now. Nothing opens up to there any more, also when
    /// an opening is on its way. The opening is noted until [`Watch::closed`], because its keys sign the seal.
    pub fn order(&mut self, (incarnation, through): Opening) -> bool {
        if !self.floor.admits(incarnation, through) {
            return false;
        }
        // An epoch that the store has not reached is not believed: nothing could ever be opened below it.
        let through = through.min(self.floor.epoch());
        let was_open = self.is_open();
        if self.ordered.is_none_or(|(_, ordered)| ordered < through) {
            self.ordered = Some((incarnation, through));
        }
        was_open && !self.is_open()
    }

    /// Notes that orders given so far are carried out: nothing is open or on its way. What shares given later open is not
    /// their concern, also when there was nothing to seal and the epoch is the same.
    pub fn obeyed(&mut self) {
        self.ordered = None;
    }

    /// Whether the add-on is open, and nobody has ordered otherwise.
    pub fn is_open(&self) -> bool {
        self.open.is_some_and(|opening| !self.is_ordered(opening))
    }

    fn is_ordered(&self, (incarnation, epoch): Opening) -> bool {
        self.ordered
            .is_some_and(|(life, through)| life == incarnation && through >= epoch)
    }

    /// Takes in another node's word that all openings up to and including `through` are over.
    pub fn hear(&self, incarnation: Incarnation, through: SealEpoch) -> Hearing {
        self.floor.hear(incarnation, through)
    }

    /// Whether the store, as read since, contradicts that word.
    pub fn contradicts(&self, incarnation: Incarnation, through: SealEpoch) -> bool {
        self.floor.contradicts(incarnation, through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Incarnation = Incarnation([1; 16]);

    fn at(epoch: u64) -> Opening {
        (HERE, SealEpoch(epoch))
    }

    /// A read that nothing overtook.
    fn learn(watch: &mut Watch, incarnation: Incarnation, epoch: u64) -> Verdict {
        watch.learn(watch.sight(), incarnation, SealEpoch(epoch))
    }

    fn watch() -> Watch {
        let mut watch = Watch::default();
        learn(&mut watch, HERE, 1);
        watch
    }

    #[test]
    fn a_seal_wins_whether_it_is_learned_before_or_after_the_opening() {
        let mut before = watch();
        learn(&mut before, HERE, 2);
        assert_eq!(before.open(at(1)), Err(Bar::Sealed));
        assert_eq!(before.open(at(2)), Ok(()));
        let mut after = watch();
        after.open(at(1)).unwrap();
        let verdict = learn(&mut after, HERE, 2);
        assert_eq!((verdict.learned, verdict.close), (Learned::Raised, true));
        assert_eq!(after.opening(), None);
        assert!(!learn(&mut after, HERE, 2).close);
    }

    #[test]
    fn a_roll_back_and_another_life_of_the_store_close() {
        let mut watch = watch();
        learn(&mut watch, HERE, 3);
        watch.open(at(3)).unwrap();
        let verdict = learn(&mut watch, HERE, 2);
        assert_eq!(
            (verdict.learned, verdict.close),
            (Learned::RolledBack, true)
        );
        watch.open(at(3)).unwrap();
        let verdict = learn(&mut watch, Incarnation::default(), 3);
        assert_eq!((verdict.learned, verdict.close), (Learned::Restored, true));
    }

    #[test]
    fn an_order_ends_openings_up_to_it_until_the_store_knows() {
        let mut watch = watch();
        watch.open(at(1)).unwrap();
        assert!(watch.order(at(1)));
        assert!(!watch.order(at(1)), "it is closed already");
        assert!(!watch.is_open());
        watch.closed();
        assert_eq!(watch.open(at(1)), Err(Bar::Ordered));
        watch.obeyed();
        assert_eq!(
            watch.open(at(1)),
            Ok(()),
            "with shares that came after the order"
        );
        learn(&mut watch, HERE, 2);
        watch.open(at(2)).unwrap();
        assert!(!watch.order(at(1)), "a late order touches no later opening");
        assert_eq!(watch.opening(), Some(at(2)));
        assert!(!watch.order((Incarnation::default(), SealEpoch(9))));
        assert!(watch.order(at(u64::MAX)), "an order for more than there is");
        watch.closed();
        learn(&mut watch, HERE, 3);
        assert_eq!(
            watch.open(at(3)),
            Ok(()),
            "ends what there was, and no more"
        );
    }
}
