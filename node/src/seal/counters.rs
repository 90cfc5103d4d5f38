//! What seals count, over all add-ons of a node: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct SealCounters {
    /// Reads of a store that said less than before: somebody rolled it back, and the add-on is closed.
    pub rolled_back: Counter,
    /// Seals that other nodes told of and the store contradicted.
    pub contradicted: Counter,
    /// Keyrings handed over to other nodes.
    pub handed_over: Counter,
    /// Keyrings taken over from other nodes.
    pub taken_over: Counter,
    /// Handings-over refused, by either side.
    pub handover_refused: Counter,
    /// Add-ons closed because the store was unconfirmed for longer than the grace.
    pub dropped_in_outage: Counter,
}
