//! The one thread that writes: takes what waits, lets those win that read nothing stale, writes the winners in one
//! transaction of the file, and only then tells anybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{CommitError, Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use tokio::sync::oneshot;

use super::super::key::Key;
use super::super::{Stamp, StoreError};
use super::Shared;
use super::buffer::{Mutation, WriteBuffer, counter_plus};
use super::conflict::ConflictLog;
use super::queue::Request;
use super::snapshot::{ROWS, Snapshot, failed, guarded, stamp};

/// What the file says about itself.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// In [`META`]: the stamp of the last commit.
pub(super) const LAST_STAMP: &str = "last_stamp";

/// See the module's documentation.
pub(super) struct Committer {
    database: Database,
    shared: Arc<Shared>,
    log: ConflictLog,
    version: u64,
    quick_repair: bool,
}

/// A validated transaction.
struct Winner {
    writes: WriteBuffer,
    reply: oneshot::Sender<Result<Stamp, StoreError>>,
}

/// Why a group was not written.
enum Failure {
    /// Nothing was written, and the store goes on.
    RolledBack(StoreError),
    /// It may have been written. Only opening the file anew tells.
    Lost(String),
}

impl Committer {
    pub(super) fn new(database: Database, shared: Arc<Shared>, quick_repair: bool) -> Self {
        let version = shared.snapshot.load().version();
        Self {
            database,
            shared,
            log: ConflictLog::starting_at(version),
            version,
            quick_repair,
        }
    }

    /// Commits until the queue is closed and empty, or the file fails. Callers still waiting then are told.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while let Some(group) = shared.queue.take_group() {
                self.commit_group(group)?;
            }
            Ok(())
        }));
        let reason = match outcome {
            Ok(Ok(())) => "it is closed".to_owned(),
            Ok(Err(reason)) => reason,
            Err(_) => "the committer failed".to_owned(),
        };
        shared.fail(reason);
    }

    fn commit_group(&mut self, group: Vec<Request>) -> Result<(), String> {
        let winners = self.validate(group);
        match self.write(&winners) {
            Ok(snapshot) => self.acknowledge(winners, snapshot),
            Err(Failure::Lost(reason)) => return Err(reason),
            Err(Failure::RolledBack(error)) => match <[Winner; 1]>::try_from(winners) {
                Ok([winner]) => winner.answer(Err(error)),
                // One of them touched a damaged page. The others must not fail with it.
                Err(winners) => {
                    for winner in winners {
                        self.commit_alone(winner)?;
                    }
                }
            },
        }
        Ok(())
    }

    fn commit_alone(&mut self, winner: Winner) -> Result<(), String> {
        self.remember(&winner.writes);
        let winners = [winner];
        match self.write(&winners) {
            Ok(snapshot) => self.acknowledge(winners, snapshot),
            Err(Failure::Lost(reason)) => return Err(reason),
            Err(Failure::RolledBack(error)) => {
                let [winner] = winners;
                winner.answer(Err(error));
            }
        }
        Ok(())
    }

    /// Answers the losers and returns the winners.
    fn validate(&mut self, group: Vec<Request>) -> Vec<Winner> {
        let mut winners = Vec::with_capacity(group.len());
        for Request {
            writes,
            reads,
            read_version,
            reply,
        } in group
        {
            if self.log.conflicts(&reads, read_version) {
                let _ = reply.send(Err(StoreError::Conflict));
                continue;
            }
            self.remember(&writes);
            winners.push(Winner { writes, reply });
        }
        winners
    }

    /// Notes in the log what the next version writes.
    fn remember(&mut self, writes: &WriteBuffer) {
        let version = self.version + 1;
        for (begin, end) in writes.cleared() {
            self.log.record_range(version, begin, end);
        }
        for key in writes.rows().keys() {
            self.log.record_point(version, key);
        }
    }

    /// Writes the winners as the next version, and waits until the disk has them.
    fn write(&self, winners: &[Winner]) -> Result<Snapshot, Failure> {
        let version = self.version + 1;
        let last = stamp(
            version,
            u16::try_from(winners.len().saturating_sub(1)).unwrap_or(u16::MAX),
        );
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let mut transaction = self.database.begin_write().map_err(failed)?;
            transaction.set_quick_repair(self.quick_repair);
            {
                let mut rows = transaction.open_table(ROWS).map_err(failed)?;
                for (order, winner) in (0..).zip(winners) {
                    apply(&mut rows, &winner.writes, stamp(version, order)).map_err(failed)?;
                }
                let mut meta = transaction.open_table(META).map_err(failed)?;
                meta.insert(LAST_STAMP, last.0.as_slice()).map_err(failed)?;
            }
            Ok(transaction)
        }));
        let transaction = match applied {
            Ok(Ok(transaction)) => transaction,
            Ok(Err(StoreError::Unavailable(reason))) => return Err(Failure::Lost(reason)),
            Ok(Err(error)) => return Err(Failure::RolledBack(error)),
            Err(_) => {
                return Err(Failure::RolledBack(StoreError::Corrupt(
                    "a page of the file cannot be written".into(),
                )));
            }
        };
        let committed = catch_unwind(AssertUnwindSafe(|| {
            transaction.commit().map_err(|error| match error {
                CommitError::TransactionPoisoned => {
                    Failure::RolledBack(StoreError::Corrupt(error.to_string()))
                }
                error => Failure::Lost(error.to_string()),
            })?;
            snapshot(&self.database, last).map_err(|error| Failure::Lost(error.to_string()))
        }));
        committed.unwrap_or_else(|_| Err(Failure::Lost("the commit failed half-way".into())))
    }

    fn acknowledge(&mut self, winners: impl IntoIterator<Item = Winner>, snapshot: Snapshot) {
        self.version += 1;
        self.shared.snapshot.store(Arc::new(snapshot));
        let mut last_change = None;
        let mut answers = Vec::new();
        for (order, winner) in (0..).zip(winners) {
            let stamp = stamp(self.version, order);
            if !winner.writes.changes().is_empty() {
                last_change = Some(stamp);
            }
            answers.push((winner, stamp));
        }
        if let Some(stamp) = last_change {
            self.shared.last_change.send_replace(stamp);
        }
        for (winner, stamp) in answers {
            winner.answer(Ok(stamp));
        }
    }
}

