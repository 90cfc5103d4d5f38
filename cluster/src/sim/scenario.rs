//! [`Scenario`]: what a seed does to a cluster. A founding, a time of chaos in which everything goes wrong, and a peace
//! in which everything that was promised has to come true. [`check`](super::check) compares.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use conclave_wg::key::PublicKey;

use super::probe::{Ledger, Probe};
use super::truth::Truth;
use super::world::{Place, Station, World};
use super::{Failure, Summary, calm, gentle};
use crate::event::Event;
use crate::facts::{FactKey, FactValue};
use crate::faults::{Faults, Mutant};
use crate::id::{ClusterId, NodeName, Tenant};
use crate::random::Random;
use crate::roster::{Member, Roster};
use crate::settings::Settings;
use crate::wire::{About, OLDEST_VERSION};

/// How long chaos lasts.
const CHAOS: Duration = Duration::from_secs(12);
/// How long it takes, at most, until all is well again. The longest part of it is noticing that a clock was set.
pub(super) const RECOVERY: Duration = Duration::from_secs(5);
/// How often beliefs and truth are compared.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A tenant that tells more than it may.
pub(super) const NOISY: Tenant = Tenant([99; 16]);
/// On whose behalf those speak who should not be heard.
pub(super) const FORGED: Tenant = Tenant([66; 16]);

/// When a fact dies that was published, perhaps more than once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deaths {
    /// The first time at which it may be gone from a node.
    pub first: Duration,
    /// The first time at which it should be gone from all.
    pub last: Duration,
}

/// See the module.
pub(super) struct Scenario {
    pub seed: u64,
    pub random: Random,
    pub world: World<Probe>,
    pub ledger: Rc<RefCell<Ledger>>,
    pub truth: Truth,
    /// The nodes of the cluster; the outsiders come after them.
    pub members: Vec<Place>,
    /// Somebody who is not in the roster, somebody of another cluster who is, and whoever was expelled.
    pub outsiders: Vec<Place>,
    /// When each fact that was published dies.
    pub published: BTreeMap<(FactKey, u64, FactValue), Deaths>,
    /// Facts as they were at the last check, by node.
    pub known: BTreeMap<Place, BTreeMap<FactKey, (u64, FactValue)>>,
    /// What a node says of itself.
    pub abouts: BTreeMap<Place, About>,
    /// Two nodes that stay cut off from each other in peace, and have to learn through others.
    pub estranged: Option<(Place, Place)>,
    /// How often beliefs and truth were compared.
    pub checks: u64,
    history: Vec<String>,
}

