//! A store that commits and then does not know whether it did, as FoundationDB may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::barrier::View;
use crate::store::key::{Key, KeyRange};
use crate::store::{Change, Properties, Row, Stamp, Store, StoreError, Transaction};

/// The next so many commits that happen are told as in doubt.
#[derive(Default)]
struct Doubts(AtomicU32);

struct DoubtfulStore {
    inner: Arc<dyn Store>,
    doubts: Arc<Doubts>,
}

struct DoubtfulTransaction {
    inner: Box<dyn Transaction>,
    doubts: Arc<Doubts>,
}

#[async_trait]
impl Store for DoubtfulStore {
    fn properties(&self) -> Properties {
        Properties {
            doubtful_commits: true,
            ..self.inner.properties()
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(DoubtfulTransaction {
            inner: self.inner.begin().await?,
            doubts: Arc::clone(&self.doubts),
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
impl Transaction for DoubtfulTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
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
        let before = self
            .doubts
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match before {
            Ok(_) => Err(StoreError::MaybeCommitted("the answer was lost".into())),
            Err(_) => Ok(stamp),
        }
    }
}

async fn doubtful() -> (Bench<KvEngine>, Arc<Doubts>) {
    let view = mount_view().await;
    let doubts = Arc::new(Doubts::default());
    let store = DoubtfulStore {
        inner: Arc::clone(view.store()),
        doubts: Arc::clone(&doubts),
    };
    let view = View::new(Arc::new(store), Arc::clone(view.unsealed()), view.scope());
    let kv = Bench::of(KvEngine::new(view, &BTreeMap::new()).unwrap());
    (kv, doubts)
}

#[actix::test]
async fn nothing_is_done_twice_or_wrongly_refused() {
    let (kv, doubts) = doubtful().await;
    let doubt = || doubts.0.store(2, Ordering::SeqCst);

    doubt();
    let written = kv.write("data/a", r#"{"data":{"v":1}}"#).await.unwrap();
    assert_eq!(written["version"], 1);
    doubt();
    let written = kv
        .write("data/a", r#"{"data":{"v":2},"options":{"cas":1}}"#)
        .await
        .unwrap();
    assert_eq!(written["version"], 2, "its own commit is no mismatch");
    doubt();
    let written = kv.patch("data/a", r#"{"data":{"p":1}}"#).await.unwrap();
    assert_eq!(written["version"], 3);
    doubt();
    kv.delete("data/a").await.unwrap();
    assert_eq!(*value(&kv.read("data/a").await), json!({"v":2}));
    doubt();
    kv.write("metadata/a", r#"{"metadata_cas":0,"max_versions":5}"#)
        .await
        .unwrap();
    let metadata = kv.read("metadata/a").await.unwrap();
    assert_eq!(metadata["current_metadata_version"], 1);
    assert_eq!(metadata["current_version"], 3);
    assert_eq!(doubts.0.load(Ordering::SeqCst), 0);
}
