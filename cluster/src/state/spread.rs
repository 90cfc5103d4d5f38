//! How facts and hints get from node to node: pushed at once by who tells them, pulled by who lacks them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Cluster;
use crate::event::{Effect, Notice};
use crate::facts::{BUCKETS, Digest, Fact, FactKey, Merged};
use crate::faults::{Faults, Mutant};
use crate::hints::{Hint, HintQueue};
use crate::id::NodeName;
use crate::pull::Roots;
use crate::wire::{End, Packet, divide_facts, divide_hints};

/// What is told within this time goes out together.
const FLUSH_GAP: Duration = Duration::from_millis(5);
/// Most facts in one push; some forty packets to each peer.
const MAX_PUSH: usize = 512;
/// Most packets in one answer to a digest: 38 kB, which fits into the receive buffer of a socket several times.
const MAX_ANSWER_PACKETS: usize = 32;

/// What is to be pushed to all peers that are alive.
pub(super) struct Outbox {
    facts: BTreeSet<FactKey>,
    hints: HintQueue,
    flushed: Option<Duration>,
}

impl Outbox {
    pub fn new(faults: Faults) -> Self {
        Self {
            facts: BTreeSet::new(),
            hints: HintQueue::new(faults),
            flushed: None,
        }
    }

    pub fn push_fact(&mut self, key: FactKey) {
        self.facts.insert(key);
    }

    pub fn push_hint(&mut self, hint: Hint, now: Duration) -> bool {
        self.hints.offer(hint, now)
    }

    pub fn sweep(&mut self, now: Duration) {
        self.hints.sweep(now);
    }

    /// When something is to be sent; at once when nothing was sent just before.
    pub fn due(&self) -> Option<Duration> {
        if self.facts.is_empty() && self.hints.is_empty() {
            return None;
        }
        let due = self.flushed.map(|flushed| flushed + FLUSH_GAP);
        Some(due.unwrap_or_default())
    }
}

impl Cluster {
    /// Pushes what waits in the outbox, when it is time.
    pub(super) fn flush(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.outbox.due().is_none_or(|due| due > now) {
            return;
        }
        self.outbox.flushed = Some(now);
        let mut facts = Vec::new();
        for _ in 0..MAX_PUSH {
            match self.outbox.facts.pop_first() {
                Some(key) => facts.extend(self.facts.tell(&key, now)),
                None => break,
            }
        }
        let facts = divide_facts(facts).into_iter().map(|facts| Packet::Facts {
            end: End::No,
            facts,
        });
        let hints = divide_hints(self.outbox.hints.take()).into_iter();
        for packet in facts.chain(hints.map(Packet::Hints)) {
            self.send_to_live(&packet, effects);
        }
    }

    fn send_to_live(&mut self, packet: &Packet, effects: &mut Vec<Effect>) {
        let live = self.peers.iter().filter(|(_, peer)| peer.up);
        let live: Vec<_> = live.map(|(name, _)| name.clone()).collect();
        for name in live {
            self.send(&name, packet, effects);
        }
    }

    /// Asks a peer for facts, when its last heartbeat says that it has others than we.
    pub(super) fn pull(&mut self, from: &NodeName, now: Duration, effects: &mut Vec<Effect>) {
        if self.faults.has(Mutant::NoAntiEntropy) {
            return;
        }
        let ours = self.facts.root();
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let roots = peer.heard.as_ref().map(|heard| Roots {
            ours,
            theirs: heard.facts_root,
        });
        if roots.is_some_and(|roots| peer.pull.begin(roots, now)) {
            self.send_digest(from, effects);
        }
    }

    fn send_digest(&mut self, to: &NodeName, effects: &mut Vec<Effect>) {
        self.counters.pulls += 1;
        let digest = self.facts.digest().clone();
        self.send(to, &Packet::Digest(digest), effects);
    }

    /// Sends a peer what its table lacks.
    pub(super) fn answer_digest(
        &mut self,
        from: &NodeName,
        theirs: &Digest,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let admitted = self.peers.get_mut(from);
        if !admitted.is_some_and(|peer| peer.admit_digest(now)) {
            self.counters.flooded += 1;
            return;
        }
        // From a random place on: were it always the same, facts for which the peer has no room would hide all others.
        let first = u8::try_from(self.random.below(u64::from(BUCKETS))).unwrap_or(0);
        let mut lists = divide_facts(self.facts.lacking(theirs, first, now));
        let end = if lists.len() > MAX_ANSWER_PACKETS {
            End::Partial
        } else {
            End::Complete
        };
        lists.truncate(MAX_ANSWER_PACKETS);
        let last = lists.pop().unwrap_or_default();
        for facts in lists {
            let end = End::No;
            self.send(from, &Packet::Facts { end, facts }, effects);
        }
        self.send(from, &Packet::Facts { end, facts: last }, effects);
    }

    /// Takes in the facts that a peer sent.
    pub(super) fn learn(
        &mut self,
        from: &NodeName,
        end: End,
        facts: Vec<Fact>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let mut new = false;
        for fact in facts {
            match self.facts.merge(&fact, now) {
                Merged::New => {
                    new = true;
                    effects.push(Effect::Tell(Notice::Learned(fact)));
                }
                Merged::Prolonged => new = true,
                Merged::Known => {}
                Merged::Refused => self.counters.facts_refused += 1,
            }
        }
        let our_root = self.facts.root();
        let peer = self.peers.get_mut(from);
        if peer.is_some_and(|peer| peer.pull.receive(new, end, our_root, now)) {
            self.send_digest(from, effects);
        }
    }
}
