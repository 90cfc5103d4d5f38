//! The ceremony machine: collects shares until there are enough. Pure: events in, effects out, time as an argument;
//! it neither reads the store nor combines keys.
//!
//! An attempt is a set of shares that only grows, under an [`AttemptId`]. Two nodes with the same id merge their sets by
//! union, so shares given to different nodes add up in any order, and twice is once. The id moves on, and the shares
//! are wiped, on reset, completion, expiry, rekey and seal; the number then counts from 1 again where generation or
//! epoch did the moving, so that all nodes agree on it without having spoken.
//!
//! The machine refuses shares that are not of the current generation, one by one, and keeps the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attempt::{AttemptId, Incarnation, Purpose};
use super::config::SealConfig;
use super::share::Share;
use crate::error::Error;
use crate::id::{SealEpoch, TenantId};

/// What was read from the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Basis {
    /// The life of the store.
    pub incarnation: Incarnation,
    /// How often the add-on was sealed.
    pub epoch: SealEpoch,
    /// Its seal configuration.
    pub config: SealConfig,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The store was read; `None` when the add-on is not initialised.
    Configured(Option<Box<Basis>>),
    /// Somebody gave a share to this node.
    Submitted(Share),
    /// Another node told of its attempt. No shares: only that this is the attempt now.
    Heard {
        /// The other node's attempt.
        attempt: AttemptId,
        /// The shares it holds.
        shares: Vec<Share>,
    },
    /// Somebody gave up on the attempt.
    Reset,
    /// The attempt's shares were combined, and that will not be tried again.
    Finished(AttemptId),
    /// Time has passed.
    Ticked,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Tell this to whoever asks, and to the other nodes.
    Progress {
        /// The attempt now.
        attempt: AttemptId,
        /// How many shares it has.
        given: usize,
    },
    /// The share with this index was new here: give it to the other nodes ([`Ceremony::share`]).
    Replicate {
        /// The attempt it was given for.
        attempt: AttemptId,
        /// The share's index.
        index: u8,
    },
    /// There are enough shares: combine them ([`Ceremony::shares`]), then tell by [`Event::Finished`].
    Combine(AttemptId),
    /// Another node has seen a newer seal configuration or epoch: read the store.
    Reload,
    /// The event was refused; nothing that was held is lost.
    Refuse(Refusal),
}

/// Why an event was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is nothing to give shares for.
    NotInitialized,
    /// This is not a share of the current generation.
    UnknownShare,
    /// The store says less than it said before: it was rolled back.
    RolledBack,
}

/// One ceremony of one add-on.
#[derive(Debug)]
pub struct Ceremony {
    tenant: TenantId,
    purpose: Purpose,
    attempt_ttl: Duration,
    basis: Option<Box<Basis>>,
    number: u64,
    shares: BTreeMap<u8, Share>,
    began: Option<Duration>,
}

impl Ceremony {
    /// A ceremony without shares. An attempt lives `attempt_ttl` from its first share.
    pub fn new(tenant: TenantId, purpose: Purpose, attempt_ttl: Duration) -> Self {
        Self {
            tenant,
            purpose,
            attempt_ttl,
            basis: None,
            number: 1,
            shares: BTreeMap::new(),
            began: None,
        }
    }

