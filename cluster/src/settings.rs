//! How fast the protocol runs.

use std::time::Duration;

/// See the module. All nodes of a cluster should have the same settings, or some will find others dead too soon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How often each peer is told that this node is alive. Twice a second, 64 nodes cause 126 packets a second at each.
    pub heartbeat_interval: Duration,
    /// A peer that answered no heartbeat younger than this is down. Six intervals: the answer to a heartbeat may take
    /// one, and four in a row may be lost.
    pub down_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(500),
            down_after: Duration::from_secs(3),
        }
    }
}
