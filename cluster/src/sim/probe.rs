//! [`Probe`]: the application of the scenarios. It answers questions, and writes into the [`Ledger`] what it is told, so
//! that it can be compared with what was done.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Summary;
use super::world::{Application, Place};
use crate::bounded::Body;
use crate::event::{AskError, Effect, Event, Notice, Ticket};
use crate::id::{BootId, NodeName, Tenant};
use crate::time::Moment;

/// A question that has no answer yet.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub by: Place,
    pub to: Place,
    pub body: Body,
    /// In the time since boot of who asks.
    pub deadline: Duration,
    /// Whether nothing could keep it from being answered.
    pub must_succeed: bool,
}

/// What all probes were told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub summary: Summary,
    pub open: BTreeMap<u64, Asked>,
    next_ticket: u64,
    /// The run in which a node last saw a peer come up.
    pub runs: BTreeMap<(Place, NodeName), BootId>,
    /// The peers whose clocks a node was warned of.
    pub skewed: BTreeMap<Place, Vec<NodeName>>,
    /// How many hints a node heard from a peer on behalf of a tenant.
    pub heard: BTreeMap<(Place, NodeName, Tenant), u64>,
    /// The first thing that should not have been told.
    pub broken: Option<String>,
}

impl Ledger {
    /// Forgets what a node was told, because it forgets it too.
    pub fn forget(&mut self, node: Place) {
        self.open.retain(|_, asked| asked.by != node);
        self.runs.retain(|(of, _), _| *of != node);
        self.skewed.remove(&node);
    }

    /// Notes a question.
    pub fn ask(&mut self, asked: Asked) -> Ticket {
        self.next_ticket += 1;
        self.open.insert(self.next_ticket, asked);
        Ticket(self.next_ticket)
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<Body, AskError>) {
        let Some(asked) = self.open.remove(&ticket.0) else {
            self.broken = Some(format!("{ticket:?} was answered twice: {outcome:?}"));
            return;
        };
        match outcome {
            Ok(body) if body == answer_to(asked.to, &asked.body) => self.summary.answered += 1,
            Ok(_) => {
                self.broken = Some(format!("n{} got the answer to another question", asked.by))
            }
            Err(error) if asked.must_succeed => {
                let (by, to) = (asked.by, asked.to);
                self.broken = Some(format!("n{by} could not ask n{to}: {error}"));
            }
            Err(_) => self.summary.unanswered += 1,
        }
    }

    fn tell(&mut self, node: Place, notice: Notice) {
        match notice {
            Notice::PeerUp { name, boot } => {
                self.runs.insert((node, name), boot);
            }
            Notice::PeerDown { name } => {
                self.runs.remove(&(node, name.clone()));
                self.clock_agrees(node, &name);
            }
            Notice::Learned(_) => self.summary.learned += 1,
            Notice::Heard { from, hint } => {
                self.summary.heard += 1;
                *self.heard.entry((node, from, hint.tenant)).or_default() += 1;
            }
            Notice::ClockSkewed { name, .. } => {
                self.summary.alarms += 1;
                self.skewed.entry(node).or_default().push(name);
            }
            Notice::ClockAgrees { name } => self.clock_agrees(node, &name),
            Notice::RosterDiffers { .. }
            | Notice::OtherCluster { .. }
            | Notice::RosterRefused(_) => {}
        }
    }

    fn clock_agrees(&mut self, node: Place, peer: &NodeName) {
        self.skewed
            .entry(node)
            .or_default()
            .retain(|name| name != peer);
    }
}

/// The right answer to a question: it names who gives it and repeats the question.
fn answer_to(place: Place, question: &Body) -> Body {
    let mut answer = format!("n{place}: ").into_bytes();
    answer.extend_from_slice(question.as_bytes());
    Body::new(answer).unwrap_or_default()
}

/// See the module.
pub(super) struct Probe {
    place: Place,
    ledger: Rc<RefCell<Ledger>>,
    /// Answers that take their time.
    slow: Vec<(Duration, Event)>,
}

impl Probe {
    pub fn new(place: Place, ledger: &Rc<RefCell<Ledger>>) -> Self {
        Self {
            place,
            ledger: Rc::clone(ledger),
            slow: Vec::new(),
        }
    }
}

impl Application for Probe {
    fn take(&mut self, effect: Effect, now: Moment) -> Vec<Event> {
        match effect {
            Effect::Send { .. } => {}
            Effect::Tell(notice) => self.ledger.borrow_mut().tell(self.place, notice),
            Effect::Answer { ticket, outcome } => self.ledger.borrow_mut().answer(ticket, outcome),
            Effect::Serve { request, body, .. } => {
                // The first byte of a question says after how many times 10 ms it is answered; 255 is never.
                let delay = body.as_bytes().first().copied().unwrap_or(0);
                let body = answer_to(self.place, &body);
                let served = Event::Served { request, body };
                match delay {
                    0 => return vec![served],
                    255 => {}
                    _ => {
                        let delay = Duration::from_millis(u64::from(delay) * 10);
                        self.slow.push((now.since_boot + delay, served));
                    }
                }
            }
        }
        Vec::new()
    }

    fn wake(&mut self, now: Moment) -> Vec<Event> {
        let slow = std::mem::take(&mut self.slow);
        let (due, slow) = slow.into_iter().partition(|(at, _)| *at <= now.since_boot);
        self.slow = slow;
        let due: Vec<(Duration, Event)> = due;
        due.into_iter().map(|(_, event)| event).collect()
    }

    fn next_wake(&self) -> Option<Duration> {
        self.slow.iter().map(|(at, _)| *at).min()
    }
}
