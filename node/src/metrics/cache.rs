//! How often caches had what was asked for. Counted for the whole process: each cache is one of many of its kind, in
//! add-ons that come and go.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::{IntCounterVec, Opts, proto::MetricFamily};

use crate::error::Error;

/// Verified Biscuits.
pub static BISCUITS: Lookups = Lookups::new("biscuits");
/// Tokens with their rules.
pub static GRANTS: Lookups = Lookups::new("grants");
/// Transit keys.
pub static TRANSIT_KEYS: Lookups = Lookups::new("transit_keys");

/// The caches of one kind.
pub struct Lookups {
    kind: &'static str,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Lookups {
    const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Counts a look into the cache.
    pub fn count(&self, found: bool) {
        if found { &self.hits } else { &self.misses }.fetch_add(1, Ordering::Relaxed);
    }
}

/// Shows the counts.
pub(super) struct CacheCollector {
    hits: IntCounterVec,
    misses: IntCounterVec,
}

impl CacheCollector {
    pub(super) fn new() -> Result<Self, Error> {
        let counter = |name: &str, help: &str| {
            IntCounterVec::new(Opts::new(name, help), &["cache"]).map_err(super::refused)
        };
        Ok(Self {
            hits: counter("vault_cache_hit", "What was found in memory.")?,
            misses: counter("vault_cache_miss", "What had to be read or verified.")?,
        })
    }
}

impl Collector for CacheCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.hits.desc(), self.misses.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.hits.reset();
        self.misses.reset();
        for lookups in [&BISCUITS, &GRANTS, &TRANSIT_KEYS] {
            for (shown, counted) in [(&self.hits, &lookups.hits), (&self.misses, &lookups.misses)] {
                shown
                    .with_label_values(&[lookups.kind])
                    .inc_by(counted.load(Ordering::Relaxed));
            }
        }
        [self.hits.collect(), self.misses.collect()].concat()
    }
}
