//! A transaction: a moment of the database that is chosen by its first read, the writes laid over it, and a record of
//! what was read. Nothing is written before the commit, which is one call.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join;
use tokio::time::timeout_at;

use super::super::key::{Key, KeyRange};
use super::super::overlay::{Known, WriteBuffer, counter_plus};
use super::super::{Row, Stamp, StoreError, Transaction};
use super::Shared;
use super::connection::{Span, StoredRow};
use super::failure::Trouble;
use super::pool::Lease;
use super::reads::ReadSet;

/// How much one transaction may read and write, keys included: twice the largest request body of the default
/// configuration (32 MiB), far below the gigabyte that PostgreSQL takes in one call.
pub(super) const TRANSACTION_BYTES: usize = 64 * 1024 * 1024;
/// How many records one commit may append; the other stores number them in 16 bits.
const TRANSACTION_CHANGES: usize = 1 << 16;

pub(super) struct PostgresTransaction {
    shared: Arc<Shared>,
    view: View,
    writes: WriteBuffer,
    reads: ReadSet,
    /// Whether it is for reading a moment for as long as it takes: nothing of what is read is remembered, so it cannot
    /// commit writes.
    lasts: bool,
}

/// What this transaction sees of the database.
enum View {
    /// Nothing was read so far.
    Unopened,
    /// One moment, which the connection keeps.
    Open(Box<Lease>, Stamp),
    /// A moment that is gone. Going on with another one would mix the two.
    Lost,
}

/// One read.
enum Question<'q> {
    Get(&'q [u8]),
    Range(Span<'q>),
}

impl PostgresTransaction {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            view: View::Unopened,
            writes: WriteBuffer::default(),
            reads: ReadSet::default(),
            lasts: false,
        }
    }

    /// A transaction for reading only, without limits of size and time.
    pub(super) fn lasting(shared: Arc<Shared>) -> Self {
        Self {
            lasts: true,
            ..Self::new(shared)
        }
    }

    /// Whether writing more still fits. Once it does not, nothing more is kept and the commit fails.
    fn has_room(&self) -> bool {
        self.writes.bytes().saturating_add(self.reads.bytes()) <= TRANSACTION_BYTES
            && self.writes.changes().len() <= TRANSACTION_CHANGES
    }

    fn check_room(&self) -> Result<(), StoreError> {
        if self.has_room() {
            return Ok(());
        }
        Err(StoreError::TooLarge(format!(
            "at most {TRANSACTION_BYTES} bytes and {TRANSACTION_CHANGES} change records fit"
        )))
    }

    /// Asks the database. The first question also fixes the moment, in the same round trip.
    async fn ask(&mut self, question: Question<'_>) -> Result<Vec<StoredRow>, StoreError> {
        let deadline = self.shared.pool.deadline();
        match std::mem::replace(&mut self.view, View::Lost) {
            View::Lost => Err(StoreError::Conflict),
            View::Open(mut lease, stamp) => {
                let answer = timeout_at(deadline, question.put(&lease)?).await;
                let rows = lease.heed(answer).map_err(Trouble::while_reading)?;
                self.view = View::Open(lease, stamp);
                Ok(rows)
            }
            View::Unopened => {
                let mut lease = self.shared.pool.lease(deadline).await?;
                lease.in_transaction = true;
                let opening = join(lease.connection()?.begin(), question.put(&lease)?);
                let opened = timeout_at(deadline, opening).await;
                let opened = opened.map(|(begun, rows)| Ok((begun?, rows?)));
                let (horizon, rows) = lease.heed(opened).map_err(Trouble::while_reading)?;
                if self.lasts {
                    let told = timeout_at(deadline, lease.connection()?.let_it_idle()).await;
                    lease.heed(told).map_err(Trouble::while_reading)?;
                }
                self.view = View::Open(Box::new(lease), self.shared.stamp_below(horizon));
                Ok(rows)
            }
        }
    }

    /// The stored value at `key`, which the transaction itself did not decide.
    async fn stored(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.ask(Question::Get(key)).await?.pop();
        let version = row.as_ref().map(|(_, _, version)| *version);
        if !self.lasts {
            self.reads.point(key, version);
        }
        Ok(row.map(|(_, value, _)| value))
    }

    /// The first `wanted` stored rows of a range that the transaction did not empty, or the last ones, last first.
    async fn stored_rows(
        &mut self,
        (begin, end): (&[u8], &[u8]),
        wanted: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let mut gaps = self.writes.gaps(begin, end);
        if reverse {
            gaps.reverse();
        }
        let mut found = Vec::new();
        for (begin, end) in gaps {
            let limit = wanted.saturating_sub(found.len());
            if limit == 0 {
                break;
            }
            let span = Span {
                begin: &begin,
                end: &end,
                limit,
                reverse,
            };
            let rows = self.ask(Question::Range(span)).await?;
            self.note_range(span, &rows);
            found.extend(rows.into_iter().map(|(key, value, _)| (key, value)));
        }
        Ok(found)
    }

    /// Only what was looked at counts as read: a full page says nothing of what lies beyond its last row.
    fn note_range(&mut self, span: Span<'_>, rows: &[StoredRow]) {
        if self.lasts {
            return;
        }
        let last = rows.last().filter(|_| rows.len() == span.limit);
        let seen = rows
            .iter()
            .map(|(key, _, version)| (key.clone(), *version))
            .collect();
        match last {
            Some((last, _, _)) if span.reverse => self.reads.range(last, span.end, seen),
            Some((last, _, _)) => {
                let after_last = [last.as_slice(), &[0]].concat();
                self.reads.range(span.begin, &after_last, seen);
            }
            None => self.reads.range(span.begin, span.end, seen),
        }
    }
}

