//! What a packet leads to. Nothing is kept of a packet from a node that is not in the roster, of another cluster, or
//! beyond what a peer may send.

use std::time::Duration;

use super::{Cluster, answer};
use crate::bounded::Body;
use crate::event::{AskError, Effect, Notice, RequestId};
use crate::faults::Mutant;
use crate::id::NodeName;
use crate::peer::{Order, Peer};
use crate::requests::Admission;
use crate::skew::Sample;
use crate::time::Moment;
use crate::wire::{self, Heartbeat, Packet, Unreadable};

impl Cluster {
    pub(super) fn receive(
        &mut self,
        from: &NodeName,
        bytes: &[u8],
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        match self
            .peers
            .get_mut(from)
            .map(|peer| peer.admit(now.since_boot))
        {
            Some(true) => {}
            Some(false) => {
                self.counters.flooded += 1;
                return;
            }
            None if self.faults.has(Mutant::IgnoreRoster) => {}
            None => {
                self.counters.from_strangers += 1;
                return;
            }
        }
        match self.read(bytes) {
            Ok(packet) => {
                self.counters.received += 1;
                self.take_in(from, packet, now, effects);
            }
            Err(Unreadable::Version) => self.counters.of_unknown_version += 1,
            Err(Unreadable::OtherCluster(_)) => {
                self.counters.from_other_clusters += 1;
                let peer = self.peers.get_mut(from);
                if peer.is_some_and(Peer::begins_elsewhere) {
                    effects.push(Effect::Tell(Notice::OtherCluster { name: from.clone() }));
                }
            }
            Err(Unreadable::Malformed) => self.counters.malformed += 1,
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Packet, Unreadable> {
        let newest = self.faults.newest_version();
        match wire::decode(bytes, self.roster.cluster(), newest) {
            Err(Unreadable::OtherCluster(other)) if self.faults.has(Mutant::IgnoreClusterId) => {
                wire::decode(bytes, &other, newest)
            }
            outcome => outcome,
        }
    }

    fn take_in(&mut self, from: &NodeName, packet: Packet, now: Moment, effects: &mut Vec<Effect>) {
        let since_boot = now.since_boot;
        match packet {
            Packet::Heartbeat(heartbeat) => self.hear(from, &heartbeat, now, effects),
            Packet::Facts { end, facts } => self.learn(from, end, facts, since_boot, effects),
            Packet::Digest(theirs) => self.answer_digest(from, &theirs, since_boot, effects),
            Packet::Hints(hints) => {
                let from = || from.clone();
                let heard = hints
                    .into_iter()
                    .map(|hint| Notice::Heard { from: from(), hint });
                effects.extend(heard.map(Effect::Tell));
            }
            Packet::Request {
                id,
                remaining_ms,
                body,
            } => {
                let from = from.clone();
                let remaining = Duration::from_millis(remaining_ms.into());
                self.serve(RequestId { from, id }, remaining, body, since_boot, effects);
            }
            Packet::Reply { id, body } => match self.asking.close(from, id) {
                Some(ticket) => effects.push(answer(ticket, body.ok_or(AskError::Busy))),
                None => self.counters.stale += 1,
            },
        }
    }

    fn hear(
        &mut self,
        from: &NodeName,
        heartbeat: &Heartbeat,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        let order = peer.order(heartbeat, self.boot);
        if order == Order::Stale {
            self.counters.stale += 1;
            return;
        }
        if order == Order::Restarted && !self.faults.has(Mutant::IgnoreRestart) {
            let was_up = peer.up;
            peer.forget_run();
            self.lose(from, was_up, AskError::Down, effects);
        }
        if let Some(peer) = self.peers.get_mut(from) {
            peer.receive(heartbeat, now.since_boot);
        }
        if order != Order::Unproven {
            self.note(from, heartbeat, now, effects);
            self.pull(from, now.since_boot, effects);
        }
        let peer = self.peers.get_mut(from).filter(|_| heartbeat.wants_reply);
        if peer.is_some_and(|peer| peer.admit_reply(now.since_boot)) {
            self.send_heartbeat(from, now, effects);
        }
    }

    /// Keeps what a heartbeat says, and tells what changed by it.
    fn note(
        &mut self,
        from: &NodeName,
        heartbeat: &Heartbeat,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        peer.hear(heartbeat, now.since_boot);
        if peer.begins_to_differ(self.roster.fingerprint()) {
            effects.push(Effect::Tell(Notice::RosterDiffers { name: from.clone() }));
        }
        if self.faults.has(Mutant::OneWayIsAlive) {
            peer.confirmed = Some(now.since_boot);
        }
        let echo = heartbeat.echo.filter(|echo| echo.boot == self.boot);
        let sample = echo.and_then(|echo| peer.confirm(&echo, heartbeat.wall_ns, now));
        self.find_alive(from, now.since_boot, effects);
        if let Some(sample) = sample {
            self.compare_clocks(from, sample, effects);
        }
    }

    /// The clocks of peers that are down are not compared, so that an alarm ends at the latest when its peer goes down.
    fn compare_clocks(&mut self, from: &NodeName, sample: Sample, effects: &mut Vec<Effect>) {
        if self.faults.has(Mutant::IgnoreSkew) {
            return;
        }
        let Some(peer) = self.peers.get_mut(from).filter(|peer| peer.up) else {
            return;
        };
        let name = from.clone();
        let notice = match peer.skew.add(sample) {
            Some(true) => Notice::ClockSkewed {
                name,
                ahead_ns: sample.offset_ns,
            },
            Some(false) => Notice::ClockAgrees { name },
            None => return,
        };
        effects.push(Effect::Tell(notice));
    }

    fn find_alive(&mut self, from: &NodeName, now: Duration, effects: &mut Vec<Effect>) {
        let dies = self.peers.get(from).and_then(|peer| self.dies(peer));
        let alive = dies.is_some_and(|dies| dies > now);
        let Some(peer) = self.peers.get_mut(from).filter(|peer| alive && !peer.up) else {
            return;
        };
        if let Some(boot) = peer.boot {
            peer.up = true;
            let name = from.clone();
            effects.push(Effect::Tell(Notice::PeerUp { name, boot }));
        }
    }

    fn serve(
        &mut self,
        request: RequestId,
        remaining: Duration,
        body: Body,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        match self.serving.admit(&request, remaining, now) {
            Admission::Serve(deadline) => effects.push(Effect::Serve {
                request,
                body,
                deadline,
            }),
            Admission::Repeated => self.counters.stale += 1,
            Admission::Busy => {
                self.counters.requests_refused += 1;
                let (id, body) = (request.id, None);
                self.send(&request.from, &Packet::Reply { id, body }, effects);
            }
        }
    }
}
