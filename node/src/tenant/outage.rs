//! What becomes of keys while the store is away. Nothing is served then, and for a while the keys stay in locked memory, so
//! that a short outage is not a cluster-wide seal; after `outage_grace` they are dropped.

use std::sync::Arc;
use std::time::Duration;

use actix::ArbiterHandle;

use super::directory::Tenants;
use super::feed::Freshness;
use crate::clock::Clock;
use crate::seal::lease;

/// How often it is looked at: against a grace of minutes, a second more is nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches from now on, in `arbiter`. Apart from the change feed, which may be waiting for a store that hangs.
pub fn watch(
    tenants: Arc<Tenants>,
    freshness: Arc<Freshness>,
    clock: Arc<dyn Clock>,
    outage_grace: Duration,
    arbiter: &ArbiterHandle,
) {
    arbiter.spawn(async move {
        let began = clock.since_boot();
        loop {
            tokio::time::sleep(PAUSE).await;
            let confirmed = freshness.confirmed().max(began);
            drop_stale(&tenants, confirmed, clock.since_boot(), outage_grace);
        }
    });
}

/// Closes every open add-on when the store was unconfirmed for longer than `outage_grace`.
fn drop_stale(tenants: &Tenants, confirmed: Duration, now: Duration, outage_grace: Duration) {
    if lease::keeps_keys(confirmed, now, outage_grace) {
        return;
    }
    for tenant in tenants.all() {
        if tenant.seal().is_open() {
            tenant.seal().close_here();
            tenants.seal_counters().dropped_in_outage.count();
            tracing::error!(tenant = %tenant.id(), "closed: the store was away for longer than outage_grace");
        }
    }
}
