//! Whole clusters in virtual time, from a seed: the [`Cluster::step`](crate::Cluster::step) that runs in production, on
//! a network that loses, delays, repeats and reorders, among nodes that crash, stall and have wrong clocks.
//!
//! - [`World`] has the nodes and the time, and a [`Line`](conclave_wg::memory::Line) that carries the packets. What runs on a node above the protocol is an
//!   [`Application`]; other crates bring their own and simulate the protocol below it too;
//! - [`run`] plays a scenario drawn from a seed against the promises of this crate, and says which was broken.
//!
//! Everything in a run is decided by its seed: a failure is repeated by running its seed again.
#![allow(
    clippy::expect_used,
    reason = "a tool of tests: what cannot be is a reason to stop"
)]

mod chaos;
mod check;
mod probe;
mod scenario;
mod seeds;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::time::Duration;

pub use crate::faults::{Faults, MUTANTS, Mutant};
pub use crate::random::Random;
/// How good the lines between nodes are.
pub use conclave_wg::memory::Faults as Weather;
pub use seeds::{Failure, play_seeds};
pub use world::{Application, Place, Station, World};

use scenario::Scenario;

/// What a run did, to show that it did something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Nodes that ran.
    pub nodes: u64,
    /// Packets that were sent.
    pub packets: u64,
    /// Things that went wrong on purpose: crashes, cuts, stalls and so on.
    pub faults: u64,
    /// Facts that were published.
    pub published: u64,
    /// Facts that were learned from others.
    pub learned: u64,
    /// Hints that were heard.
    pub heard: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that ended otherwise.
    pub unanswered: u64,
    /// Clock alarms.
    pub alarms: u64,
    /// The longest packet that was no request or reply, in bytes.
    pub longest_gossip: usize,
}

impl Summary {
    /// Adds what another run did.
    pub fn add(&mut self, other: &Self) {
        self.nodes += other.nodes;
        self.packets += other.packets;
        self.faults += other.faults;
        self.published += other.published;
        self.learned += other.learned;
        self.heard += other.heard;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.alarms += other.alarms;
        self.longest_gossip = self.longest_gossip.max(other.longest_gossip);
    }
}

/// What repeats a seed of [`run`].
const REPLAY: &str = "-p conclave-cluster --lib sim::tests::replay";

/// Lines that lose nothing.
pub fn calm() -> Weather {
    Weather {
        lost_per_mille: 0,
        doubled_per_mille: 10,
        delay: Duration::from_millis(1)..=Duration::from_millis(80),
    }
}

/// Lines that a cluster is to stand without noticing.
pub fn gentle() -> Weather {
    Weather {
        lost_per_mille: 30,
        doubled_per_mille: 50,
        delay: Duration::ZERO..=Duration::from_millis(200),
    }
}

/// Lines that it is to survive.
pub fn rough() -> Weather {
    Weather {
        lost_per_mille: 350,
        doubled_per_mille: 200,
        delay: Duration::ZERO..=Duration::from_secs(1),
    }
}

/// Plays the scenario of a seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Summary, Box<Failure>> {
    Scenario::new(seed, mutant).play()
}
