//! A file whose every block has a checksum, for redb to keep its pages in.
//!
//! redb has checksums of its own, but looks at them only when it repairs a file, which means reading all of it. With
//! these, a block is checked when it is read, so that opening stays quick, and a damaged block is noticed before its
//! content is believed.
//!
//! redb ends all work when a read fails. A damaged block therefore reads as zeros: redb takes a page of zeros for no
//! page, and whoever needs it gets an error, while everybody else goes on.
//!
//! # Layout, in blocks of 4096 bytes
//!
//! ```text
//! block 0     16 bytes  "conclave store 1"
//!              8 bytes  length that redb sees, little-endian
//!             16 bytes  checksum of the length and of what follows
//!            320 bytes  redb's header
//! block 1     checksums of the next 512 blocks, 8 bytes each; 0 for a block that was never written
//! 512 blocks  redb's pages
//! ...         again one block of checksums and 512 of pages
//! ```
//!
//! # Crashes
//!
//! redb writes pages only where the last commit has none, syncs, and then points its header at them. Checksums follow
//! their pages to the disk before the same sync, so a committed page always has its checksum. The used part of block 0
//! lies in one 512-byte sector, which disks write whole or not at all.

use std::io::{Error, ErrorKind, Result};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::{BackendError, StorageBackend};
use sha2::{Digest, Sha256};

const BLOCK: usize = 4096;
const BLOCK_LENGTH: u64 = BLOCK as u64;
/// How many checksums fill a block.
const GROUP: usize = BLOCK / size_of::<u64>();

const MAGIC: &[u8; 16] = b"conclave store 1";
/// Bytes of redb's header.
const HEADER: usize = 320;
/// Bytes of block 0 in use.
const PREAMBLE: usize = 16 + 8 + 16 + HEADER;

/// See the module's documentation. Generic over what is below, so that tests can let it fail.
#[derive(Debug)]
pub(super) struct CheckedFile<F> {
    file: F,
    header: Mutex<Header>,
    sums: RwLock<Sums>,
    sync_failed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Header {
    /// The length that redb sees.
    length: u64,
    redb: [u8; HEADER],
}

/// The checksums of blocks 1 and up (as redb counts), at index 0 and up.
#[derive(Debug, Default)]
struct Sums {
    sums: Vec<u64>,
    /// Which groups have checksums that are not in the file yet; one entry per group.
    dirty: Vec<bool>,
}

impl<F: StorageBackend> CheckedFile<F> {
    /// Looks at what is in `file`, which may be empty.
    ///
    /// `sync_failed` belongs to the file for as long as the process runs. When the system once failed to sync it, its
    /// cache may show what the disk does not have, and this process must not believe it again.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] for a file that is not one of these, or is damaged or cut short.
    pub(super) fn open(file: F, sync_failed: Arc<AtomicBool>) -> Result<Self> {
        if sync_failed.load(Ordering::Acquire) {
            return Err(invalid(
                "the disk did not keep what was written; check it, then start again",
            ));
        }
        let physical = file.len()?;
        let mut header = Header {
            length: 0,
            redb: [0; HEADER],
        };
        let mut sums = Sums::default();
        if physical > 0 {
            header = read_header(&file, physical)?;
            if physical < physical_length(header.length) {
                return Err(invalid("the file is cut short"));
            }
            // A crash may leave it longer than its header says, but only by whole blocks.
            header.length = logical_length(physical)
                .ok_or_else(|| invalid("something was appended to the file"))?;
            sums = read_sums(&file, header.length)?;
        }
        Ok(Self {
            file,
            header: Mutex::new(header),
            sums: RwLock::new(sums),
            sync_failed,
        })
    }

    fn write_header(&self, header: &Header) -> Result<()> {
        let mut block = [0; PREAMBLE];
        let (magic, rest) = block.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        let (length, rest) = rest.split_at_mut(8);
        length.copy_from_slice(&header.length.to_le_bytes());
        let (sum, redb) = rest.split_at_mut(16);
        sum.copy_from_slice(&header.sum());
        redb.copy_from_slice(&header.redb);
        self.file.write(0, &block)
    }

