//! [`Cluster`]: one node's part in the protocol. Pure: events and the time go in, effects come out; it knows neither
//! sockets nor clocks.
//!
//! # How it works
//!
//! Every node sends every other a **heartbeat** twice a second. It shows the newest heartbeat that came back, so each
//! side learns by a single kind of packet that both ways work (being heard is not enough to be alive), how long the way
//! is, and how far the clocks are apart. It carries what the node says of itself, and what its facts come to. When that
//! differs from ours, we ask for what we lack by a **digest**, and get **facts** (see [`facts`](crate::facts)). What is
//! told here is also pushed at once to all that are alive, so facts spread in one hop, and the digests only repair.
//! **Hints** are pushed and never repaired. **Requests** go to one peer and are repeated until they are answered.
//!
//! # Why no SWIM
//!
//! SWIM, as the `foca` crate has it, spares members from speaking to everybody, for clusters of hundreds. Ours have 3 to
//! 50 nodes from a fixed list; speaking to all of them costs a hundred small packets a second, and buys what SWIM does
//! not give: being alive means "I can reach it and it can reach me", which is what a direct request needs to know; nobody
//! is declared dead for all by one node's bad line; there are no suspicions to refute, no members that join by asking,
//! and no gossip about members at all; and the same packets measure the clocks and repair the facts. A dead node is
//! found within [`Settings::down_after`] by each node by itself.

mod receive;
mod spread;
#[cfg(test)]
mod tests;
mod tick;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bounded::Body;
use crate::counters::Counters;
use crate::event::{AskError, Effect, Event, Notice, RequestId, Ticket};
use crate::facts::{Fact, FactKey, FactTable, Merged};
use crate::faults::{Faults, Mutant};
use crate::hints::Hint;
use crate::id::{BootId, NodeName};
use crate::peer::Peer;
use crate::random::Random;
use crate::requests::{Asking, Serving};
use crate::roster::Roster;
use crate::settings::Settings;
use crate::time::Moment;
use crate::wire::{self, About, Packet};
use spread::Outbox;

/// See the module.
pub struct Cluster {
    roster: Roster,
    settings: Settings,
    boot: BootId,
    faults: Faults,
    random: Random,
    about: About,
    peers: BTreeMap<NodeName, Peer>,
    facts: FactTable,
    outbox: Outbox,
    asking: Asking,
    serving: Serving,
    next_beat: Duration,
    counters: Counters,
}

impl Cluster {
    /// A node that has just started and knows nobody. `boot` is random; it also seeds what is only to differ between
    /// nodes, such as jitter.
    pub fn new(roster: Roster, settings: Settings, boot: BootId, now: Moment) -> Self {
        Self::with_faults(roster, settings, boot, now, Faults::default())
    }

    /// The same, with faults planted.
    pub(crate) fn with_faults(
        roster: Roster,
        settings: Settings,
        boot: BootId,
        now: Moment,
        faults: Faults,
    ) -> Self {
        let mut random = Random::new(boot.0);
        let peers = roster.peers().iter();
        let peers = peers.map(|member| (member.name.clone(), Peer::new(member.clone())));
        Self {
            peers: peers.collect(),
            roster,
            settings,
            boot,
            faults,
            about: About::default(),
            facts: FactTable::new(faults),
            outbox: Outbox::new(faults),
            asking: Asking::new(random.number(), faults),
            serving: Serving::default(),
            next_beat: now.since_boot,
            counters: Counters::default(),
            random,
        }
    }

    /// Takes in what happened, and says what is to be done, in this order. What is due by time is done with any event.
    pub fn step(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.pass_time(now, &mut effects);
        match event {
            Event::Received { from, packet } => self.receive(&from, &packet, now, &mut effects),
            Event::Woke => {}
            Event::Reloaded(roster) => self.reload(*roster, &mut effects),
            Event::Described(about) => self.about = about,
            Event::Published(fact) => self.publish(&fact, now.since_boot),
            Event::Hinted(hint) => self.hint(hint, now.since_boot),
            Event::Asked {
                to,
                body,
                timeout,
                ticket,
            } => {
                if let Err(error) = self.ask(to, body, timeout, ticket, now.since_boot) {
                    effects.push(answer(ticket, Err(error)));
                }
                self.send_requests(now.since_boot, &mut effects);
            }
            Event::Served { request, body } => {
                self.reply(&request, body, now.since_boot, &mut effects);
            }
        }
        self.flush(now.since_boot, &mut effects);
        effects
    }

