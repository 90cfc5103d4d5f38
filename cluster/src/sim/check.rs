//! The promises that scenarios are checked against: those that hold at any time, and those that hold once there was
//! peace for long enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rough;
use super::scenario::{FORGED, NOISY, RECOVERY, Scenario};
use super::world::Place;
use crate::facts::{FactKey, FactValue, MAX_FACTS_PER_TENANT, QUIET};
use crate::hints::{HINT_BURST, HINT_REFILL};
use crate::requests::{MAX_OPEN, MAX_OPEN_PER_PEER};
use crate::settings::Settings;
use crate::wire::MAX_GOSSIP_BYTES;

/// In fair weather, nodes that can reach each other are not mistaken about it for longer.
const FIND_ALIVE: Duration = Duration::from_secs(5);
/// How much longer than it should a fact may live: for as long as it was on its way or before the doors of stalled
/// nodes, which is no longer than chaos lasts.
const AFTERLIFE: Duration = Duration::from_secs(14);
/// How far a question may be over its deadline; nodes wake up in time.
const LATE: Duration = Duration::from_millis(1);

type Facts = BTreeMap<FactKey, (u64, FactValue)>;

impl Scenario {
    /// What holds at any time.
    pub(super) fn check_always(&mut self) -> Result<(), String> {
        if let Some(broken) = self.ledger.borrow_mut().broken.take() {
            return Err(broken);
        }
        self.check_beliefs()?;
        self.check_deadlines()?;
        self.checks += 1;
        // Going through all facts takes longer than everything else, and finds as much when it is done more seldom.
        if self.checks.is_multiple_of(5) {
            for place in self.members.clone() {
                self.check_bounds(place)?;
                self.check_facts(place)?;
            }
        }
        if self.world.longest_gossip() > MAX_GOSSIP_BYTES {
            let bytes = self.world.longest_gossip();
            return Err(format!("a packet has {bytes} bytes"));
        }
        Ok(())
    }

    /// The dead are found in time, and the living are not mistaken for dead for long.
    fn check_beliefs(&mut self) -> Result<(), String> {
        let now = self.world.now();
        let down_after = Settings::default().down_after;
        let pairs: Vec<_> = self.truth.pairs().collect();
        for (pair, truth) in pairs {
            let (from, to) = pair;
            let Some(cluster) = self
                .world
                .cluster(from)
                .filter(|_| self.world.is_awake(from))
            else {
                continue;
            };
            let believes_up = cluster.is_up(self.world.name(to));
            let mistaken_for = self.truth.mistaken_for(pair, believes_up, now);
            if mistaken_for >= FIND_ALIVE {
                return Err(format!(
                    "n{from} has taken n{to} for dead for {mistaken_for:?}, but they are connected"
                ));
            }
            let lasted = now.saturating_sub(truth.since);
            if !truth.connected && believes_up && lasted >= down_after {
                return Err(format!(
                    "n{from} takes n{to} for alive, but they could not reach each other for {lasted:?}"
                ));
            }
        }
        Ok(())
    }

    fn check_deadlines(&self) -> Result<(), String> {
        for asked in self.ledger.borrow().open.values() {
            let now = self.world.moment(asked.by).since_boot;
            if self.world.is_awake(asked.by) && now > asked.deadline + LATE {
                let (by, to) = (asked.by, asked.to);
                return Err(format!(
                    "a question of n{by} to n{to} is open beyond its deadline"
                ));
            }
        }
        Ok(())
    }

    fn check_bounds(&self, place: Place) -> Result<(), String> {
        let Some(cluster) = self.world.cluster(place) else {
            return Ok(());
        };
        let now = self.world.moment(place).since_boot;
        let mut per_tenant = BTreeMap::new();
        for fact in cluster.facts(now) {
            *per_tenant.entry(fact.key.tenant).or_insert(0) += 1;
            if fact.key.tenant == FORGED {
                return Err(format!("n{place} believes an outsider"));
            }
        }
        if let Some(most) = per_tenant
            .values()
            .max()
            .filter(|most| **most > MAX_FACTS_PER_TENANT)
        {
            return Err(format!("n{place} holds {most} facts of one tenant"));
        }
        let serving = MAX_OPEN_PER_PEER * self.members.len();
        if cluster.open_questions() > MAX_OPEN || cluster.open_requests() > serving {
            return Err(format!("n{place} has too many open requests"));
        }
        self.check_hints(place)
    }

