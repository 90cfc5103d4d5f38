//! A transaction: one of FoundationDB's, which lays its own writes over what it reads and knows what it has read. Here
//! is added what the contract asks for beyond that: limits that are kept before the cluster sees anything, and commits
//! that are not left in doubt.

use std::sync::Arc;

use ::foundationdb::options::{MutationType, StreamingMode};
use ::foundationdb::{FdbError, RangeOption};
use async_trait::async_trait;
use tokio::time::timeout;

use super::super::key::{Key, KeyRange};
use super::super::{Row, Stamp, StoreError, Transaction};
use super::failure::{COMMIT_UNKNOWN_RESULT, while_committing, while_reading};
use super::{LATE, Shared, stamp};

/// How much one transaction may read and write, in bytes as counted here. FoundationDB takes 10 MB as it counts.
pub(super) const TRANSACTION_BYTES: usize = 9_800_000;
/// FoundationDB's limit.
pub(super) const VALUE_BYTES: usize = 100_000;
/// What FoundationDB adds to a row for its own book-keeping, at most.
const ROW_BYTES: usize = 192;
/// How many records one commit may append: they are numbered in 16 bits.
const TRANSACTION_CHANGES: usize = 1 << 16;
/// How much of a range is asked for at a time, so that a long range of long values does not arrive all at once.
const PAGE_BYTES: usize = 1_000_000;

pub(super) struct FoundationDbTransaction {
    shared: Arc<Shared>,
    inner: ::foundationdb::Transaction,
    /// Never less than what FoundationDB counts.
    bytes: usize,
    changes: usize,
    wrote: bool,
}

impl FoundationDbTransaction {
    pub(super) fn new(shared: Arc<Shared>, inner: ::foundationdb::Transaction) -> Self {
        Self {
            shared,
            inner,
            bytes: 0,
            changes: 0,
            wrote: false,
        }
    }

    /// Whether everything so far fits. Once it does not, nothing more is kept and the commit fails.
    fn has_room(&self) -> bool {
        self.bytes <= TRANSACTION_BYTES && self.changes <= TRANSACTION_CHANGES
    }

    fn check_room(&self) -> Result<(), StoreError> {
        if self.has_room() {
            return Ok(());
        }
        Err(StoreError::TooLarge(format!(
            "at most {TRANSACTION_BYTES} bytes and {TRANSACTION_CHANGES} change records fit, and {VALUE_BYTES} bytes \
             into one row"
        )))
    }

    /// Counts what a row, or a range, costs: in a write its key stands three times, as what is written and as both ends
    /// of what others conflict with.
    fn count(&mut self, key_bytes: usize, value_bytes: usize) {
        let keys = 3 * (self.shared.subspace.len() + key_bytes);
        self.bytes = self.bytes.saturating_add(keys + value_bytes + ROW_BYTES);
    }

    /// Counts a write, and says whether it is to be done.
    fn takes(&mut self, key_bytes: usize, value_bytes: usize) -> bool {
        self.wrote = true;
        if value_bytes > VALUE_BYTES {
            self.bytes = usize::MAX;
        }
        self.count(key_bytes, value_bytes);
        self.has_room()
    }

    /// What is counted here, and what FoundationDB counts.
    #[cfg(test)]
    pub(super) async fn sizes(&self) -> (usize, usize) {
        let actual = self.inner.get_approximate_size().await.unwrap();
        (self.bytes, actual.try_into().unwrap())
    }

    async fn commit_writes(mut self) -> Result<Stamp, StoreError> {
        if self.changes > 0 {
            self.set_stamp(&Key::feed_head());
        }
        let doubts = &self.shared.doubts;
        let mark = doubts.mark(&self.inner).map_err(while_reading)?;
        let versionstamp = self.inner.get_versionstamp();
        let committing = async move {
            // Kept until it has told its stamp.
            let committed = self.inner.commit().await.map_err(FdbError::from)?;
            let versionstamp = versionstamp.await;
            drop(committed);
            versionstamp
        };
        match timeout(self.shared.request_timeout, committing).await {
            Ok(Ok(versionstamp)) => stamp(&versionstamp),
            Ok(Err(error)) => {
                let meaning = while_committing(error);
                let open = error.code() != COMMIT_UNKNOWN_RESULT;
                if open && matches!(meaning, StoreError::MaybeCommitted(_)) {
                    doubts.note(mark);
                }
                Err(meaning)
            }
            Err(_) => {
                doubts.note(mark);
                Err(StoreError::MaybeCommitted(LATE.into()))
            }
        }
    }
}

