//! A token bucket in one number (the "generic cell rate algorithm" of ITU-T I.371): the time at which it will be full.

use std::time::Duration;

/// How much may be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// At once, when nothing was taken for long.
    pub burst: u32,
    /// After this time one more.
    pub refill: Duration,
}

/// What is left of one taker's share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    full_at: Duration,
}

impl Budget {
    /// Takes one, unless there is none.
    pub fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let full_at = self.full_at.max(now).saturating_add(rate.refill);
        if full_at - now > rate.refill.saturating_mul(rate.burst) {
            return false;
        }
        self.full_at = full_at;
        true
    }

    /// Whether it is full, so that forgetting it changes nothing.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_per_refill() {
        let rate = Rate {
            burst: 3,
            refill: Duration::from_millis(100),
        };
        let mut budget = Budget::default();
        let start = Duration::from_secs(7);
        let taken = (0..10).filter(|_| budget.take(rate, start)).count();
        assert_eq!(taken, 3);
        assert!(!budget.take(rate, start + Duration::from_millis(99)));
        assert!(budget.take(rate, start + Duration::from_millis(100)));
        assert!(!budget.take(rate, start + Duration::from_millis(100)));
        assert!(!budget.is_full(start + Duration::from_millis(399)));
        assert!(budget.is_full(start + Duration::from_millis(400)));
    }
}
