//! What an add-on's requests cost, in Prometheus' text format, with Vault's names where Vault has one.
//!
//! Each add-on has a registry of its own: whoever may read its `sys/metrics` sees nothing of others. Labels come from
//! small fixed sets, so the number of series is bounded. Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntGauge, Opts, Registry, TextEncoder};

use crate::error::Error;

/// Upper bounds of the latency buckets, in seconds: from a cached grant to a store that does not answer.
const LATENCY_BUCKETS_S: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0,
];

/// The metrics of one add-on.
pub struct TenantMetrics {
    registry: Registry,
    requests: HistogramVec,
    unsealed: IntGauge,
}

impl TenantMetrics {
    /// Metrics that count from zero.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library refuses a name.
    pub fn new() -> Result<Self, Error> {
        Self::build().map_err(|error| Error::Bug(format!("metrics: {error}")))
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
        })
    }

    /// Counts a request that was answered with `status` after `elapsed`.
    pub fn request(&self, operation: &str, status: u16, elapsed: Duration) {
        let mut digits = [0; 3];
        let status = decimal(status, &mut digits);
        self.requests
            .with_label_values(&[operation, status])
            .observe(elapsed.as_secs_f64());
    }

    /// Everything as text, for a scrape.
    ///
    /// # Errors
    /// [`Error::Bug`] when the library cannot encode it.
    pub fn text(&self, is_unsealed: bool) -> Result<String, Error> {
        self.unsealed.set(i64::from(is_unsealed));
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(|error| Error::Bug(format!("metrics: {error}")))
    }
}

/// A status code as text, without allocating on the hot path.
fn decimal(status: u16, digits: &mut [u8; 3]) -> &str {
    let mut rest = status % 1000;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    std::str::from_utf8(digits).unwrap_or("000")
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
