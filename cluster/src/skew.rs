//! How far a peer's wall clock is from ours, by the four timestamps of NTP (RFC 5905, section 8). Two of them are taken
//! on clocks that never jump, so a clock that is set in between spoils nothing.
//!
//! The alarm is given only when the difference is certain to exceed [`ALARM`] whatever way the round trip was divided,
//! so a slow line is not mistaken for a wrong clock.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Moment, to_ns};

/// The difference from which on there is an alarm.
pub const ALARM: Duration = Duration::from_millis(500);
/// The difference below which the alarm ends; smaller, so that it does not come and go.
pub const ALL_CLEAR: Duration = Duration::from_millis(400);
/// Samples that are remembered; the one with the shortest round trip counts. NTP remembers as many.
const SAMPLES: usize = 8;
/// What two samples of unchanged clocks may differ by, beyond their uncertainty: drift, and reading two clocks in turn.
const TOLERANCE_NS: u64 = 5_000_000;

/// One comparison of two wall clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sample {
    /// What is to be added to our clock to get theirs.
    pub offset_ns: i64,
    /// How long the packets were on their way, there and back; the offset is uncertain by half of it.
    pub round_trip_ns: u64,
}

impl Sample {
    /// From an answer that arrives now: we sent the question at `asked` (our time since boot), the peer held it for
    /// `held_ns`, and its wall clock showed `their_wall_ns` when it answered. `None` when that cannot be.
    pub fn of(now: Moment, asked: Duration, held_ns: u64, their_wall_ns: i64) -> Option<Self> {
        let elapsed = now.since_boot.checked_sub(asked)?;
        let round_trip_ns = to_ns(elapsed).checked_sub(held_ns)?;
        let one_way_ns = i64::try_from(round_trip_ns / 2).ok()?;
        Some(Self {
            offset_ns: their_wall_ns
                .saturating_add(one_way_ns)
                .saturating_sub(now.wall_ns),
            round_trip_ns,
        })
    }

    fn uncertainty_ns(&self) -> u64 {
        self.round_trip_ns / 2
    }

    fn contradicts(&self, other: &Self) -> bool {
        let between = self.offset_ns.abs_diff(other.offset_ns);
        let explained = self.uncertainty_ns().saturating_add(other.uncertainty_ns());
        between > explained.saturating_add(TOLERANCE_NS)
    }
}

/// What is known of one peer's clock.
#[derive(Debug, Default)]
pub(crate) struct Skew {
    samples: VecDeque<Sample>,
    alarmed: bool,
}

impl Skew {
    /// Takes in a sample. `Some(alarm)` when the alarm begins or ends with it.
    pub fn add(&mut self, sample: Sample) -> Option<bool> {
        // A clock was set: what was measured before is void.
        if self.samples.iter().any(|old| sample.contradicts(old)) {
            self.samples.clear();
        }
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let best = self.best()?;
        let difference = best.offset_ns.unsigned_abs();
        let alarmed = if self.alarmed {
            difference >= to_ns(ALL_CLEAR)
        } else {
            difference.saturating_sub(best.uncertainty_ns()) >= to_ns(ALARM)
        };
        let changed = alarmed != self.alarmed;
        self.alarmed = alarmed;
        changed.then_some(alarmed)
    }

    /// The sample that is most certain.
    pub fn best(&self) -> Option<Sample> {
        self.samples
            .iter()
            .min_by_key(|sample| sample.round_trip_ns)
            .copied()
    }

    /// Whether there is an alarm.
    pub fn alarmed(&self) -> bool {
        self.alarmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn sample(offset_ms: i64, round_trip_ms: u64) -> Sample {
        Sample {
            offset_ns: offset_ms * MS,
            round_trip_ns: round_trip_ms * 1_000_000,
        }
    }

    #[test]
    fn four_timestamps_give_offset_and_round_trip() {
        let now = Moment {
            since_boot: Duration::from_millis(1_000),
            wall_ns: 50_000 * MS,
        };
        // Asked 300 ms ago, held for 200 ms: 50 ms each way. The peer's clock showed 50 250 when ours showed 49 950.
        let asked = Duration::from_millis(700);
        let measured = Sample::of(now, asked, 200_000_000, 50_250 * MS).unwrap();
        assert_eq!(measured, sample(300, 100));
        assert_eq!(
            Sample::of(now, Duration::from_millis(1_001), 0, 0),
            None,
            "asked in the future"
        );
        assert_eq!(
            Sample::of(now, asked, 300_000_001, 0),
            None,
            "held for longer than it was away"
        );
        assert!(Sample::of(now, asked, 0, i64::MIN).is_some());
    }

    #[test]
    fn the_alarm_is_certain_and_does_not_flutter() {
        let mut skew = Skew::default();
        assert_eq!(skew.add(sample(700, 500)), None, "could be 450 ms");
        assert_eq!(skew.add(sample(600, 100)), Some(true));
        assert_eq!(skew.add(sample(600, 90)), None);
        assert_eq!(
            skew.add(sample(450, 2)),
            None,
            "a clock was set; still too far"
        );
        assert_eq!(skew.add(sample(390, 2)), Some(false));
        assert_eq!(skew.add(sample(-501, 1)), Some(true));
        assert!(skew.alarmed());
    }

    #[test]
    fn the_shortest_round_trip_counts_for_a_while() {
        let mut skew = Skew::default();
        skew.add(sample(10, 2));
        for _ in 0..7 {
            skew.add(sample(40, 100));
        }
        assert_eq!(skew.best(), Some(sample(10, 2)));
        skew.add(sample(40, 100));
        assert_eq!(skew.best(), Some(sample(40, 100)));
    }
}