    /// Takes in what happened at `now` (time since boot), and says what is to be done, in this order.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.next_attempt(&mut effects);
        }
        match event {
            Event::Configured(basis) => self.configure(basis, &mut effects),
            Event::Submitted(share) => self.submit(share, now, &mut effects),
            Event::Heard { attempt, shares } => self.merge(attempt, shares, now, &mut effects),
            Event::Reset => self.next_attempt(&mut effects),
            Event::Finished(attempt) => {
                if self.attempt() == Some(attempt) {
                    self.next_attempt(&mut effects);
                }
            }
            Event::Ticked => {}
        }
        effects
    }

    /// What was last read from the store.
    pub fn basis(&self) -> Option<&Basis> {
        self.basis.as_deref()
    }

    /// The attempt now; `None` while the add-on is not initialised.
    pub fn attempt(&self) -> Option<AttemptId> {
        self.basis.as_ref().map(|basis| AttemptId {
            incarnation: basis.incarnation,
            tenant: self.tenant,
            purpose: self.purpose,
            generation: basis.config.generation(),
            epoch: basis.epoch,
            number: self.number,
        })
    }

    /// The shares of the attempt, by index.
    pub fn shares(&self) -> impl ExactSizeIterator<Item = &Share> {
        self.shares.values()
    }

    /// The share with this index.
    pub fn share(&self, index: u8) -> Option<&Share> {
        self.shares.get(&index)
    }

    /// When the attempt expires: an [`Event::Ticked`] is due then.
    pub fn deadline(&self) -> Option<Duration> {
        self.began
            .map(|began| began.saturating_add(self.attempt_ttl))
    }

    fn configure(&mut self, basis: Option<Box<Basis>>, effects: &mut Vec<Effect>) {
        if self.basis == basis {
            return;
        }
        if let (Some(old), Some(new)) = (&self.basis, &basis)
            && old.incarnation == new.incarnation
            && (new.epoch < old.epoch || new.config.generation() < old.config.generation())
        {
            effects.push(Effect::Refuse(Refusal::RolledBack));
            return;
        }
        self.basis = basis;
        self.number = 1;
        self.wipe();
        self.tell(effects);
    }

    fn submit(&mut self, share: Share, now: Duration, effects: &mut Vec<Effect>) {
        let (Some(basis), Some(attempt)) = (&self.basis, self.attempt()) else {
            effects.push(Effect::Refuse(Refusal::NotInitialized));
            return;
        };
        if !basis.config.recognises(&share) {
            effects.push(Effect::Refuse(Refusal::UnknownShare));
            return;
        }
        let index = share.index();
        if self.keep(share, now) {
            effects.push(Effect::Replicate { attempt, index });
            self.tell(effects);
        }
        self.combine_if_enough(effects);
    }

    fn merge(
        &mut self,
        theirs: AttemptId,
        shares: Vec<Share>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if theirs.tenant != self.tenant || theirs.purpose != self.purpose {
            return;
        }
        let Some(ours) = self.attempt() else {
            effects.push(Effect::Reload);
            return;
        };
        if theirs.incarnation != ours.incarnation {
            return;
        }
        // Epoch and generation only rise, one after the other, so of two pairs that exist one is behind the other.
        match (theirs.epoch, theirs.generation).cmp(&(ours.epoch, ours.generation)) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => return effects.push(Effect::Reload),
            std::cmp::Ordering::Equal if theirs.number < ours.number => return,
            std::cmp::Ordering::Equal => {}
        }
        let mut changed = theirs.number > ours.number;
        if changed {
            self.number = theirs.number;
            self.wipe();
        }
        for share in shares {
            let known = self
                .basis
                .as_ref()
                .is_some_and(|basis| basis.config.recognises(&share));
            changed |= known && self.keep(share, now);
        }
        if changed {
            self.tell(effects);
            self.combine_if_enough(effects);
        }
    }

    /// Adds a share; whether it was new.
    fn keep(&mut self, share: Share, now: Duration) -> bool {
        if self.shares.contains_key(&share.index()) {
            return false;
        }
        self.began.get_or_insert(now);
        self.shares.insert(share.index(), share);
        true
    }

    /// Also when no share was new: an earlier try to open may have found the store away.
    fn combine_if_enough(&self, effects: &mut Vec<Effect>) {
        if let (Some(basis), Some(attempt)) = (&self.basis, self.attempt())
            && self.shares.len() >= usize::from(basis.config.quorum().threshold())
        {
            effects.push(Effect::Combine(attempt));
        }
    }

    fn next_attempt(&mut self, effects: &mut Vec<Effect>) {
        self.number = self.number.saturating_add(1);
        self.wipe();
        self.tell(effects);
    }

    fn wipe(&mut self) {
        self.shares.clear();
        self.began = None;
    }

    fn tell(&self, effects: &mut Vec<Effect>) {
        if let Some(attempt) = self.attempt() {
            let given = self.shares.len();
            effects.push(Effect::Progress { attempt, given });
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotInitialized => Self::bad_request("Vault is not initialized"),
            Refusal::UnknownShare => Self::invalid(
                "key",
                "invalid key: this is not one of this add-on's current key shares; the shares given before it still count",
            ),
            Refusal::RolledBack => Self::Corrupt(
                "the store shows an older seal than before; was it rolled back?".into(),
            ),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