    fn write_sums(&self) -> Result<()> {
        let mut sums = self.sums.write();
        let Sums { sums, dirty } = &mut *sums;
        for ((group, sums), dirty) in (0..).zip(sums.chunks(GROUP)).zip(dirty.iter_mut()) {
            if std::mem::take(dirty) {
                let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
                self.file.write(sums_offset(group), &bytes)?;
            }
        }
        Ok(())
    }
}

impl Header {
    fn sum(&self) -> [u8; 16] {
        let digest = Sha256::new()
            .chain_update(self.length.to_le_bytes())
            .chain_update(self.redb);
        let mut sum = [0; 16];
        sum.copy_from_slice(digest.finalize().split_at(16).0);
        sum
    }
}

impl<F: StorageBackend> StorageBackend for CheckedFile<F> {
    fn len(&self) -> Result<u64> {
        Ok(self.header.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        if offset < BLOCK_LENGTH {
            let header = self.header.lock();
            let begin = usize::try_from(offset).map_err(|_| out_of_range())?;
            let end = begin.checked_add(out.len()).ok_or_else(out_of_range)?;
            out.copy_from_slice(header.redb.get(begin..end).ok_or_else(out_of_range)?);
            return Ok(());
        }
        let mut intact = true;
        for run in runs(offset, out.len())? {
            let out = out.get_mut(run.bytes).ok_or_else(out_of_range)?;
            self.file.read(run.physical, out)?;
            let sums = self.sums.read();
            let sums = sums.sums.get(run.first..).unwrap_or_default();
            for ((index, block), sum) in (run.first..).zip(out.chunks_mut(BLOCK)).zip(sums) {
                if *sum == 0 {
                    block.fill(0);
                } else if *sum != checksum(index, block) {
                    tracing::error!(block = index, "a block of the store's file is damaged");
                    intact = false;
                }
            }
        }
        if !intact {
            out.fill(0);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        let blocks = length
            .checked_div(BLOCK_LENGTH)
            .filter(|blocks| blocks * BLOCK_LENGTH == length);
        let blocks = blocks
            .filter(|blocks| *blocks > 0)
            .ok_or_else(out_of_range)?;
        let mut header = self.header.lock();
        if length < header.length {
            // Said before it is done, or a crash in between would look like a file cut short.
            header.length = length;
            self.write_header(&header)?;
            self.file.sync_data()?;
        }
        self.file.set_len(physical_length(length))?;
        header.length = length;
        let mut sums = self.sums.write();
        let old = sums.sums.len();
        sums.sums
            .resize(usize::try_from(blocks - 1).map_err(|_| out_of_range())?, 0);
        let groups = sums.sums.len().div_ceil(GROUP);
        sums.dirty.resize(groups, true);
        // Checksums of blocks that were cut off earlier may still stand in the file.
        for dirty in sums.dirty.iter_mut().skip(old / GROUP) {
            *dirty = true;
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.write_sums()?;
        self.file
            .sync_data()
            .inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        if offset < BLOCK_LENGTH {
            let mut header = self.header.lock();
            let begin = usize::try_from(offset).map_err(|_| out_of_range())?;
            let end = begin.checked_add(data.len()).ok_or_else(out_of_range)?;
            header
                .redb
                .get_mut(begin..end)
                .ok_or_else(out_of_range)?
                .copy_from_slice(data);
            return self.write_header(&header);
        }
        for run in runs(offset, data.len())? {
            let data = data.get(run.bytes).ok_or_else(out_of_range)?;
            self.file.write(run.physical, data)?;
            let mut sums = self.sums.write();
            let Sums { sums, dirty } = &mut *sums;
            let sums = sums.get_mut(run.first..).unwrap_or_default();
            for ((index, block), sum) in (run.first..).zip(data.chunks(BLOCK)).zip(sums) {
                *sum = checksum(index, block);
            }
            *dirty.get_mut(run.first / GROUP).ok_or_else(out_of_range)? = true;
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.file.close()
    }

    fn try_lock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> std::result::Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

/// Consecutive blocks of one group.
struct Run {
    /// The index of the first block's checksum.
    first: usize,
    /// Where it lies in the file.
    physical: u64,
    /// Which of the caller's bytes these are.
    bytes: std::ops::Range<usize>,
}

/// Splits whole blocks at the borders of groups.
fn runs(offset: u64, length: usize) -> Result<Vec<Run>> {
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
fn block_offset(index: usize) -> u64 {
    sums_offset(index / GROUP) + (1 + (index % GROUP) as u64) * BLOCK_LENGTH
}

/// Where in the file a group's checksums lie.
fn sums_offset(group: usize) -> u64 {
    (1 + group as u64 * (GROUP as u64 + 1)) * BLOCK_LENGTH
}

/// How long the file is that shows redb `length` bytes.
fn physical_length(length: u64) -> u64 {
    let blocks = length.div_ceil(BLOCK_LENGTH).saturating_sub(1);
    (1 + blocks + blocks.div_ceil(GROUP as u64)) * BLOCK_LENGTH
}

/// What redb sees of a file of `physical` bytes; `None` if no such file can be.
fn logical_length(physical: u64) -> Option<u64> {
    let behind_header = (physical / BLOCK_LENGTH).checked_sub(1)?;
    let groups = behind_header.div_ceil(GROUP as u64 + 1);
    let length = (1 + behind_header - groups) * BLOCK_LENGTH;
    (physical_length(length) == physical).then_some(length)
}

fn read_header(file: &impl StorageBackend, physical: u64) -> Result<Header> {
    let mut block = [0; PREAMBLE];
    let not_ours = || invalid("the file is not a Conclave store");
    if physical < MAGIC.len() as u64 {
        return Err(not_ours());
    }
    let available = usize::try_from(physical).map_or(PREAMBLE, |physical| physical.min(PREAMBLE));
    file.read(0, block.split_at_mut(available).0)?;
    let (magic, rest) = block.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(not_ours());
    }
    if physical < BLOCK_LENGTH {
        return Err(invalid("the file is cut short"));
    }
    let (length, rest) = rest.split_at(8);
    let (sum, redb) = rest.split_at(16);
    let array = |_| invalid("the file's first block is damaged");
    let header = Header {
        length: u64::from_le_bytes(length.try_into().map_err(array)?),
        redb: redb.try_into().map_err(array)?,
    };
    if header.sum() != sum {
        return Err(invalid("the file's first block is damaged"));
    }
    Ok(header)
}

fn read_sums(file: &impl StorageBackend, length: u64) -> Result<Sums> {
    let blocks = usize::try_from(length / BLOCK_LENGTH - 1).map_err(|_| out_of_range())?;
    let mut sums = Sums {
        sums: Vec::with_capacity(blocks),
        dirty: Vec::new(),
    };
    let mut bytes = vec![0; BLOCK];
    for group in 0..blocks.div_ceil(GROUP) {
        file.read(sums_offset(group), &mut bytes)?;
        let (whole, _) = bytes.as_chunks();
        let here = whole.iter().map(|sum| u64::from_le_bytes(*sum));
        sums.sums.extend(here.take(blocks - group * GROUP));
        sums.dirty.push(false);
    }
    Ok(sums)
}

/// The first 8 bytes of a SHA-256 over position and content; the position, so that a block written to the wrong place
/// is noticed as well. Never 0, which stands for a block that was not written.
fn checksum(index: usize, block: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update((index as u64).to_le_bytes())
        .chain_update(block);
    let mut first = [0; 8];
    first.copy_from_slice(digest.finalize().split_at(8).0);
    u64::from_le_bytes(first).max(1)
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn out_of_range() -> Error {
    Error::new(ErrorKind::InvalidInput, "no whole blocks of the file")
}
