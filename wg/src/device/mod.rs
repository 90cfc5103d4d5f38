//! [`Device`]: the tunnels of one node, without sockets or timers of its own.
//!
//! Owns the peers, which tunnel a datagram belongs to, where each peer was last heard, and the way from messages to
//! packets and back. Whoever drives it hands in datagrams, packets, messages and the time, and carries out the
//! [`Effect`]s. Promises: nothing comes out that was not made by a peer on the list and sent from an address that is its
//! own; everything kept for a peer is bounded; what is dropped is counted by reason. Refuses unknown keys before any
//! state is made for them.

mod admission;
mod drops;
mod member;
mod roster;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use drops::{DropReason, Drops};
pub use roster::RosterError;

use crate::key::{PrivateKey, PublicKey};
use crate::message::MAX_MESSAGE_BYTES;
use crate::packet;
use crate::peer::PeerName;
use crate::subnet::Subnet;
use crate::transport::{PeerStats, SendError};
use crate::tunnel::{Addressee, Identity, MAX_PACKET_BYTES, Scratch};
use admission::Admission;
use member::Member;

/// What this node is, inside the tunnel.
#[derive(Debug)]
pub struct Settings {
    /// Who it is.
    pub private_key: PrivateKey,
    /// Its addresses inside the tunnel, with the network that each belongs to.
    pub addresses: Vec<Subnet>,
    /// Longest packet inside the tunnel, in bytes; [`Settings::DEFAULT_MTU`] unless the way is known to carry more.
    pub mtu: u16,
    /// UDP port inside the tunnel that messages go to. All nodes of a cluster use the same one.
    pub message_port: u16,
    /// Name of the TUN interface to open, such as `wg-kms`. Without one, packets that are no messages are dropped, and no
    /// privilege is needed.
    pub interface: Option<String>,
}

impl Settings {
    /// What fits into an Ethernet frame of 1500 bytes whatever the outer IP version: 1500 - 40 - 8 - 32.
    pub const DEFAULT_MTU: u16 = 1420;

    /// The least that IPv6 allows (RFC 8200, section 5).
    pub const MIN_MTU: u16 = 1280;

    /// What fits into a jumbo frame of 9000 bytes.
    pub const MAX_MTU: u16 = 8920;

    /// The port for messages unless another is configured.
    pub const DEFAULT_MESSAGE_PORT: u16 = 8203;
}

/// What the driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send this datagram outside.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A peer sent this message.
    Message {
        /// Who.
        from: PeerName,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A peer sent this IP packet, for the TUN interface.
    Packet(Vec<u8>),
}

/// The tunnels of one node.
pub struct Device {
    identity: Identity,
    settings: Settings,
    members: HashMap<u32, Member>,
    slots_by_key: HashMap<PublicKey, u32>,
    slots_by_name: HashMap<PeerName, u32>,
    /// Which peer an address belongs to; longest prefix first.
    routes: Vec<(Subnet, u32)>,
    next_slot: u32,
    admission: Admission,
    drops: Drops,
    scratch: Scratch,
}

impl Device {
    /// A device without peers; [`Device::set_peers`] brings them.
    pub fn new(settings: Settings) -> Self {
        Self {
            identity: Identity::new(&settings.private_key),
            settings,
            members: HashMap::new(),
            slots_by_key: HashMap::new(),
            slots_by_name: HashMap::new(),
            routes: Vec::new(),
            next_slot: 1,
            admission: Admission::default(),
            drops: Drops::default(),
            scratch: Scratch::new(),
        }
    }

    /// Who this node is.
    pub fn public_key(&self) -> PublicKey {
        self.identity.public()
    }

    /// Sends `message` to a peer. It is kept by the tunnel while there is no session, up to 256 packets.
    ///
    /// # Errors
    /// [`SendError::UnknownPeer`], [`SendError::TooLong`], and [`SendError::Unreachable`] while nobody knows where the
    /// peer is.
    pub fn send_message(
        &mut self,
        to: &PeerName,
        message: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(), SendError> {
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(SendError::TooLong);
        }
        let slot = self.slots_by_name.get(to).ok_or(SendError::UnknownPeer)?;
        let member = self.members.get_mut(slot).ok_or(SendError::UnknownPeer)?;
        let source = own_address(&self.settings.addresses, member.peer.address);
        let source = source.ok_or(SendError::Unreachable)?;
        member.send_message(source, &self.settings, message, &mut self.scratch, effects)
    }

