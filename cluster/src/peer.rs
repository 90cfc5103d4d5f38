//! What a node knows of one peer: whether it is alive, what it says of itself, its clock, and how much it sends.

use std::time::Duration;

use crate::budget::{Budget, Rate};
use crate::id::BootId;
use crate::pull::Pull;
use crate::roster::Member;
use crate::skew::{Sample, Skew};
use crate::time::{Moment, to_ns};
use crate::wire::{About, Echo, Heartbeat, OLDEST_VERSION};

/// What a peer may send: in a second far more than it needs to bring a new node all facts, and less than would keep a
/// core busy.
const PACKETS: Rate = Rate {
    burst: 2000,
    refill: Duration::from_millis(1),
};

/// How often a peer that wants to know at once whether we are alive is answered outside the usual rhythm.
const REPLIES: Rate = Rate {
    burst: 4,
    refill: Duration::from_millis(100),
};

/// The newest heartbeat of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub mark: Duration,
    pub at: Duration,
    pub facts_root: u64,
    pub newest_version: u8,
    pub about: About,
    pub roster: Option<u64>,
}

/// What a peer may ask for in facts: a full table and then some at once, since each answer is a burst of packets.
const DIGESTS: Rate = Rate {
    burst: 32,
    refill: Duration::from_millis(100),
};

/// How a heartbeat relates to those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The next of its run.
    Next,
    /// The first of a new run.
    Restarted,
    /// Overtaken, repeated, or of an earlier run.
    Stale,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub member: Member,
    /// When we sent the newest heartbeat that it has answered: both ways worked then.
    pub confirmed: Option<Duration>,
    pub up: bool,
    pub boot: Option<BootId>,
    previous_boot: Option<BootId>,
    pub heard: Option<Heard>,
    /// Whether it was told that the peer's roster differs.
    differs: bool,
    pub skew: Skew,
    pub pull: Pull,
    /// The mark of our last heartbeat to it.
    sent: Option<Duration>,
    received: Budget,
    digests: Budget,
    replies: Budget,
}

impl Peer {
    pub fn new(member: Member) -> Self {
        Self {
            member,
            confirmed: None,
            up: false,
            boot: None,
            previous_boot: None,
            heard: None,
            differs: false,
            skew: Skew::default(),
            pull: Pull::default(),
            sent: None,
            received: Budget::default(),
            digests: Budget::default(),
            replies: Budget::default(),
        }
    }

    /// Counts a packet; whether it may be read.
    pub fn admit(&mut self, now: Duration) -> bool {
        self.received.take(PACKETS, now)
    }

    /// Counts a question for facts; whether it may be answered.
    pub fn admit_digest(&mut self, now: Duration) -> bool {
        self.digests.take(DIGESTS, now)
    }

    /// Where a heartbeat stands.
    pub fn order(&self, heartbeat: &Heartbeat) -> Order {
        if self.boot == Some(heartbeat.boot) {
            return match &self.heard {
                Some(heard) if heartbeat.mark <= heard.mark => Order::Stale,
                Some(_) | None => Order::Next,
            };
        }
        match self.boot {
            Some(_) if self.previous_boot == Some(heartbeat.boot) => Order::Stale,
            Some(_) => Order::Restarted,
            None => Order::Next,
        }
    }

    /// Forgets what belonged to the peer's last run.
    pub fn forget_run(&mut self) {
        let fresh = Self::new(self.member.clone());
        let last = std::mem::replace(self, fresh);
        self.previous_boot = last.boot;
        self.received = last.received;
        self.digests = last.digests;
        self.replies = last.replies;
        self.sent = last.sent;
    }

    /// Keeps what the heartbeat says.
    pub fn hear(&mut self, heartbeat: &Heartbeat, now: Duration) {
        self.boot = Some(heartbeat.boot);
        self.heard = Some(Heard {
            mark: heartbeat.mark,
            at: now,
            facts_root: heartbeat.facts_root,
            newest_version: heartbeat.newest_version,
            about: heartbeat.about.clone(),
            roster: heartbeat.roster,
        });
    }

    /// Takes in the answer to a heartbeat of ours. `Some(alarm)` when the clock's alarm begins or ends with it.
    pub fn confirm(&mut self, echo: &Echo, wall_ns: i64, now: Moment) -> Option<bool> {
        let never_sent = self.sent.is_none_or(|sent| echo.mark > sent);
        if never_sent || self.confirmed.is_some_and(|known| echo.mark <= known) {
            return None;
        }
        self.confirmed = Some(echo.mark);
        let sample = Sample::of(now, echo.mark, echo.held_ns, wall_ns)?;
        self.skew.add(sample)
    }

    /// When the peer will be down unless something is heard of it.
    pub fn dies(&self, down_after: Duration) -> Option<Duration> {
        self.confirmed
            .map(|confirmed| confirmed.saturating_add(down_after))
    }

    /// What our next heartbeat tells the peer about its last.
    pub fn echo(&self, now: Duration) -> Option<Echo> {
        let (boot, heard) = self.boot.zip(self.heard.as_ref())?;
        Some(Echo {
            boot,
            mark: heard.mark,
            held_ns: to_ns(now.saturating_sub(heard.at)),
        })
    }

    /// Whether the peer's roster has other nodes or keys than the one with this fingerprint, as far as is known.
    pub fn roster_differs(&self, ours: u64) -> bool {
        let theirs = self.heard.as_ref().and_then(|heard| heard.roster);
        theirs.is_some_and(|theirs| theirs != ours)
    }

    /// Compares the rosters anew; whether that they differ is still to be told.
    pub fn begins_to_differ(&mut self, ours: u64) -> bool {
        let differs = self.roster_differs(ours);
        let differed = std::mem::replace(&mut self.differs, differs);
        differs && !differed
    }

    /// Counts a heartbeat outside the usual rhythm; whether it may be sent.
    pub fn admit_reply(&mut self, now: Duration) -> bool {
        self.replies.take(REPLIES, now)
    }

    /// The mark of the heartbeat that is sent now. Marks rise however coarse the clock is.
    pub fn next_mark(&mut self, now: Duration) -> Duration {
        let least = self.sent.map_or(Duration::ZERO, |sent| {
            sent.saturating_add(Duration::from_nanos(1))
        });
        let mark = now.max(least);
        self.sent = Some(mark);
        mark
    }

    /// The version of the wire format in which the peer is spoken to.
    pub fn version(&self, ours: u8) -> u8 {
        self.heard
            .as_ref()
            .map_or(OLDEST_VERSION, |heard| heard.newest_version.min(ours))
            .max(OLDEST_VERSION)
    }
}
