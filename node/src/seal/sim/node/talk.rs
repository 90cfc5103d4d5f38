//! What the node says to others, and hears.

use std::time::Duration;

use conclave_cluster::{
    AskError, Body, Event as ClusterEvent, NodeName, Notice, RequestId, Ticket,
};

use super::{SealNode, TIMEOUT, Work};
use crate::peers::facts::{self, Known};
use crate::peers::wire::{Answer, Question};
use crate::seal::floor::Hearing;
use crate::seal::peers::{Offer, end_at};
use crate::seal::share::Share;
use crate::seal::sim::truth::LIFE;

impl SealNode {
    pub(super) fn ask(&mut self, to: NodeName, question: &Question) -> u64 {
        self.tickets += 1;
        self.out.push(ClusterEvent::Asked {
            to,
            body: question.encode().unwrap(),
            timeout: TIMEOUT,
            ticket: Ticket(self.tickets),
        });
        self.tickets
    }

    pub(super) fn answer(&mut self, request: RequestId, answer: &Answer) {
        let body = answer.encode();
        self.out.push(ClusterEvent::Served { request, body });
    }

    pub(super) fn tell_end(&mut self) {
        if let Some(attempt) = self.ceremony.attempt() {
            self.out
                .extend(facts::attempt(&attempt, 0).map(ClusterEvent::Published));
            for peer in self.live.clone() {
                self.ask(peer, &Question::Offer(end_at(attempt)));
            }
        }
    }

    /// Tells all peers which attempt this is, with its shares.
    pub(super) fn tell_attempt(&mut self) {
        for peer in self.live.clone() {
            self.offer_all(peer);
        }
    }

    fn offer_all(&mut self, peer: NodeName) {
        if let Some(attempt) = self.ceremony.attempt() {
            let shares = self.ceremony.shares();
            let shares = shares.map(|share| Share::from_bytes(share.expose()).unwrap());
            let offer = Offer {
                attempt,
                parameters: None,
                shares: shares.collect(),
            };
            self.ask(peer, &Question::Offer(offer));
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::PeerUp { name, .. } => {
                self.live.insert(name.clone());
                self.offer_all(name.clone());
                self.queue.push_back(Work::AskForKeys(name));
            }
            Notice::PeerDown { name } => {
                self.live.remove(&name);
            }
            Notice::Learned(fact) => match facts::read(&fact) {
                Some(Known::Sealed(order)) => {
                    if self.watch.hear(LIFE, order.through) == Hearing::Verify {
                        self.queue.push_back(Work::HearSealed(order.through));
                    }
                }
                Some(Known::Attempt(attempt)) => {
                    self.queue.push_back(Work::Hear(None, end_at(attempt)));
                }
                None => self.truth.borrow_mut().fail("a fact that is none".into()),
            },
            _ => {}
        }
    }

    pub(super) fn serve_request(&mut self, request: RequestId, body: &Body) {
        match Question::decode(body).unwrap() {
            Question::Offer(offer) => self.queue.push_back(Work::Hear(Some(request), offer)),
            Question::Keys(ask) => self.queue.push_back(Work::GiveKeys(request, ask)),
            Question::Seal(order) => {
                self.watch.order((order.incarnation, order.through));
                self.queue.push_back(Work::Obey(request, order));
            }
        }
    }

    pub(super) fn answered(
        &mut self,
        ticket: Ticket,
        outcome: Result<Body, AskError>,
        now: Duration,
    ) {
        let answer = outcome.ok().and_then(|body| Answer::decode(&body).ok());
        if let Some((id, peer)) = self.offers.get(&ticket.0).cloned() {
            let held = matches!(answer, Some(Answer::Held(true)));
            if !held {
                self.offers.remove(&ticket.0);
            }
            if let Some((pending, ..)) = self.waiting.get_mut(&id) {
                if held {
                    pending.held(&peer);
                } else {
                    pending.gone(&peer);
                }
            }
            self.acknowledge(now);
        } else if self.key_questions.remove(&ticket.0)
            && let Some(Answer::Keys(handed)) = answer
        {
            self.queue.push_back(Work::TakeKeys(handed));
        }
    }
}
