//! The header of a fragment, 18 bytes, integers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | zero |
//! | 2 | chunk: bytes of the message in each fragment but the last |
//! | 2 | index of this fragment, from 0 |
//! | 4 | total: bytes of the whole message |
//! | 8 | id of the message, rising per sender and receiver |

use std::ops::Range;

use super::MAX_MESSAGE_BYTES;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 18;

const VERSION: u8 = 1;

/// Smallest chunk that is accepted, so that a message has at most 128 fragments. A tunnel's MTU is at least 1280, the
/// least that IPv6 allows, which leaves more than twice as much.
const MIN_CHUNK_BYTES: usize = 512;

/// How a message was cut, and which piece this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub id: u64,
    pub total: u32,
    pub chunk: u16,
    pub index: u16,
}

impl Header {
    /// The header of the first fragment of a message.
    pub fn first(id: u64, total: usize, chunk_bytes: usize) -> Self {
        let chunk = chunk_bytes.clamp(MIN_CHUNK_BYTES, usize::from(u16::MAX));
        Self {
            id,
            total: u32::try_from(total).unwrap_or(u32::MAX),
            chunk: u16::try_from(chunk).unwrap_or(u16::MAX),
            index: 0,
        }
    }

    /// How many fragments the message has. An empty one has one.
    pub fn count(&self) -> u16 {
        let count = self.total.div_ceil(u32::from(self.chunk)).max(1);
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Which bytes of the message this fragment holds.
    pub fn range(&self) -> Range<usize> {
        let chunk = usize::from(self.chunk);
        let start = usize::from(self.index) * chunk;
        start..(start + chunk).min(self.total as usize)
    }

    /// Whether `other` is of a message that was cut the same way.
    pub fn same_message(&self, other: &Self) -> bool {
        (self.id, self.total, self.chunk) == (other.id, other.total, other.chunk)
    }

    pub fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&[VERSION, 0]);
        into.extend_from_slice(&self.chunk.to_be_bytes());
        into.extend_from_slice(&self.index.to_be_bytes());
        into.extend_from_slice(&self.total.to_be_bytes());
        into.extend_from_slice(&self.id.to_be_bytes());
    }

    /// Reads a fragment: its header, and the piece behind it, which has exactly the length that the header implies.
    pub fn decode(fragment: &[u8]) -> Option<(Self, &[u8])> {
        let (version, rest) = fragment.split_first_chunk()?;
        let (chunk, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (total, rest) = rest.split_first_chunk()?;
        let (id, piece) = rest.split_first_chunk()?;
        let header = Self {
            id: u64::from_be_bytes(*id),
            total: u32::from_be_bytes(*total),
            chunk: u16::from_be_bytes(*chunk),
            index: u16::from_be_bytes(*index),
        };
        let sane = *version == [VERSION, 0]
            && usize::from(header.chunk) >= MIN_CHUNK_BYTES
            && header.total as usize <= MAX_MESSAGE_BYTES
            && header.index < header.count()
            && header.range().len() == piece.len();
        sane.then_some((header, piece))
    }
}
