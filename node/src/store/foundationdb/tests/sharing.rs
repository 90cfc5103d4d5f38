//! Several nodes and several deployments in one cluster.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Layout, MEMORY, options, room, store_in};
use crate::store::contract::Room;
use crate::store::{Store, StoreError};

/// How long a node may take to hear of another's change.
const PROMPT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_node_is_woken_by_anothers_commit() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let options = options(MEMORY.get().unwrap());
    let (here, there) = (room(&options).await, room(&options).await);
    let append = async |room: &Room| {
        let mut transaction = room.begin().await;
        transaction.append_change(b"news");
        transaction.commit().await.unwrap()
    };
    let start = append(&here).await;
    let waiting = tokio::spawn({
        let store = here.store.clone();
        async move { store.wait_for_change(start).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    let began = Instant::now();
    let news = append(&there).await;
    timeout(PROMPT, waiting).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < PROMPT);
    let changes = here.store.changes_after(start, 10).await.unwrap();
    assert_eq!(changes.last().unwrap().stamp, news);
    assert_eq!(changes.len(), 1);
}

/// Waiting and giving up, as the change feed's actor does, leaves nothing behind that adds up to a limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn watches_that_are_dropped_are_gone() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let options = options(MEMORY.get().unwrap());
    let store = super::FoundationDbStore::open(&options).await.unwrap();
    // The library's default is 10000.
    let limit = ::foundationdb::options::DatabaseOption::MaxWatches(20);
    store.shared.database.set_option(limit).unwrap();
    let room = Room::new(std::sync::Arc::new(store));
    let mut transaction = room.begin().await;
    transaction.append_change(b"start");
    let start = transaction.commit().await.unwrap();
    for _ in 0..100 {
        let waited = timeout(Duration::from_millis(20), room.store.wait_for_change(start));
        assert!(matches!(waited.await, Err(_) | Ok(Ok(()))));
    }
    let all = (0..40).map(|_| timeout(PROMPT, room.store.wait_for_change(start)));
    let all = futures_util::future::join_all(all).await;
    let refused = |waited: &Result<_, _>| matches!(waited, Ok(Err(StoreError::Unavailable(_))));
    assert!(all.iter().any(refused), "the limit is there: {all:?}");
}

/// Prefixes of which one begins with the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn deployments_do_not_see_each_other() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let mut options = options(MEMORY.get().unwrap());
    let short = room(&options).await;
    options.tenant_prefix.push('x');
    let mut long = room(&options).await;
    long.tenant = short.tenant;
    for (room, value) in [(&short, b"short".as_slice()), (&long, b"long")] {
        let mut transaction = room.begin().await;
        transaction.set(&room.row(1), value);
        transaction.append_change(value);
        transaction.commit().await.unwrap();
    }
    for (room, value) in [(&short, b"short".as_slice()), (&long, b"long")] {
        assert_eq!(room.read(1).await.as_deref(), Some(value));
        let changes = room.store.changes_after(Default::default(), 10).await;
        let changes = changes.unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].record, value);
        let store: &dyn Store = room.store.as_ref();
        let everything = crate::store::key::KeyRange {
            begin: vec![0],
            end: vec![0xff],
        };
        let mut transaction = store.begin().await.unwrap();
        let rows = transaction.range(&everything, 100, false).await.unwrap();
        // The row, the change and the head of the feed.
        assert_eq!(rows.len(), 3, "{rows:?}");
    }
}
