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

/// Which heartbeat was received last, whatever the run.
#[derive(Clone, Copy, Debug)]
struct Latest {
    boot: BootId,
    mark: Duration,
    at: Duration,
}

/// The newest heartbeat of a peer's run.
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
    /// Of a new run; it answers something that we sent after all that the last run has answered.
    Restarted,
    /// Of another run, earlier or later: it has not shown which.
    Unproven,
    /// Overtaken or repeated.
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
    latest: Option<Latest>,
    pub heard: Option<Heard>,
    /// Whether it was told that the peer's roster differs.
    differs: bool,
    /// Whether it was told that the peer is of another cluster.
    elsewhere: bool,
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
            latest: None,
            heard: None,
            differs: false,
            elsewhere: false,
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

    /// Where a heartbeat stands. A peer that restarts twice at once may have packets of three runs on their way; only
    /// those of the last run can answer what we send from now on, so a new run is believed when it has done that.
    pub fn order(&self, heartbeat: &Heartbeat, our_boot: BootId) -> Order {
        let latest = self.latest.filter(|latest| latest.boot == heartbeat.boot);
        if latest.is_some_and(|latest| heartbeat.mark <= latest.mark) {
            return Order::Stale;
        }
        if self.boot == Some(heartbeat.boot) {
            return match &self.heard {
                Some(heard) if heartbeat.mark <= heard.mark => Order::Stale,
                Some(_) | None => Order::Next,
            };
        }
        let echo = heartbeat.echo.filter(|echo| echo.boot == our_boot);
        match self.boot {
            None => Order::Next,
            Some(_) if echo.is_some_and(|echo| self.is_news(&echo)) => Order::Restarted,
            Some(_) => Order::Unproven,
        }
    }

    /// Whether we would like to hear from it at once: to find out that it is alive, or that it has restarted.
    pub fn is_in_doubt(&self) -> bool {
        !self.up
            || self
                .latest
                .is_some_and(|latest| self.boot != Some(latest.boot))
    }

    /// Whether an echo is of a heartbeat that we sent after the last that was echoed.
    fn is_news(&self, echo: &Echo) -> bool {
        self.sent.is_some_and(|sent| echo.mark <= sent)
            && self.confirmed.is_none_or(|confirmed| echo.mark > confirmed)
    }

    /// Forgets what belonged to the peer's last run.
    pub fn forget_run(&mut self) {
        let fresh = Self::new(self.member.clone());
        let last = std::mem::replace(self, fresh);
        self.received = last.received;
        self.digests = last.digests;
        self.replies = last.replies;
        self.sent = last.sent;
    }

    /// What was known of its clock is old by the time it comes back.
    pub fn go_down(&mut self) {
        self.up = false;
        self.skew = Skew::default();
    }

    /// Lets our next heartbeat answer this one.
    pub fn receive(&mut self, heartbeat: &Heartbeat, now: Duration) {
        self.latest = Some(Latest {
            boot: heartbeat.boot,
            mark: heartbeat.mark,
            at: now,
        });
    }

    /// Keeps what the heartbeat says.
    pub fn hear(&mut self, heartbeat: &Heartbeat, now: Duration) {
        self.elsewhere = false;
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

    /// Takes in the answer to a heartbeat of ours, and what it says about the clocks.
    pub fn confirm(&mut self, echo: &Echo, wall_ns: i64, now: Moment) -> Option<Sample> {
        if !self.is_news(echo) {
            return None;
        }
        self.confirmed = Some(echo.mark);
        Sample::of(now, echo.mark, echo.held_ns, wall_ns)
    }

    /// What our next heartbeat tells the peer about its last.
    pub fn echo(&self, now: Duration) -> Option<Echo> {
        self.latest.map(|latest| Echo {
            boot: latest.boot,
            mark: latest.mark,
            held_ns: to_ns(now.saturating_sub(latest.at)),
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

    /// A packet of it was of another cluster; whether that is still to be told.
    pub fn begins_elsewhere(&mut self) -> bool {
        !std::mem::replace(&mut self.elsewhere, true)
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
