//! [`Status`]: the cluster as one node sees it, for `conclave cluster status` and `conclave wg show`. The node writes it
//! as JSON and the command line reads it, so fields are only ever added.

use std::collections::BTreeMap;
use std::time::Duration;

use conclave_cluster::{PeerView, View};
use conclave_wg::transport::{PeerStats, TransportStats};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::About;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Which cluster: a UUID.
    pub cluster_id: String,
    /// The node that says all this.
    pub node: String,
    /// All nodes of its roster, by name, itself among them.
    pub members: Vec<Member>,
    /// All its tunnels, by name; those to hosts that are no nodes among them.
    pub tunnels: Vec<Tunnel>,
    /// What its tunnels dropped, by reason; reasons that never happened are left out.
    pub dropped: BTreeMap<String, u64>,
}

/// One node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its address inside the tunnels.
    pub address: String,
    /// Whether it can be reached, and can reach us.
    pub up: bool,
    /// Its program's version, as it last said.
    pub version: String,
    /// The URL that its clients use, as it last said.
    pub api_addr: String,
    /// How many add-ons are initialised, as it last said.
    pub initialized: usize,
    /// How many of them are unsealed there, as it last said.
    pub unsealed: usize,
    /// How long ago it was heard, in milliseconds; null for the node itself, and before the first time.
    pub heard_ms: Option<f64>,
    /// How long packets are on their way, there and back, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// How far its wall clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: Option<f64>,
    /// Whether that is too far.
    pub clock_skewed: bool,
    /// Whether its roster has other nodes or keys than ours.
    pub roster_differs: bool,
}

/// One tunnel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tunnel {
    /// Who is at the other end.
    pub peer: String,
    /// Its public key.
    pub public_key: String,
    /// Its address inside the tunnel.
    pub address: String,
    /// Where it was last heard, or is looked for.
    pub endpoint: Option<String>,
    /// Whether there is a session to send with.
    pub up: bool,
    /// How old the last handshake is, in seconds.
    pub handshake_age_s: Option<u64>,
    /// Bytes sent to it, without WireGuard's own.
    pub sent_bytes: u64,
    /// Bytes received from it, without WireGuard's own.
    pub received_bytes: u64,
}

impl Status {
    /// What `view` and `stats` come to.
    pub fn new(view: &View, stats: &TransportStats) -> Self {
        let mut members: Vec<_> = view.peers.iter().map(Member::of_peer).collect();
        members.push(Member::of_self(view));
        members.sort_by(|left, right| left.name.cmp(&right.name));
        let drops = stats.drops.iter().filter(|(_, count)| *count > 0);
        Self {
            cluster_id: Uuid::from_bytes(view.cluster.0).hyphenated().to_string(),
            node: view.me.name.to_string(),
            members,
            tunnels: stats.peers.iter().map(Tunnel::of).collect(),
            dropped: drops
                .map(|(reason, count)| (reason.as_str().to_owned(), count))
                .collect(),
        }
    }
}

impl Member {
    fn of_self(view: &View) -> Self {
        let about = About::decode(&view.about);
        Self {
            name: view.me.name.to_string(),
            address: view.me.address.to_string(),
            up: true,
            version: about.version,
            api_addr: about.api_addr,
            initialized: about.initialized,
            unsealed: about.unsealed,
            heard_ms: None,
            round_trip_ms: None,
            clock_ahead_ms: None,
            clock_skewed: false,
            roster_differs: false,
        }
    }

    fn of_peer(peer: &PeerView) -> Self {
        let about = About::decode(&peer.about);
        Self {
            name: peer.member.name.to_string(),
            address: peer.member.address.to_string(),
            up: peer.up,
            version: about.version,
            api_addr: about.api_addr,
            initialized: about.initialized,
            unsealed: about.unsealed,
            heard_ms: peer.heard.map(milliseconds),
            round_trip_ms: peer.round_trip.map(milliseconds),
            clock_ahead_ms: peer.ahead_ns.map(|ahead| ahead as f64 / 1e6),
            clock_skewed: peer.clock_skewed,
            roster_differs: peer.roster_differs,
        }
    }
}

impl Tunnel {
    fn of(peer: &PeerStats) -> Self {
        Self {
            peer: peer.name.to_string(),
            public_key: peer.public_key.to_string(),
            address: peer.address.to_string(),
            endpoint: peer.endpoint.map(|endpoint| endpoint.to_string()),
            up: peer.up,
            handshake_age_s: peer.handshake_age.map(|age| age.as_secs()),
            sent_bytes: peer.sent_bytes,
            received_bytes: peer.received_bytes,
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
