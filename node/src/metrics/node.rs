//! What the node counts over all add-ons, for its operator.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, Registry};

use super::actors::ActorCollector;
use super::cache::CacheCollector;
use super::process::ProcessCollector;
use super::{LATENCY_BUCKETS_S, decimal, refused};
use crate::clock::Timestamp;
use crate::error::Error;

/// The node's metrics. Other rooms add theirs to [`NodeMetrics::registry`].
pub struct NodeMetrics {
    registry: Registry,
    requests: HistogramVec,
}

impl NodeMetrics {
    /// Metrics of a node that started at `started`.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses a name.
    pub fn new(started: Timestamp) -> Result<Self, Error> {
        let options = HistogramOpts::new(
            "vault_core_handle_request",
            "Seconds to answer a request, by route and status.",
        )
        .buckets(LATENCY_BUCKETS_S.to_vec());
        let requests = HistogramVec::new(options, &["route", "status"]).map_err(refused)?;
        let registry = Registry::new();
        let collectors: [Box<dyn Collector>; 4] = [
            Box::new(requests.clone()),
            Box::new(CacheCollector::new()?),
            Box::new(ActorCollector::new()?),
            Box::new(ProcessCollector::new(started)?),
        ];
        for collector in collectors {
            registry.register(collector).map_err(refused)?;
        }
        Ok(Self { registry, requests })
    }

    /// Where collectors are added.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a request to `route` that was answered with `status` after `elapsed`.
    pub fn request(&self, route: &'static str, status: u16, elapsed: Duration) {
        let mut digits = [0; 3];
        let status = decimal(status, &mut digits);
        self.requests
            .with_label_values(&[route, status])
            .observe(elapsed.as_secs_f64());
    }

    /// Everything, for a scrape.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}
