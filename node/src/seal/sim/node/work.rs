//! What the node does, one thing after the other.

use std::time::Duration;

use conclave_cluster::{Event as ClusterEvent, RequestId};

use super::{RETRY, SealNode, Trip, Work};
use crate::id::SealEpoch;
use crate::peers::facts;
use crate::peers::wire::{Answer, Question};
use crate::seal::acknowledge::Acknowledgement;
use crate::seal::attempt::AttemptId;
use crate::seal::handover::{Ask, HandedOver, Refusal, Stored, may_give, may_take};
use crate::seal::peers::{Obeyed, Offer};
use crate::seal::share::Share;
use crate::seal::sim::truth::{LIFE, tenant};
use crate::seal::state::{Basis, Effect, Event};
use crate::secret::Secret;

impl SealNode {
    pub(super) fn work(&mut self, work: Work, read: bool, now: Duration) {
        match work {
            Work::Submit(share) if read && self.keys.is_none() && self.pending.is_none() => {
                self.take_share(share, now);
            }
            Work::Seal if read => self.seal_now(now),
            Work::Submit(_) | Work::Seal | Work::Reset => {}
            Work::Hear(request, offer) => self.hear(request, offer, now),
            Work::HearSealed(through) => {
                if !read {
                    self.close();
                } else if self.watch.contradicts(LIFE, through) {
                    self.truth.borrow_mut().summary.contradicted += 1;
                }
            }
            Work::AskForKeys(peer) if read && self.keys.is_none() && self.pending.is_none() => {
                let nonce = self.truth.borrow_mut().random.number().to_be_bytes();
                let mut ask = Ask {
                    tenant: tenant(),
                    stored: self.stored().unwrap(),
                    nonce: [0; 16],
                };
                ask.nonce[..8].copy_from_slice(&nonce);
                self.asked.note(ask);
                let ticket = self.ask(peer, &Question::Keys(ask));
                self.key_questions.insert(ticket);
            }
            Work::AskForKeys(_) => {}
            Work::TakeKeys(handed) => self.take_keys(&handed, read, now),
            Work::GiveKeys(request, ask) => self.give_keys(request, ask, read),
            Work::Obey(request, order) => {
                if self.keys.is_some_and(|epoch| epoch <= order.through) {
                    self.drop_keys();
                }
                let concerns = |stored: Stored| stored.epoch <= order.through;
                if self.given() > 0 && self.stored().is_some_and(concerns) {
                    self.end_attempt(now);
                }
                self.watch.obeyed();
                if self.pending.is_some() {
                    self.raise_if_pending(Some(request), now);
                } else {
                    let is_over = self
                        .stored()
                        .is_some_and(|stored| stored.epoch > order.through);
                    let obeyed = if is_over {
                        Obeyed::Committed
                    } else {
                        Obeyed::Idle
                    };
                    self.answer(request, &Answer::Sealed(obeyed));
                }
            }
            Work::Reopen => {
                if read {
                    self.open_if_complete(now);
                }
            }
        }
    }

    fn give_keys(&mut self, request: RequestId, ask: Ask, read: bool) {
        let open = self.keys.filter(|_| self.watch.is_open());
        let given = match self.stored().filter(|_| read) {
            Some(stored) => may_give(&ask, open, &stored, true),
            None => Err(Refusal::Unavailable),
        };
        let answer = match given {
            Ok(()) => Answer::Keys(HandedOver {
                ask,
                mac_key: Secret::new([1; 32]),
                keyring_key: Secret::new([2; 32]),
            }),
            Err(refusal) => Answer::Refused(refusal),
        };
        self.answer(request, &answer);
    }

    pub(super) fn take_share(&mut self, share: Share, now: Duration) {
        let index = share.index();
        for effect in self.ceremony.step(Event::Submitted(share), now) {
            match effect {
                Effect::Progress { attempt, given } => {
                    self.out
                        .extend(facts::attempt(&attempt, given).map(ClusterEvent::Published));
                }
                Effect::Replicate { attempt, .. } => {
                    self.truth.borrow_mut().give(&attempt, index);
                    self.note_shares();
                    self.replicate(attempt, index, now);
                }
                Effect::Combine(_) => self.open_if_complete(now),
                Effect::Reload | Effect::Refuse(_) => {}
            }
        }
    }