    /// When (time since boot) an [`Event::Woke`] is due.
    pub fn next_wake(&self) -> Duration {
        let deaths = self.peers.values().filter(|peer| peer.up);
        let deaths = deaths.filter_map(|peer| self.dies(peer));
        deaths
            .chain(self.asking.next_wake())
            .chain(self.outbox.due())
            .fold(self.next_beat, Duration::min)
    }

    /// Who belongs to the cluster.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The run of this node.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// Whether a peer can be reached, as far as is known.
    pub fn is_up(&self, name: &NodeName) -> bool {
        self.peers.get(name).is_some_and(|peer| peer.up)
    }

    /// The facts that are known now, by key.
    pub fn facts(&self, now: Duration) -> impl Iterator<Item = Fact> + '_ {
        self.facts.iter(now)
    }

    /// One fact, when it is known.
    pub fn fact(&self, key: &FactKey, now: Duration) -> Option<Fact> {
        self.facts.get(key, now)
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    pub(crate) fn fact_count(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn open_questions(&self) -> usize {
        self.asking.len()
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.serving.len()
    }

    fn reload(&mut self, roster: Roster, effects: &mut Vec<Effect>) {
        if let Err(error) = self.roster.check_successor(&roster) {
            effects.push(Effect::Tell(Notice::RosterRefused(error)));
            return;
        }
        let before = std::mem::take(&mut self.peers);
        for member in roster.peers() {
            self.peers
                .insert(member.name.clone(), Peer::new(member.clone()));
        }
        for (name, mut old) in before {
            match self.peers.get_mut(&name) {
                // Name and key are who it is; the rest only says where.
                Some(new) if new.member.public_key == old.member.public_key => {
                    old.member = new.member.clone();
                    *new = old;
                }
                Some(_) | None => {
                    self.serving.abandon(&name);
                    self.lose(&name, old.up, AskError::UnknownPeer, effects);
                }
            }
        }
        self.roster = roster;
    }

    /// Tells that a peer is gone, and closes what was asked of it.
    fn lose(&mut self, name: &NodeName, up: bool, why: AskError, effects: &mut Vec<Effect>) {
        if up {
            self.counters.peers_lost += 1;
            effects.push(Effect::Tell(Notice::PeerDown { name: name.clone() }));
        }
        for ticket in self.asking.abandon(name) {
            effects.push(answer(ticket, Err(why)));
        }
    }

    fn publish(&mut self, fact: &Fact, now: Duration) {
        match self.facts.merge(fact, now) {
            Merged::New | Merged::Prolonged => self.outbox.push_fact(fact.key.clone()),
            Merged::Known => {}
            Merged::Refused => self.counters.facts_refused += 1,
        }
    }

    fn hint(&mut self, hint: Hint, now: Duration) {
        if !self.outbox.push_hint(hint, now) {
            self.counters.hints_refused += 1;
        }
    }

    fn ask(
        &mut self,
        to: NodeName,
        body: Body,
        timeout: Duration,
        ticket: Ticket,
        now: Duration,
    ) -> Result<(), AskError> {
        let peer = self.peers.get(&to).ok_or(AskError::UnknownPeer)?;
        if !peer.up {
            return Err(AskError::Down);
        }
        self.asking.ask(to, body, timeout, ticket, now)
    }

    fn reply(&mut self, request: &RequestId, body: Body, now: Duration, effects: &mut Vec<Effect>) {
        if self.serving.finish(request, now) {
            let reply = Packet::Reply {
                id: request.id,
                body: Some(body),
            };
            self.send(&request.from, &reply, effects);
        }
    }

    /// Sends a packet in the version that the peer reads.
    fn send(&mut self, to: &NodeName, packet: &Packet, effects: &mut Vec<Effect>) {
        if let Some(peer) = self.peers.get(to) {
            let newest = self.faults.newest_version();
            let version = if self.faults.has(Mutant::SpeakNewest) {
                newest
            } else {
                peer.version(newest)
            };
            self.counters.sent += 1;
            effects.push(Effect::Send {
                to: to.clone(),
                packet: wire::encode(packet, self.roster.cluster(), version),
            });
        }
    }
}

fn answer(ticket: Ticket, outcome: Result<Body, AskError>) -> Effect {
    Effect::Answer { ticket, outcome }
}
