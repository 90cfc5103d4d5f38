//! [`Port`]: what the actor needs of a transport.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::id::NodeName;

/// A packet was not sent. It may be sent again later; the protocol does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the packet was not sent")]
pub struct NotSent;

/// Packets between named nodes. Every implementation encrypts, proves who sent a packet, and delivers it whole or not at
/// all; it may lose, repeat and reorder packets, and must not wait without bound.
#[async_trait]
pub trait Port: Send + Sync + 'static {
    /// Sends a packet of at most [`MAX_MESSAGE_BYTES`](crate::wire::MAX_MESSAGE_BYTES).
    ///
    /// # Errors
    /// [`NotSent`] when it is known that it will not arrive.
    async fn send(&self, to: &NodeName, packet: Zeroizing<Vec<u8>>) -> Result<(), NotSent>;

    /// The next packet and who sent it; `None` when the transport has stopped.
    async fn recv(&self) -> Option<(NodeName, Zeroizing<Vec<u8>>)>;
}
