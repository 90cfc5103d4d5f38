//! Which peers there are: checking a new list, and going from the old one to it without breaking tunnels that stay.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::member::Member;
use super::{Device, Effect, own_address};
use crate::key::PublicKey;
use crate::peer::{Peer, PeerName};
use crate::subnet::Subnet;
use crate::tunnel::MAX_SLOTS;

/// Most peers of one node. Clusters have a handful; this bounds what a broken list can cost.
pub const MAX_PEERS: usize = 1024;

/// A list of peers that cannot be used. The old one stays in force.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RosterError {
    /// Too many.
    #[error("{0} peers are more than the {MAX_PEERS} that one node can have")]
    TooMany(usize),
    /// A name twice.
    #[error("two peers are called `{0}`; give each its own name")]
    NameTwice(PeerName),
    /// A key twice.
    #[error("peer `{0}` has the public key of another peer")]
    KeyTwice(PeerName),
    /// A network twice: packets to it would have two ways.
    #[error("peer `{0}` has an address or route that another peer has, too")]
    AddressTwice(PeerName),
    /// This node itself.
    #[error("peer `{0}` has this node's own public key; leave this node out of its own list")]
    Own(PeerName),
    /// This node's own address.
    #[error("peer `{0}` has this node's own address")]
    OwnAddress(PeerName),
    /// No common address family.
    #[error("peer `{0}` has an address of a family (IPv4, IPv6) in which this node has none")]
    Family(PeerName),
}

impl Device {
    /// Replaces the list of peers. A peer whose keys and keep-alive stay keeps its sessions; one that is gone is refused
    /// from now on. Tunnels with keep-alive are started at once.
    ///
    /// # Errors
    /// A [`RosterError`] when the list contradicts itself; nothing has changed then.
    pub fn set_peers(
        &mut self,
        peers: Vec<Peer>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), RosterError> {
        self.check(&peers)?;
        let stays: HashSet<PublicKey> = peers.iter().map(|peer| peer.public_key).collect();
        self.members
            .retain(|_, member| stays.contains(&member.peer.public_key));
        let mut old = std::mem::take(&mut self.slots_by_key);
        self.slots_by_name.clear();
        self.routes.clear();
        for peer in peers {
            let slot = old
                .remove(&peer.public_key)
                .unwrap_or_else(|| self.free_slot());
            self.slots_by_key.insert(peer.public_key, slot);
            self.slots_by_name.insert(peer.name.clone(), slot);
            self.routes
                .extend(peer.allowed().map(|subnet| (subnet, slot)));
            match self.members.get_mut(&slot) {
                Some(member) if same_tunnel(&member.peer, &peer) => member.update(peer),
                _ => {
                    let mut member = Member::new(&self.identity, peer, slot, now);
                    member.start(&mut self.scratch, effects);
                    self.members.insert(slot, member);
                }
            }
        }
        self.routes
            .sort_by_key(|(subnet, _)| std::cmp::Reverse(subnet.prefix()));
        Ok(())
    }

    /// All networks that peers have, for the routes of an interface.
    pub fn networks(&self) -> Vec<Subnet> {
        self.routes
            .iter()
            .map(|(subnet, _)| subnet.network())
            .collect()
    }

    /// Peers that are known by a host name and cannot be reached: they are to be looked up.
    pub fn lookups(&self) -> Vec<(PublicKey, String, u16)> {
        let wanted = self.members.values().filter_map(|member| {
            let (host, port) = member.wants_lookup()?;
            Some((member.peer.public_key, host.to_owned(), port))
        });
        wanted.collect()
    }

    /// The answer to one of [`Device::lookups`].
    pub fn looked_up(&mut self, peer: &PublicKey, place: SocketAddr, effects: &mut Vec<Effect>) {
        let slot = self.slots_by_key.get(peer);
        if let Some(member) = slot.and_then(|slot| self.members.get_mut(slot)) {
            member.looked_up(place, &mut self.scratch, effects);
        }
    }

    fn check(&self, peers: &[Peer]) -> Result<(), RosterError> {
        if peers.len() > MAX_PEERS {
            return Err(RosterError::TooMany(peers.len()));
        }
        let (mut names, mut keys, mut networks) = (HashSet::new(), HashSet::new(), HashSet::new());
        for peer in peers {
            let name = || peer.name.clone();
            if peer.public_key == self.public_key() {
                return Err(RosterError::Own(name()));
            }
            if !names.insert(&peer.name) {
                return Err(RosterError::NameTwice(name()));
            }
            if !keys.insert(peer.public_key) {
                return Err(RosterError::KeyTwice(name()));
            }
            if self.is_own(peer.address) {
                return Err(RosterError::OwnAddress(name()));
            }
            if own_address(&self.settings.addresses, peer.address).is_none() {
                return Err(RosterError::Family(name()));
            }
            // Within one peer a network may be named twice; between two it may not.
            let own: HashSet<_> = peer.allowed().map(|subnet| subnet.network()).collect();
            if !own.into_iter().all(|network| networks.insert(network)) {
                return Err(RosterError::AddressTwice(name()));
            }
        }
        Ok(())
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.settings
            .addresses
            .iter()
            .any(|subnet| subnet.address() == address)
    }

    /// A number that no peer has. There are far more numbers than peers.
    fn free_slot(&mut self) -> u32 {
        loop {
            let slot = self.next_slot;
            self.next_slot = (slot + 1) % MAX_SLOTS;
            if !self.members.contains_key(&slot) {
                return slot;
            }
        }
    }
}

/// Whether the tunnel of one serves the other.
fn same_tunnel(old: &Peer, new: &Peer) -> bool {
    old.public_key == new.public_key
        && old.preshared_key == new.preshared_key
        && old.keepalive_seconds == new.keepalive_seconds
}
