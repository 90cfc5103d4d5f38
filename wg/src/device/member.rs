//! [`Member`]: one peer with its tunnel, its place outside, and its half-received messages.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{DropReason, Effect, Settings};
use crate::message::{self, Joined, Reassembler};
use crate::packet::{self, Datagram};
use crate::peer::{Endpoint, Peer, PeerName};
use crate::transport::{PeerStats, SendError};
use crate::tunnel::{Identity, Scratch, Tunnel};

pub(super) struct Member {
    pub peer: Peer,
    pub tunnel: Tunnel,
    endpoint: Option<SocketAddr>,
    reassembler: Reassembler,
    next_message_id: u64,
    handshake_at: Option<Duration>,
    heard_at: Option<Duration>,
}

impl Member {
    pub fn new(identity: &Identity, peer: Peer, slot: u32, now: Duration) -> Self {
        Self {
            tunnel: Tunnel::new(identity, &peer, slot),
            endpoint: fixed(peer.endpoint.as_ref()),
            peer,
            reassembler: Reassembler::default(),
            // Above all that an earlier life of this node has used.
            next_message_id: u64::try_from(now.as_nanos()).unwrap_or(0),
            handshake_at: None,
            heard_at: None,
        }
    }

    /// Takes over what the list says now about a peer whose keys and timers are the same.
    pub fn update(&mut self, peer: Peer) {
        if self.peer.endpoint != peer.endpoint {
            self.endpoint = fixed(peer.endpoint.as_ref()).or(self.endpoint);
        }
        self.peer = peer;
    }

    /// Starts a handshake now when the tunnel is to be kept up, and it is known where to.
    pub fn start(&mut self, scratch: &mut Scratch, effects: &mut Vec<Effect>) {
        if let Some(to) = self.endpoint
            && self.peer.keepalive_seconds.is_some()
        {
            self.tunnel.initiate(scratch, push(effects, to));
        }
    }

    /// The peer proved just now that it is at `place`.
    pub fn heard_from(&mut self, place: SocketAddr, now: Duration) {
        self.heard_at = Some(now);
        if self.endpoint != Some(place) {
            tracing::debug!(peer = %self.peer.name, %place, "peer is at a new place");
            self.endpoint = Some(place);
        }
    }

    /// A host name was looked up. Where the peer was heard in a living session counts more.
    pub fn looked_up(
        &mut self,
        place: SocketAddr,
        scratch: &mut Scratch,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_up() && self.endpoint != Some(place) {
            self.endpoint = Some(place);
            self.start(scratch, effects);
        }
    }

    /// The host name and port to look up, as long as the peer cannot be reached.
    pub fn wants_lookup(&self) -> Option<(&str, u16)> {
        match &self.peer.endpoint {
            Some(Endpoint::Name { host, port }) if !self.is_up() => Some((host, *port)),
            _ => None,
        }
    }

    pub fn send_message(
        &mut self,
        source: IpAddr,
        settings: &Settings,
        message: &[u8],
        scratch: &mut Scratch,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SendError> {
        let to = self.endpoint.ok_or(SendError::Unreachable)?;
        let id = self.next_message_id;
        self.next_message_id = id.wrapping_add(1);
        let overhead = packet::overhead_bytes(source) + message::HEADER_BYTES;
        let chunk = usize::from(settings.mtu).saturating_sub(overhead);
        for fragment in message::fragments(message, id, chunk) {
            let packet = packet::wrap(source, self.peer.address, settings.message_port, &fragment);
            let packet = packet.ok_or(SendError::Unreachable)?;
            self.tunnel.seal(&packet, scratch, push(effects, to));
        }
        Ok(())
    }

    pub fn send_packet(
        &mut self,
        packet: &[u8],
        scratch: &mut Scratch,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SendError> {
        let to = self.endpoint.ok_or(SendError::Unreachable)?;
        self.tunnel.seal(packet, scratch, push(effects, to));
        Ok(())
    }

    /// Takes a datagram for the message port; answers the message that it completes.
    pub fn receive_message(
        &mut self,
        datagram: Datagram<'_>,
        now: Duration,
    ) -> Result<Option<(PeerName, Vec<u8>)>, DropReason> {
        if datagram.source != self.peer.address {
            return Err(DropReason::WrongSource);
        }
        match self.reassembler.accept(datagram.payload, now) {
            Joined::Message(message) => Ok(Some((self.peer.name.clone(), message))),
            Joined::Waiting => Ok(None),
            Joined::Malformed => Err(DropReason::BadMessage),
        }
    }

    pub fn tick(&mut self, now: Duration, scratch: &mut Scratch, effects: &mut Vec<Effect>) {
        if self.tunnel.is_expired()
            && let Some(place) = fixed(self.peer.endpoint.as_ref())
        {
            // Wherever it was heard last, it is not there any more.
            self.endpoint = Some(place);
        }
        match self.endpoint {
            Some(to) => self.tunnel.tick(now, scratch, push(effects, to)),
            None => self.tunnel.tick(now, scratch, |_| {}),
        }
        self.reassembler.expire(now);
        if let Some(age) = self.tunnel.health().handshake_age {
            self.handshake_at = Some(now.saturating_sub(age));
        }
    }

    pub fn take_lost(&mut self) -> u64 {
        self.reassembler.take_lost()
    }

    pub fn stats(&self, now: Duration) -> PeerStats {
        let health = self.tunnel.health();
        let age = |moment: Duration| now.saturating_sub(moment);
        PeerStats {
            name: self.peer.name.clone(),
            public_key: self.peer.public_key,
            address: self.peer.address,
            endpoint: self.endpoint,
            up: self.is_up(),
            handshake_age: health.handshake_age.or_else(|| self.handshake_at.map(age)),
            heard_age: self.heard_at.map(age),
            sent_bytes: health.sent_bytes,
            received_bytes: health.received_bytes,
        }
    }

    fn is_up(&self) -> bool {
        self.tunnel.health().handshake_age.is_some()
    }
}

fn fixed(endpoint: Option<&Endpoint>) -> Option<SocketAddr> {
    match endpoint {
        Some(Endpoint::Address(address)) => Some(*address),
        _ => None,
    }
}

fn push(effects: &mut Vec<Effect>, to: SocketAddr) -> impl FnMut(&[u8]) {
    move |bytes| {
        effects.push(Effect::Datagram {
            to,
            bytes: bytes.to_vec(),
        })
    }
}
