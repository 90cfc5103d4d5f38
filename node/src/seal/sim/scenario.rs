//! [`run`]: what a seed does to three nodes. A founding, a time in which everything goes wrong, and a peace in which what
//! was promised has to come true.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use conclave_cluster::sim::{Failure, Faults as ClusterFaults, Place, Station, World};
use conclave_cluster::sim::{calm, gentle, rough};
use conclave_cluster::{ClusterId, Event, Member, Moment, NodeName, Roster, Settings};
use conclave_wg::key::PublicKey;

use super::node::SealNode;
use super::truth::{LEASE, Summary, Truth, share};
use crate::seal::faults::{Faults, Mutant};

const NODES: Place = 3;
const ACTIONS: u64 = 45;
/// How often each node gets a request.
const REQUESTS: Duration = Duration::from_millis(50);
const REPLAY: &str = "-p conclave --lib seal::sim::tests::replay";

struct Scenario {
    seed: u64,
    world: World<SealNode>,
    truth: Rc<RefCell<Truth>>,
    places: Rc<BTreeMap<NodeName, Place>>,
    faults: Faults,
    stalled: [bool; NODES],
}

/// Plays a seed.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Summary, Box<Failure>> {
    let mut scenario = Scenario::new(seed, mutant);
    scenario.live(Duration::from_secs(3))?;
    for _ in 0..ACTIONS {
        scenario.act();
        let pause = scenario.below(600);
        scenario.live(Duration::from_millis(20 + pause))?;
    }
    scenario.peace()?;
    let summary = scenario.truth.borrow().summary;
    Ok(summary)
}