impl Scenario {
    /// The scenario of this seed, before anything has happened.
    pub fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = Random::new(seed ^ 0x636f_6e63_6c61_7665);
        let size = match random.below(100) {
            0..80 => 3 + random.below(5),
            80..96 => 8 + random.below(10),
            _ => 18 + random.below(33),
        };
        let size = usize::try_from(size).unwrap_or(3);
        let mut scenario = Self {
            seed,
            world: World::new(random.number(), gentle()),
            random,
            ledger: Rc::default(),
            truth: Truth::default(),
            members: (0..size).collect(),
            outsiders: vec![size, size + 1],
            published: BTreeMap::new(),
            known: BTreeMap::new(),
            abouts: BTreeMap::new(),
            estranged: None,
            checks: 0,
            history: Vec::new(),
        };
        scenario.found(size, mutant);
        scenario
    }

    /// Plays it to the end.
    pub fn play(mut self) -> Result<Summary, Box<Failure>> {
        match self.play_acts() {
            Ok(()) => {
                let mut summary = self.ledger.borrow().summary;
                summary.packets = self.world.sent();
                summary.longest_gossip = self.world.longest_gossip();
                Ok(summary)
            }
            Err(what) => Err(Box::new(Failure {
                seed: self.seed,
                replay: super::REPLAY,
                at: self.world.now(),
                what,
                history: self.history,
            })),
        }
    }

    fn play_acts(&mut self) -> Result<(), String> {
        while self.world.now() < CHAOS {
            let pause = Duration::from_millis(20 + self.random.below(300));
            self.run_for(pause)?;
            self.something_happens();
            self.truth.observe(&self.world, &self.members);
        }
        self.make_peace();
        let expected = self.strongest_facts();
        self.run_for(RECOVERY)?;
        self.check_recovered(&expected)?;
        self.ask_everybody();
        self.run_for(Duration::from_secs(2))?;
        self.check_quiet()
    }

    /// Lets time pass, and compares what is believed with what is.
    fn run_for(&mut self, duration: Duration) -> Result<(), String> {
        let until = self.world.now() + duration;
        while self.world.now() < until {
            let next = (self.world.now() + CHECK_EVERY).min(until);
            self.world.run_until(next);
            self.check_always()?;
        }
        Ok(())
    }

    /// How a node is called.
    pub fn name(place: Place) -> NodeName {
        format!("n{place}").parse().expect("a well-formed name")
    }

    fn found(&mut self, size: usize, mutant: Option<Mutant>) {
        let member = |place: Place| {
            let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
            Member {
                name: Self::name(place),
                public_key: PublicKey::from_bytes([number; 32]),
                endpoint: None,
                address: [10, 90, 0, number].into(),
            }
        };
        let mixed_versions = self.random.below(4) == 0;
        for place in 0..size + 2 {
            // The first outsider knows all others but is not known; the second is known but thinks it is elsewhere.
            let known = (0..size).chain([size + 1]).map(member);
            let (cluster, members) = match place {
                place if place == size => (1, (0..size + 2).map(member).collect()),
                place if place == size + 1 => (2, known.collect()),
                _ => (1, known.collect()),
            };
            let roster = Roster::new(ClusterId([cluster; 16]), &Self::name(place), members);
            let roster = roster.expect("a well-formed roster");
            let speaks = (mixed_versions && self.random.below(2) == 0).then_some(OLDEST_VERSION);
            let ahead_ms = if self.random.below(8) == 0 {
                1_000 + i64::try_from(self.random.below(3_000)).unwrap_or(0)
            } else {
                i64::try_from(self.random.below(200)).unwrap_or(0)
            };
            self.world.add(Station {
                roster,
                settings: Settings::default(),
                faults: Faults { mutant, speaks },
                uptime: Duration::from_millis(self.random.below(1_000_000_000)),
                ahead_ns: ahead_ms * 1_000_000,
            });
            self.start(place);
        }
        self.ledger.borrow_mut().summary.nodes += u64::try_from(size).unwrap_or(0);
        self.truth.observe(&self.world, &self.members);
    }

    pub(super) fn start(&mut self, place: Place) {
        self.ledger.borrow_mut().forget(place);
        self.known.remove(&place);
        let probe = Probe::new(place, &self.ledger);
        self.world.start(place, probe);
        self.describe(place);
        self.truth.begin_anew(place, self.world.now());
    }

    pub(super) fn resume(&mut self, place: Place) {
        self.world.resume(place);
        self.truth.begin_anew(place, self.world.now());
    }

    pub(super) fn describe(&mut self, place: Place) {
        let about = format!("n{place} {}", self.random.below(1000));
        let about = About::new(about.as_bytes()).expect("a few bytes");
        self.abouts.insert(place, about.clone());
        self.world.handle(place, Event::Described(about));
    }

    pub(super) fn note(&mut self, what: String) {
        let at = self.world.now().as_secs_f64();
        self.history.push(format!("{at:7.3} s: {what}"));
    }

    pub(super) fn fault(&mut self, what: String) {
        self.ledger.borrow_mut().summary.faults += 1;
        self.note(what);
    }

    pub(super) fn somebody(&mut self) -> Place {
        let count = u64::try_from(self.members.len()).unwrap_or(1);
        usize::try_from(self.random.below(count)).unwrap_or(0)
    }

    /// Ends chaos. Some of the dead stay dead, two nodes may stay cut off from each other, one may be expelled.
    fn make_peace(&mut self) {
        self.note("peace".into());
        self.world.heal();
        self.world.set_weather(calm());
        for place in self.members.clone() {
            self.resume(place);
            if self.world.cluster(place).is_none() && self.random.below(3) != 0 {
                self.note(format!("n{place} starts"));
                self.start(place);
            }
        }
        if self.random.below(4) == 0 {
            self.expel();
        }
        if let [one, other, rest @ ..] = self.members.as_slice()
            && rest.iter().any(|place| self.world.is_awake(*place))
            && self.random.below(2) == 0
        {
            let (one, other) = (*one, *other);
            self.estranged = Some((one, other));
            self.note(format!("n{one} and n{other} stay cut off from each other"));
            self.world.cut(one, other);
            self.world.cut(other, one);
        }
        self.truth.observe(&self.world, &self.members);
        for outsider in self.outsiders.clone() {
            self.forge(outsider);
        }
    }

    /// The last node is taken off all rosters but its own.
    fn expel(&mut self) {
        let Some(expelled) = self.members.pop() else {
            return;
        };
        self.note(format!("n{expelled} is expelled"));
        for place in self.members.clone() {
            let Some(station) = self.world.station(place) else {
                continue;
            };
            let (old, name) = (&station.roster, Self::name(expelled));
            let members = old.peers().iter().chain([old.me()]);
            let members = members.filter(|member| member.name != name).cloned();
            let next = Roster::new(*old.cluster(), &old.me().name, members.collect());
            if let Ok(next) = next {
                station.roster = next.clone();
                self.world.handle(place, Event::Reloaded(Box::new(next)));
            }
        }
        self.truth = Truth::default();
        self.outsiders.push(expelled);
    }
}
