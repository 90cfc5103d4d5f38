//! How long a fact takes to reach all nodes when the lines between them delay and lose packets, in virtual time: the
//! protocol alone, with the same seeds each time, so the figures change only with the protocol.
//!
//! ```text
//! cargo bench -p conclave-cluster --features sim --bench virtual_spread
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may fail loudly, and prints figures"
)]

use std::time::Duration;

use conclave_cluster::sim::{Application, Station, Weather, World, calm, gentle, rough};
use conclave_cluster::{
    ClusterId, Effect, Event, Fact, FactKey, FactName, FactValue, Member, Moment, Notice, Roster,
    Settings, Tenant,
};
use conclave_wg::key::PublicKey;
use conclave_wg::peer::PeerName;

/// Facts whose spread is measured, for each row of the table.
const FACTS: u64 = 20;
/// Long enough for heartbeats to bring all nodes up, on the worst of the lines.
const SETTLE: Duration = Duration::from_secs(30);
/// How finely the virtual time is looked at.
const STEP: Duration = Duration::from_millis(1);
/// After this long a fact counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers the newest version that a node has learned.
struct Learner(u64);

impl Application for Learner {
    fn take(&mut self, effect: Effect, _: Moment) -> Vec<Event> {
        if let Effect::Tell(Notice::Learned(fact)) = effect {
            self.0 = self.0.max(fact.version);
        }
        Vec::new()
    }

    fn wake(&mut self, _: Moment) -> Vec<Event> {
        Vec::new()
    }

    fn next_wake(&self) -> Option<Duration> {
        None
    }
}

fn world(nodes: u8, weather: Weather) -> World<Learner> {
    let name = |node: u8| -> PeerName { format!("n{node}").parse().expect("a name") };
    let members: Vec<_> = (0..nodes)
        .map(|node| Member {
            name: name(node),
            public_key: PublicKey::from_bytes([node; 32]),
            endpoint: None,
            address: [10, 90, 0, node].into(),
        })
        .collect();
    let mut world = World::new(u64::from(nodes), weather);
    for node in 0..nodes {
        let roster = Roster::new(ClusterId([1; 16]), &name(node), members.clone());
        let place = world.add(Station {
            roster: roster.expect("a roster"),
            settings: Settings::default(),
            faults: Default::default(),
            uptime: Duration::from_secs(1),
            ahead_ns: 0,
        });
        world.start(place, Learner(0));
    }
    world.run_until(SETTLE);
    world
}

/// From its publication until the last node has learned it.
fn spread(world: &mut World<Learner>, nodes: u8, version: u64) -> Duration {
    let begun = world.now();
    let fact = Fact {
        key: FactKey {
            tenant: Tenant([1; 16]),
            name: FactName::new(b"sealed").expect("a few bytes"),
        },
        version,
        value: FactValue::default(),
        life: Duration::from_secs(600),
    };
    world.handle(0, Event::Published(fact));
    loop {
        let now = world.now();
        let knows = |world: &mut World<Learner>, node: u8| {
            let learner = world.application(node.into());
            learner.is_some_and(|learner| learner.0 >= version)
        };
        if (1..nodes).all(|node| knows(world, node)) || now - begun >= PATIENCE {
            return now - begun;
        }
        world.run_until(now + STEP);
    }
}

fn main() {
    println!("A fact's spread to all nodes, in virtual milliseconds: median and worst of {FACTS}.");
    println!(
        "{:<36} {:>6} {:>8} {:>8}",
        "lines", "nodes", "median", "worst"
    );
    for (what, weather) in [
        ("1-80 ms, no loss", calm()),
        ("0-200 ms, 3 % lost", gentle()),
        ("0-1000 ms, 35 % lost", rough()),
    ] {
        for nodes in [3, 50] {
            let mut world = world(nodes, weather.clone());
            let mut times: Vec<_> = (1..=FACTS)
                .map(|version| spread(&mut world, nodes, version).as_millis())
                .collect();
            times.sort_unstable();
            let (median, worst) = (times.get(times.len() / 2), times.last());
            let (median, worst) = median.zip(worst).expect("some times");
            println!("{what:<36} {nodes:>6} {median:>8} {worst:>8}");
        }
    }
}
