//! What the store held after one commit, immutable.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{AccessGuard, ReadOnlyTable, TableDefinition};

use super::super::{Stamp, StoreError};

/// The rows.
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// A row of a [`Snapshot::scan`].
pub(super) type StoredRow = Result<(Bytes, Bytes), StoreError>;

/// The state as of one commit. Cheap to read from any thread; keeps that state's pages in the file while it lives.
pub(super) struct Snapshot {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// The last commit it holds.
    pub(super) stamp: Stamp,
}

/// A stored value, where it lies in the cache.
pub(super) struct Bytes(AccessGuard<'static, &'static [u8]>);

impl std::borrow::Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self.0.value()
    }
}

impl Snapshot {
    pub(super) fn new(table: ReadOnlyTable<&'static [u8], &'static [u8]>, stamp: Stamp) -> Self {
        Self { table, stamp }
    }

    /// The version that a transaction on this snapshot reads at.
    pub(super) fn version(&self) -> u64 {
        version_of(self.stamp)
    }

    /// The value at `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            Ok(self
                .table
                .get(key)
                .map_err(failed)?
                .map(|value| value.value().to_vec()))
        })
    }

    /// Hands `read` an iterator over the rows from `begin` up to but not including `end`, backwards when `reverse`.
    pub(super) fn scan<T>(
        &self,
        (begin, end): (&[u8], &[u8]),
        reverse: bool,
        read: impl FnOnce(&mut dyn Iterator<Item = StoredRow>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        guarded(|| {
            let rows = self.table.range(begin..end).map_err(failed)?;
            let row = |row: Result<(AccessGuard<'static, _>, AccessGuard<'static, _>), _>| {
                row.map(|(key, value)| (Bytes(key), Bytes(value)))
                    .map_err(failed)
            };
            if reverse {
                read(&mut rows.rev().map(row))
            } else {
                read(&mut rows.map(row))
            }
        })
    }
}

/// The stamp of the `order`-th transaction of the group committed as `version`.
pub(super) fn stamp(version: u64, order: u16) -> Stamp {
    let mut bytes = [0; 10];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&version.to_be_bytes());
    low.copy_from_slice(&order.to_be_bytes());
    Stamp(bytes)
}

/// The version inside a stamp.
pub(super) fn version_of(stamp: Stamp) -> u64 {
    let [a, b, c, d, e, f, g, h, _, _] = stamp.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Runs code that reads the file. A damaged page may make the library panic; that is the reader's error and nobody
/// else's.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::Corrupt(
            "a page of the file cannot be read".into(),
        ))
    })
}

/// What any failure of the storage library means to a caller.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(what),
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::ValueTooLarge(_) => StoreError::TooLarge("a value over 3 GiB".into()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
