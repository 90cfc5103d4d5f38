//! [`Freshness`]: until when this node's caches are known to agree with the store.
//!
//! Only grants come from a cache, and only while it was confirmed within `staleness_max`. A denial is never given from a
//! cache older than the request ([`Freshness::catch_up`]), so that what was just made on another node is usable here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use tokio::sync::Mutex;

use super::{CatchUp, ChangeFeed};
use crate::actor::ask;
use crate::clock::Clock;
use crate::error::Error;
use crate::seal::{Faults, lease};

/// See the module.
pub struct Freshness {
    clock: Arc<dyn Clock>,
    staleness_max: Duration,
    /// Nanoseconds since boot at which the last completed round was started.
    confirmed_ns: AtomicU64,
    /// Held by the one request that asks the feed for a round. Those that wait for it meanwhile mostly find that its round
    /// is good enough for them, so however many ask, the store is read by one after the other.
    asking: Mutex<()>,
}

impl Freshness {
    /// Nothing is confirmed yet.
    pub fn new(clock: Arc<dyn Clock>, staleness_max: Duration) -> Self {
        Self {
            clock,
            staleness_max,
            confirmed_ns: AtomicU64::new(0),
            asking: Mutex::new(()),
        }
    }

    /// Whether a cached grant may be served now.
    pub fn is_fresh(&self) -> bool {
        let now = self.clock.since_boot();
        lease::holds(self.confirmed(), now, self.staleness_max, Faults::default())
    }

    /// How far behind the store a cached grant may be.
    pub fn staleness_max(&self) -> Duration {
        self.staleness_max
    }

    /// When (since boot) the last completed round was started: the caches agree with what the store held then.
    pub fn confirmed(&self) -> Duration {
        Duration::from_nanos(self.confirmed_ns.load(Ordering::Acquire))
    }

    /// Makes sure that caches are good, by a round of the feed if need be.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not confirm them.
    pub async fn require(&self, feed: &Addr<ChangeFeed>) -> Result<(), Error> {
        if self.is_fresh() {
            return Ok(());
        }
        self.catch_up(feed).await
    }

    /// Makes sure that caches hold everything that was committed before this call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not confirm them.
    pub async fn catch_up(&self, feed: &Addr<ChangeFeed>) -> Result<(), Error> {
        let asked = self.clock.since_boot();
        let _asking = self.asking.lock().await;
        if self.confirmed() > asked {
            return Ok(());
        }
        ask(feed, |reply| CatchUp::asked(asked, reply)).await??;
        // A round that began after this request is good enough for it, however long it took.
        if self.confirmed() >= asked {
            return Ok(());
        }
        Err(Error::Unavailable(
            "the store does not confirm that this node is up to date".into(),
        ))
    }

    pub(super) fn confirm(&self, started: Duration) {
        let started_ns = u64::try_from(started.as_nanos()).unwrap_or(u64::MAX);
        self.confirmed_ns.fetch_max(started_ns, Ordering::Release);
    }
}