    /// A flooded tenant's hints arrive at the rate that it may send, whoever repeats them on the way.
    fn check_hints(&self, place: Place) -> Result<(), String> {
        let refilled = self.world.now().as_millis() / HINT_REFILL.as_millis();
        // A node may run several times, each with a full budget, and packets may arrive twice.
        let runs = 10 * u64::from(HINT_BURST);
        let allowed = 2 * (runs + u64::try_from(refilled).unwrap_or(u64::MAX / 4));
        let ledger = self.ledger.borrow();
        let heard = ledger
            .heard
            .iter()
            .filter(|((at, _, tenant), _)| *at == place && *tenant == NOISY);
        for ((_, from, _), heard) in heard {
            if *heard > allowed {
                return Err(format!(
                    "n{place} heard {heard} hints of one tenant from {from}"
                ));
            }
        }
        Ok(())
    }

    /// What is known only grows, was really told, and dies.
    fn check_facts(&mut self, place: Place) -> Result<(), String> {
        let facts = self.facts(place, Duration::ZERO);
        let now = self.world.now();
        for (key, (version, value)) in &facts {
            let before = self.known.get(&place).and_then(|known| known.get(key));
            if let Some((before, its_value)) = before
                && (before, its_value) > (version, value)
                && !self.may_be_dead(&(key.clone(), *before, its_value.clone()))
            {
                return Err(format!(
                    "n{place} went back from {before} to {version}: {key:?}"
                ));
            }
            let told = (key.clone(), *version, value.clone());
            match self.published.get(&told) {
                None => return Err(format!("n{place} made up {told:?}")),
                Some(deaths) if now > deaths.last + AFTERLIFE && self.world.is_awake(place) => {
                    let died = deaths.last;
                    return Err(format!("n{place} knows what died at {died:?}: {told:?}"));
                }
                Some(_) => {}
            }
        }
        self.known.insert(place, facts);
        Ok(())
    }

    /// Whether a fact, published when it was, may have died by now.
    fn may_be_dead(&self, told: &(FactKey, u64, FactValue)) -> bool {
        let published = self.published.get(told);
        published.is_none_or(|deaths| self.world.now() >= deaths.first)
    }

    /// The facts of a node that live for longer than this.
    fn facts(&self, place: Place, longer: Duration) -> Facts {
        let now = self.world.moment(place).since_boot;
        let cluster = self.world.cluster(place).into_iter();
        let facts = cluster.flat_map(|cluster| cluster.facts(now));
        let facts = facts.filter(|fact| fact.life > longer);
        facts
            .map(|fact| (fact.key, (fact.version, fact.value)))
            .collect()
    }

    /// The greatest facts among all nodes that live now. None of them may be lost in peace.
    pub(super) fn strongest_facts(&self) -> BTreeMap<FactKey, (u64, FactValue)> {
        let mut strongest = Facts::new();
        for place in &self.members {
            for (key, fact) in self.facts(*place, Duration::ZERO) {
                let known = strongest.entry(key).or_default();
                *known = fact.max(known.clone());
            }
        }
        let mut lasting = BTreeSet::new();
        for place in &self.members {
            lasting.extend(self.facts(*place, RECOVERY + QUIET * 2));
        }
        // One that is about to die takes those with it that it has replaced. And which facts of a flooded tenant stay is
        // not decided by who tells them.
        strongest.retain(|key, fact| {
            key.tenant != NOISY
                && lasting.contains(&(key.clone(), fact.clone()))
                && !self.is_greater_under_way(key, fact)
        });
        strongest
    }

