//! [`Truth`]: what is really the case between the nodes of a simulated cluster, and since when. What the nodes believe is
//! compared with it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::gentle;
use super::world::{Application, Place, World};

/// Since when two nodes can or cannot reach each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Since {
    pub connected: bool,
    pub since: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pairs: BTreeMap<(Place, Place), Since>,
    /// Since when a node takes another for dead that it is connected with.
    mistaken: BTreeMap<(Place, Place), Duration>,
    /// Since when the weather is one that a cluster is to stand without noticing.
    fair: Option<Duration>,
}

impl Truth {
    /// Looks at the world again. `members` are the nodes that have each other in their rosters.
    pub fn observe<A: Application>(&mut self, world: &World<A>, members: &[Place]) {
        let now = world.now();
        let (weather, gentle) = (world.weather(), gentle());
        let is_fair = weather.lost_per_mille <= gentle.lost_per_mille
            && weather.delay.end() <= gentle.delay.end();
        self.fair = if is_fair {
            Some(self.fair.unwrap_or(now))
        } else {
            None
        };
        for from in members {
            for to in members.iter().filter(|to| *to != from) {
                let connected = world.is_awake(*from)
                    && world.is_awake(*to)
                    && world.connects(*from, *to)
                    && world.connects(*to, *from);
                let entry = self.pairs.entry((*from, *to));
                let pair = entry.or_insert(Since {
                    connected,
                    since: now,
                });
                if pair.connected != connected {
                    *pair = Since {
                        connected,
                        since: now,
                    };
                }
            }
        }
    }

    /// For a node that restarted or goes on: its connections are new, even if nobody looked while it was away; and what
    /// waited at a stalled node's door is answered late.
    pub fn begin_anew(&mut self, place: Place, now: Duration) {
        for ((from, to), pair) in &mut self.pairs {
            if *from == place || *to == place {
                pair.since = now;
            }
        }
    }

    /// All pairs.
    pub fn pairs(&self) -> impl Iterator<Item = ((Place, Place), Since)> + '_ {
        self.pairs.iter().map(|(pair, since)| (*pair, *since))
    }

    /// Notes what a node believes of another. For how long it has mistaken it for dead, in weather in which that should
    /// not last.
    pub fn mistaken_for(
        &mut self,
        pair: (Place, Place),
        believes_up: bool,
        now: Duration,
    ) -> Duration {
        let truth = self.pairs.get(&pair).filter(|truth| truth.connected);
        let (Some(truth), Some(fair), false) = (truth, self.fair, believes_up) else {
            self.mistaken.remove(&pair);
            return Duration::ZERO;
        };
        let began = self.mistaken.entry(pair).or_insert(now);
        now.saturating_sub(truth.since.max(fair).max(*began))
    }
}
