//! [`SealNode`]: what runs on a node of the simulation, in the place of the shell. As there, one thing is done after the
//! other; only the change feed and orders to seal go past the queue.

mod talk;
mod work;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use conclave_cluster::sim::{Application, Place};
use conclave_cluster::{
    Effect as ClusterEffect, Event as ClusterEvent, Moment, NodeName, RequestId,
};

use super::truth::{LEASE, LIFE, Truth, tenant};
use crate::id::SealEpoch;
use crate::peers::facts;
use crate::peers::wire::{Answer, Question};
use crate::seal::acknowledge::Acknowledgement;
use crate::seal::attempt::{AttemptId, Purpose};
use crate::seal::faults::Faults;
use crate::seal::floor::Sight;
use crate::seal::handover::{Ask, Asked, HandedOver, Stored};
use crate::seal::lease;
use crate::seal::peers::{Obeyed, Offer, Order};
use crate::seal::share::Share;
use crate::seal::state::{Basis, Ceremony, Event};
use crate::seal::watch::Watch;

const TTL: Duration = Duration::from_secs(20);
const FEED_PAUSE: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What waits for the actor.
enum Work {
    Submit(Share),
    Hear(Option<RequestId>, Offer),
    HearSealed(SealEpoch),
    AskForKeys(NodeName),
    TakeKeys(HandedOver),
    GiveKeys(RequestId, Ask),
    Obey(RequestId, Order),
    Reopen,
    /// Begins without a read, as the next.
    Seal,
    Reset,
}

/// What waits for the store.
enum Trip {
    /// The change feed: not the actor's.
    Feed,
    /// The read that work begins with.
    Read(Work),
    /// The gate loads, in a transaction that sees the epoch.
    Load(SealEpoch, Option<(AttemptId, Vec<u8>)>),
    /// The epoch is raised, and somebody may wait to hear so.
    Raise(SealEpoch, Option<RequestId>),
}

/// A question to the store: it is sent, reaches the store, and comes back.
struct Journey {
    sent: Duration,
    reaches: Duration,
    returns: Duration,
    trip: Trip,
    /// What was known when it was sent.
    before: Sight,
    /// What the store said, once it was reached.
    found: Option<Option<Basis>>,
}

pub struct SealNode {
    place: Place,
    uptime: Duration,
    truth: Rc<RefCell<Truth>>,
    faults: Faults,
    watch: Watch,
    ceremony: Ceremony,
    keys: Option<SealEpoch>,
    pending: Option<SealEpoch>,
    retry_at: Option<Duration>,
    asked: Asked,
    confirmed: Duration,
    feed_at: Option<Duration>,
    queue: VecDeque<Work>,
    busy: bool,
    journeys: Vec<Journey>,
    live: BTreeSet<NodeName>,
    tickets: u64,
    offers: BTreeMap<u64, (u64, NodeName)>,
    waiting: BTreeMap<u64, (Acknowledgement<NodeName>, AttemptId, u8)>,
    key_questions: BTreeSet<u64>,
    places: Rc<BTreeMap<NodeName, Place>>,
    out: Vec<ClusterEvent>,
}

impl SealNode {
    pub fn new(
        place: Place,
        uptime: Duration,
        truth: &Rc<RefCell<Truth>>,
        places: &Rc<BTreeMap<NodeName, Place>>,
        faults: Faults,
        now: Duration,
    ) -> Self {
        let mut ceremony = Ceremony::new(tenant(), Purpose::Unseal, TTL);
        ceremony.plant(faults);
        let pending = truth.borrow().intents.get(&place).copied();
        truth.borrow_mut().open.remove(&place);
        Self {
            place,
            uptime,
            truth: Rc::clone(truth),
            faults,
            watch: Watch::new(faults),
            ceremony,
            keys: None,
            pending,
            retry_at: pending.map(|_| now),
            asked: Asked::default(),
            confirmed: Duration::ZERO,
            feed_at: Some(now),
            queue: VecDeque::new(),
            busy: false,
            journeys: Vec::new(),
            live: BTreeSet::new(),
            tickets: 0,
            offers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            key_questions: BTreeSet::new(),
            places: Rc::clone(places),
            out: Vec::new(),
        }
    }

