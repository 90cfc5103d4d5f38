//! [`View`]: what a node shows of its cluster, for status pages and metrics.

use std::time::Duration;

use crate::counters::Counters;
use crate::id::{BootId, ClusterId};
use crate::roster::Member;
use crate::state::Cluster;
use crate::wire::About;

/// How a cluster looks from one of its nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Which cluster.
    pub cluster: ClusterId,
    /// The node itself.
    pub me: Member,
    /// The node's run.
    pub boot: BootId,
    /// What it says of itself.
    pub about: About,
    /// The others, by name.
    pub peers: Vec<PeerView>,
    /// How many facts it holds.
    pub facts: usize,
    /// How many of its questions are open.
    pub open_questions: usize,
    /// How many requests it is serving.
    pub open_requests: usize,
    /// What it counted.
    pub counters: Counters,
}

/// How one peer looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerView {
    /// Who and where it is.
    pub member: Member,
    /// Whether each can reach the other.
    pub up: bool,
    /// Its run; `None` before it was ever heard in this run of ours.
    pub boot: Option<BootId>,
    /// What it said of itself when it was last heard.
    pub about: About,
    /// How long ago it was last heard.
    pub heard: Option<Duration>,
    /// How long ago it was last known that both ways work.
    pub confirmed: Option<Duration>,
    /// How long packets are on their way, there and back, at best.
    pub round_trip: Option<Duration>,
    /// How far its wall clock is ahead of ours, in nanoseconds.
    pub ahead_ns: Option<i64>,
    /// Whether that is an alarm.
    pub clock_skewed: bool,
    /// Whether its roster has other nodes or keys than ours.
    pub roster_differs: bool,
}

impl Cluster {
    /// How the cluster looks at `now` (time since boot).
    pub fn view(&self, now: Duration) -> View {
        let fingerprint = self.roster().fingerprint();
        let peers = self.peers().map(|peer| {
            let heard = peer.heard.as_ref();
            let clock = peer.skew.best();
            PeerView {
                member: peer.member.clone(),
                up: peer.up,
                boot: peer.boot,
                about: heard.map(|heard| heard.about.clone()).unwrap_or_default(),
                heard: heard.map(|heard| now.saturating_sub(heard.at)),
                confirmed: peer.confirmed.map(|at| now.saturating_sub(at)),
                round_trip: clock.map(|sample| Duration::from_nanos(sample.round_trip_ns)),
                ahead_ns: clock.map(|sample| sample.offset_ns),
                clock_skewed: peer.skew.alarmed(),
                roster_differs: peer.roster_differs(fingerprint),
            }
        });
        View {
            cluster: *self.roster().cluster(),
            me: self.roster().me().clone(),
            boot: self.boot(),
            about: self.about().clone(),
            peers: peers.collect(),
            facts: self.fact_count(),
            open_questions: self.open_questions(),
            open_requests: self.open_requests(),
            counters: *self.counters(),
        }
    }
}
