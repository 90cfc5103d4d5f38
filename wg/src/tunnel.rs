//! The only file that speaks to boringtun, so that its version, or the library, can be changed here alone.
//!
//! Owns [`Identity`] (our key, and what can be said of a datagram before its peer is known) and [`Tunnel`] (the sessions
//! with one peer). boringtun gives the Noise handshake, rekeying, the replay window, cookies and timers; it reads the
//! clock and the system's randomness itself. It panics when a buffer is too small, so every call goes through
//! [`Scratch`], whose size covers the longest datagram, and longer packets are refused here.
//!
//! Limits of boringtun that stay: it keeps preshared keys in memory that is not wiped, and after a restart it accepts old
//! initiations of a peer once more each, if they are replayed in order; that can push live sessions out, which the next
//! handshake repairs, but opens nothing.
//!
//! What boringtun leaves open is closed here: counters past the protocol's end are refused, a tunnel with keep-alive is
//! revived for ever and not given up after 90 s, and packets that waited for a handshake are sent as soon as there is a
//! session, whichever side made it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey as Point, StaticSecret};

use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::peer::Peer;

/// Longest IP packet that fits into a datagram: 65 535 bytes less the IPv6 and UDP headers outside (48) and WireGuard's
/// own 32.
pub(crate) const MAX_PACKET_BYTES: usize = 65_535 - 48 - 32;

/// Longest datagram that UDP can carry.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// Handshakes a second from which on a sender must prove by a cookie that it receives at its address; the number that
/// the reference implementations use is of this order. A handshake costs about 0.1 ms.
const HANDSHAKES_PER_SECOND_BEFORE_COOKIES: u64 = 100;

/// First counter that must not be used any more: REJECT-AFTER-MESSAGES in section 6.1 of the WireGuard paper.
const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);

/// Low bits of a session index that boringtun numbers a peer's sessions with; the bits above say which peer it is.
const SESSION_BITS: u32 = 8;

/// How many peers the bits above [`SESSION_BITS`] can tell apart.
pub(crate) const MAX_SLOTS: u32 = 1 << (32 - SESSION_BITS);

/// The room in which packets are sealed and opened.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(vec![0; MAX_DATAGRAM_BYTES].into_boxed_slice())
    }
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It is no WireGuard message.
    Malformed,
    /// Its proofs do not hold: wrong keys, a forgery, or noise.
    Forged,
    /// It came before, or so late that nobody can tell.
    Replayed,
    /// It is of a session or handshake that is not known (any more).
    Stale,
}

impl From<WireGuardError> for Refusal {
    fn from(error: WireGuardError) -> Self {
        match error {
            WireGuardError::InvalidCounter
            | WireGuardError::DuplicateCounter
            | WireGuardError::WrongTai64nTimestamp => Self::Replayed,
            WireGuardError::WrongIndex
            | WireGuardError::NoCurrentSession
            | WireGuardError::ConnectionExpired
            | WireGuardError::UnexpectedPacket => Self::Stale,
            WireGuardError::WrongKey
            | WireGuardError::InvalidMac
            | WireGuardError::InvalidAeadTag => Self::Forged,
            _ => Self::Malformed,
        }
    }
}

/// Whom a datagram is for, as far as its outside tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Addressee {
    /// Somebody wants a handshake; [`Identity::initiator`] tells who.
    Initiation,
    /// The peer with this number, which answers a handshake of ours. Costs as much as an initiation to look at.
    Response(u32),
    /// The peer with this number; whoever made the datagram holds that peer's keys if it opens.
    Session(u32),
    /// The peer with this number, but anybody on the way could have made it: no proof of where the peer is.
    CookieReply(u32),
    /// Nobody: we are under load, and this cookie goes back to the sender instead.
    Cookie(Vec<u8>),
}

/// Who we are.
pub(crate) struct Identity {
    secret: StaticSecret,
    public: Point,
    /// Guards the handshakes of all peers together.
    gate: RateLimiter,
    /// Handed to each tunnel, which would otherwise count, and limit, handshakes a second time.
    open_gate: Arc<RateLimiter>,
}

