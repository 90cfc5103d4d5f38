//! [`World`]: nodes, virtual time, and the queue of what will happen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use conclave_wg::memory::{Delivery, Line};
use zeroize::Zeroizing;

use super::Weather;
use crate::event::{Effect, Event};
use crate::faults::Faults;
use crate::id::{BootId, NodeName};
use crate::random::Random;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::state::Cluster;
use crate::time::Moment;
use crate::wire;

/// Which node, by the order in which they were added.
pub type Place = usize;

/// What runs on a node above the protocol.
pub trait Application {
    /// Takes in what the protocol tells (all effects but sending), and says what happens to the node by it.
    fn take(&mut self, effect: Effect, now: Moment) -> Vec<Event>;

    /// The time of [`Application::next_wake`] has come.
    fn wake(&mut self, now: Moment) -> Vec<Event>;

    /// When (time since boot) it wants to be woken.
    fn next_wake(&self) -> Option<Duration>;
}

/// A machine: it stays when its process crashes.
#[derive(Clone, Debug)]
pub struct Station {
    /// What its configuration says.
    pub roster: Roster,
    /// How fast its protocol runs.
    pub settings: Settings,
    /// What is planted in its program.
    pub faults: Faults,
    /// How long it had been up when the simulation began.
    pub uptime: Duration,
    /// How far its wall clock is ahead of the true time, in nanoseconds.
    pub ahead_ns: i64,
}

struct Process<A> {
    cluster: Cluster,
    application: A,
}

struct Node<A> {
    station: Station,
    process: Option<Process<A>>,
    stalled: bool,
    /// What arrived while it was stalled.
    mailbox: Vec<Event>,
    wakes_at: Option<Duration>,
}

/// See the module.
pub struct World<A> {
    /// Decides everything that is left to chance.
    pub random: Random,
    now: Duration,
    nodes: Vec<Node<A>>,
    places: BTreeMap<NodeName, Place>,
    weather: Weather,
    line: Line,
    cuts: BTreeSet<(Place, Place)>,
    wakes: BTreeSet<(Duration, Place)>,
    sent: u64,
    longest_gossip: usize,
}

