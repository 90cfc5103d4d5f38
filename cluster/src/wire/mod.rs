//! What nodes send each other, as bytes. Written out by hand: it is small, and every length has a bound that is checked
//! before anything is kept.
//!
//! A packet begins with the version of the format, its kind and the cluster's id; integers are big-endian. All kinds but
//! requests and replies fit into [`MAX_GOSSIP_BYTES`]; those hold a [`Body`].
//!
//! **Versions.** A node reads [`OLDEST_VERSION`] to [`NEWEST_VERSION`], which is its own and the one before, so that a
//! cluster can be upgraded node by node. Every heartbeat says what its sender can read, and it is answered in the newest
//! version that both know; before that, in the oldest. Version 2 added the roster's fingerprint to the heartbeat.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use decode::{Unreadable, decode};
pub(crate) use encode::encode;

use crate::bounded::{Body, Bounded};
use crate::facts::{Digest, Fact};
use crate::hints::Hint;
use crate::id::BootId;

/// The oldest version of the format that is still read.
pub const OLDEST_VERSION: u8 = 1;
/// The newest version of the format.
pub const NEWEST_VERSION: u8 = 2;

/// Longest packet that is no request or reply. It fits, with all headers around it, into the 1280 bytes that every IPv6
/// link carries, so it is never cut into pieces that could be lost one by one.
pub const MAX_GOSSIP_BYTES: usize = 1200;

/// Longest packet of all.
pub const MAX_MESSAGE_BYTES: usize = crate::bounded::MAX_BODY_BYTES + 64;

/// Longest [`About`] in bytes.
pub const MAX_ABOUT_BYTES: usize = 256;

/// What a node says of itself; no secret.
pub type About = Bounded<MAX_ABOUT_BYTES>;

/// Version, kind, cluster.
const HEADER_BYTES: usize = 2 + 16;
/// What precedes the facts or hints of a packet.
const LIST_BYTES: usize = 2;

/// The kinds of packets.
mod kind {
    pub(super) const HEARTBEAT: u8 = 1;
    pub(super) const FACTS: u8 = 2;
    pub(super) const DIGEST: u8 = 3;
    pub(super) const HINTS: u8 = 4;
    pub(super) const REQUEST: u8 = 5;
    pub(super) const REPLY: u8 = 6;

    /// Most bytes of a packet of this kind.
    pub(super) fn limit(kind: u8) -> usize {
        match kind {
            REQUEST | REPLY => super::MAX_MESSAGE_BYTES,
            _ => super::MAX_GOSSIP_BYTES,
        }
    }
}

/// One packet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Packet {
    /// I am here.
    Heartbeat(Heartbeat),
    /// Facts, pushed or asked for.
    Facts {
        /// Whether this ends the answer to a digest.
        end: End,
        /// The facts.
        facts: Vec<Fact>,
    },
    /// Send me what I lack.
    Digest(Digest),
    /// Things that may interest you now.
    Hints(Vec<Hint>),
    /// Answer this.
    Request {
        /// Chosen by who asks.
        id: u64,
        /// How long it waits for the answer, in milliseconds.
        remaining_ms: u32,
        /// The question.
        body: Body,
    },
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// The answer; `None` when too much else was to be answered.
        body: Option<Body>,
    },
}

/// See [`Packet::Heartbeat`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Heartbeat {
    /// The sender's run.
    pub boot: BootId,
    /// The sender's time since boot. Names this heartbeat, and orders those of a run.
    pub mark: Duration,
    /// The sender's wall clock.
    pub wall_ns: i64,
    /// The newest version of the format that the sender reads.
    pub newest_version: u8,
    /// The sender does not know whether the receiver is alive, or whether it has restarted: answer at once.
    pub wants_reply: bool,
    /// The newest heartbeat that the sender has from the receiver.
    pub echo: Option<Echo>,
    /// What the sender's facts come to.
    pub facts_root: u64,
    /// What the sender says of itself.
    pub about: About,
    /// The fingerprint of the sender's roster; not in version 1.
    pub roster: Option<u64>,
}

/// See [`Heartbeat::echo`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Echo {
    /// The run that the heartbeat came from.
    pub boot: BootId,
    /// Its mark.
    pub mark: Duration,
    /// How long ago it was received.
    pub held_ns: u64,
}

/// Whether a packet of facts ends the answer to a digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum End {
    /// It does not, or answers none.
    No = 0,
    /// It does, and this was all.
    Complete = 1,
    /// It does, but there is more: ask again.
    Partial = 2,
}

/// Whether a packet that was encoded here is no request or reply.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn is_gossip(packet: &[u8]) -> bool {
    !matches!(packet.get(1), Some(&(kind::REQUEST | kind::REPLY)))
}

/// Divides facts into lists that fit into a packet each.
pub(crate) fn divide_facts(facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    divide(facts, fact_bytes)
}

/// Divides hints into lists that fit into a packet each.
pub(crate) fn divide_hints(hints: Vec<Hint>) -> Vec<Vec<Hint>> {
    divide(hints, hint_bytes)
}

fn fact_bytes(fact: &Fact) -> usize {
    16 + 1 + fact.key.name.as_bytes().len() + 8 + 1 + fact.value.as_bytes().len() + 4
}

fn hint_bytes(hint: &Hint) -> usize {
    16 + 1 + hint.content.as_bytes().len()
}

fn divide<T>(items: Vec<T>, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    const ROOM: usize = MAX_GOSSIP_BYTES - HEADER_BYTES - LIST_BYTES;
    let mut lists = Vec::new();
    let (mut list, mut used) = (Vec::new(), 0);
    for item in items {
        let bytes = bytes_of(&item);
        if used + bytes > ROOM {
            lists.push(std::mem::take(&mut list));
            used = 0;
        }
        used += bytes;
        list.push(item);
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}
