//! [`SealNode`]: what runs on a node of the simulation, in the place of the shell. As there, one thing is done after the
//! other; only the change feed and orders to seal go past the queue.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use conclave_cluster::sim::{Application, Place};
use conclave_cluster::{
    AskError, Body, Effect as ClusterEffect, Event as ClusterEvent, Moment, NodeName, Notice,
    RequestId, Ticket,
};

use super::truth::{LEASE, LIFE, Truth, tenant};
use crate::id::SealEpoch;
use crate::peers::facts::{self, Known};
use crate::peers::wire::{Answer, Question};
use crate::seal::acknowledge::Acknowledgement;
use crate::seal::attempt::{AttemptId, Purpose};
use crate::seal::faults::Faults;
use crate::seal::floor::Hearing;
use crate::seal::handover::{Ask, HandedOver, Refusal, Stored, may_give, may_take};
use crate::seal::lease;
use crate::seal::peers::{Obeyed, Offer, Order, end_at};
use crate::seal::share::Share;
use crate::seal::state::{Basis, Ceremony, Effect, Event};
use crate::seal::watch::Watch;
use crate::secret::Secret;

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
}

/// What waits for the store.
enum Trip {
    /// The change feed: not the actor's.
    Feed,
    /// The read that work begins with.
    Read(Work),
    /// The gate loads, in a transaction that sees the epoch.
    Load(SealEpoch, Option<AttemptId>),
    /// The epoch is raised, and somebody may wait to hear so.
    Raise(SealEpoch, Option<RequestId>),
}

/// A question to the store: it is sent, reaches the store, and comes back.
struct Journey {
    sent: Duration,
    reaches: Duration,
    returns: Duration,
    trip: Trip,
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
    asked: Option<Ask>,
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
            asked: None,
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

    /// A user gives a share.
    pub fn submit(&mut self, share: Share, now: Moment) -> Vec<ClusterEvent> {
        self.queue.push_back(Work::Submit(share));
        self.go_on(now.since_boot)
    }

    /// A user gives up on the attempt.
    pub fn reset(&mut self, now: Moment) -> Vec<ClusterEvent> {
        if self.keys.is_none() {
            self.end_attempt(now.since_boot);
        }
        self.go_on(now.since_boot)
    }

    /// A user seals.
    pub fn seal(&mut self, now: Moment) -> Vec<ClusterEvent> {
        let now = now.since_boot;
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
        self.go_on(now)
    }