impl Scenario {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let names: Vec<NodeName> = (0..NODES)
            .map(|n| format!("n{n}").parse().unwrap())
            .collect();
        let members: Vec<_> = names
            .iter()
            .zip(1u8..)
            .map(|(name, number)| Member {
                name: name.clone(),
                public_key: PublicKey::from_bytes([number; 32]),
                endpoint: None,
                address: [10, 90, 0, number].into(),
            })
            .collect();
        let mut world = World::new(seed, gentle());
        let truth = Rc::new(RefCell::new(Truth::new(seed)));
        for name in &names {
            let roster = Roster::new(ClusterId([1; 16]), name, members.clone()).unwrap();
            let uptime = Duration::from_secs(100 + truth.borrow_mut().random.below(1000));
            world.add(Station {
                roster,
                settings: Settings::default(),
                faults: ClusterFaults::default(),
                uptime,
                ahead_ns: 0,
            });
        }
        let mut scenario = Self {
            seed,
            world,
            truth,
            places: Rc::new(names.into_iter().zip(0..).collect()),
            faults: Faults::planted(mutant),
            stalled: [false; NODES],
        };
        for place in 0..NODES {
            scenario.start(place);
        }
        scenario
    }

    fn below(&self, limit: u64) -> u64 {
        self.truth.borrow_mut().random.below(limit)
    }

    fn somebody(&self) -> Place {
        Place::try_from(self.below(3)).unwrap()
    }

    fn note(&mut self, what: String) {
        self.truth.borrow_mut().note(self.world.now(), &what);
    }

    fn fault(&mut self, what: String) {
        self.truth.borrow_mut().summary.faults += 1;
        self.note(what);
    }

    fn start(&mut self, place: Place) {
        let moment = self.world.moment(place);
        let uptime = moment.since_boot - self.world.now();
        let (truth, places) = (&self.truth, &self.places);
        let node = SealNode::new(place, uptime, truth, places, self.faults, moment.since_boot);
        self.stalled[place] = false;
        self.world.start(place, node);
    }

    fn restart(&mut self, place: Place) {
        self.fault(format!("n{place} crashes and starts"));
        self.world.crash(place);
        self.start(place);
    }

    /// Lets a user do something at a node, when it runs.
    fn at(&mut self, place: Place, act: impl FnOnce(&mut SealNode, Moment) -> Vec<Event>) {
        if !self.world.is_awake(place) {
            return;
        }
        let moment = self.world.moment(place);
        let events = match self.world.application(place) {
            Some(node) => act(node, moment),
            None => Vec::new(),
        };
        // Also without an event, so that its alarm is set again.
        for event in events.into_iter().chain([Event::Woke]) {
            self.world.handle(place, event);
        }
    }

    fn submit(&mut self, place: Place, index: usize) {
        self.note(format!("share {} to n{place}", index + 1));
        self.at(place, |node, now| node.submit(share(index), now));
    }

    fn seal(&mut self, place: Place) {
        self.note(format!("n{place} is to seal"));
        self.at(place, SealNode::seal);
    }

    fn act(&mut self) {
        let (place, other) = (self.somebody(), self.somebody());
        match self.below(100) {
            0..40 => {
                for _ in 0..=self.below(3) {
                    let (at, index) = (self.somebody(), usize::try_from(self.below(5)).unwrap());
                    self.submit(at, index);
                    let pause = self.below(120);
                    let until = self.world.now() + Duration::from_millis(pause);
                    self.world.run_until(until);
                }
            }
            40..48 => self.seal(place),
            48..56 => {
                self.note(format!("a reset at n{place}"));
                self.at(place, SealNode::reset);
            }
            56..62 => self.restart(place),
            62..68 => {
                // Into the middle of a hand-over.
                self.restart(place);
                let pause = self.below(900);
                self.world
                    .run_until(self.world.now() + Duration::from_millis(pause));
                self.seal(other);
            }
            68..74 => {
                self.fault(format!("n{place} loses the store"));
                self.truth.borrow_mut().away.insert(place);
            }
            74..80 => {
                self.fault("the store answers all".into());
                self.truth.borrow_mut().away.clear();
            }
            80..85 => {
                self.fault(format!("n{place} is alone, and n{other} is to seal"));
                self.truth.borrow_mut().away.insert(place);
                self.cut(place);
                self.seal(other);
            }
            85..89 => {
                self.fault(format!("n{place} is cut off"));
                self.cut(place);
            }
            89..94 => {
                self.fault("all lines are whole".into());
                self.world.heal();
            }
            94..97 => {
                self.fault(format!("n{place} stalls or goes on"));
                if self.world.is_awake(place) {
                    self.world.stall(place);
                    self.stalled[place] = true;
                } else {
                    self.wake(place);
                }
            }
            _ => {
                let weather =
                    [calm(), gentle(), rough()][usize::try_from(self.below(3)).unwrap()].clone();
                self.fault(format!("{weather:?}"));
                self.world.set_weather(weather);
            }
        }
    }

    fn cut(&mut self, place: Place) {
        for other in (0..NODES).filter(|other| *other != place) {
            self.world.cut(place, other);
            self.world.cut(other, place);
        }
    }

    fn wake(&mut self, place: Place) {
        if self.stalled[place] {
            self.stalled[place] = false;
            self.world.resume(place);
        }
    }

    /// Lets time pass, in which all nodes get requests.
    fn live(&mut self, time: Duration) -> Result<(), Box<Failure>> {
        let end = self.world.now() + time;
        while self.world.now() < end {
            let next = (self.world.now() + REQUESTS).min(end);
            self.world.run_until(next);
            for place in 0..NODES {
                self.at(place, |node, now| {
                    node.serve(now);
                    Vec::new()
                });
            }
            self.check()?;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Box<Failure>> {
        let broken = self.truth.borrow().broken.clone();
        broken.map_or(Ok(()), |what| Err(self.failure(what)))
    }

    fn failure(&mut self, what: String) -> Box<Failure> {
        Box::new(Failure {
            seed: self.seed,
            replay: REPLAY,
            at: self.world.now(),
            what,
            history: std::mem::take(&mut self.truth.borrow_mut().history),
        })
    }

    fn all_are(&mut self, open: bool, when: &str) -> Result<(), Box<Failure>> {
        for place in 0..NODES {
            let is_open = self
                .world
                .application(place)
                .is_some_and(|node| node.is_open());
            if is_open != open {
                let given = self.world.application(place).map_or(0, |node| node.given());
                return Err(self.failure(format!(
                    "{when}, n{place} is {}, with {given} shares",
                    if is_open { "open" } else { "sealed" }
                )));
            }
        }
        Ok(())
    }

    /// Everything works again: what was promised comes true.
    fn peace(&mut self) -> Result<(), Box<Failure>> {
        self.note("peace".into());
        self.world.heal();
        self.world.set_weather(calm());
        self.truth.borrow_mut().away.clear();
        for place in 0..NODES {
            self.wake(place);
        }
        self.live(Duration::from_secs(12))?;
        if !self.truth.borrow().intents.is_empty() {
            return Err(self.failure("a seal that was ordered is not done".into()));
        }
        let sealer = self.somebody();
        self.seal(sealer);
        self.live(Duration::from_secs(2))?;
        self.all_are(false, "after a seal")?;
        let first = self.somebody();
        for index in 0..3 {
            self.submit((first + index) % NODES, index);
            self.live(Duration::from_secs(1))?;
        }
        self.live(Duration::from_secs(2))?;
        self.all_are(true, "after three shares")?;
        let restarted = self.somebody();
        self.restart(restarted);
        self.live(Duration::from_secs(6))?;
        self.all_are(true, "after a restart")?;
        let sealer = self.somebody();
        self.seal(sealer);
        self.live(LEASE * 2)?;
        self.all_are(false, "after the last seal")
    }
}