    pub fn submit(&mut self, share: Share, now: Moment) -> Vec<ClusterEvent> {
        self.queue.push_back(Work::Submit(share));
        self.go_on(now.since_boot)
    }

    pub fn reset(&mut self, now: Moment) -> Vec<ClusterEvent> {
        self.queue.push_back(Work::Reset);
        self.go_on(now.since_boot)
    }

    pub fn seal(&mut self, now: Moment) -> Vec<ClusterEvent> {
        self.queue.push_back(Work::Seal);
        self.go_on(now.since_boot)
    }

    /// Seals with keys of its own, or after a read that says what may be open elsewhere.
    pub(super) fn seal_now(&mut self, now: Duration) {
        self.drop_keys();
        self.end_attempt(now);
        if let Some(basis) = self.ceremony.basis() {
            let through = self.pending.unwrap_or(basis.epoch).max(basis.epoch);
            let order = Order {
                tenant: tenant(),
                incarnation: LIFE,
                through,
            };
            for peer in self.live.clone() {
                self.ask(peer, &Question::Seal(order));
            }
        }
        self.raise_if_pending(None, now);
    }

    pub fn serve(&mut self, now: Moment) {
        let opening = self.watch.opening().filter(|_| self.watch.is_open());
        let mut truth = self.truth.borrow_mut();
        match opening {
            Some((_, epoch))
                if lease::holds(self.confirmed, now.since_boot, LEASE, self.faults) =>
            {
                truth.serve(
                    self.place,
                    epoch,
                    now.since_boot.saturating_sub(self.uptime),
                );
            }
            _ => truth.summary.refused += 1,
        }
    }

    pub fn is_open(&self) -> bool {
        self.watch.is_open()
    }

    pub fn given(&self) -> usize {
        self.ceremony.shares().len()
    }

    fn go_on(&mut self, now: Duration) -> Vec<ClusterEvent> {
        while !self.busy
            && let Some(work) = self.queue.pop_front()
        {
            match work {
                Work::Seal if self.keys.is_some() || self.pending.is_some() => self.seal_now(now),
                Work::Reset if self.keys.is_none() => self.end_attempt(now),
                Work::Reset => {}
                work => {
                    self.busy = true;
                    self.travel(Trip::Read(work), now);
                }
            }
        }
        std::mem::take(&mut self.out)
    }

    fn travel(&mut self, trip: Trip, now: Duration) {
        let mut truth = self.truth.borrow_mut();
        let mut delay = || Duration::from_micros(200 + truth.random.below(60_000));
        let reaches = now + delay();
        let returns = reaches + delay();
        drop(truth);
        self.journeys.push(Journey {
            sent: now,
            reaches,
            returns,
            trip,
            before: self.watch.sight(),
            found: None,
        });
    }

    fn configure(&mut self, before: Sight, basis: &Basis, now: Duration) {
        if self
            .watch
            .learn(before, basis.incarnation, basis.epoch)
            .close
        {
            self.close();
        }
        let basis = Some(Box::new(basis.clone()));
        self.ceremony.step(Event::Configured(basis), now);
        self.note_shares();
    }

    fn close(&mut self) {
        if let Some(epoch) = self.keys {
            let what = format!(
                "             n{} closes what was open at {epoch:?}",
                self.place
            );
            self.truth.borrow_mut().history.push(what);
        }
        self.watch.closed();
        self.keys = None;
        self.truth.borrow_mut().open.remove(&self.place);
    }

    fn drop_keys(&mut self) {
        if let Some(epoch) = self.keys {
            self.pending = Some(epoch);
            self.truth.borrow_mut().intents.insert(self.place, epoch);
        }
        self.close();
    }

    fn end_attempt(&mut self, now: Duration) {
        self.ceremony.step(Event::Reset, now);
        self.tell_end();
    }

    fn raise_if_pending(&mut self, request: Option<RequestId>, now: Duration) {
        if let Some(through) = self.pending {
            self.travel(Trip::Raise(through, request), now);
        }
    }

    fn note_shares(&self) {
        if let Some(attempt) = self.ceremony.attempt() {
            let mut truth = self.truth.borrow_mut();
            for share in self.ceremony.shares() {
                let held = (self.place, attempt.epoch, attempt.number, share.index());
                truth.holders.insert(held);
            }
        }
    }

