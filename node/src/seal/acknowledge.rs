//! [`Acknowledgement`]: when a share may be acknowledged to whoever gave it: once every peer that was alive holds it too,
//! or is gone, or has kept us waiting for too long. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::faults::{Faults, Mutant};

/// How long a share waits for the peers. A person does not notice it, and a peer that is alive but takes longer is no
/// reason to keep people from unsealing.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Clone, Debug)]
pub struct Acknowledgement<P> {
    awaited: BTreeSet<P>,
    holders: usize,
    deadline: Duration,
    faults: Faults,
}

impl<P: Ord> Acknowledgement<P> {
    /// Waits for these peers, from `now` on.
    pub fn of(peers: impl IntoIterator<Item = P>, now: Duration, faults: Faults) -> Self {
        Self {
            awaited: peers.into_iter().collect(),
            holders: 0,
            deadline: now.saturating_add(PATIENCE),
            faults,
        }
    }

    /// This peer has it.
    pub fn held(&mut self, peer: &P) {
        self.holders += usize::from(self.awaited.remove(peer));
    }

    /// This peer will never have it: it is down, or does not know the add-on.
    pub fn gone(&mut self, peer: &P) {
        self.awaited.remove(peer);
    }

    /// Whether it may be acknowledged.
    pub fn is_due(&self, now: Duration) -> bool {
        self.faults.has(Mutant::EarlyAcknowledge) || self.awaited.is_empty() || self.deadline <= now
    }

    /// When it is due at the latest.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How many peers have it.
    pub fn holders(&self) -> usize {
        self.holders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_when_all_have_it_or_time_is_over() {
        let now = Duration::from_secs(1);
        let of = |peers: &[u8]| Acknowledgement::of(peers.iter().copied(), now, Faults::default());
        assert!(of(&[]).is_due(now));
        let mut two = of(&[1, 2]);
        two.held(&1);
        two.held(&1);
        assert!(!two.is_due(now));
        assert_eq!(two.holders(), 1);
        let mut slow = two.clone();
        two.gone(&2);
        assert!(two.is_due(now));
        assert!(slow.is_due(slow.deadline()));
        slow.held(&2);
        assert!(slow.is_due(now));
    }
}
