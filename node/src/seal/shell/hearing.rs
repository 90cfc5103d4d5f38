//! What the ceremonies say to the other nodes, and what those say to them.

use futures_util::future::join_all;

use super::{Shell, Standing};
use crate::error::Error;
use crate::id::SealEpoch;
use crate::seal::actor::{Reply, Told};
use crate::seal::attempt::{AttemptId, Incarnation, Purpose};
use crate::seal::floor::Hearing;
use crate::seal::peers::{Offer, end_at};
use crate::seal::share::Share;
use crate::seal::state::{Effect, Event, Refusal};

/// What came of an event at a ceremony.
pub(super) struct Advance {
    /// The attempt that has enough shares.
    pub combine: Option<AttemptId>,
    /// Whether a share was new.
    pub counted: bool,
    /// When the other nodes have been told.
    pub told: Told,
    refusal: Option<Refusal>,
}

impl Advance {
    /// Why the event was refused, if it was.
    pub fn refused(&self) -> Result<(), Error> {
        self.refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}

impl Shell {
    /// Lets something that happened here happen to a ceremony, and tells the other nodes.
    pub(super) fn advance(&mut self, purpose: Purpose, event: Event) -> Advance {
        let before = self.attempt(purpose);
        let effects = self.step(purpose, event);
        let (mut combine, mut refusal, mut offers) = (None, None, Vec::new());
        let mut counted = false;
        for effect in effects {
            match effect {
                Effect::Progress { attempt, given } => {
                    self.parts.peers.tell_attempt(attempt, given)
                }
                Effect::Replicate { attempt, index } => {
                    counted = true;
                    offers.extend(self.offer_of(attempt, |share| share.index() == index));
                }
                Effect::Combine(attempt) => combine = Some(attempt),
                Effect::Refuse(why) => refusal = Some(why),
                Effect::Reload => {}
            }
        }
        if offers.is_empty()
            && let Some(attempt) = self.attempt(purpose).filter(|now| before != Some(*now))
        {
            offers.extend(self.offer_of(attempt, |_| false));
        }
        let telling: Vec<_> = offers
            .into_iter()
            .map(|offer| self.parts.peers.offer(offer))
            .collect();
        Advance {
            combine,
            counted,
            told: Box::pin(async {
                join_all(telling).await;
            }),
            refusal,
        }
    }

    /// Takes in another node's attempt. Answers before it acts on it: the other node only waits for the shares to be
    /// safe.
    pub(super) async fn hear(&mut self, offer: Offer, reply: Reply<bool>) {
        let Offer {
            attempt,
            parameters,
            shares,
        } = offer;
        let purpose = attempt.purpose;
        if self.is_ahead_of_us(&attempt)
            && let Err(error) = self.refresh().await
        {
            return self.answer(reply, Err(error));
        }
        let before = self.attempt(purpose);
        let heard = Event::Heard {
            attempt,
            parameters,
            shares,
        };
        let effects = self.step(purpose, heard);
        let now = self.attempt(purpose);
        self.answer(reply, Ok(now == Some(attempt)));
        if let Some(ours) = now.filter(|ours| ours.overtakes(&attempt)) {
            // The other node missed an end, as in a restart; it is told before more is given to it in vain.
            let offer = self.offer_of(ours, |_| true);
            offer
                .into_iter()
                .for_each(|offer| drop(self.parts.peers.offer(offer)));
        }
        let combines = |effect: &Effect| matches!(effect, Effect::Combine(_));
        if effects.iter().any(combines) {
            self.retry_opening().await;
        } else if purpose.is_always_open() && before != now && !self.is_open() {
            self.parts.peers.want_keys(self.parts.tenant);
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open(_))
    }

    /// Whether another node has read a newer store than this one.
    fn is_ahead_of_us(&self, theirs: &AttemptId) -> bool {
        self.attempt(theirs.purpose).is_none_or(|ours| {
            theirs.incarnation != ours.incarnation
                || (theirs.epoch, theirs.generation) > (ours.epoch, ours.generation)
        })
    }

    /// Whether there are enough shares, and the add-on could not be opened with them yet.
    pub(super) fn waits_to_open(&self) -> bool {
        let is_complete = self
            .ceremony(Purpose::Unseal)
            .is_ok_and(super::Ceremony::is_complete);
        is_complete && matches!(self.standing, Standing::Sealed)
    }

    /// Opens with the shares that are there, when they are enough.
    pub(super) async fn retry_opening(&mut self) {
        if !self.waits_to_open() || self.pending.is_some() {
            return;
        }
        let opened = match self.refresh().await {
            // What was read may have ended the attempt.
            Ok(Some(rows)) if self.waits_to_open() => match self.attempt(Purpose::Unseal) {
                Some(attempt) => self.act(attempt, &rows, Box::pin(async {})).await.map(drop),
                None => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = opened {
            tracing::warn!(tenant = %self.parts.tenant, %error, "there are enough shares, but the add-on did not open");
        }
    }

    /// Another node says that a seal is committed. Only the store is believed; but when it does not answer, the word is
    /// enough to close: it costs no more than shares or a hand-over, and nothing is served without the store anyway.
    pub(super) async fn hear_sealed(&mut self, incarnation: Incarnation, through: SealEpoch) {
        let hearing = self.shared.watch.lock().hear(incarnation, through);
        if hearing == Hearing::Ignore {
            return;
        }
        let tenant = self.parts.tenant;
        match self.refresh().await {
            Ok(_) => {
                if self.shared.watch.lock().contradicts(incarnation, through) {
                    self.parts.counters.contradicted.count();
                    tracing::warn!(%tenant, ?through, "a seal that another node tells of is not in the store");
                }
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, "closed, because another node tells of a seal and the store cannot be asked");
                self.close();
                for purpose in Purpose::ALL {
                    self.void_attempt(purpose);
                }
            }
        }
    }

    /// Gives every attempt that is on its way to the other nodes, one of which may have nothing yet.
    pub(super) fn offer_all(&mut self) {
        for purpose in Purpose::ALL {
            let Some(attempt) = self.attempt(purpose) else {
                continue;
            };
            let offer = self.offer_of(attempt, |_| true);
            // The first attempt without a share is what everybody has.
            let is_news = |offer: &Offer| {
                attempt.number > 1 || offer.parameters.is_some() || !offer.shares.is_empty()
            };
            if let Some(offer) = offer.filter(is_news) {
                actix::spawn(self.parts.peers.offer(offer));
            }
        }
    }

    /// The attempt as it is told to others, with some of its shares.
    fn offer_of(&self, attempt: AttemptId, picks: impl Fn(&Share) -> bool) -> Option<Offer> {
        let ceremony = self.ceremony(attempt.purpose).ok()?;
        if ceremony.attempt() != Some(attempt) {
            return Some(end_at(attempt));
        }
        let picked = ceremony.shares().filter(|share| picks(share));
        let copies = picked.map(|share| Share::from_bytes(share.expose()));
        Some(Offer {
            attempt,
            parameters: ceremony.parameters().cloned(),
            shares: copies.collect::<Result<_, _>>().ok()?,
        })
    }
}
