//! Direct questions to one peer: `Asking` holds those of this node, `Serving` those that it was asked.
//!
//! A question is repeated, less and less often, until it is answered or its time is over; so a request may be served
//! twice, and whoever serves it must not mind. What is open is bounded per peer and in all, on both sides. Bodies are
//! held no longer than the question is open.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bounded::Body;
use crate::event::{AskError, RequestId, Ticket};
use crate::faults::{Faults, Mutant};
use crate::id::NodeName;

/// Longest time that a question may be open.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Most open questions in all.
pub const MAX_OPEN: usize = 1024;
/// Most open questions to one peer, and of one peer.
pub const MAX_OPEN_PER_PEER: usize = 64;
/// After this time a question is repeated for the first time; after twice as long again, and so on.
const FIRST_REPEAT: Duration = Duration::from_millis(100);

/// A question of this node that is open.
struct Open {
    to: NodeName,
    body: Body,
    ticket: Ticket,
    deadline: Duration,
    repeat_at: Duration,
    repeat_after: Duration,
}

/// A request to be sent now.
pub(crate) struct Due {
    pub to: NodeName,
    pub id: u64,
    pub remaining: Duration,
    pub body: Body,
}

/// The questions of this node.
pub(crate) struct Asking {
    open: BTreeMap<u64, Open>,
    next_id: u64,
    faults: Faults,
}

impl Asking {
    /// `first_id` is random, so that replies to questions of an earlier run answer none of this one.
    pub fn new(first_id: u64, faults: Faults) -> Self {
        Self {
            open: BTreeMap::new(),
            next_id: first_id,
            faults,
        }
    }

    /// Opens a question; it is due at once.
    pub fn ask(
        &mut self,
        to: NodeName,
        body: Body,
        timeout: Duration,
        ticket: Ticket,
        now: Duration,
    ) -> Result<(), AskError> {
        let to_peer = self.open.values().filter(|open| open.to == to).count();
        if self.open.len() >= MAX_OPEN || to_peer >= MAX_OPEN_PER_PEER {
            return Err(AskError::Busy);
        }
        let timeout = if self.faults.has(Mutant::NoDeadline) {
            Duration::MAX
        } else {
            timeout.min(MAX_TIMEOUT)
        };
        let open = Open {
            to,
            body,
            ticket,
            deadline: now.saturating_add(timeout),
            repeat_at: now,
            repeat_after: FIRST_REPEAT,
        };
        self.open.insert(self.next_id, open);
        self.next_id = self.next_id.wrapping_add(1);
        Ok(())
    }

    /// Closes the question that a reply of `from` answers.
    pub fn close(&mut self, from: &NodeName, id: u64) -> Option<Ticket> {
        let id = if self.faults.has(Mutant::AnyReply) {
            *self.open.keys().next()?
        } else {
            id
        };
        if self.open.get(&id)?.to != *from && !self.faults.has(Mutant::AnyReply) {
            return None;
        }
        self.open.remove(&id).map(|open| open.ticket)
    }

    /// Closes all questions to a peer.
    pub fn abandon(&mut self, to: &NodeName) -> Vec<Ticket> {
        self.close_where(|open| open.to == *to)
    }

    /// Closes the questions whose time is over.
    pub fn expire(&mut self, now: Duration) -> Vec<Ticket> {
        self.close_where(|open| open.deadline <= now)
    }

    fn close_where(&mut self, matches: impl Fn(&Open) -> bool) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        self.open.retain(|_, open| {
            let closes = matches(open);
            if closes {
                tickets.push(open.ticket);
            }
            !closes
        });
        tickets
    }

    /// The requests that are to be sent now.
    pub fn due(&mut self, now: Duration) -> Vec<Due> {
        let due = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.repeat_at <= now);
        due.map(|(id, open)| {
            open.repeat_at = now.saturating_add(open.repeat_after);
            open.repeat_after = open.repeat_after.saturating_mul(2);
            Due {
                to: open.to.clone(),
                id: *id,
                remaining: open.deadline.saturating_sub(now),
                body: open.body.clone(),
            }
        })
        .collect()
    }

    /// When [`Asking::expire`] or [`Asking::due`] will have something.
    pub fn next_wake(&self) -> Option<Duration> {
        self.open
            .values()
            .map(|open| open.deadline.min(open.repeat_at))
            .min()
    }

    /// How many questions are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// It is to be served until then.
    Serve(Duration),
    /// It is being served already.
    Repeated,
    /// Too many are being served.
    Busy,
}

