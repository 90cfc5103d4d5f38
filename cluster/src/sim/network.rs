//! [`Network`]: what becomes of a packet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::Place;
use crate::random::Random;

/// How good the lines are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// Packets that are lost, of a thousand.
    pub lost_permille: u64,
    /// Packets that arrive twice, of a thousand.
    pub repeated_permille: u64,
    /// The least time on the way. What two packets differ by is what reorders them.
    pub shortest: Duration,
    /// The most time on the way.
    pub longest: Duration,
}

impl Weather {
    /// Nothing is lost.
    pub const CALM: Self = Self {
        lost_permille: 0,
        repeated_permille: 10,
        shortest: Duration::from_millis(1),
        longest: Duration::from_millis(80),
    };

    /// What a cluster is to stand without noticing.
    pub const GENTLE: Self = Self {
        lost_permille: 30,
        repeated_permille: 50,
        shortest: Duration::from_micros(100),
        longest: Duration::from_millis(200),
    };

    /// What it is to survive.
    pub const ROUGH: Self = Self {
        lost_permille: 350,
        repeated_permille: 200,
        shortest: Duration::from_micros(100),
        longest: Duration::from_millis(1000),
    };
}

/// The lines between all nodes. Each direction can be cut by itself.
#[derive(Clone, Debug)]
pub struct Network {
    /// How good they are now.
    pub weather: Weather,
    cuts: BTreeSet<(Place, Place)>,
}

impl Network {
    /// A network without cuts.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            cuts: BTreeSet::new(),
        }
    }

    /// Loses all that is sent from here to there from now on.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
    }

    /// Undoes all cuts.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Whether what is sent from here to there can arrive.
    pub fn connects(&self, from: Place, to: Place) -> bool {
        !self.cuts.contains(&(from, to))
    }

    /// After which times a packet that is sent now arrives: none, one or two.
    pub fn carry(&self, from: Place, to: Place, random: &mut Random) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        if !self.connects(from, to) || random.below(1000) < self.weather.lost_permille {
            return arrivals;
        }
        arrivals.push(self.weather.delay(random));
        if random.below(1000) < self.weather.repeated_permille {
            arrivals.push(self.weather.delay(random));
        }
        arrivals
    }
}

impl Weather {
    fn delay(&self, random: &mut Random) -> Duration {
        let spread = self.longest.saturating_sub(self.shortest).as_micros();
        let spread = u64::try_from(spread).unwrap_or(u64::MAX);
        self.shortest + Duration::from_micros(random.below(spread))
    }
}