    pub(super) fn replicate(&mut self, attempt: AttemptId, index: u8, now: Duration) {
        let share = self.ceremony.share(index).unwrap();
        let question = Question::Offer(Offer {
            attempt,
            parameters: None,
            shares: vec![Share::from_bytes(share.expose()).unwrap()],
        });
        let pending = Acknowledgement::of(self.live.iter().cloned(), now, self.faults);
        self.tickets += 1;
        let id = self.tickets;
        self.waiting.insert(id, (pending, attempt, index));
        for peer in self.live.clone() {
            let ticket = self.ask(peer.clone(), &question);
            self.offers.insert(ticket, (id, peer));
        }
        self.acknowledge(now);
    }

    pub(super) fn acknowledge(&mut self, now: Duration) {
        let due: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, (pending, ..))| pending.is_due(now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let (pending, attempt, index) = self.waiting.remove(&id).unwrap();
            let mut truth = self.truth.borrow_mut();
            truth.summary.acknowledged += 1;
            for peer in self
                .offers
                .values()
                .filter(|(of, _)| *of == id)
                .map(|(_, peer)| peer)
            {
                let place = self.places[peer];
                let held = (place, attempt.epoch, attempt.number, index);
                if now < pending.deadline() && !truth.holders.contains(&held) {
                    let what = format!(
                        "n{} acknowledges share {index} before n{place} has it",
                        self.place
                    );
                    truth.fail(what);
                }
            }
        }
    }

    pub(super) fn open_if_complete(&mut self, now: Duration) {
        let attempt = self
            .ceremony
            .attempt()
            .filter(|_| self.ceremony.is_complete());
        if let Some(attempt) = attempt.filter(|_| self.keys.is_none() && self.pending.is_none()) {
            self.busy = true;
            let indices = self.ceremony.shares().map(Share::index).collect();
            self.travel(Trip::Load(attempt.epoch, Some((attempt, indices))), now);
        }
    }

    pub(super) fn loaded(
        &mut self,
        epoch: SealEpoch,
        combined: Option<(AttemptId, Vec<u8>)>,
        found: Option<&Basis>,
        now: Duration,
    ) {
        let Some(found) = found else {
            // The shares are kept, for another try.
            self.retry_at = Some(now + RETRY);
            return;
        };
        if found.epoch == epoch && self.watch.open((LIFE, epoch)).is_ok() {
            self.keys = Some(epoch);
            self.note(now, &format!("opens at {epoch:?}"));
            self.truth.borrow_mut().open.insert(self.place, epoch);
            if let Some((attempt, indices)) = combined {
                self.truth
                    .borrow_mut()
                    .open_by_shares(self.place, &attempt, &indices);
                // The others finish by themselves, or ask for the keys.
                self.ceremony.step(Event::Finished(attempt), now);
            }
        } else if let Some((attempt, _)) = combined {
            self.note(now, &format!("may not open at {epoch:?}"));
            self.ceremony.step(Event::Finished(attempt), now);
        }
    }

    pub(super) fn take_keys(&mut self, handed: &HandedOver, read: bool, now: Duration) {
        let Some(asked) = self.asked.take(&handed.ask).filter(|_| read) else {
            return;
        };
        let stored = self.stored().unwrap();
        if self.keys.is_some() || self.pending.is_some() {
            return;
        }
        if may_take(&asked, &handed.ask, &stored, self.faults).is_ok() {
            let epoch = handed.ask.stored.epoch;
            self.truth
                .borrow_mut()
                .open_by_keys(self.place, epoch, stored.epoch);
            self.busy = true;
            self.travel(Trip::Load(epoch, None), now);
        }
    }

    pub(super) fn hear(&mut self, request: Option<RequestId>, offer: Offer, now: Duration) {
        let attempt = offer.attempt;
        let before = self.ceremony.attempt();
        let heard = Event::Heard {
            attempt,
            parameters: offer.parameters,
            shares: offer.shares,
        };
        let effects = self.ceremony.step(heard, now);
        self.note_shares();
        let after = self.ceremony.attempt();
        if before != after {
            self.note(
                now,
                &format!(
                    "follows to attempt {} of {:?}",
                    attempt.number, attempt.epoch
                ),
            );
        }
        if let Some(request) = request {
            self.answer(request, &Answer::Held(after == Some(attempt)));
        }
        if after.is_some_and(|ours| ours.overtakes(&attempt)) {
            self.tell_attempt();
        }
        if effects
            .iter()
            .any(|effect| matches!(effect, Effect::Combine(_)))
        {
            self.queue.push_front(Work::Reopen);
        } else if before != after && self.keys.is_none() {
            self.want_keys();
        }
    }

    pub(super) fn want_keys(&mut self) {
        for peer in self.live.clone() {
            self.queue.push_back(Work::AskForKeys(peer));
        }
    }
}
