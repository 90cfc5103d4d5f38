//! What happens to a node of the cluster, and what it does: the vocabulary of [`Cluster::step`](crate::Cluster::step).

use std::time::Duration;

use zeroize::Zeroizing;

use crate::bounded::Body;
use crate::facts::Fact;
use crate::hints::Hint;
use crate::id::{BootId, NodeName};
use crate::roster::{Roster, RosterError};
use crate::wire::About;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The transport brought a packet. Who sent it is proven; what it holds is not.
    Received {
        /// Who sent it.
        from: NodeName,
        /// The packet.
        packet: Zeroizing<Vec<u8>>,
    },
    /// The time of [`Cluster::next_wake`](crate::Cluster::next_wake) has come.
    Woke,
    /// The configuration was read again.
    Reloaded(Box<Roster>),
    /// From now on this is what the node says of itself.
    Described(About),
    /// Tell all nodes, and go on telling them.
    Published(Fact),
    /// Tell the nodes that are alive, once.
    Hinted(Hint),
    /// Ask one peer.
    Asked {
        /// Which peer.
        to: NodeName,
        /// What to ask it.
        body: Body,
        /// How long to wait for the answer; at most [`MAX_TIMEOUT`](crate::MAX_TIMEOUT).
        timeout: Duration,
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// The answer to a request that this node was asked to serve.
    Served {
        /// Which request.
        request: RequestId,
        /// The answer.
        body: Body,
    },
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send a packet. It may get lost.
    Send {
        /// Where to.
        to: NodeName,
        /// The packet.
        packet: Zeroizing<Vec<u8>>,
    },
    /// Something is different now.
    Tell(Notice),
    /// A peer asks; answer with [`Event::Served`]. The same request comes again when its answer was lost on the way, so
    /// serving it twice must do no harm.
    Serve {
        /// Which request.
        request: RequestId,
        /// What it asks.
        body: Body,
        /// When (time since boot) nobody waits for the answer any more.
        deadline: Duration,
    },
    /// What [`Event::Asked`] led to. Comes exactly once for each.
    Answer {
        /// That of the question.
        ticket: Ticket,
        /// The answer, or why there is none.
        outcome: Result<Body, AskError>,
    },
}

/// Something that is different now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A peer can be reached, and can reach us. A peer that restarted goes down and comes up, however quick it was.
    PeerUp {
        /// Which peer.
        name: NodeName,
        /// Its run; what it kept in memory in another run is gone.
        boot: BootId,
    },
    /// A peer cannot be reached any more, or has restarted, or was taken off the roster.
    PeerDown {
        /// Which peer.
        name: NodeName,
    },
    /// A fact is new here, told by another node.
    Learned(Fact),
    /// A peer sent a hint.
    Heard {
        /// Which peer.
        from: NodeName,
        /// The hint.
        hint: Hint,
    },
    /// A peer's wall clock is further from ours than [`skew::ALARM`](crate::skew::ALARM). Ends with
    /// [`Notice::ClockAgrees`], or when the peer goes down.
    ClockSkewed {
        /// Which peer.
        name: NodeName,
        /// How far it is ahead of ours, in nanoseconds.
        ahead_ns: i64,
    },
    /// A peer's wall clock agrees with ours again.
    ClockAgrees {
        /// Which peer.
        name: NodeName,
    },
    /// A peer has a roster with other nodes or keys.
    RosterDiffers {
        /// Which peer.
        name: NodeName,
    },
    /// A peer believes that it is of another cluster: one of the two configurations is wrong. Told once.
    OtherCluster {
        /// Which peer.
        name: NodeName,
    },
    /// A reloaded roster was not taken; the old one stays.
    RosterRefused(RosterError),
}

/// Names a question towards the program; chosen by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Names a request that this node serves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId {
    /// Who asks.
    pub from: NodeName,
    /// How it calls the request.
    pub(crate) id: u64,
}

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AskError {
    /// The name is not that of a peer.
    #[error("no other node of the cluster has that name")]
    UnknownPeer,
    /// The peer is down, or went down meanwhile.
    #[error("the node is down")]
    Down,
    /// It did not answer in time. It may have done what it was asked.
    #[error("the node did not answer in time")]
    TimedOut,
    /// Too many questions are open, here or there.
    #[error("too many requests are open between the nodes, try again")]
    Busy,
}
