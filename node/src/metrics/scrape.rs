//! All metrics of a node, for its operator: its own, its store's, its cluster's, and those of its add-ons.

use std::sync::Arc;

use conclave_wg::transport::Transport as _;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};

use crate::error::Error;
use crate::membership::cluster_metrics;
use crate::node::Node;
use crate::seal::SealCounters;
use crate::tenant::Tenant;

/// How many of the busiest add-ons have series of their own.
const BUSIEST: usize = 100;

/// How many sealed add-ons have series of their own. More than anybody looks through; the totals tell of all.
const MAX_SEALED: usize = 1000;

/// Everything in Prometheus' text format: what is counted all the time, and what is looked up now.
///
/// # Errors
/// [`Error::Bug`] when the library refuses a name.
pub fn text(node: &Node) -> Result<String, Error> {
    let now = Now::look_at(node).map_err(super::refused)?;
    let mut families = node.metrics.gather();
    families.extend(node.store_metrics.registry().gather());
    families.extend(now.collect());
    if let (Some(cluster), Some(tunnels)) = (&node.cluster, &node.tunnels) {
        families.extend(cluster_metrics(&cluster.view(), &tunnels.stats())?);
    }
    families.sort_by(|one, other| one.name().cmp(other.name()));
    TextEncoder::new()
        .encode_to_string(&families)
        .map_err(super::refused)
}

/// What is read off the node at the moment of a scrape.
struct Now {
    addons: IntGaugeVec,
    unsealed: IntGaugeVec,
    requests: IntCounterVec,
    in_flight: IntGauge,
    fresh: IntGauge,
    build: IntGaugeVec,
    seals: IntCounterVec,
}

impl Now {
    fn look_at(node: &Node) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        let now = Self {
            addons: gauges(
                "conclave_addons",
                "Add-ons by state on this node.",
                &["state"],
            )?,
            unsealed: gauges(
                "vault_core_unsealed",
                "1 while the add-on is unsealed on this node: for those initialised but sealed, and the busiest.",
                &["addon"],
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "conclave_addon_requests_total",
                    "Requests to the busiest add-ons since the start.",
                ),
                &["addon"],
            )?,
            in_flight: IntGauge::new(
                "vault_core_in_flight_requests",
                "Requests that are being served.",
            )?,
            fresh: IntGauge::new(
                "conclave_store_fresh",
                "1 while the store was heard from within staleness_max.",
            )?,
            build: gauges(
                "conclave_build_info",
                "Which program this is.",
                &["version"],
            )?,
            seals: IntCounterVec::new(
                Opts::new(
                    "conclave_seal_events_total",
                    "What befell seals on this node since its start. rolled_back: the store said less than before, and the \
                     add-on was closed.",
                ),
                &["event"],
            )?,
        };
        now.look_at_seals(node.tenants.seal_counters());
        now.in_flight
            .set(i64::try_from(node.in_flight()).unwrap_or(i64::MAX));
        now.fresh.set(node.freshness.is_fresh().into());
        now.build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        now.look_at_addons(node.tenants.all());
        Ok(now)
    }

    fn look_at_seals(&self, counters: &SealCounters) {
        for (event, counter) in [
            ("rolled_back", &counters.rolled_back),
            ("contradicted", &counters.contradicted),
            ("handed_over", &counters.handed_over),
            ("taken_over", &counters.taken_over),
            ("handover_refused", &counters.handover_refused),
            ("dropped_in_outage", &counters.dropped_in_outage),
        ] {
            self.seals.with_label_values(&[event]).inc_by(counter.get());
        }
    }

    fn look_at_addons(&self, mut addons: Vec<Arc<Tenant>>) {
        let states = ["unsealed", "sealed", "uninitialized"];
        let [unsealed, sealed, uninitialized] =
            states.map(|state| self.addons.with_label_values(&[state]));
        addons.sort_by_cached_key(|addon| std::cmp::Reverse(addon.metrics().request_count()));
        let mut room_for_sealed = MAX_SEALED;
        for (rank, addon) in addons.iter().enumerate() {
            let is_open = addon.opened().is_some();
            let is_initialized = addon.seal().status().initialized;
            match (is_open, is_initialized) {
                (true, _) => unsealed.inc(),
                (false, true) => sealed.inc(),
                (false, false) => uninitialized.inc(),
            }
            let id = addon.id().to_string();
            let is_busy = rank < BUSIEST && is_initialized;
            let is_shown_sealed = !is_open && is_initialized && room_for_sealed > 0;
            if is_shown_sealed {
                room_for_sealed -= 1;
            }
            if is_busy || is_shown_sealed {
                self.unsealed.with_label_values(&[&id]).set(is_open.into());
            }
            if is_busy {
                self.requests
                    .with_label_values(&[&id])
                    .inc_by(addon.metrics().request_count());
            }
        }
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let collectors: [&dyn Collector; 7] = [
            &self.addons,
            &self.unsealed,
            &self.requests,
            &self.in_flight,
            &self.fresh,
            &self.build,
            &self.seals,
        ];
        collectors
            .iter()
            .flat_map(|collector| collector.collect())
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}
