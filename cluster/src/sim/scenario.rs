//! [`Scenario`]: what a seed does to a cluster. A founding, a time of chaos in which everything goes wrong, and a peace
//! in which everything that was promised has to come true. [`check`](super::check) compares.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::network::Weather;
use super::probe::{Asked, Ledger, Probe};
use super::truth::Truth;
use super::world::{Place, Station, World};
use super::{Failure, Summary};
use crate::bounded::Body;
use crate::event::Event;
use crate::facts::{Fact, FactKey, FactName, FactValue};
use crate::faults::{Faults, Mutant};
use crate::hints::{Hint, HintContent};
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
            world: World::new(random.number(), Weather::GENTLE),
            random,
            ledger: Rc::default(),
            truth: Truth::default(),
            members: (0..size).collect(),
            outsiders: vec![size, size + 1],
            published: BTreeMap::new(),
            known: BTreeMap::new(),
            abouts: BTreeMap::new(),
            estranged: None,
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

    pub fn name(place: Place) -> NodeName {
        NodeName::numbered(place)
    }

    fn found(&mut self, size: usize, mutant: Option<Mutant>) {
        let member = |place: Place| {
            let number = u8::try_from(place + 1).unwrap_or(u8::MAX);
            Member {
                name: Self::name(place),
                public_key: [number; 32],
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
            let Ok(roster) = Roster::new(ClusterId([cluster; 16]), &Self::name(place), members)
            else {
                continue;
            };
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

    fn start(&mut self, place: Place) {
        self.ledger.borrow_mut().forget(place);
        self.known.remove(&place);
        let probe = Probe::new(place, &self.ledger);
        self.world.start(place, probe);
        self.describe(place);
        self.truth.begin_anew(place, self.world.now());
    }

    fn resume(&mut self, place: Place) {
        self.world.resume(place);
        self.truth.begin_anew(place, self.world.now());
    }

    fn describe(&mut self, place: Place) {
        let about = format!("n{place} {}", self.random.below(1000));
        let about = About::new(about.as_bytes()).unwrap_or_default();
        self.abouts.insert(place, about.clone());
        self.world.handle(place, Event::Described(about));
    }

    fn note(&mut self, what: String) {
        let at = self.world.now().as_secs_f64();
        self.history.push(format!("{at:7.3} s: {what}"));
    }

    fn fault(&mut self, what: String) {
        self.ledger.borrow_mut().summary.faults += 1;
        self.note(what);
    }

    fn somebody(&mut self) -> Place {
        let count = u64::try_from(self.members.len()).unwrap_or(1);
        usize::try_from(self.random.below(count)).unwrap_or(0)
    }

    fn something_happens(&mut self) {
        let place = self.somebody();
        match self.random.below(100) {
            0..30 => self.publish(place),
            30..40 => self.hint(place),
            40..60 => self.ask(place, false),
            60..63 => self.make_noise(place),
            63..66 => {
                let outsider = self
                    .outsiders
                    .get(usize::from(self.random.below(2) == 0))
                    .copied();
                outsider
                    .into_iter()
                    .for_each(|outsider| self.forge(outsider));
            }
            66..72 => self.crash_or_start(place),
            72..78 => self.stall_or_resume(place),
            78..86 => self.cut(place),
            86..91 => {
                self.fault("all lines are whole".into());
                self.world.network.heal();
            }
            91..94 => self.set_clock(place),
            94..97 => self.change_weather(),
            _ => self.describe(place),
        }
    }

    fn publish(&mut self, place: Place) {
        let number = u8::try_from(self.random.below(20)).unwrap_or(0);
        let life = if self.random.below(2) == 0 {
            Duration::from_millis(1_000 + self.random.below(4_000))
        } else {
            Duration::from_secs(60)
        };
        let fact = Fact {
            key: FactKey {
                tenant: Tenant([number / 4; 16]),
                name: FactName::new(&[number]).unwrap_or_default(),
            },
            version: self.random.below(50),
            value: FactValue::new(&[u8::from(self.random.below(2) == 0)]).unwrap_or_default(),
            life,
        };
        if self.world.is_awake(place) {
            self.note(format!("n{place} publishes {}", describe_fact(&fact)));
            self.tell(place, fact);
        }
    }

    fn tell(&mut self, place: Place, fact: Fact) {
        self.ledger.borrow_mut().summary.published += 1;
        let dies = self.world.now() + fact.life;
        let told = (fact.key.clone(), fact.version, fact.value.clone());
        let deaths = self.published.entry(told);
        let deaths = deaths.or_insert(Deaths {
            first: dies,
            last: dies,
        });
        deaths.first = deaths.first.min(dies);
        deaths.last = deaths.last.max(dies);
        self.world.handle(place, Event::Published(fact));
    }

    fn hint(&mut self, place: Place) {
        let tenant = Tenant([u8::try_from(self.random.below(4)).unwrap_or(0); 16]);
        let content = HintContent::new(&self.random.number().to_be_bytes()).unwrap_or_default();
        let hint = Hint { tenant, content };
        self.world.handle(place, Event::Hinted(hint));
    }

    /// A tenant tells far more than it may.
    fn make_noise(&mut self, place: Place) {
        if !self.world.is_awake(place) {
            return;
        }
        self.note(format!("n{place} is flooded by a tenant"));
        for _ in 0..60 {
            let name = self.random.below(200).to_be_bytes();
            let fact = Fact {
                key: FactKey {
                    tenant: NOISY,
                    name: FactName::new(&name).unwrap_or_default(),
                },
                version: self.random.below(5),
                value: FactValue::default(),
                life: Duration::from_secs(60),
            };
            self.tell(place, fact);
        }
        for _ in 0..2000 {
            let content = HintContent::new(&self.random.number().to_be_bytes()).unwrap_or_default();
            let tenant = NOISY;
            self.world
                .handle(place, Event::Hinted(Hint { tenant, content }));
        }
    }

    /// An outsider tries to be heard. It believes that all are alive, so that it speaks to all.
    pub fn forge(&mut self, outsider: Place) {
        let fact = Fact {
            key: FactKey {
                tenant: FORGED,
                name: FactName::default(),
            },
            version: self.random.below(1000),
            value: FactValue::default(),
            life: Duration::from_secs(60),
        };
        self.world.handle(outsider, Event::Published(fact));
    }

    fn ask(&mut self, place: Place, must_succeed: bool) {
        let to = self.somebody();
        self.ask_node(place, to, must_succeed);
    }

    fn ask_node(&mut self, by: Place, to: Place, must_succeed: bool) {
        if !self.world.is_awake(by) || by == to {
            return;
        }
        let delay = match self.random.below(4) {
            0 if !must_succeed => 255,
            1 => u8::try_from(1 + self.random.below(50)).unwrap_or(1),
            _ => 0,
        };
        let mut question = vec![delay];
        question.extend_from_slice(&self.random.number().to_be_bytes());
        let body = Body::new(question).unwrap_or_default();
        let timeout = Duration::from_millis(1_000 + self.random.below(2_000));
        let asked = Asked {
            by,
            to,
            body: body.clone(),
            deadline: self.world.moment(by).since_boot + timeout,
            must_succeed,
        };
        let ticket = self.ledger.borrow_mut().ask(asked);
        let to = Self::name(to);
        self.world.handle(
            by,
            Event::Asked {
                to,
                body,
                timeout,
                ticket,
            },
        );
    }

    fn ask_everybody(&mut self) {
        for by in self.members.clone() {
            let to = self.somebody();
            let estranged = self
                .estranged
                .is_some_and(|(one, other)| (one, other) == (by, to) || (other, one) == (by, to));
            if !estranged && self.world.is_awake(to) {
                self.ask_node(by, to, true);
            }
        }
    }

    fn crash_or_start(&mut self, place: Place) {
        if self.world.cluster(place).is_none() {
            self.fault(format!("n{place} starts"));
            self.start(place);
            return;
        }
        self.fault(format!("n{place} crashes"));
        self.world.crash(place);
        self.ledger.borrow_mut().forget(place);
        if self.random.below(2) == 0 {
            self.fault(format!("n{place} starts at once"));
            self.start(place);
        }
    }

    fn stall_or_resume(&mut self, place: Place) {
        if self.world.is_awake(place) {
            self.fault(format!("n{place} stalls"));
            self.world.stall(place);
        } else if self.world.cluster(place).is_some() {
            self.fault(format!("n{place} goes on"));
            self.resume(place);
        }
    }

    fn cut(&mut self, place: Place) {
        let all = self.world_size();
        let others: Vec<_> = match self.random.below(3) {
            0 => vec![self.somebody()],
            1 => (0..all).collect(),
            _ => (0..all).filter(|_| self.random.below(2) == 0).collect(),
        };
        let direction = self.random.below(3);
        let shown: Vec<_> = others.iter().map(|other| format!("n{other}")).collect();
        let arrow = ["->", "<-", "--"].get(usize::try_from(direction).unwrap_or(0));
        self.fault(format!(
            "cut: n{place} {} {}",
            arrow.unwrap_or(&""),
            shown.join(" ")
        ));
        for other in others {
            if direction != 1 {
                self.world.network.cut(place, other);
            }
            if direction != 0 {
                self.world.network.cut(other, place);
            }
        }
    }

    fn world_size(&self) -> usize {
        self.members.len() + self.outsiders.len()
    }

    fn set_clock(&mut self, place: Place) {
        let ahead_ms = i64::try_from(self.random.below(8_000)).unwrap_or(0) - 4_000;
        self.fault(format!("the clock of n{place} is set {ahead_ms} ms ahead"));
        if let Some(station) = self.world.station(place) {
            station.ahead_ns = ahead_ms * 1_000_000;
        }
    }

    fn change_weather(&mut self) {
        let weather = match self.random.below(3) {
            0 => Weather::CALM,
            1 => Weather::GENTLE,
            _ => Weather::ROUGH,
        };
        self.fault(format!("{weather:?}"));
        self.world.network.weather = weather;
    }

    /// Ends chaos. Some of the dead stay dead, two nodes may stay cut off from each other, one may be expelled.
    fn make_peace(&mut self) {
        self.note("peace".into());
        self.world.network.heal();
        self.world.network.weather = Weather::CALM;
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
            self.world.network.cut(one, other);
            self.world.network.cut(other, one);
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

/// A fact in a few words.
pub(super) fn describe_fact(fact: &Fact) -> String {
    format!(
        "{:?} of tenant {} = {} {:?}, for {:?}",
        fact.key.name,
        fact.key.tenant.0.first().copied().unwrap_or(0),
        fact.version,
        fact.value,
        fact.life
    )
}
