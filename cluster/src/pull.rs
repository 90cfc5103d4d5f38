//! [`Pull`]: when to ask a peer for the facts that it has and we have not.
//!
//! A heartbeat shows that the tables differ, not who lacks something, so both sides ask. An answer with nothing new
//! means that it is the other who lacks something, or that there is no room here: asking again is of no use until
//! either table has changed, or until some time has passed and there may be room.

use std::time::Duration;

use crate::facts::QUIET;
use crate::wire::End;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a peer with nothing new is left alone. What it has may be shadowed here by a greater fact that is about to
/// die, and has to be asked for again then.
const REST: Duration = QUIET;

/// The state of the two tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Roots {
    pub ours: u64,
    pub theirs: u64,
}

/// See the module.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) enum Pull {
    /// Nothing is known against asking.
    #[default]
    Idle,
    /// Asked, and not answered yet.
    Open {
        /// When.
        since: Duration,
        /// The peer's table at that time.
        theirs: u64,
        /// Whether the answer held something new so far.
        learned: bool,
    },
    /// The answer held nothing new.
    Fruitless {
        /// When it ended.
        since: Duration,
        /// The tables at that time.
        roots: Roots,
    },
}

impl Pull {
    /// A heartbeat shows these tables; whether to ask now.
    pub fn begin(&mut self, roots: Roots, now: Duration) -> bool {
        let ask = roots.ours != roots.theirs
            && match self {
                Self::Idle => true,
                Self::Open { since, .. } => now.saturating_sub(*since) >= PATIENCE,
                Self::Fruitless { since, roots: then } => {
                    *then != roots || now.saturating_sub(*since) >= REST
                }
            };
        if ask {
            self.open(roots.theirs, now);
        }
        ask
    }

    /// Facts came in; whether to ask for more now.
    pub fn receive(&mut self, new: bool, end: End, our_root: u64, now: Duration) -> bool {
        let Self::Open {
            theirs, learned, ..
        } = self
        else {
            return false;
        };
        *learned |= new;
        let (theirs, learned) = (*theirs, *learned);
        match end {
            End::No => false,
            End::Complete | End::Partial if !learned => {
                let roots = Roots {
                    ours: our_root,
                    theirs,
                };
                *self = Self::Fruitless { since: now, roots };
                false
            }
            End::Complete => {
                *self = Self::Idle;
                false
            }
            End::Partial => {
                self.open(theirs, now);
                true
            }
        }
    }

    fn open(&mut self, theirs: u64, now: Duration) {
        *self = Self::Open {
            since: now,
            theirs,
            learned: false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTS: Roots = Roots { ours: 1, theirs: 2 };

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn equal_tables_are_not_asked_for() {
        let mut pull = Pull::default();
        let equal = Roots { ours: 2, theirs: 2 };
        assert!(!pull.begin(equal, at(0)));
        assert!(pull.begin(ROOTS, at(0)));
        assert!(!pull.begin(ROOTS, at(999)), "it was asked");
        assert!(pull.begin(ROOTS, at(1000)), "the answer was lost");
    }

    #[test]
    fn more_is_asked_for_as_long_as_something_is_learned() {
        let mut pull = Pull::default();
        pull.begin(ROOTS, at(0));
        assert!(!pull.receive(true, End::No, 3, at(1)));
        assert!(pull.receive(false, End::Partial, 3, at(2)));
        assert!(!pull.receive(false, End::Partial, 3, at(3)), "nothing new");
        let roots = Roots { ours: 3, theirs: 2 };
        assert!(!pull.begin(roots, at(4)));
        let moved = Roots { ours: 3, theirs: 4 };
        assert!(pull.begin(moved, at(5)));
    }

    #[test]
    fn a_fruitless_question_is_repeated_after_a_rest() {
        let mut pull = Pull::default();
        pull.begin(ROOTS, at(0));
        pull.receive(false, End::Complete, 1, at(1));
        assert!(!pull.begin(ROOTS, at(2_000)));
        assert!(pull.begin(ROOTS, at(2_001)));
        pull.receive(true, End::Complete, 1, at(2_002));
        assert!(pull.begin(ROOTS, at(2_003)), "it was not fruitless");
    }
}