impl Winner {
    fn answer(self, answer: Result<Stamp, StoreError>) {
        // A caller that has gone away does not hear it.
        let _ = self.reply.send(answer);
    }
}

/// Does one transaction's writes.
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
                let sum = counter_plus(
                    rows.get(key)?
                        .map(|value| value.value().to_vec())
                        .as_deref(),
                    *delta,
                );
                rows.insert(key, sum.as_slice())?;
            }
        }
    }
    for (index, record) in (0..).zip(writes.changes()) {
        rows.insert(Key::change(stamp, index).as_bytes(), record.as_slice())?;
    }
    Ok(())
}

/// Makes the tables of a new file, and returns the stamp of the last commit.
pub(super) fn prepare(database: &Database) -> Result<Stamp, StoreError> {
    guarded(|| {
        let transaction = database.begin_write().map_err(failed)?;
        let last = {
            transaction.open_table(ROWS).map_err(failed)?;
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let last = meta
                .get(LAST_STAMP)
                .map_err(failed)?
                .map(|stamp| stamp.value().to_vec());
            match last {
                Some(stamp) => <[u8; 10]>::try_from(stamp)
                    .map(Stamp)
                    .map_err(|_| StoreError::Corrupt("the last stamp is not one".into()))?,
                None => {
                    meta.insert(LAST_STAMP, Stamp::default().0.as_slice())
                        .map_err(failed)?;
                    Stamp::default()
                }
            }
        };
        transaction.commit().map_err(failed)?;
        Ok(last)
    })
}

/// The state of the file after its last commit, which was `stamp`.
pub(super) fn snapshot(database: &Database, stamp: Stamp) -> Result<Snapshot, StoreError> {
    let table = database
        .begin_read()
        .map_err(failed)?
        .open_table(ROWS)
        .map_err(failed)?;
    Ok(Snapshot::new(table, stamp))
}
