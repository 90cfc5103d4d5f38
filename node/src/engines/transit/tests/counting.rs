//! A store that counts, and that can be told to fail or to take its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::store::key::{Key, KeyRange};
use crate::store::{Change, Properties, Row, Stamp, Store, StoreError, Transaction};

/// What was asked of a store.
#[derive(Default)]
pub struct Counts {
    /// Transactions begun.
    pub transactions: AtomicUsize,
    /// Rows asked for.
    pub reads: AtomicUsize,
    /// Whether it is to fail from now on.
    pub down: AtomicBool,
    /// Whether it is to take its time, as a store across a network does.
    pub slow: AtomicBool,
    /// How many commits from now on are to happen and be told as in doubt.
    pub doubts: AtomicUsize,
}

impl Counts {
    /// (transactions, rows) since this was last asked.
    pub fn take(&self) -> (usize, usize) {
        (
            self.transactions.swap(0, Ordering::SeqCst),
            self.reads.swap(0, Ordering::SeqCst),
        )
    }
}

pub struct CountingStore {
    inner: Arc<dyn Store>,
    counts: Arc<Counts>,
}

impl CountingStore {
    pub fn around(inner: Arc<dyn Store>, counts: Arc<Counts>) -> Self {
        Self { inner, counts }
    }
}

struct CountingTransaction {
    inner: Box<dyn Transaction>,
    counts: Arc<Counts>,
}

#[async_trait]
impl Store for CountingStore {
    fn properties(&self) -> Properties {
        Properties {
            doubtful_commits: true,
            ..self.inner.properties()
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        if self.counts.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to fail".into()));
        }
        self.counts.transactions.fetch_add(1, Ordering::SeqCst);
        if self.counts.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Box::new(CountingTransaction {
            inner: self.inner.begin().await?,
            counts: Arc::clone(&self.counts),
        }))
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.inner.changes_after(after, limit).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.inner.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        self.inner.trim_changes(before).await
    }
}

#[async_trait]
impl Transaction for CountingTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.counts.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.counts.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.range(range, limit, reverse).await
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &Key) {
        self.inner.clear(key);
    }

    fn clear_range(&mut self, range: &KeyRange) {
        self.inner.clear_range(range);
    }

    fn add(&mut self, key: &Key, delta: i64) {
        self.inner.add(key, delta);
    }

    fn set_stamp(&mut self, key: &Key) {
        self.inner.set_stamp(key);
    }

    fn append_change(&mut self, record: &[u8]) {
        self.inner.append_change(record);
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        let stamp = self.inner.commit().await?;
        let one_less = |doubts: usize| doubts.checked_sub(1);
        let doubts = &self.counts.doubts;
        if doubts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
        {
            return Err(StoreError::MaybeCommitted("told to doubt".into()));
        }
        Ok(stamp)
    }
}