    /// Sends an IP packet that came from the TUN interface to the peer that has its destination.
    pub fn send_packet(&mut self, packet: &[u8], effects: &mut Vec<Effect>) {
        if packet.len() > MAX_PACKET_BYTES {
            return self.drops.count(DropReason::Oversize);
        }
        let Some((_, destination)) = packet::addresses(packet) else {
            return self.drops.count(DropReason::NotIp);
        };
        let slot = self.route(destination);
        let sent = match slot.and_then(|slot| self.members.get_mut(&slot)) {
            Some(member) => member.send_packet(packet, &mut self.scratch, effects),
            None => Err(SendError::UnknownPeer),
        };
        if sent.is_err() {
            self.drops.count(DropReason::NoRoute);
        }
    }

    /// Takes a datagram that came from outside.
    pub fn receive(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(reason) = self.try_receive(source, datagram, now, effects) {
            self.drops.count(reason);
        }
    }

    /// Lets time pass; to be called some times a second. `now` counts from any fixed moment and never goes back.
    pub fn tick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.identity.tick();
        self.admission.tick(now);
        for member in self.members.values_mut() {
            member.tick(now, &mut self.scratch, effects);
            self.drops.add(DropReason::Incomplete, member.take_lost());
        }
    }

    /// How each peer does, by name.
    pub fn peers(&self, now: Duration) -> Vec<PeerStats> {
        let mut peers: Vec<_> = self
            .members
            .values()
            .map(|member| member.stats(now))
            .collect();
        peers.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        peers
    }

    /// How much was dropped, and why.
    pub fn drops(&self) -> Drops {
        self.drops
    }

    /// Counts what whoever drives the device had to drop.
    pub fn count_drop(&mut self, reason: DropReason) {
        self.drops.count(reason);
    }

    fn try_receive(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DropReason> {
        let (slot, proves_place) = match self.identity.addressee(source.ip(), datagram)? {
            Addressee::Cookie(bytes) => {
                effects.push(Effect::Datagram { to: source, bytes });
                return Err(DropReason::UnderLoad);
            }
            Addressee::Initiation => {
                if !self.admission.admits(source.ip()) {
                    return Err(DropReason::TooManyHandshakes);
                }
                let key = self.identity.initiator(datagram)?;
                let slot = self.slots_by_key.get(&key);
                (*slot.ok_or(DropReason::UnknownPeer)?, true)
            }
            Addressee::Response(_) if !self.admission.admits(source.ip()) => {
                return Err(DropReason::TooManyHandshakes);
            }
            Addressee::Response(slot) | Addressee::Session(slot) => (slot, true),
            Addressee::CookieReply(slot) => (slot, false),
        };
        let member = self.members.get_mut(&slot).ok_or(DropReason::Stale)?;
        let answer = |bytes: &[u8]| {
            effects.push(Effect::Datagram {
                to: source,
                bytes: bytes.to_vec(),
            });
        };
        let packet = member.tunnel.open(datagram, &mut self.scratch, answer)?;
        if proves_place {
            member.heard_from(source, now);
        }
        match packet {
            Some(packet) => self.deliver(slot, packet, now, effects),
            None => Ok(()),
        }
    }

    /// Hands on what a peer sent.
    fn deliver(
        &mut self,
        slot: u32,
        packet: Vec<u8>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DropReason> {
        let (source, destination) = packet::addresses(&packet).ok_or(DropReason::NotIp)?;
        if self.route(source) != Some(slot) {
            return Err(DropReason::WrongSource);
        }
        let ours = |subnet: &Subnet| subnet.address() == destination;
        if self.settings.addresses.iter().any(ours)
            && let Some(datagram) = packet::unwrap(&packet)
            && datagram.destination_port == self.settings.message_port
        {
            let member = self.members.get_mut(&slot).ok_or(DropReason::Stale)?;
            let message = member.receive_message(datagram, now)?;
            effects.extend(message.map(|(from, bytes)| Effect::Message { from, bytes }));
            return Ok(());
        }
        if self.settings.interface.is_none() {
            return Err(DropReason::NoInterface);
        }
        effects.push(Effect::Packet(packet));
        Ok(())
    }

    fn route(&self, address: IpAddr) -> Option<u32> {
        let route = self
            .routes
            .iter()
            .find(|(subnet, _)| subnet.contains(address));
        route.map(|(_, slot)| *slot)
    }
}

/// Which of our addresses speaks to `peer`: one of the same network if there is one, else one of the same family.
fn own_address(addresses: &[Subnet], peer: IpAddr) -> Option<IpAddr> {
    let near = addresses.iter().find(|subnet| subnet.contains(peer));
    let family = |subnet: &&Subnet| subnet.address().is_ipv4() == peer.is_ipv4();
    let subnet = near.or_else(|| addresses.iter().find(family))?;
    Some(subnet.address())
}
