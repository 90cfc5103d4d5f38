//! The ceremony machine: collects shares until there are enough. Pure: events in, effects out, time as an argument;
//! it neither reads the store nor combines keys.
//!
//! An attempt is a set of shares that only grows, under an [`AttemptId`]. Two nodes with the same id merge their sets by
//! union, so shares given to different nodes add up in any order, and twice is once. The id moves on, and the shares
//! are wiped, on reset, completion, expiry, rekey and seal; the number then counts from 1 again where generation or
//! epoch did the moving, so that all nodes agree on it without having spoken.
//!
//! An unseal takes shares at any time. Other purposes are begun first, with [`Parameters`] that the id is bound to: of
//! two attempts that were begun on two nodes at once, all nodes keep the same one, without the other's shares.
//!
//! The machine refuses shares that are not of the current generation, one by one, and keeps the others.

#[cfg(test)]
mod begun;
mod parameters;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::parameters::{MAX_PARAMETERS_BYTES, Parameters};
pub use self::vocabulary::{Basis, Effect, Event, Refusal};

use super::attempt::{AttemptId, Purpose, Subject};
use super::faults::{Faults, Mutant};
use super::share::Share;
use crate::id::TenantId;

/// The last number of an attempt. Nobody gets there by counting; a peer that says so is not believed, because there
/// would be no way on from there.
const MAX_NUMBER: u64 = 1 << 48;
/// How far ahead of this node's another node's attempt may be; more than ever happens while two nodes are parted.
const MAX_LEAD: u64 = 1 << 20;

/// One ceremony of one add-on.
#[derive(Debug)]
pub struct Ceremony {
    tenant: TenantId,
    purpose: Purpose,
    attempt_ttl: Duration,
    basis: Option<Box<Basis>>,
    number: u64,
    parameters: Option<Parameters>,
    shares: BTreeMap<u8, Share>,
    began: Option<Duration>,
    faults: Faults,
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
            parameters: None,
            shares: BTreeMap::new(),
            began: None,
            faults: Faults::default(),
        }
    }

    /// Plants a mistake.
    #[cfg(test)]
    pub fn plant(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Takes in what happened at `now` (time since boot), and says what is to be done, in this order.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.next_attempt(&mut effects);
        }
        match event {
            Event::Configured(basis) => self.configure(basis, &mut effects),
            Event::Started(parameters) => self.begin(parameters, now, &mut effects),
            Event::Submitted(share) => self.submit(share, now, &mut effects),
            Event::Heard {
                attempt,
                parameters,
                shares,
            } => self.merge(attempt, parameters, shares, now, &mut effects),
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
            subject: self.subject(),
        })
    }

    /// What the attempt was begun with; `None` when it was not begun, and always for an unseal.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// Whether shares are taken now.
    pub fn is_started(&self) -> bool {
        self.purpose.is_always_open() || self.parameters.is_some()
    }

    /// Whether there are enough shares.
    pub fn is_complete(&self) -> bool {
        let threshold = self
            .basis
            .as_ref()
            .map(|basis| basis.config.quorum().threshold());
        threshold.is_some_and(|threshold| self.shares.len() >= usize::from(threshold))
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

    fn begin(&mut self, parameters: Parameters, now: Duration, effects: &mut Vec<Effect>) {
        let refusal = if self.basis.is_none() {
            Refusal::NotInitialized
        } else if self.is_started() {
            Refusal::AlreadyStarted
        } else {
            self.parameters = Some(parameters);
            self.began = Some(now);
            return self.tell(effects);
        };
        effects.push(Effect::Refuse(refusal));
    }

    fn submit(&mut self, share: Share, now: Duration, effects: &mut Vec<Effect>) {
        let (Some(basis), Some(attempt)) = (&self.basis, self.attempt()) else {
            effects.push(Effect::Refuse(Refusal::NotInitialized));
            return;
        };
        if !self.is_started() {
            effects.push(Effect::Refuse(Refusal::NotStarted));
            return;
        }
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
        parameters: Option<Parameters>,
        shares: Vec<Share>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let elsewhere = theirs.tenant != self.tenant || theirs.purpose != self.purpose;
        if elsewhere || theirs.number > MAX_NUMBER {
            return;
        }
        let Some(ours) = self.attempt() else {
            effects.push(Effect::Reload);
            return;
        };
        // Numbers rise by ones. One far ahead is no attempt's, and would leave none to go on with.
        if theirs.incarnation != ours.incarnation
            || theirs.number.saturating_sub(ours.number) > MAX_LEAD
        {
            return;
        }
        // Epoch and generation only rise, one after the other, so of two pairs that exist one is behind the other.
        match (theirs.epoch, theirs.generation).cmp(&(ours.epoch, ours.generation)) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => return effects.push(Effect::Reload),
            std::cmp::Ordering::Equal => {}
        }
        let mut changed = self.follow(&theirs, parameters, now);
        if self.attempt() == Some(theirs) && self.is_started() {
            for share in shares {
                let known = self
                    .basis
                    .as_ref()
                    .is_some_and(|basis| basis.config.recognises(&share));
                changed |= known && self.keep(share, now);
            }
        }
        if changed {
            self.tell(effects);
            // One node acts on a rekey: the one that was given the last share. All nodes open.
            if self.purpose.is_always_open() {
                self.combine_if_enough(effects);
            }
        }
    }

    /// Goes over to another node's attempt when that is further than ours; whether it was. Numbers are followed also
    /// where what an attempt was begun with is not told: the old one is over in any case.
    fn follow(
        &mut self,
        theirs: &AttemptId,
        parameters: Option<Parameters>,
        now: Duration,
    ) -> bool {
        let told = parameters
            .filter(|told| !self.purpose.is_always_open() && told.subject() == theirs.subject);
        let subject = told
            .as_ref()
            .map_or_else(Subject::default, Parameters::subject);
        let position = (theirs.number, subject);
        if position <= (self.number, self.subject()) {
            return false;
        }
        self.number = theirs.number;
        if self.faults.has(Mutant::ResetIgnored) {
            return true;
        }
        self.wipe();
        self.began = told.is_some().then_some(now);
        self.parameters = told;
        true
    }

    fn subject(&self) -> Subject {
        self.parameters
            .as_ref()
            .map_or_else(Subject::default, Parameters::subject)
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
        if let Some(attempt) = self.attempt().filter(|_| self.is_complete()) {
            effects.push(Effect::Combine(attempt));
        }
    }

    fn next_attempt(&mut self, effects: &mut Vec<Effect>) {
        self.number = self.number.saturating_add(1).min(MAX_NUMBER);
        self.wipe();
        self.tell(effects);
    }

    fn wipe(&mut self) {
        self.shares.clear();
        self.parameters = None;
        self.began = None;
    }

    fn tell(&self, effects: &mut Vec<Effect>) {
        if let Some(attempt) = self.attempt() {
            let given = self.shares.len();
            effects.push(Effect::Progress { attempt, given });
        }
    }
}
