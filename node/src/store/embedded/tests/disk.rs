//! A simulated disk: it can be cut off from power, fill up, fail, panic, and be tampered with.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    current: Vec<u8>,
    /// What was there at the last sync.
    synced: Vec<u8>,
    /// What was written since, in order.
    pending: Vec<Change>,
    /// How many more operations go well, and what happens then.
    fault: Option<(usize, Fault)>,
    operations: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Sector { offset: usize, bytes: Vec<u8> },
}

/// What a disk does from some operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing works any more.
    Dead,
    /// Nothing can be written.
    Full,
    /// Syncs fail.
    Unsyncable,
    /// The next operation panics, and then all is well.
    Panic,
}

impl Disk {
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            current: bytes.clone(),
            synced: bytes,
            ..State::default()
        })))
    }

    /// The bytes as they are now.
    pub(super) fn image(&self) -> Vec<u8> {
        self.0.lock().current.clone()
    }

    /// How many operations there were.
    pub(super) fn operations(&self) -> usize {
        self.0.lock().operations
    }

    pub(super) fn fail_after(&self, operations: usize, fault: Fault) {
        self.0.lock().fault = Some((operations, fault));
    }

    pub(super) fn heal(&self) {
        self.0.lock().fault = None;
    }

    pub(super) fn flip(&self, offset: usize, mask: u8) {
        self.0.lock().current[offset] ^= mask;
    }

    /// What may be found after the power was cut: everything up to the last sync, and of what came after it those
    /// sectors and lengths that `survives` picks.
    pub(super) fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.0.lock();
        let mut bytes = state.synced.clone();
        for change in state.pending.iter().filter(|_| survives()) {
            match change {
                Change::Length(length) => bytes.resize(*length, 0),
                Change::Sector {
                    offset,
                    bytes: sector,
                } => {
                    let end = offset + sector.len();
                    if bytes.len() < end {
                        bytes.resize(end, 0);
                    }
                    bytes[*offset..end].copy_from_slice(sector);
                }
            }
        }
        Self::holding(bytes)
    }
}

impl State {
    fn operate(&mut self, is_sync: bool, is_write: bool) -> Result<()> {
        self.operations += 1;
        let Some((operations_left, fault)) = &mut self.fault else {
            return Ok(());
        };
        if *operations_left > 0 {
            *operations_left -= 1;
            return Ok(());
        }
        match fault {
            Fault::Dead => Err(Error::other("the disk is dead")),
            Fault::Full if is_write => Err(Error::from(ErrorKind::StorageFull)),
            Fault::Unsyncable if is_sync => Err(Error::other("the disk does not sync")),
            Fault::Full | Fault::Unsyncable => Ok(()),
            Fault::Panic => {
                self.fault = None;
                panic!("planted");
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.0.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut state = self.0.lock();
        state.operate(false, false)?;
        let offset = offset as usize;
        let bytes = state
            .current
            .get(offset..offset + out.len())
            .ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        let mut state = self.0.lock();
        state.operate(false, true)?;
        state.current.resize(length as usize, 0);
        state.pending.push(Change::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.0.lock();
        state.operate(true, false)?;
        state.synced = state.current.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.0.lock();
        state.operate(false, true)?;
        let offset = offset as usize;
        if state.current.len() < offset + data.len() {
            state.current.resize(offset + data.len(), 0);
        }
        state.current[offset..offset + data.len()].copy_from_slice(data);
        let mut written = 0;
        while written < data.len() {
            let here = (SECTOR - (offset + written) % SECTOR).min(data.len() - written);
            let bytes = data[written..written + here].to_vec();
            state.pending.push(Change::Sector {
                offset: offset + written,
                bytes,
            });
            written += here;
        }
        Ok(())
    }
}
