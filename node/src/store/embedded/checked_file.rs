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

use std::io::Result;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::{BackendError, StorageBackend};

use super::layout::{
    BLOCK, BLOCK_LENGTH, GROUP, Header, PREAMBLE, checksum, invalid, logical_length, out_of_range,
    physical_length, runs, sums_offset,
};

/// See the module's documentation. Generic over what is below, so that tests can let it fail.
#[derive(Debug)]
pub(super) struct CheckedFile<F> {
    file: F,
    header: Mutex<Header>,
    sums: RwLock<Sums>,
    sync_failed: Arc<AtomicBool>,
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
    /// [`InvalidData`](std::io::ErrorKind::InvalidData) for a file that is not one of these, or is damaged or cut short.
    pub(super) fn open(file: F, sync_failed: Arc<AtomicBool>) -> Result<Self> {
        if sync_failed.load(Ordering::Acquire) {
            return Err(invalid(
                "the disk did not keep what was written; check it, then start again",
            ));
        }
        let physical = file.len()?;
        let (header, sums) = if physical == 0 {
            (Header::empty(), Sums::default())
        } else {
            let header = read_header(&file, physical)?;
            let sums = read_sums(&file, header.length)?;
            (header, sums)
        };
        Ok(Self {
            file,
            header: Mutex::new(header),
            sums: RwLock::new(sums),
            sync_failed,
        })
    }

    fn write_header(&self, header: &Header) -> Result<()> {
        self.file.write(0, &header.encode())
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

fn read_header(file: &impl StorageBackend, physical: u64) -> Result<Header> {
    let available = usize::try_from(physical).map_or(PREAMBLE, |physical| physical.min(PREAMBLE));
    let mut preamble = vec![0; available];
    file.read(0, &mut preamble)?;
    let header = Header::decode(&preamble)?;
    if physical < physical_length(header.length) {
        return Err(invalid("the file is cut short"));
    }
    // A crash may leave it longer than its header says, but only by whole blocks.
    let length =
        logical_length(physical).ok_or_else(|| invalid("something was appended to the file"))?;
    Ok(Header { length, ..header })
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
