//! Time as an argument: nothing in this crate asks the system what time it is.

use std::time::Duration;

/// One moment, on both clocks of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// Time since the machine's boot, suspended time included. Never jumps; all deadlines run on it.
    pub since_boot: Duration,
    /// Wall-clock time in nanoseconds since 1970-01-01T00:00:00Z. May jump; only compared with that of other nodes.
    pub wall_ns: i64,
}

/// Where the time comes from.
pub trait Time: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Moment;
}

/// A duration as nanoseconds for the wire; 584 years are enough.
pub(crate) fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as milliseconds for the wire; 49 days are enough for everything that is sent so.
pub(crate) fn to_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
