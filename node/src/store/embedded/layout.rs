//! Where things lie in a [`CheckedFile`](super::checked_file::CheckedFile), and what a checksum is. Pure.

use std::io::{Error, ErrorKind, Result};
use std::ops::Range;

use sha2::{Digest, Sha256};

/// Bytes of a block, the unit of checking; also redb's page.
pub(super) const BLOCK: usize = 4096;
pub(super) const BLOCK_LENGTH: u64 = BLOCK as u64;
/// How many checksums fill a block.
pub(super) const GROUP: usize = BLOCK / size_of::<u64>();

const MAGIC: &[u8; 16] = b"conclave store 1";
/// Bytes of redb's header.
const HEADER: usize = 320;
/// Bytes of block 0 in use.
pub(super) const PREAMBLE: usize = 16 + 8 + 16 + HEADER;
const _: () = assert!(
    PREAMBLE <= 512,
    "disks write one sector whole or not at all"
);

/// What block 0 holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// The length that redb sees.
    pub(super) length: u64,
    /// redb's own header.
    pub(super) redb: [u8; HEADER],
}

impl Header {
    /// Of a file that redb has yet to fill.
    pub(super) fn empty() -> Self {
        Self {
            length: 0,
            redb: [0; HEADER],
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [
            &MAGIC[..],
            &self.length.to_le_bytes(),
            &self.sum(),
            &self.redb,
        ]
        .concat()
    }

    /// Reads the beginning of a file, at most [`PREAMBLE`] bytes of it.
    pub(super) fn decode(preamble: &[u8]) -> Result<Self> {
        let rest = preamble
            .strip_prefix(MAGIC)
            .ok_or_else(|| invalid("the file is not a Conclave store"))?;
        let cut_short = || invalid("the file is cut short");
        let (length, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let (sum, rest) = rest.split_first_chunk::<16>().ok_or_else(cut_short)?;
        let (redb, _) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let header = Self {
            length: u64::from_le_bytes(*length),
            redb: *redb,
        };
        if header.sum() != *sum {
            return Err(invalid("the file's first block is damaged"));
        }
        Ok(header)
    }

    fn sum(&self) -> [u8; 16] {
        let digest = Sha256::new()
            .chain_update(self.length.to_le_bytes())
            .chain_update(self.redb);
        let mut sum = [0; 16];
        sum.copy_from_slice(digest.finalize().split_at(16).0);
        sum
    }
}

/// Consecutive blocks of one group.
pub(super) struct Run {
    /// The index of the first block's checksum.
    pub(super) first: usize,
    /// Where it lies in the file.
    pub(super) physical: u64,
    /// Which of the caller's bytes these are.
    pub(super) bytes: Range<usize>,
}

/// Splits whole blocks at the borders of groups.
pub(super) fn runs(offset: u64, length: usize) -> Result<Vec<Run>> {
    if !offset.is_multiple_of(BLOCK_LENGTH) || !length.is_multiple_of(BLOCK) {
        return Err(out_of_range());
    }
    let mut first = usize::try_from(offset / BLOCK_LENGTH - 1).map_err(|_| out_of_range())?;
    let mut begin = 0;
    let mut runs = Vec::with_capacity(1);
    while begin < length {
        let blocks = (GROUP - first % GROUP).min((length - begin) / BLOCK);
        let end = begin + blocks * BLOCK;
        runs.push(Run {
            first,
            physical: block_offset(first),
            bytes: begin..end,
        });
        first += blocks;
        begin = end;
    }
    Ok(runs)
}

/// Where in the file the block with checksum `index` lies.
pub(super) fn block_offset(index: usize) -> u64 {
    sums_offset(index / GROUP) + (1 + (index % GROUP) as u64) * BLOCK_LENGTH
}

/// Where in the file a group's checksums lie.
pub(super) fn sums_offset(group: usize) -> u64 {
    (1 + group as u64 * (GROUP as u64 + 1)) * BLOCK_LENGTH
}

/// How long the file is that shows redb `length` bytes.
pub(super) fn physical_length(length: u64) -> u64 {
    let blocks = length.div_ceil(BLOCK_LENGTH).saturating_sub(1);
    (1 + blocks + blocks.div_ceil(GROUP as u64)) * BLOCK_LENGTH
}

/// What redb sees of a file of `physical` bytes; `None` if no such file can be.
pub(super) fn logical_length(physical: u64) -> Option<u64> {
    let behind_header = (physical / BLOCK_LENGTH).checked_sub(1)?;
    let groups = behind_header.div_ceil(GROUP as u64 + 1);
    let length = (1 + behind_header - groups) * BLOCK_LENGTH;
    (physical_length(length) == physical).then_some(length)
}

/// The first 8 bytes of a SHA-256 over position and content; the position, so that a block written to the wrong place
/// is noticed as well. Never 0, which stands for a block that was not written.
pub(super) fn checksum(index: usize, block: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update((index as u64).to_le_bytes())
        .chain_update(block);
    let mut first = [0; 8];
    first.copy_from_slice(digest.finalize().split_at(8).0);
    u64::from_le_bytes(first).max(1)
}

pub(super) fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

pub(super) fn out_of_range() -> Error {
    Error::new(ErrorKind::InvalidInput, "no whole blocks of the file")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_follow_their_checksums_and_never_overlap() {
        let mut next = BLOCK_LENGTH;
        for index in 0..3 * GROUP {
            if index % GROUP == 0 {
                assert_eq!(sums_offset(index / GROUP), next);
                next += BLOCK_LENGTH;
            }
            assert_eq!(block_offset(index), next);
            next += BLOCK_LENGTH;
            let length = (index as u64 + 2) * BLOCK_LENGTH;
            assert_eq!(physical_length(length), next);
            assert_eq!(logical_length(next), Some(length));
            assert_eq!(logical_length(next + 1), None);
        }
        // A file that ends behind a block of checksums has no block for them.
        assert_eq!(logical_length(2 * BLOCK_LENGTH), None);
        assert_eq!(logical_length(0), None);
    }

    proptest! {
        #[test]
        fn runs_cover_all_bytes_in_order(first in 1..3 * GROUP, blocks in 1..2 * GROUP) {
            let runs = runs(first as u64 * BLOCK_LENGTH, blocks * BLOCK).unwrap();
            let mut index = first - 1;
            let mut covered = 0;
            for run in runs {
                prop_assert_eq!((run.first, run.bytes.start), (index, covered));
                for block in 0..run.bytes.len() / BLOCK {
                    let expected = run.physical + (block * BLOCK) as u64;
                    prop_assert_eq!(block_offset(index + block), expected);
                }
                index += run.bytes.len() / BLOCK;
                covered = run.bytes.end;
            }
            prop_assert_eq!(covered, blocks * BLOCK);
        }
    }

    #[test]
    fn a_header_survives_only_as_it_was_written() {
        let header = Header {
            length: 12_345,
            redb: [7; HEADER],
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), PREAMBLE);
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for position in 0..PREAMBLE {
            let mut flipped = bytes.clone();
            flipped[position] ^= 4;
            assert!(Header::decode(&flipped).is_err());
            assert!(Header::decode(&bytes[..position]).is_err());
        }
    }

    #[test]
    fn a_checksum_depends_on_content_and_place() {
        let block = [1; BLOCK];
        assert_ne!(checksum(1, &block), checksum(2, &block));
        assert_ne!(checksum(1, &block), checksum(1, &[2; BLOCK]));
    }
}
