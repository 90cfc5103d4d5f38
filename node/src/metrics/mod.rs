//! What is counted, in Prometheus' text format, with Vault's names where Vault has one.
//!
//! Labels come from small fixed sets, so the number of series is bounded.
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

pub mod actors;
pub mod audit;
pub mod cache;
mod node;
mod process;
pub mod route;
pub mod scrape;
mod tenant;

use crate::error::Error;

pub use self::node::NodeMetrics;
pub use self::tenant::TenantMetrics;

/// Upper bounds of the latency buckets, in seconds: from a cached grant to a store that does not answer.
const LATENCY_BUCKETS_S: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0,
];

/// The library refuses only what is written wrongly in this room.
fn refused(error: prometheus::Error) -> Error {
    Error::Bug(format!("metrics: {error}"))
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