impl Identity {
    pub(crate) fn new(private: &PrivateKey) -> Self {
        let secret = StaticSecret::from(*private.expose());
        let public = Point::from(&secret);
        Self {
            gate: RateLimiter::new(&public, HANDSHAKES_PER_SECOND_BEFORE_COOKIES),
            open_gate: Arc::new(RateLimiter::new(&public, u64::MAX)),
            secret,
            public,
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.public.to_bytes())
    }

    /// Looks at a datagram from outside: its form, and for handshakes the two MACs.
    pub(crate) fn addressee(&self, source: IpAddr, datagram: &[u8]) -> Result<Addressee, Refusal> {
        // A cookie reply is 64 bytes (section 5.4.7 of the paper).
        let mut cookie = [0; 64];
        match self.gate.verify_packet(Some(source), datagram, &mut cookie) {
            Ok(Packet::HandshakeInit(_)) => Ok(Addressee::Initiation),
            Ok(Packet::HandshakeResponse(packet)) => {
                Ok(Addressee::Response(slot(packet.receiver_idx)))
            }
            Ok(Packet::PacketCookieReply(packet)) => {
                Ok(Addressee::CookieReply(slot(packet.receiver_idx)))
            }
            Ok(Packet::PacketData(_)) if counter(datagram) >= REJECT_AFTER_MESSAGES => {
                Err(Refusal::Malformed)
            }
            Ok(Packet::PacketData(packet)) => Ok(Addressee::Session(slot(packet.receiver_idx))),
            Err(TunnResult::WriteToNetwork(reply)) => Ok(Addressee::Cookie(reply.to_vec())),
            Err(TunnResult::Err(error)) => Err(error.into()),
            Err(_) => Err(Refusal::Malformed),
        }
    }

