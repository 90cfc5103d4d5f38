//! The lease: how long a node may serve what it holds in memory without asking the store. It runs from when the read that
//! confirmed the store's state was *sent*, so whatever was committed before that is known here; on a clock that counts
//! suspended time. Nothing but such a read extends it. Pure; the node's figures are kept by
//! [`Freshness`](crate::tenant::feed::Freshness), whose `staleness_max` is the lease.

use std::time::Duration;

use super::faults::{Faults, Mutant};

/// Whether a node may serve from memory at `now`.
pub fn holds(confirmed: Duration, now: Duration, lease: Duration, faults: Faults) -> bool {
    faults.has(Mutant::LeaseSkipped) || now.saturating_sub(confirmed) <= lease
}

/// Whether keys may stay in memory at `now`, though nothing is served: a short outage of the store is no seal, a long
/// one is.
pub fn keeps_keys(confirmed: Duration, now: Duration, outage_grace: Duration) -> bool {
    now.saturating_sub(confirmed) <= outage_grace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_from_when_the_read_was_sent() {
        let (sent, lease) = (Duration::from_secs(10), Duration::from_secs(2));
        let none = Faults::default();
        assert!(holds(sent, sent + lease, lease, none));
        assert!(!holds(
            sent,
            sent + lease + Duration::from_nanos(1),
            lease,
            none
        ));
        assert!(keeps_keys(sent, sent + lease, lease));
        assert!(!keeps_keys(sent, sent + lease * 2, lease));
    }
}
