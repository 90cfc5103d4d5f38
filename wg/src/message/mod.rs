//! Messages of up to 64 KiB over packets that hold a bit more than a kilobyte.
//!
//! Owns the cutting ([`fragments`]) and the joining ([`Reassembler`]). Every fragment says how the whole message was cut,
//! so each can be checked by itself and they may come in any order. A message whose fragments do not all arrive in time is
//! dropped whole: nothing here repeats a packet. Memory grows with what arrived, not with what a fragment claims, and is
//! bounded per peer. The wire format is in [`header`].

mod header;
mod reassemble;
#[cfg(test)]
mod tests;

pub(crate) use header::HEADER_BYTES;
pub(crate) use reassemble::{Joined, Reassembler};

use header::Header;

/// Longest message in bytes. A message is lost when one of its packets is, so much longer ones would mostly be lost on a
/// bad line; 64 KiB makes some 50 packets.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The fragments of a message, each with its header. `chunk_bytes` is how much of the message fits into a packet; it is
/// brought into the bounds that receivers accept. `id` must not be used twice towards the same peer.
pub(crate) fn fragments(
    message: &[u8],
    id: u64,
    chunk_bytes: usize,
) -> impl Iterator<Item = Vec<u8>> + '_ {
    let whole = Header::first(id, message.len(), chunk_bytes);
    (0..whole.count()).filter_map(move |index| {
        let header = Header { index, ..whole };
        let piece = message.get(header.range())?;
        let mut fragment = Vec::with_capacity(HEADER_BYTES + piece.len());
        header.encode(&mut fragment);
        fragment.extend_from_slice(piece);
        Some(fragment)
    })
}