    fn note(&self, now: Duration, what: &str) {
        let now = now.saturating_sub(self.uptime);
        let what = format!("    n{} {what}", self.place);
        self.truth.borrow_mut().note(now, &what);
    }

    fn returned(&mut self, journey: Journey, now: Duration) {
        let found = journey.found.flatten();
        match journey.trip {
            Trip::Feed => {
                // As the change feed: closes first, then confirms when the read was sent.
                if let Some(basis) = &found {
                    if self
                        .watch
                        .learn(journey.before, basis.incarnation, basis.epoch)
                        .close
                    {
                        self.close();
                    }
                    self.confirmed = self.confirmed.max(journey.sent);
                }
                self.feed_at = Some(now + FEED_PAUSE);
            }
            Trip::Read(work) => {
                self.busy = false;
                if let Some(basis) = &found {
                    self.configure(journey.before, basis, now);
                }
                self.work(work, found.is_some(), now);
            }
            Trip::Load(epoch, attempt) => {
                self.busy = false;
                self.loaded(epoch, attempt, found.as_ref(), now);
            }
            Trip::Raise(through, request) => {
                let durable = found.is_some();
                let obeyed = if durable {
                    Obeyed::Committed
                } else {
                    Obeyed::Unfinished
                };
                if durable && self.pending == Some(through) {
                    self.pending = None;
                    self.retry_at = None;
                    self.truth.borrow_mut().intents.remove(&self.place);
                    let order = Order {
                        tenant: tenant(),
                        incarnation: LIFE,
                        through,
                    };
                    self.out
                        .extend(facts::sealed(&order).map(ClusterEvent::Published));
                } else if self.pending.is_some() {
                    self.retry_at = Some(now + RETRY);
                }
                if let Some(request) = request {
                    self.answer(request, &Answer::Sealed(obeyed));
                }
            }
        }
    }

    fn stored(&self) -> Option<Stored> {
        let basis = self.ceremony.basis()?;
        Some(Stored {
            incarnation: basis.incarnation,
            generation: basis.config.generation(),
            epoch: basis.epoch,
        })
    }
}

impl Application for SealNode {
    fn take(&mut self, effect: ClusterEffect, now: Moment) -> Vec<ClusterEvent> {
        match effect {
            ClusterEffect::Send { .. } => {}
            ClusterEffect::Tell(notice) => self.notice(notice),
            ClusterEffect::Serve { request, body, .. } => self.serve_request(request, &body),
            ClusterEffect::Answer { ticket, outcome } => {
                self.answered(ticket, outcome, now.since_boot);
            }
        }
        self.go_on(now.since_boot)
    }

    fn wake(&mut self, now: Moment) -> Vec<ClusterEvent> {
        let now = now.since_boot;
        let true_now = now.saturating_sub(self.uptime);
        for journey in &mut self.journeys {
            if journey.found.is_none() && journey.reaches <= now {
                let mut truth = self.truth.borrow_mut();
                if let Trip::Raise(through, _) = journey.trip {
                    truth.raise(self.place, through, true_now);
                }
                journey.found = Some(truth.read(self.place));
            }
        }
        while let Some(at) = self
            .journeys
            .iter()
            .position(|journey| journey.returns <= now)
        {
            let journey = self.journeys.remove(at);
            self.returned(journey, now);
        }
        if self.feed_at.is_some_and(|at| at <= now) {
            self.feed_at = None;
            self.travel(Trip::Feed, now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.raise_if_pending(None, now);
            if self.ceremony.is_complete() {
                self.queue.push_back(Work::Reopen);
            }
        }
        let before = self.ceremony.attempt();
        self.ceremony.step(Event::Ticked, now);
        if before != self.ceremony.attempt() {
            self.tell_end();
        }
        self.acknowledge(now);
        self.go_on(now)
    }

    fn next_wake(&self) -> Option<Duration> {
        let journeys = self.journeys.iter().map(|journey| match journey.found {
            None => journey.reaches,
            Some(_) => journey.returns,
        });
        let waiting = self
            .waiting
            .values()
            .map(|(pending, ..)| pending.deadline());
        journeys
            .chain(waiting)
            .chain(self.feed_at)
            .chain(self.retry_at)
            .chain(self.ceremony.deadline())
            .min()
    }
}
