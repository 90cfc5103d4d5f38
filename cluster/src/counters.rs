//! What a node counts, for metrics. Each only grows.

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Packets sent.
    pub sent: u64,
    /// Packets that were to be sent, but found no room on the way to the transport.
    pub unsent: u64,
    /// News that the program did not take in.
    pub news_missed: u64,
    /// Packets received and read.
    pub received: u64,
    /// Dropped: from nodes that are not in the roster.
    pub from_strangers: u64,
    /// Dropped: of another cluster.
    pub from_other_clusters: u64,
    /// Dropped: of an unknown version of the wire format.
    pub of_unknown_version: u64,
    /// Dropped: no packets.
    pub malformed: u64,
    /// Dropped: more than a peer may send.
    pub flooded: u64,
    /// Dropped: repeated, overtaken, or answering nothing that is open.
    pub stale: u64,
    /// Facts for which there was no room.
    pub facts_refused: u64,
    /// Hints of this node that were over their tenant's budget.
    pub hints_refused: u64,
    /// Requests of peers that were not served because too many were being served.
    pub requests_refused: u64,
    /// Questions of this node that were not answered in time.
    pub timed_out: u64,
    /// Peers that went down, restarts included.
    pub peers_lost: u64,
    /// Times that a peer was asked for the facts that it has and this node has not.
    pub pulls: u64,
}
