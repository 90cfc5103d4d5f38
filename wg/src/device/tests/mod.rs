//! Two and more devices wired together in one test, with a clock that the test turns.

mod flood;
mod hostile;
mod rekey;
mod traffic;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use super::{Device, DropReason, Effect, Settings};
use crate::key::{PresharedKey, PrivateKey};
use crate::peer::{Endpoint, Peer, PeerName};
use crate::subnet::Subnet;

/// What a node of the test network did.
type Inbox = Vec<(PeerName, Vec<u8>)>;

/// Some devices, and the datagrams between them, delivered at once and in order.
struct Network {
    nodes: Vec<Node>,
    now: Duration,
    /// Every datagram that was under way, in order.
    captured: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

struct Node {
    device: Device,
    place: SocketAddr,
    inbox: Inbox,
    packets: Vec<Vec<u8>>,
}

fn private_key(node: usize) -> PrivateKey {
    PrivateKey::from_random([node as u8 + 1; 32])
}

fn name(node: usize) -> PeerName {
    format!("node-{node}").parse().expect("a name")
}

fn overlay(node: usize) -> IpAddr {
    IpAddr::from([10, 90, 0, node as u8 + 1])
}

fn place(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node as u8 + 1], 51820))
}

/// How node `node` is listed by the others.
fn peer(node: usize) -> Peer {
    Peer {
        name: name(node),
        public_key: private_key(node).public(),
        preshared_key: None,
        endpoint: Some(Endpoint::Address(place(node))),
        address: overlay(node),
        routes: Vec::new(),
        keepalive_seconds: None,
    }
}

fn device(node: usize, interface: bool) -> Device {
    Device::new(Settings {
        private_key: private_key(node),
        addresses: vec![Subnet::new(overlay(node), 24).expect("a subnet")],
        mtu: Settings::DEFAULT_MTU,
        message_port: Settings::DEFAULT_MESSAGE_PORT,
        interface: interface.then(|| "wg-test".into()),
    })
}

impl Network {
    /// `count` nodes without peers.
    fn strangers(count: usize) -> Self {
        let node = |node| Node {
            device: device(node, false),
            place: place(node),
            inbox: Vec::new(),
            packets: Vec::new(),
        };
        Self {
            nodes: (0..count).map(node).collect(),
            now: Duration::from_secs(100),
            captured: Vec::new(),
        }
    }

    /// `count` nodes that all know each other.
    fn mesh(count: usize) -> Self {
        let mut network = Self::strangers(count);
        for node in 0..count {
            let others = (0..count)
                .filter(|other| *other != node)
                .map(peer)
                .collect();
            network.set_peers(node, others);
        }
        network
    }

    fn set_peers(&mut self, node: usize, peers: Vec<Peer>) {
        let mut effects = Vec::new();
        let now = self.now;
        self.nodes[node]
            .device
            .set_peers(peers, now, &mut effects)
            .expect("a good list");
        self.carry(node, effects);
    }

    fn send(&mut self, from: usize, to: usize, message: &[u8]) {
        let mut effects = Vec::new();
        let sent = self.nodes[from]
            .device
            .send_message(&name(to), message, &mut effects);
        sent.expect("sent");
        self.carry(from, effects);
    }

    /// Hands a datagram to whoever is at `to`, and carries out all that follows.
    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(node) = self.nodes.iter().position(|node| node.place == to) else {
            return;
        };
        let mut effects = Vec::new();
        self.nodes[node]
            .device
            .receive(from, bytes, self.now, &mut effects);
        self.carry(node, effects);
    }

    fn carry(&mut self, node: usize, effects: Vec<Effect>) {
        let from = self.nodes[node].place;
        for effect in effects {
            match effect {
                Effect::Datagram { to, bytes } => {
                    self.captured.push((from, to, bytes.clone()));
                    self.datagram(from, to, &bytes);
                }
                Effect::Message { from, bytes } => self.nodes[node].inbox.push((from, bytes)),
                Effect::Packet(packet) => self.nodes[node].packets.push(packet),
            }
        }
    }

    fn tick(&mut self, by: Duration) {
        self.now += by;
        for node in 0..self.nodes.len() {
            let mut effects = Vec::new();
            self.nodes[node].device.tick(self.now, &mut effects);
            self.carry(node, effects);
        }
    }

    fn take(&mut self, node: usize) -> Inbox {
        std::mem::take(&mut self.nodes[node].inbox)
    }

    fn drops(&self, node: usize, reason: DropReason) -> u64 {
        self.nodes[node].device.drops().of(reason)
    }
}

impl Device {
    /// Starts a handshake anew although one is under way or a session lives, as boringtun does when its time has come.
    fn retry(&mut self, to: &PeerName, effects: &mut Vec<Effect>) {
        let slot = self.slots_by_name[to];
        let member = self.members.get_mut(&slot).expect("a member");
        let to = member.stats(Duration::ZERO).endpoint.expect("a place");
        member.tunnel.retry(&mut self.scratch, |bytes| {
            effects.push(Effect::Datagram {
                to,
                bytes: bytes.to_vec(),
            });
        });
    }
}
