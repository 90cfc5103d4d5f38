//! [`MemoryNetwork`]: the [`Transport`] without a network, for tests.
//!
//! Owns a [`Line`] and the inboxes of its nodes. Time is tokio's, so a test that pauses it runs through hours in moments.
//! Code that simulates without a runtime uses [`Line`] itself. Nothing here is encrypted or leaves the process.

mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

pub use line::{Delivery, Faults, Line, MAX_UNDER_WAY};

use crate::device::{DropReason, Drops};
use crate::key::{KEY_BYTES, PublicKey};
use crate::message::MAX_MESSAGE_BYTES;
use crate::peer::PeerName;
use crate::transport::{Closed, PeerStats, Received, SendError, Transport, TransportStats};

/// How many messages may wait in a node's inbox, as many as over UDP.
pub const INBOX: usize = crate::udp::INBOX;

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something was sent, so the next arrival may be sooner.
    sent: Notify,
    start: Instant,
}

struct State {
    line: Line,
    nodes: BTreeMap<PeerName, Node>,
}

struct Node {
    inbox: mpsc::Sender<Received>,
    counts: BTreeMap<PeerName, Counts>,
    drops: Drops,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    sent_bytes: u64,
    received_bytes: u64,
    heard_at: Option<Duration>,
}

/// One node of a [`MemoryNetwork`].
pub struct MemoryTransport {
    network: MemoryNetwork,
    name: PeerName,
    inbox: tokio::sync::Mutex<mpsc::Receiver<Received>>,
}

impl MemoryNetwork {
    /// An empty network, and the task that moves its messages, which ends with the network. Needs a tokio runtime.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let state = State {
            line: Line::new(seed, faults),
            nodes: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            sent: Notify::new(),
            start: Instant::now(),
        });
        tokio::spawn(deliver(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Adds a node, which is a peer of all others. A node of that name that was there before is gone, with its inbox: a
    /// restart.
    pub fn join(&self, name: PeerName) -> MemoryTransport {
        let (inbox, messages) = mpsc::channel(INBOX);
        let node = Node {
            inbox,
            counts: BTreeMap::new(),
            drops: Drops::default(),
        };
        self.0.state.lock().nodes.insert(name.clone(), node);
        MemoryTransport {
            network: self.clone(),
            name,
            inbox: tokio::sync::Mutex::new(messages),
        }
    }

    /// Takes a node away.
    pub fn leave(&self, name: &PeerName) {
        self.0.state.lock().nodes.remove(name);
    }

    /// Lets `change` do something to the line: faults, cuts, healing.
    pub fn with_line<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        change(&mut self.0.state.lock().line)
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "MemoryNetwork({:?})",
            self.0.state.lock().nodes.keys()
        )
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MemoryTransport({})", self.name)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn send(&self, to: &PeerName, message: Vec<u8>) -> Result<(), SendError> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(SendError::TooLong);
        }
        let shared = &self.network.0;
        let now = shared.start.elapsed();
        let mut state = shared.state.lock();
        if *to == self.name || !state.nodes.contains_key(to) {
            return Err(SendError::UnknownPeer);
        }
        let node = state.nodes.get_mut(&self.name).ok_or(SendError::Closed)?;
        node.counts.entry(to.clone()).or_default().sent_bytes += message.len() as u64;
        state.line.send(now, &self.name, to, message);
        shared.sent.notify_one();
        Ok(())
    }

    async fn recv(&self) -> Result<Received, Closed> {
        self.inbox.lock().await.recv().await.ok_or(Closed)
    }

    fn stats(&self) -> Arc<TransportStats> {
        let shared = &self.network.0;
        let now = shared.start.elapsed();
        let state = shared.state.lock();
        let Some(node) = state.nodes.get(&self.name) else {
            return Arc::default();
        };
        let others = state.nodes.keys().filter(|name| **name != self.name);
        let peers = others.map(|name| {
            let counts = node.counts.get(name).copied().unwrap_or_default();
            counts.stats(name, now)
        });
        Arc::new(TransportStats {
            peers: peers.collect(),
            drops: node.drops,
        })
    }
}

impl Counts {
    /// A key and an address that say nothing stand in for those that memory does not need.
    fn stats(self, name: &PeerName, now: Duration) -> PeerStats {
        PeerStats {
            name: name.clone(),
            public_key: PublicKey::from_bytes([0; KEY_BYTES]),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            endpoint: None,
            up: self.heard_at.is_some(),
            handshake_age: None,
            heard_age: self.heard_at.map(|moment| now.saturating_sub(moment)),
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
        }
    }
}

impl State {
    fn deliver(&mut self, now: Duration, delivery: Delivery) {
        let Delivery { from, to, message } = delivery;
        let Some(node) = self.nodes.get_mut(&to) else {
            return;
        };
        let bytes = message.len() as u64;
        let received = Received {
            from: from.clone(),
            message,
        };
        if node.inbox.try_send(received).is_err() {
            return node.drops.count(DropReason::Overflow);
        }
        let counts = node.counts.entry(from).or_default();
        counts.received_bytes += bytes;
        counts.heard_at = Some(now);
    }
}

/// Moves what has arrived into the inboxes, for as long as the network is there.
async fn deliver(network: std::sync::Weak<Shared>) {
    /// How long the network may be gone before this notices.
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
    while let Some(shared) = network.upgrade() {
        let now = shared.start.elapsed();
        let next = {
            let mut state = shared.state.lock();
            while let Some(delivery) = state.line.arrived(now) {
                state.deliver(now, delivery);
            }
            state.line.next_at()
        };
        let wait = next.map_or(LONGEST_WAIT, |next| {
            next.saturating_sub(now).min(LONGEST_WAIT)
        });
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.sent.notified() => {}
        }
    }
}