    /// A request that touches no row.
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
            self.busy = true;
            self.travel(Trip::Read(work), now);
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
            found: None,
        });
    }

    fn ask(&mut self, to: NodeName, question: &Question) -> u64 {
        self.tickets += 1;
        self.out.push(ClusterEvent::Asked {
            to,
            body: question.encode().unwrap(),
            timeout: TIMEOUT,
            ticket: Ticket(self.tickets),
        });
        self.tickets
    }

    fn answer(&mut self, request: RequestId, answer: &Answer) {
        let body = answer.encode();
        self.out.push(ClusterEvent::Served { request, body });
    }

    /// Follows what was read. As the shell's `configure`.
    fn configure(&mut self, basis: &Basis, now: Duration) {
        if self.watch.learn(basis.incarnation, basis.epoch).close {
            self.close();
        }
        let basis = Some(Box::new(basis.clone()));
        self.ceremony.step(Event::Configured(basis), now);
        self.note_shares();
    }

    fn close(&mut self) {
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

    fn tell_end(&mut self) {
        if let Some(attempt) = self.ceremony.attempt() {
            self.out
                .extend(facts::attempt(&attempt, 0).map(ClusterEvent::Published));
            for peer in self.live.clone() {
                self.ask(peer, &Question::Offer(end_at(attempt)));
            }
        }
    }

    fn raise_if_pending(&mut self, request: Option<RequestId>, now: Duration) {
        if let Some(through) = self.pending {
            self.travel(Trip::Raise(through, request), now);
        }
    }

    /// Lets the truth know which shares are held.
    fn note_shares(&self) {
        if let Some(attempt) = self.ceremony.attempt() {
            let mut truth = self.truth.borrow_mut();
            for share in self.ceremony.shares() {
                let held = (self.place, attempt.epoch, attempt.number, share.index());
                truth.holders.insert(held);
            }
        }
    }

    fn returned(&mut self, journey: Journey, now: Duration) {
        let found = journey.found.flatten();
        match journey.trip {
            Trip::Feed => {
                // As the change feed: closes first, then confirms when the read was sent.
                if let Some(basis) = &found {
                    if self.watch.learn(basis.incarnation, basis.epoch).close {
                        self.close();
                    }
                    self.confirmed = self.confirmed.max(journey.sent);
                }
                self.feed_at = Some(now + FEED_PAUSE);
            }
            Trip::Read(work) => {
                self.busy = false;
                if let Some(basis) = &found {
                    self.configure(basis, now);
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

    fn work(&mut self, work: Work, read: bool, now: Duration) {
        match work {
            Work::Submit(share) if read && self.keys.is_none() && self.pending.is_none() => {
                self.take_share(share, now);
            }
            Work::Submit(_) => {}
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
                self.asked = Some(ask);
                let ticket = self.ask(peer, &Question::Keys(ask));
                self.key_questions.insert(ticket);
            }
            Work::AskForKeys(_) => {}
            Work::TakeKeys(handed) => self.take_keys(&handed, read, now),
            Work::GiveKeys(request, ask) => {
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
            Work::Obey(request, order) => {
                if self.keys.is_some_and(|epoch| epoch <= order.through) {
                    self.drop_keys();
                }
                if self
                    .stored()
                    .is_some_and(|stored| stored.epoch <= order.through)
                {
                    self.end_attempt(now);
                }
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

    fn stored(&self) -> Option<Stored> {
        let basis = self.ceremony.basis()?;
        Some(Stored {
            incarnation: basis.incarnation,
            generation: basis.config.generation(),
            epoch: basis.epoch,
        })
    }

    fn take_share(&mut self, share: Share, now: Duration) {
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

    fn replicate(&mut self, attempt: AttemptId, index: u8, now: Duration) {
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

    /// Tells users that their shares are safe, and has the truth check it.
    fn acknowledge(&mut self, now: Duration) {
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

    fn open_if_complete(&mut self, now: Duration) {
        let attempt = self
            .ceremony
            .attempt()
            .filter(|_| self.ceremony.is_complete());
        if let Some(attempt) = attempt.filter(|_| self.keys.is_none() && self.pending.is_none()) {
            self.busy = true;
            self.travel(Trip::Load(attempt.epoch, Some(attempt)), now);
        }
    }

    fn loaded(
        &mut self,
        epoch: SealEpoch,
        attempt: Option<AttemptId>,
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
            self.truth.borrow_mut().open.insert(self.place, epoch);
            if let Some(attempt) = attempt {
                let indices: Vec<_> = self.ceremony.shares().map(Share::index).collect();
                self.truth
                    .borrow_mut()
                    .open_by_shares(self.place, &attempt, &indices);
                // The others finish by themselves, or ask for the keys.
                self.ceremony.step(Event::Finished(attempt), now);
            }
        } else if let Some(attempt) = attempt {
            self.ceremony.step(Event::Finished(attempt), now);
        }
    }

    fn hear(&mut self, request: Option<RequestId>, offer: Offer, now: Duration) {
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
        if let Some(request) = request {
            self.answer(request, &Answer::Held(after == Some(attempt)));
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

    fn want_keys(&mut self) {
        for peer in self.live.clone() {
            self.queue.push_back(Work::AskForKeys(peer));
        }
    }

    fn take_keys(&mut self, handed: &HandedOver, read: bool, now: Duration) {
        let Some(asked) = self.asked.take().filter(|_| read) else {
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

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::PeerUp { name, .. } => {
                self.live.insert(name.clone());
                if let Some(attempt) = self.ceremony.attempt() {
                    let shares = self.ceremony.shares();
                    let shares = shares.map(|share| Share::from_bytes(share.expose()).unwrap());
                    let offer = Offer {
                        attempt,
                        parameters: None,
                        shares: shares.collect(),
                    };
                    self.ask(name.clone(), &Question::Offer(offer));
                }
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

    fn serve_request(&mut self, request: RequestId, body: &Body) {
        match Question::decode(body).unwrap() {
            Question::Offer(offer) => self.queue.push_back(Work::Hear(Some(request), offer)),
            Question::Keys(ask) => self.queue.push_back(Work::GiveKeys(request, ask)),
            Question::Seal(order) => {
                self.watch.order((order.incarnation, order.through));
                self.queue.push_back(Work::Obey(request, order));
            }
        }
    }

    fn answered(&mut self, ticket: Ticket, outcome: Result<Body, AskError>, now: Duration) {
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
