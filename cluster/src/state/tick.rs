//! What the passing of time brings: heartbeats, deaths, deadlines, repetitions.

use std::time::Duration;

use super::{Cluster, answer};
use crate::event::{AskError, Effect};
use crate::faults::Mutant;
use crate::id::NodeName;
use crate::peer::Peer;
use crate::time::{Moment, to_ms};
use crate::wire::{Heartbeat, Packet};

impl Cluster {
    pub(super) fn pass_time(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let since_boot = now.since_boot;
        self.find_dead(since_boot, effects);
        for ticket in self.asking.expire(since_boot) {
            self.counters.timed_out += 1;
            effects.push(answer(ticket, Err(AskError::TimedOut)));
        }
        self.send_requests(since_boot, effects);
        if self.next_beat <= since_boot {
            self.beat(now, effects);
        }
    }

    fn find_dead(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let peers = self.peers.iter().filter(|(_, peer)| peer.up);
        let dead = peers.filter(|(_, peer)| self.dies(peer).is_none_or(|dies| dies <= now));
        let dead: Vec<_> = dead.map(|(name, _)| name.clone()).collect();
        for name in dead {
            if let Some(peer) = self.peers.get_mut(&name) {
                peer.go_down();
            }
            self.lose(&name, true, AskError::Down, effects);
        }
    }

    /// When a peer will be down unless something is heard of it.
    pub(super) fn dies(&self, peer: &Peer) -> Option<Duration> {
        let down_after = if self.faults.has(Mutant::NeverDown) {
            Duration::MAX
        } else {
            self.settings.down_after
        };
        peer.confirmed
            .map(|confirmed| confirmed.saturating_add(down_after))
    }

    pub(super) fn send_requests(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for due in self.asking.due(now) {
            let request = Packet::Request {
                id: due.id,
                remaining_ms: to_ms(due.remaining),
                body: due.body,
            };
            self.send(&due.to, &request, effects);
        }
    }

    fn beat(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let since_boot = now.since_boot;
        self.facts.sweep(since_boot);
        self.outbox.sweep(since_boot);
        let names: Vec<_> = self.peers.keys().cloned().collect();
        for name in names {
            self.send_heartbeat(&name, now, effects);
        }
        // Up to a tenth sooner, so that the nodes of a cluster that was started at once do not beat as one.
        let interval = self.settings.heartbeat_interval;
        let tenth_ns = crate::time::to_ns(interval / 10);
        let sooner = Duration::from_nanos(self.random.below(tenth_ns));
        self.next_beat = since_boot.saturating_add(interval.saturating_sub(sooner));
    }

    pub(super) fn send_heartbeat(&mut self, to: &NodeName, now: Moment, effects: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(to) else {
            return;
        };
        let heartbeat = Heartbeat {
            boot: self.boot,
            mark: peer.next_mark(now.since_boot),
            wall_ns: now.wall_ns,
            newest_version: self.faults.newest_version(),
            wants_reply: peer.is_in_doubt(),
            echo: peer.echo(now.since_boot),
            facts_root: self.facts.root(),
            about: self.about.clone(),
            roster: Some(self.roster.fingerprint()),
        };
        self.send(to, &Packet::Heartbeat(heartbeat), effects);
    }
}