impl<A: Application> World<A> {
    /// An empty world.
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut random = Random::new(seed);
        Self {
            line: Line::new(random.number(), weather.clone()),
            weather,
            cuts: BTreeSet::new(),
            wakes: BTreeSet::new(),
            random,
            now: Duration::ZERO,
            nodes: Vec::new(),
            places: BTreeMap::new(),
            sent: 0,
            longest_gossip: 0,
        }
    }

    /// Adds a machine on which nothing runs yet. Its roster's own name is the one it is reached by.
    pub fn add(&mut self, station: Station) -> Place {
        let place = self.nodes.len();
        self.places.insert(station.roster.me().name.clone(), place);
        self.nodes.push(Node {
            station,
            process: None,
            stalled: false,
            mailbox: Vec::new(),
            wakes_at: None,
        });
        place
    }

    /// The true time since the simulation began.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The time as a node's clocks show it.
    pub fn moment(&self, place: Place) -> Moment {
        let Some(node) = self.nodes.get(place) else {
            return Moment::default();
        };
        let true_ns = i64::try_from(self.now.as_nanos()).unwrap_or(i64::MAX);
        Moment {
            since_boot: node.station.uptime + self.now,
            wall_ns: true_ns.saturating_add(node.station.ahead_ns),
        }
    }

    /// How a node is called.
    pub fn name(&self, place: Place) -> &NodeName {
        let node = self.nodes.get(place).expect("a node that was added");
        &node.station.roster.me().name
    }

    /// How good the lines are.
    pub fn weather(&self) -> &Weather {
        &self.weather
    }

    /// Makes the lines better or worse.
    pub fn set_weather(&mut self, weather: Weather) {
        self.line.set_faults(weather.clone());
        self.weather = weather;
    }

    /// Loses all that is sent from here to there from now on.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
        let (from, to) = (self.name(from).clone(), self.name(to).clone());
        self.line.cut(&from, &to, false);
    }

    /// Undoes all cuts.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.line.heal();
    }

    /// Whether what is sent from here to there can arrive.
    pub fn connects(&self, from: Place, to: Place) -> bool {
        !self.cuts.contains(&(from, to))
    }

    /// A node's machine.
    pub fn station(&mut self, place: Place) -> Option<&mut Station> {
        self.nodes.get_mut(place).map(|node| &mut node.station)
    }

    /// A node's state, when it runs.
    pub fn cluster(&self, place: Place) -> Option<&Cluster> {
        let process = self.nodes.get(place)?.process.as_ref()?;
        Some(&process.cluster)
    }

    /// What runs above it, when it runs.
    pub fn application(&mut self, place: Place) -> Option<&mut A> {
        let process = self.nodes.get_mut(place)?.process.as_mut()?;
        Some(&mut process.application)
    }

    /// Whether it runs, and is not stalled.
    pub fn is_awake(&self, place: Place) -> bool {
        self.nodes
            .get(place)
            .is_some_and(|node| node.process.is_some() && !node.stalled)
    }

    /// Starts a node anew, with nothing in its memory.
    pub fn start(&mut self, place: Place, application: A) {
        let now = self.moment(place);
        let boot = BootId(self.random.number());
        if let Some(node) = self.nodes.get_mut(place) {
            let (roster, faults) = (node.station.roster.clone(), node.station.faults);
            let cluster = Cluster::with_faults(roster, node.station.settings, boot, now, faults);
            node.process = Some(Process {
                cluster,
                application,
            });
            node.stalled = false;
            node.mailbox.clear();
        }
        self.schedule_wake(place);
    }

    /// Ends a node's process, with all that is in its memory.
    pub fn crash(&mut self, place: Place) {
        if let Some(node) = self.nodes.get_mut(place) {
            node.process = None;
            node.wakes_at = None;
        }
    }

    /// Stops a node without its noticing, as a machine that is suspended.
    pub fn stall(&mut self, place: Place) {
        if let Some(node) = self.nodes.get_mut(place) {
            node.stalled = true;
        }
    }

    /// Lets a stalled node go on; it finds that it is late, and what has arrived meanwhile.
    pub fn resume(&mut self, place: Place) {
        let Some(node) = self.nodes.get_mut(place).filter(|node| node.stalled) else {
            return;
        };
        node.stalled = false;
        let mailbox = std::mem::take(&mut node.mailbox);
        self.handle(place, Event::Woke);
        for event in mailbox {
            self.handle(place, event);
        }
    }

    /// Lets something happen to a node now, and all that follows from it.
    pub fn handle(&mut self, place: Place, event: Event) {
        let now = self.moment(place);
        let mut sent = Vec::new();
        if let Some(node) = self.nodes.get_mut(place) {
            let Some(process) = node.process.as_mut() else {
                return;
            };
            if node.stalled {
                node.mailbox.push(event);
                return;
            }
            let mut events = VecDeque::from([event]);
            while let Some(event) = events.pop_front() {
                for effect in process.cluster.step(event, now) {
                    match effect {
                        Effect::Send { to, packet } => sent.push((to, packet)),
                        effect => events.extend(process.application.take(effect, now)),
                    }
                }
            }
        }
        for (to, packet) in sent {
            self.send(place, &to, packet);
        }
        self.schedule_wake(place);
    }

    /// Goes on until that time.
    pub fn run_until(&mut self, time: Duration) {
        loop {
            let arrival = self.line.next_at();
            let wake = self.wakes.first().copied();
            let next = arrival.into_iter().chain(wake.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= time) else {
                break;
            };
            self.now = next;
            if let Some(delivery) = self.line.arrived(next) {
                self.deliver(delivery);
            } else if let Some((_, place)) = wake {
                self.wakes.pop_first();
                self.wake(place);
            }
        }
        self.now = time;
    }

    fn deliver(&mut self, delivery: Delivery) {
        let Delivery { from, to, message } = delivery;
        if let Some(place) = self.places.get(&to) {
            let packet = Zeroizing::new(message);
            self.handle(*place, Event::Received { from, packet });
        }
    }

    /// How many packets were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The longest packet so far that was no request or reply, in bytes.
    pub fn longest_gossip(&self) -> usize {
        self.longest_gossip
    }

    fn wake(&mut self, place: Place) {
        let now = self.moment(place);
        let Some(node) = self.nodes.get_mut(place) else {
            return;
        };
        // An alarm that was set again since, or of a process that is gone.
        if node.wakes_at != Some(self.now) || node.stalled {
            return;
        }
        node.wakes_at = None;
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let application = &mut process.application;
        let due = application
            .next_wake()
            .is_some_and(|due| due <= now.since_boot);
        let events = if due {
            application.wake(now)
        } else {
            Vec::new()
        };
        self.handle(place, Event::Woke);
        for event in events {
            self.handle(place, event);
        }
    }

    fn schedule_wake(&mut self, place: Place) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(place).filter(|node| !node.stalled) else {
            return;
        };
        let Some(process) = &node.process else {
            return;
        };
        let protocol = process.cluster.next_wake();
        let due = process
            .application
            .next_wake()
            .map_or(protocol, |due| due.min(protocol));
        let at = due.saturating_sub(node.station.uptime).max(now);
        if node
            .wakes_at
            .is_none_or(|wakes_at| at < wakes_at || wakes_at < now)
        {
            node.wakes_at = Some(at);
            self.wakes.insert((at, place));
        }
    }

    fn send(&mut self, from: Place, to: &NodeName, mut packet: Zeroizing<Vec<u8>>) {
        self.sent += 1;
        if wire::is_gossip(&packet) {
            self.longest_gossip = self.longest_gossip.max(packet.len());
        }
        let from = self.name(from).clone();
        let message = std::mem::take(&mut *packet);
        self.line.send(self.now, &from, to, message);
    }
}
