//! Commits: what a transaction read and wrote becomes one call of the function in the database.

use tokio::time::{Instant, timeout_at};

use super::super::overlay::{Mutation, WriteBuffer};
use super::super::{Stamp, StoreError};
use super::Shared;
use super::connection::Writes;
use super::failure::Trouble;
use super::locks::Locks;
use super::pool::Lease;
use super::reads::ReadSet;

impl Shared {
    /// Checks what was read, and writes, in one call.
    pub(super) async fn commit(
        &self,
        mut lease: Lease,
        deadline: Instant,
        reads: &ReadSet,
        writes: &WriteBuffer,
    ) -> Result<Stamp, StoreError> {
        let (lock_numbers, lock_exclusive) = Locks::of(reads, writes).in_order();
        let (checks, arrays) = (reads.checks(), arrays(writes));
        let connection = lease.connection()?;
        if connection.is_closed() {
            // The moment that was read is gone, and nothing was sent.
            return Err(StoreError::Conflict);
        }
        if lease.in_transaction {
            connection.send_roll_back();
        }
        let committing = connection.commit(
            (&lock_numbers, &lock_exclusive),
            &checks,
            &arrays,
            self.stamp_base,
        );
        let committed = timeout_at(deadline, committing).await;
        lease.in_transaction = false;
        let number = lease.heed_commit(committed)?.ok_or(StoreError::Conflict)?;
        self.heard_of(number);
        if !writes.changes().is_empty() {
            self.changed.notify_waiters();
        }
        Ok(stamp(number))
    }

    /// Where the store stands, for a transaction that did nothing.
    pub(super) async fn current_stamp(
        &self,
        mut lease: Lease,
        deadline: Instant,
    ) -> Result<Stamp, StoreError> {
        let horizon = timeout_at(deadline, lease.connection()?.horizon()).await;
        let horizon = lease.heed(horizon).map_err(Trouble::while_reading)?;
        Ok(self.stamp_below(horizon))
    }

    /// The stamp of a moment: every commit that is not part of it has a larger one. Some that are part of it may have
    /// a larger one too, while others are under way; who follows the feed from here sees those again.
    pub(super) fn stamp_below(&self, horizon: i64) -> Stamp {
        stamp(self.stamp_base + horizon - 1)
    }
}

/// The ten bytes of a stamp. PostgreSQL numbers each transaction, so there is no order within a number.
pub(super) fn stamp(number: i64) -> Stamp {
    let mut bytes = [0; 10];
    for (byte, part) in bytes.iter_mut().zip(number.max(0).to_be_bytes()) {
        *byte = part;
    }
    Stamp(bytes)
}

fn arrays(writes: &WriteBuffer) -> Writes<'_> {
    let mut arrays = Writes::default();
    for (begin, end) in writes.cleared() {
        arrays.emptied_begins.push(begin);
        arrays.emptied_ends.push(end);
    }
    for (key, mutation) in writes.rows() {
        match mutation {
            Mutation::Set(value) => {
                arrays.set_keys.push(key);
                arrays.set_values.push(value);
            }
            Mutation::Clear => arrays.removed_keys.push(key),
            Mutation::Add(delta) => {
                arrays.added_keys.push(key);
                arrays.added_values.push(delta.to_le_bytes());
            }
            Mutation::Stamp => arrays.stamped_keys.push(key),
        }
    }
    arrays.records = writes.changes().iter().map(Vec::as_slice).collect();
    arrays
}