    /// Who sent a handshake initiation. Costs one Diffie-Hellman; proves only that the sender knows our public key.
    pub(crate) fn initiator(&self, datagram: &[u8]) -> Result<PublicKey, Refusal> {
        match Tunn::parse_incoming_packet(datagram)? {
            Packet::HandshakeInit(packet) => {
                let half = parse_handshake_anon(&self.secret, &self.public, &packet)?;
                Ok(PublicKey::from_bytes(half.peer_static_public))
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// Lets time pass for the gate: it counts handshakes per second.
    pub(crate) fn tick(&self) {
        self.gate.reset_count();
    }
}

/// The sessions with one peer.
pub(crate) struct Tunnel {
    tunn: Tunn,
    /// Zero: none.
    keepalive: Duration,
    revive_at: Duration,
}

/// How a tunnel does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// How old the newest handshake is; none without a session to send with.
    pub handshake_age: Option<Duration>,
    /// Bytes of packets sent, without WireGuard's own.
    pub sent_bytes: u64,
    /// Bytes of packets received, without WireGuard's own.
    pub received_bytes: u64,
}

impl Tunnel {
    /// A tunnel without a session yet. `slot` must be below [`MAX_SLOTS`] and of no other peer.
    pub(crate) fn new(identity: &Identity, peer: &Peer, slot: u32) -> Self {
        let keepalive = peer.keepalive_seconds.map(u16::from);
        Self {
            tunn: Tunn::new(
                identity.secret.clone(),
                Point::from(*peer.public_key.as_bytes()),
                peer.preshared_key
                    .as_ref()
                    .map(|key| *PresharedKey::expose(key)),
                keepalive,
                slot,
                Some(Arc::clone(&identity.open_gate)),
            ),
            keepalive: Duration::from_secs(keepalive.unwrap_or(0).into()),
            revive_at: Duration::ZERO,
        }
    }

    /// Sends an IP packet, or keeps it until there is a session: at most 256 of them, for at most 90 s.
    /// Packets longer than [`MAX_PACKET_BYTES`] are dropped; callers check that before.
    pub(crate) fn seal(
        &mut self,
        packet: &[u8],
        scratch: &mut Scratch,
        mut wire: impl FnMut(&[u8]),
    ) {
        if packet.len() <= MAX_PACKET_BYTES
            && let TunnResult::WriteToNetwork(datagram) =
                self.tunn.encapsulate(packet, &mut scratch.0)
        {
            wire(datagram);
        }
    }

    /// Opens a datagram that [`Identity::addressee`] let through. Answers go to `wire`; what comes back is the IP packet
    /// inside, if there was one. `Ok` means that the peer itself made the datagram.
    pub(crate) fn open(
        &mut self,
        datagram: &[u8],
        scratch: &mut Scratch,
        mut wire: impl FnMut(&[u8]),
    ) -> Result<Option<Vec<u8>>, Refusal> {
        // An empty datagram would mean something else to boringtun.
        if datagram.is_empty() || datagram.len() > MAX_DATAGRAM_BYTES {
            return Err(Refusal::Malformed);
        }
        let packet = match self.tunn.decapsulate(None, datagram, &mut scratch.0) {
            TunnResult::Err(error) => return Err(error.into()),
            TunnResult::Done => None,
            TunnResult::WriteToNetwork(answer) => {
                wire(answer);
                None
            }
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                Some(packet.to_vec())
            }
        };
        self.send_waiting(scratch, wire);
        Ok(packet)
    }

    /// Lets time pass: rekeys, keep-alives, repeated handshakes. To be called a few times a second.
    /// `now` counts from any fixed moment.
    pub(crate) fn tick(
        &mut self,
        now: Duration,
        scratch: &mut Scratch,
        mut wire: impl FnMut(&[u8]),
    ) {
        match self.tunn.update_timers(&mut scratch.0) {
            TunnResult::WriteToNetwork(datagram) => wire(datagram),
            TunnResult::Err(WireGuardError::ConnectionExpired)
                if !self.keepalive.is_zero() && now >= self.revive_at =>
            {
                self.revive_at = now + self.keepalive;
                self.initiate(scratch, wire);
            }
            _ => {}
        }
    }

    /// Starts a handshake unless one is under way.
    pub(crate) fn initiate(&mut self, scratch: &mut Scratch, mut wire: impl FnMut(&[u8])) {
        let started = self.tunn.format_handshake_initiation(&mut scratch.0, false);
        if let TunnResult::WriteToNetwork(datagram) = started {
            wire(datagram);
        }
    }

    /// What boringtun does by itself five seconds after a handshake without an answer.
    #[cfg(test)]
    pub(crate) fn retry(&mut self, scratch: &mut Scratch, mut wire: impl FnMut(&[u8])) {
        if let TunnResult::WriteToNetwork(datagram) =
            self.tunn.format_handshake_initiation(&mut scratch.0, true)
        {
            wire(datagram);
        }
    }

    /// Whether boringtun has given the peer up for lost, for now.
    pub(crate) fn is_expired(&self) -> bool {
        self.tunn.is_expired()
    }

    pub(crate) fn health(&self) -> Health {
        let (handshake_age, sent, received, _, _) = self.tunn.stats();
        Health {
            handshake_age,
            sent_bytes: sent as u64,
            received_bytes: received as u64,
        }
    }

    /// Sends what waited for a session. Without one nothing is taken out of the queue: boringtun would put it back in at
    /// the end, out of order.
    fn send_waiting(&mut self, scratch: &mut Scratch, mut wire: impl FnMut(&[u8])) {
        if self.tunn.time_since_last_handshake().is_none() {
            return;
        }
        while let TunnResult::WriteToNetwork(datagram) =
            self.tunn.decapsulate(None, &[], &mut scratch.0)
        {
            wire(datagram);
        }
    }
}

/// The public half of a private key.
pub(crate) fn public_of(private: &PrivateKey) -> PublicKey {
    let secret = StaticSecret::from(*private.expose());
    PublicKey::from_bytes(Point::from(&secret).to_bytes())
}

/// Which peer a session index belongs to.
fn slot(index: u32) -> u32 {
    index >> SESSION_BITS
}

/// The counter of a data message, whose length was checked before: bytes 8 to 16 (section 5.4.6 of the paper).
fn counter(datagram: &[u8]) -> u64 {
    let bytes = datagram.get(8..16).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(u64::MAX, u64::from_le_bytes)
}