/// The requests that this node serves: only which, neither question nor answer.
#[derive(Default)]
pub(crate) struct Serving(BTreeMap<RequestId, Duration>);

impl Serving {
    /// Takes in a request.
    pub fn admit(&mut self, request: &RequestId, remaining: Duration, now: Duration) -> Admission {
        self.expire(now);
        if self.0.contains_key(request) {
            return Admission::Repeated;
        }
        let of_peer = self.0.keys().filter(|open| open.from == request.from);
        if of_peer.count() >= MAX_OPEN_PER_PEER {
            return Admission::Busy;
        }
        let deadline = now.saturating_add(remaining.min(MAX_TIMEOUT));
        self.0.insert(request.clone(), deadline);
        Admission::Serve(deadline)
    }

    /// Whether somebody still waits for the answer, which is no longer expected then.
    pub fn finish(&mut self, request: &RequestId, now: Duration) -> bool {
        self.0
            .remove(request)
            .is_some_and(|deadline| deadline > now)
    }

    /// Forgets the requests of a peer.
    pub fn abandon(&mut self, from: &NodeName) {
        self.0.retain(|request, _| request.from != *from);
    }

    fn expire(&mut self, now: Duration) {
        self.0.retain(|_, deadline| *deadline > now);
    }

    /// How many are being served.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn ask(asking: &mut Asking, to: &str, ticket: u64) -> Result<(), AskError> {
        let timeout = Duration::from_secs(1);
        asking.ask(
            name(to),
            Body::default(),
            timeout,
            Ticket(ticket),
            Duration::ZERO,
        )
    }

    #[test]
    fn a_question_is_repeated_until_its_time_is_over() {
        let mut asking = Asking::new(u64::MAX, Faults::default());
        ask(&mut asking, "a", 1).unwrap();
        let mut sent = Vec::new();
        let mut now = Duration::ZERO;
        loop {
            if let [ticket] = asking.expire(now).as_slice() {
                assert_eq!(*ticket, Ticket(1));
                break;
            }
            for due in asking.due(now) {
                assert_eq!(due.remaining, Duration::from_secs(1) - now);
                sent.push(now.as_millis());
            }
            now = asking.next_wake().unwrap();
        }
        assert_eq!(sent, [0, 100, 300, 700]);
        assert_eq!(now, Duration::from_secs(1));
        assert_eq!(asking.next_wake(), None);
    }

    #[test]
    fn only_the_peer_that_was_asked_answers_and_only_once() {
        let mut asking = Asking::new(7, Faults::default());
        ask(&mut asking, "a", 1).unwrap();
        assert_eq!(asking.close(&name("b"), 7), None);
        assert_eq!(asking.close(&name("a"), 8), None);
        assert_eq!(asking.close(&name("a"), 7), Some(Ticket(1)));
        assert_eq!(asking.close(&name("a"), 7), None);
    }

    #[test]
    fn open_questions_are_bounded() {
        let mut asking = Asking::new(0, Faults::default());
        let opened = (0..100).filter(|ticket| ask(&mut asking, "a", *ticket).is_ok());
        assert_eq!(opened.count(), MAX_OPEN_PER_PEER);
        for peer in 0..100 {
            for ticket in 0..100 {
                let _ = ask(&mut asking, &format!("b{peer}"), ticket);
            }
        }
        assert_eq!(asking.len(), MAX_OPEN);
        assert_eq!(asking.abandon(&name("a")).len(), MAX_OPEN_PER_PEER);
        assert!(ask(&mut asking, "a", 1).is_ok());
    }

    #[test]
    fn requests_served_are_bounded_and_forgotten_when_nobody_waits() {
        let mut serving = Serving::default();
        let request = |id| RequestId {
            from: name("a"),
            id,
        };
        let (second, now) = (Duration::from_secs(1), Duration::ZERO);
        for id in 0..64 {
            let admission = serving.admit(&request(id), second, now);
            assert_eq!(admission, Admission::Serve(second));
        }
        assert_eq!(serving.admit(&request(0), second, now), Admission::Repeated);
        assert_eq!(serving.admit(&request(64), second, now), Admission::Busy);
        assert!(serving.finish(&request(0), now));
        assert!(!serving.finish(&request(0), now), "it was finished");
        assert!(!serving.finish(&request(1), second), "it was too late");
        assert_eq!(
            serving.admit(&request(64), MAX_TIMEOUT * 2, second),
            Admission::Serve(second + MAX_TIMEOUT)
        );
        assert_eq!(serving.len(), 1);
    }
}
