//! [`Transport`]: messages between named peers, whatever carries them.
//!
//! Promises of every implementation, checked by one suite: a message comes out whole, unchanged, and with the name of
//! the peer that really sent it, or not at all; nothing waits without bound; sending to a name that is not on the list is
//! refused. It promises no delivery and no order: who needs an answer asks again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::device::Drops;
use crate::key::PublicKey;
use crate::peer::PeerName;

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody of that name.
    #[error("no peer has that name")]
    UnknownPeer,
    /// Longer than [`crate::message::MAX_MESSAGE_BYTES`].
    #[error("the message is longer than 64 KiB")]
    TooLong,
    /// It is not known where the peer is; it has to speak first.
    #[error("it is not known where the peer is")]
    Unreachable,
    /// Too much is waiting to be sent already. Try again later, or drop it.
    #[error("too many messages are waiting to be sent")]
    Full,
    /// The transport was stopped.
    #[error("the transport has stopped")]
    Closed,
}

/// The transport was stopped; no more messages come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the transport has stopped")]
pub struct Closed;

/// A message that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Who sent it; proven.
    pub from: PeerName,
    /// What was sent.
    pub message: Vec<u8>,
}

/// How one peer does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStats {
    /// The peer.
    pub name: PeerName,
    /// Who it is.
    pub public_key: PublicKey,
    /// Its address inside the tunnel.
    pub address: IpAddr,
    /// Where it was last heard, or is looked for.
    pub endpoint: Option<SocketAddr>,
    /// Whether there is a session to send with.
    pub up: bool,
    /// How old the last handshake is.
    pub handshake_age: Option<Duration>,
    /// How long ago it was last heard.
    pub heard_age: Option<Duration>,
    /// Bytes sent to it, without WireGuard's own.
    pub sent_bytes: u64,
    /// Bytes received from it, without WireGuard's own.
    pub received_bytes: u64,
}

/// How a transport does. A snapshot, renewed a few times a second.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransportStats {
    /// Each peer, by name.
    pub peers: Vec<PeerStats>,
    /// What was dropped, and why.
    pub drops: Drops,
}

/// Messages between named peers.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a message of at most [`crate::message::MAX_MESSAGE_BYTES`]. `Ok` says that it is on its way, not that it
    /// arrived.
    ///
    /// # Errors
    /// A [`SendError`]; the message was not sent then.
    async fn send(&self, to: &PeerName, message: Vec<u8>) -> Result<(), SendError>;

    /// The next message. At most one caller is served at a time.
    ///
    /// # Errors
    /// [`Closed`] when the transport was stopped and nothing is left.
    async fn recv(&self) -> Result<Received, Closed>;

    /// How peers and counters stand.
    fn stats(&self) -> Arc<TransportStats>;
}