#[async_trait]
impl Transaction for FoundationDbTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_room()?;
        self.count(key.as_bytes().len(), 0);
        let asking = self.inner.get(&self.shared.stored(key.as_bytes()), false);
        let value = self.shared.answer(asking).await?;
        Ok(value.map(|value| value.to_vec()))
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.check_room()?;
        if range.begin >= range.end || limit == 0 {
            return Ok(Vec::new());
        }
        self.count(range.begin.len() + range.end.len(), 0);
        let mut rest = Some(self.shared.page(range, limit, reverse));
        let mut rows = Vec::new();
        while let Some(option) = rest {
            let page = self.inner.get_range(&option, 1, false);
            let page = self.shared.answer(page).await?;
            for row in &page {
                let key = self.shared.own(row.key())?;
                rows.push((Key::from_stored(key.to_vec()), row.value().to_vec()));
            }
            rest = option.next_range(&page);
        }
        Ok(rows)
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        if self.takes(key.as_bytes().len(), value.len()) {
            self.inner.set(&self.shared.stored(key.as_bytes()), value);
        }
    }

    fn clear(&mut self, key: &Key) {
        if self.takes(key.as_bytes().len(), 0) {
            self.inner.clear(&self.shared.stored(key.as_bytes()));
        }
    }

    fn clear_range(&mut self, range: &KeyRange) {
        let is_empty = range.begin >= range.end;
        if !is_empty && self.takes(range.begin.len() + range.end.len(), 0) {
            let (begin, end) = self.shared.stored_range(range);
            self.inner.clear_range(&begin, &end);
        }
    }

    fn add(&mut self, key: &Key, delta: i64) {
        if self.takes(key.as_bytes().len(), 8) {
            let key = self.shared.stored(key.as_bytes());
            self.inner
                .atomic_op(&key, &delta.to_le_bytes(), MutationType::Add);
        }
    }

    fn set_stamp(&mut self, key: &Key) {
        /// Room for the stamp, and where in it the stamp goes.
        const VALUE: [u8; 14] = [0; 14];
        if self.takes(key.as_bytes().len(), VALUE.len()) {
            let key = self.shared.stored(key.as_bytes());
            self.inner
                .atomic_op(&key, &VALUE, MutationType::SetVersionstampedValue);
        }
    }

    fn append_change(&mut self, record: &[u8]) {
        let index = u16::try_from(self.changes).unwrap_or_default();
        self.changes = self.changes.saturating_add(1);
        let (key, stamp_at) = Key::unstamped_change(index);
        if self.takes(key.as_bytes().len() + 4, record.len()) {
            let mut key = self.shared.stored(key.as_bytes());
            let stamp_at = u32::try_from(self.shared.subspace.len() + stamp_at);
            key.extend_from_slice(&stamp_at.unwrap_or_default().to_le_bytes());
            self.inner
                .atomic_op(&key, record, MutationType::SetVersionstampedKey);
        }
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        self.check_room()?;
        if self.wrote {
            return self.commit_writes().await;
        }
        let version = self.shared.answer(self.inner.get_read_version()).await?;
        // After all commits of that version, which it has seen, and before those of the next.
        let mut stamp = [0xff; 10];
        if let Some(bytes) = stamp.first_chunk_mut() {
            *bytes = version.to_be_bytes();
        }
        Ok(Stamp(stamp))
    }
}

impl Shared {
    /// How to ask for the beginning of a range, or for its end.
    pub(super) fn page(
        &self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> RangeOption<'static> {
        RangeOption {
            limit: Some(limit),
            target_bytes: PAGE_BYTES,
            mode: StreamingMode::Exact,
            reverse,
            ..RangeOption::from(self.stored_range(range))
        }
    }
}
