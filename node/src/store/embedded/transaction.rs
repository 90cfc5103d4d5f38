//! A transaction: a snapshot, the writes laid over it, and a record of what was read.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::super::key::{Key, KeyRange};
use super::super::overlay::{Known, WriteBuffer, counter_plus};
use super::super::{Row, Stamp, StoreError, Transaction};
use super::Shared;
use super::conflict::ReadSet;
use super::queue::Request;
use super::snapshot::Snapshot;

/// How much one transaction may write, the keys of what it reads and writes included: twice the largest request body of the default
/// configuration (32 MiB).
pub(super) const TRANSACTION_BYTES: usize = 64 * 1024 * 1024;
/// The position of a record within its commit is stored in 16 bits.
const TRANSACTION_CHANGES: usize = 1 << 16;

pub(super) struct EmbeddedTransaction {
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    writes: WriteBuffer,
    reads: ReadSet,
}

impl EmbeddedTransaction {
    pub(super) fn new(shared: Arc<Shared>, snapshot: Arc<Snapshot>) -> Self {
        Self {
            shared,
            snapshot,
            writes: WriteBuffer::default(),
            reads: ReadSet::default(),
        }
    }

    /// Whether writing `bytes` more still fits. Once it does not, nothing more is kept and the commit fails.
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
}

#[async_trait]
impl Transaction for EmbeddedTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_room()?;
        let key = key.as_bytes();
        match self.writes.known(key)? {
            Known::Value(value) => Ok(value),
            Known::Moved(delta) => {
                self.reads.point(key);
                let base = self.snapshot.get(key)?;
                Ok(Some(counter_plus(base.as_deref(), delta)))
            }
            Known::Unknown => {
                self.reads.point(key);
                self.snapshot.get(key)
            }
        }
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.check_room()?;
        let (begin, end) = (range.begin.as_slice(), range.end.as_slice());
        if begin >= end || limit == 0 {
            return Ok(Vec::new());
        }
        let rows = self.snapshot.scan((begin, end), reverse, |stored| {
            self.writes.overlay(stored, (begin, end), limit, reverse)
        })?;
        // Only what was looked at counts as read: a full page says nothing of what lies beyond its last row.
        match rows.last().filter(|_| rows.len() == limit) {
            Some((last, _)) if reverse => self.reads.range(last.as_bytes(), end),
            Some((last, _)) => self.reads.range(begin, &successor(last.as_bytes())),
            None => self.reads.range(begin, end),
        }
        Ok(rows)
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
        if self.writes.is_empty() {
            return Ok(self.snapshot.stamp);
        }
        let read_version = self.snapshot.version();
        let Self {
            shared,
            snapshot,
            writes,
            reads,
        } = *self;
        // Held no longer than needed: a snapshot keeps its pages in the file.
        drop(snapshot);
        shared.commit(writes, reads, read_version).await
    }
}

impl Shared {
    /// Hands writes to the committer and waits for its answer.
    pub(super) async fn commit(
        &self,
        writes: WriteBuffer,
        reads: ReadSet,
        read_version: u64,
    ) -> Result<Stamp, StoreError> {
        self.check()?;
        let (reply, answer) = oneshot::channel();
        self.queue
            .push(Request {
                writes,
                reads,
                read_version,
                reply,
            })
            .await?;
        answer.await.unwrap_or_else(|_| Err(self.why_unavailable()))
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}