impl Question<'_> {
    /// Puts the question, whose answer is rows with their versions.
    fn put<'l>(
        &'l self,
        lease: &'l Lease,
    ) -> Result<impl Future<Output = Result<Vec<StoredRow>, tokio_postgres::Error>> + 'l, StoreError>
    {
        let connection = lease.connection()?;
        Ok(async move {
            match self {
                Self::Range(span) => connection.range(*span).await,
                Self::Get(key) => {
                    let row = connection.get(key).await?;
                    let whole = |(value, version)| (key.to_vec(), value, version);
                    Ok(row.map(whole).into_iter().collect())
                }
            }
        })
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_room()?;
        let key = key.as_bytes();
        match self.writes.known(key)? {
            Known::Value(value) => Ok(value),
            Known::Moved(delta) => {
                let base = self.stored(key).await?;
                Ok(Some(counter_plus(base.as_deref(), delta)))
            }
            Known::Unknown => self.stored(key).await,
        }
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.check_room()?;
        let bounds = (range.begin.as_slice(), range.end.as_slice());
        if bounds.0 >= bounds.1 || limit == 0 {
            return Ok(Vec::new());
        }
        // As many stored rows as the transaction itself may hide are read on top.
        let hidden = self.writes.touched_between(bounds.0, bounds.1);
        let stored = self
            .stored_rows(bounds, limit.saturating_add(hidden), reverse)
            .await?;
        self.writes
            .overlay(stored.into_iter().map(Ok), bounds, limit, reverse)
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        if self.has_room() {
            self.writes.set(key.as_bytes(), value);
        }
    }

    fn clear(&mut self, key: &Key) {
        if self.has_room() {
            self.writes.clear(key.as_bytes());
        }
    }

    fn clear_range(&mut self, range: &KeyRange) {
        if self.has_room() {
            self.writes.clear_range(&range.begin, &range.end);
        }
    }

    fn add(&mut self, key: &Key, delta: i64) {
        if self.has_room() {
            self.writes.add(key.as_bytes(), delta);
        }
    }

    fn set_stamp(&mut self, key: &Key) {
        if self.has_room() {
            self.writes.set_stamp(key.as_bytes());
        }
    }

    fn append_change(&mut self, record: &[u8]) {
        if self.has_room() {
            self.writes.append_change(record);
        }
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        self.check_room()?;
        if let Some(misuse) = self.writes.misuse() {
            return Err(StoreError::Misuse(misuse));
        }
        if self.lasts && !self.writes.is_empty() {
            return Err(StoreError::Misuse("a moment was written to"));
        }
        let deadline = self.shared.pool.deadline();
        let Self {
            shared,
            view,
            writes,
            reads,
            ..
        } = *self;
        let lease = match view {
            View::Lost => return Err(StoreError::Conflict),
            View::Open(_, stamp) if writes.is_empty() => return Ok(stamp),
            View::Open(lease, _) => *lease,
            View::Unopened => shared.pool.lease(deadline).await?,
        };
        if writes.is_empty() {
            return shared.current_stamp(lease, deadline).await;
        }
        shared.commit(lease, deadline, &reads, &writes).await
    }
}