    /// Whether a greater fact may still be on its way, from a node that has crashed meanwhile.
    fn is_greater_under_way(&self, key: &FactKey, fact: &(u64, FactValue)) -> bool {
        let longest_way = *rough().delay.end();
        self.published
            .iter()
            .any(|((told, version, value), deaths)| {
                told == key
                    && (*version, value) > (fact.0, &fact.1)
                    && deaths.last + longest_way > self.world.now()
            })
    }

    /// What holds after peace has lasted for [`RECOVERY`].
    pub(super) fn check_recovered(&self, expected: &Facts) -> Result<(), String> {
        let live = self.members.iter().copied();
        let live: Vec<_> = live.filter(|place| self.world.is_awake(*place)).collect();
        let known = |longer: Duration| -> Vec<(Place, Facts)> {
            live.iter()
                .map(|place| (*place, self.facts(*place, longer)))
                .collect()
        };
        // Whoever knows a fact that is not about to die has told it to all others.
        let (all, lasting) = (known(Duration::ZERO), known(QUIET + Duration::from_secs(1)));
        for (place, facts) in &all {
            for (key, fact) in expected {
                if facts.get(key).is_none_or(|known| known < fact) {
                    return Err(format!("n{place} does not know {key:?} {fact:?}"));
                }
            }
            for (other, lasting) in &lasting {
                for (key, fact) in lasting {
                    let known = facts.get(key);
                    if known != Some(fact) {
                        return Err(format!(
                            "n{other} knows {key:?} {fact:?}, but n{place} knows {known:?}"
                        ));
                    }
                }
            }
            self.check_view(*place, &live)?;
        }
        Ok(())
    }

    /// What a node shows of its peers is true.
    fn check_view(&self, place: Place, live: &[Place]) -> Result<(), String> {
        let Some(cluster) = self.world.cluster(place) else {
            return Ok(());
        };
        let view = cluster.view(self.world.moment(place).since_boot);
        let ledger = self.ledger.borrow();
        for peer in live {
            let estranged = self.estranged.is_some_and(|(one, other)| {
                (one, other) == (place, *peer) || (other, one) == (place, *peer)
            });
            let (Some(other), false) = (self.world.cluster(*peer), estranged || *peer == place)
            else {
                continue;
            };
            let name = Self::name(*peer);
            let shown = view.peers.iter().find(|shown| shown.member.name == name);
            let Some(shown) = shown else {
                return Err(format!("n{place} does not show {name}"));
            };
            if self.abouts.get(peer) != Some(&shown.about) {
                return Err(format!("n{place} shows {:?} of {name}", shown.about));
            }
            if shown.roster_differs {
                return Err(format!("n{place} finds that {name} has another roster"));
            }
            if ledger.runs.get(&(place, name.clone())) != Some(&other.boot()) {
                return Err(format!("n{place} did not notice that {name} restarted"));
            }
            let skewed = ledger.skewed.get(&place);
            let alarmed = skewed.is_some_and(|skewed| skewed.contains(&name));
            let ahead_ns = self.world.moment(*peer).wall_ns - self.world.moment(place).wall_ns;
            let ahead_ms = ahead_ns.abs() / 1_000_000;
            if (alarmed && ahead_ms < 400) || (!alarmed && ahead_ms > 600) {
                return Err(format!(
                    "n{place} and {name} are {ahead_ms} ms apart; alarm: {alarmed}, measured: {:?}",
                    shown.ahead_ns
                ));
            }
        }
        Ok(())
    }

    /// In calm weather every question that somebody answers has its answer.
    pub(super) fn check_quiet(&self) -> Result<(), String> {
        let ledger = self.ledger.borrow();
        match ledger.open.values().find(|asked| asked.must_succeed) {
            Some(asked) => Err(format!("n{} still waits for n{}", asked.by, asked.to)),
            None => Ok(()),
        }
    }
}
