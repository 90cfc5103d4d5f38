//! Time as an argument: the tunnels are told what time it is.
//!
//! boringtun reads its own clock (CLOCK_BOOTTIME), so [`SystemClock`] reads the same one.

use std::fmt;
use std::time::Duration;

/// Where time comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Time since some fixed moment, suspended time included. Never goes back.
    fn now(&self) -> Duration;
}

/// The system's time since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        let moment = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(moment.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(moment.tv_nsec).unwrap_or(0))
    }
}
