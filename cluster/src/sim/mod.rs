//! Whole clusters in virtual time, from a seed: the [`Cluster::step`](crate::Cluster::step) that runs in production, on
//! a network that loses, delays, repeats and reorders, among nodes that crash, stall and have wrong clocks.
//!
//! - [`Network`] decides what becomes of a packet;
//! - [`World`] has the nodes, the time, and the queue of what will happen. What runs on a node above the protocol is an
//!   [`Application`]; other crates bring their own and simulate the protocol below it too;
//! - [`run`] plays a scenario drawn from a seed against the promises of this crate, and says which was broken.
//!
//! Everything is decided by the seed, on one thread: a failure is repeated by running its seed again.

mod check;
mod network;
mod probe;
mod scenario;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::fmt;
use std::time::Duration;

pub use crate::faults::{Faults, MUTANTS, Mutant};
pub use crate::random::Random;
pub use network::{Network, Weather};
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

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Duration,
    /// What.
    pub what: String,
    /// What was done to the cluster until then.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.history {
            writeln!(formatter, "  {line}")?;
        }
        writeln!(
            formatter,
            "seed {}, after {:.3} s: {}",
            self.seed,
            self.at.as_secs_f64(),
            self.what
        )?;
        write!(
            formatter,
            "Again: CONCLAVE_SIM_SEED={} cargo test -p conclave-cluster --lib sim::tests::replay -- --nocapture",
            self.seed
        )
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Plays the scenario of a seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Summary, Box<Failure>> {
    Scenario::new(seed, mutant).play()
}
