//! Writes to redb, the one place that does: a group of transactions at a time, each time with an fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    CommitError, Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};

use super::super::key::Key;
use super::super::overlay::{Mutation, WriteBuffer, counter_plus};
use super::super::{Stamp, StoreError};
use super::snapshot::{ROWS, Snapshot, failed, guarded, stamp};

/// What the file says about itself.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// In [`META`]: the stamp of the last commit.
const LAST_STAMP: &str = "last_stamp";

/// Opens the file again after a failure.
pub(super) type Reopen = Box<dyn FnMut() -> Result<Database, StoreError> + Send>;

/// See the module's documentation.
pub(super) struct Writer {
    /// `None` only while the file is being opened again.
    database: Option<Database>,
    reopen: Reopen,
    /// Whether each commit also stores which pages are free, so that a start after a kill need not find out.
    quick_repair: bool,
}

/// Why a group was not written.
pub(super) enum Failure {
    /// Nothing was written, and the next group can be.
    RolledBack(StoreError),
    /// Nothing was written, and the file must be opened again before anything can be.
    Broken(StoreError),
    /// It may have been written. Only opening the file again tells.
    Lost(String),
}

impl Writer {
    /// Takes over an open file, and returns its state as well.
    pub(super) fn new(
        database: Database,
        reopen: Reopen,
        quick_repair: bool,
    ) -> Result<(Self, Snapshot), StoreError> {
        let snapshot = guarded(|| prepare(&database))?;
        Ok((
            Self {
                database: Some(database),
                reopen,
                quick_repair,
            },
            snapshot,
        ))
    }

    /// Closes the file and opens it again.
    pub(super) fn reopen(&mut self) -> Result<Snapshot, StoreError> {
        // Closing may fail after all that went wrong; the file is what counts.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(self.database.take())));
        if closed.is_err() {
            tracing::warn!("the store's file was not closed in good order");
        }
        guarded(|| {
            let database = (self.reopen)()?;
            let snapshot = prepare(&database)?;
            self.database = Some(database);
            Ok(snapshot)
        })
    }

    /// Applies the groups' writes in order, as `version`, and waits until the disk has them.
    pub(super) fn write<'w>(
        &self,
        version: u64,
        group: impl ExactSizeIterator<Item = &'w WriteBuffer>,
    ) -> Result<Snapshot, Failure> {
        let database = self
            .database
            .as_ref()
            .ok_or_else(|| Failure::Lost("it is closed".into()))?;
        let last_order = group.len().saturating_sub(1);
        let last = stamp(version, u16::try_from(last_order).unwrap_or(u16::MAX));
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = database
                .begin_write()
                .map_err(|error| Failure::Lost(error.to_string()))?;
            transaction.set_quick_repair(self.quick_repair);
            apply_all(&transaction, version, group, last).map_err(apply_failed)?;
            Ok(transaction)
        }));
        let transaction = applied.unwrap_or_else(|_| {
            // redb has lost track of the free pages, and would look for them by reading the whole file at the next
            // start. The file itself still has a good list, from the last commit.
            Err(Failure::Broken(StoreError::Corrupt(
                "a page of the file cannot be used".into(),
            )))
        })?;
        let committed = catch_unwind(AssertUnwindSafe(|| {
            transaction.commit().map_err(commit_failed)?;
            snapshot(database, last).map_err(|error| Failure::Lost(error.to_string()))
        }));
        committed.unwrap_or_else(|_| Err(Failure::Lost("the commit failed half-way".into())))
    }
}

/// The state of the file; makes the tables first if it is new.
pub(super) fn prepare(database: &Database) -> Result<Snapshot, StoreError> {
    let meta = match database.begin_read().map_err(failed)?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => {
            create_tables(database).map_err(failed)?;
            return snapshot(database, Stamp::default());
        }
        meta => meta.map_err(failed)?,
    };
    let last = meta.get(LAST_STAMP).map_err(failed)?;
    let last = last.and_then(|stamp| <[u8; 10]>::try_from(stamp.value()).ok());
    let last = last.ok_or_else(|| StoreError::Corrupt("its last stamp is none".into()))?;
    snapshot(database, Stamp(last))
}

fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(ROWS)?;
    transaction
        .open_table(META)?
        .insert(LAST_STAMP, Stamp::default().0.as_slice())?;
    Ok(transaction.commit()?)
}

/// The state of the file after its last commit, which was `stamp`.
fn snapshot(database: &Database, stamp: Stamp) -> Result<Snapshot, StoreError> {
    let table = database
        .begin_read()
        .map_err(failed)?
        .open_table(ROWS)
        .map_err(failed)?;
    Ok(Snapshot::new(table, stamp))
}

fn apply_all<'w>(
    transaction: &WriteTransaction,
    version: u64,
    group: impl Iterator<Item = &'w WriteBuffer>,
    last: Stamp,
) -> Result<(), redb::Error> {
    let mut rows = transaction.open_table(ROWS)?;
    for (order, writes) in (0..).zip(group) {
        apply(&mut rows, writes, stamp(version, order))?;
    }
    transaction
        .open_table(META)?
        .insert(LAST_STAMP, last.0.as_slice())?;
    Ok(())
}

fn apply(
    rows: &mut Table<'_, &'static [u8], &'static [u8]>,
    writes: &WriteBuffer,
    stamp: Stamp,
) -> Result<(), redb::StorageError> {
    for (begin, end) in writes.cleared() {
        rows.retain_in(begin..end, |_, _| false)?;
    }
    for (key, mutation) in writes.rows() {
        let key = key.as_slice();
        match mutation {
            Mutation::Set(value) => drop(rows.insert(key, value.as_slice())?),
            Mutation::Clear => drop(rows.remove(key)?),
            Mutation::Stamp => drop(rows.insert(key, stamp.0.as_slice())?),
            Mutation::Add(delta) => {
                let sum = counter_plus(rows.get(key)?.as_ref().map(|value| value.value()), *delta);
                rows.insert(key, sum.as_slice())?;
            }
        }
    }
    for (index, record) in (0..).zip(writes.changes()) {
        rows.insert(Key::change(stamp, index).as_bytes(), record.as_slice())?;
    }
    Ok(())
}

fn apply_failed(error: redb::Error) -> Failure {
    match failed(error) {
        // After an I/O error redb takes no more writes.
        StoreError::Unavailable(reason) => Failure::Broken(StoreError::Unavailable(reason)),
        error => Failure::RolledBack(error),
    }
}

fn commit_failed(error: CommitError) -> Failure {
    match error {
        CommitError::TransactionPoisoned => Failure::Broken(StoreError::Corrupt(error.to_string())),
        error => Failure::Lost(error.to_string()),
    }
}
