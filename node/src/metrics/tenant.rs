//! What an add-on's requests cost. Each add-on has a registry of its own: whoever may read its `sys/metrics` sees nothing
//! of others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntGauge, Opts, Registry, TextEncoder};

use super::{LATENCY_BUCKETS_S, decimal, refused};
use crate::error::Error;

/// The metrics of one add-on.
pub struct TenantMetrics {
    registry: Registry,
    requests: HistogramVec,
    unsealed: IntGauge,
    served: AtomicU64,
}

impl TenantMetrics {
    /// Metrics that count from zero.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses a name.
    pub fn new() -> Result<Self, Error> {
        Self::build().map_err(refused)
    }

    fn build() -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "vault_core_handle_request",
            "Seconds to answer a request, by operation and status.",
        )
        .buckets(LATENCY_BUCKETS_S.to_vec());
        let requests = HistogramVec::new(options, &["operation", "status"])?;
        let unsealed = IntGauge::with_opts(Opts::new(
            "vault_core_unsealed",
            "1 while the add-on is unsealed on this node.",
        ))?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(unsealed.clone()))?;
        Ok(Self {
            registry,
            requests,
            unsealed,
            served: AtomicU64::new(0),
        })
    }

    /// Counts a request that was answered with `status` after `elapsed`.
    pub fn request(&self, operation: &str, status: u16, elapsed: Duration) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 3];
        let status = decimal(status, &mut digits);
        self.requests
            .with_label_values(&[operation, status])
            .observe(elapsed.as_secs_f64());
    }

    /// How many requests were counted.
    pub fn request_count(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Everything as text, for a scrape.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library cannot encode it.
    pub fn text(&self, is_unsealed: bool) -> Result<String, Error> {
        self.unsealed.set(i64::from(is_unsealed));
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_status() {
        let metrics = TenantMetrics::new().unwrap();
        metrics.request("read", 200, Duration::from_micros(300));
        metrics.request("read", 404, Duration::from_millis(2));
        let text = metrics.text(true).unwrap();
        assert!(text.contains("vault_core_unsealed 1"), "{text}");
        let series = r#"vault_core_handle_request_count{operation="read",status="404"} 1"#;
        assert!(text.contains(series), "{text}");
        assert!(
            metrics
                .text(false)
                .unwrap()
                .contains("vault_core_unsealed 0")
        );
    }
}
