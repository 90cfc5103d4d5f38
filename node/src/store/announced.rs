//! [`AnnouncedStore`]: a store whose commits tell the other nodes when they changed cached state, so that those look at
//! the change feed now and not only at its next turn. Nothing depends on it: the feed finds every change by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::change::Facet;
use super::key::{Key, KeyRange};
use super::{Change, Properties, Row, Stamp, Store, StoreError, Transaction};
use crate::id::TenantId;

/// Who is told.
pub trait Announcer: Send + Sync + 'static {
    /// Something of this add-on was, or may have been, committed to the change feed. Must not wait for anything.
    fn announce(&self, tenant: TenantId);
}

/// See the module.
pub struct AnnouncedStore {
    below: Arc<dyn Store>,
    announcer: Arc<dyn Announcer>,
}

impl AnnouncedStore {
    /// `below`, with each change told to `announcer`.
    pub fn new(below: Arc<dyn Store>, announcer: Arc<dyn Announcer>) -> Self {
        Self { below, announcer }
    }
}

#[async_trait]
impl Store for AnnouncedStore {
    fn properties(&self) -> Properties {
        self.below.properties()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(Announced {
            below: self.below.begin().await?,
            announcer: Arc::clone(&self.announcer),
            changed: BTreeSet::new(),
        }))
    }

    async fn moment(&self) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        self.below.moment().await
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.below.changes_after(after, limit).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.below.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        self.below.trim_changes(before).await
    }
}

struct Announced {
    below: Box<dyn Transaction>,
    announcer: Arc<dyn Announcer>,
    changed: BTreeSet<TenantId>,
}

#[async_trait]
impl Transaction for Announced {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.below.get(key).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.below.range(range, limit, reverse).await
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        self.below.set(key, value);
    }

    fn clear(&mut self, key: &Key) {
        self.below.clear(key);
    }

    fn clear_range(&mut self, range: &KeyRange) {
        self.below.clear_range(range);
    }

    fn add(&mut self, key: &Key, delta: i64) {
        self.below.add(key, delta);
    }

    fn set_stamp(&mut self, key: &Key) {
        self.below.set_stamp(key);
    }

    fn append_change(&mut self, record: &[u8]) {
        if let Ok((tenant, _)) = Facet::decode(record) {
            self.changed.insert(tenant);
        }
        self.below.append_change(record);
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        let committed = self.below.commit().await;
        if matches!(committed, Ok(_) | Err(StoreError::MaybeCommitted(_))) {
            for tenant in self.changed {
                self.announcer.announce(tenant);
            }
        }
        committed
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::store::embedded::EmbeddedStore;
    use crate::store::transact;

    #[derive(Default)]
    struct Heard(Mutex<Vec<TenantId>>);

    impl Announcer for Heard {
        fn announce(&self, tenant: TenantId) {
            self.0.lock().push(tenant);
        }
    }

    async fn store() -> (AnnouncedStore, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let below = Arc::new(EmbeddedStore::in_memory().unwrap());
        let store = AnnouncedStore::new(below, Arc::clone(&heard) as Arc<dyn Announcer>);
        (store, heard)
    }

    #[tokio::test]
    async fn a_commit_that_changes_caches_is_told_once_per_addon() {
        let (store, heard) = store().await;
        let (one, other) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        transact(&store, async |transaction, _| {
            transaction.append_change(&Facet::Mounts.encode(one));
            transaction.append_change(&Facet::Policies.encode(one));
            transaction.append_change(&Facet::Mounts.encode(other));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(*heard.0.lock(), [one, other]);
        let changes = store.changes_after(Stamp::default(), 10).await.unwrap();
        assert_eq!(changes.len(), 3);
    }

    #[tokio::test]
    async fn what_is_not_committed_or_changes_no_cache_is_not_told() {
        let (store, heard) = store().await;
        let mut undone = store.begin().await.unwrap();
        undone.append_change(&Facet::Mounts.encode(TenantId::from_bytes([1; 16])));
        drop(undone);
        let row = Key::row(
            super::super::key::Scope::Node,
            super::super::key::Table::AddOn,
            &[],
        );
        transact(&store, async |transaction, _| {
            transaction.set(&row, b"value");
            Ok(())
        })
        .await
        .unwrap();
        assert!(heard.0.lock().is_empty());
    }
}
