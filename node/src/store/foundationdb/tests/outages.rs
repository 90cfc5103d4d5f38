//! Clusters that stop, hang and come back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::server::{Cluster, Layout};
use super::{FoundationDbStore, MEMORY, options, store_in};
use crate::store::contract::Room;
use crate::store::contract::outages::{PATIENCE, assert_in_doubt, assert_unavailable};
use crate::store::{Stamp, StoreError};

/// Short, so that the tests are, but enough for a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(3);

async fn room(cluster: &Cluster) -> Room {
    let mut options = options(cluster);
    options.request_timeout = REQUEST_TIMEOUT;
    // It may still be on its way up.
    let began = Instant::now();
    loop {
        match FoundationDbStore::open(&options).await {
            Ok(store) => return Room::new(Arc::new(store)),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_cluster_is_killed_and_restarted_in_mid_transaction() {
    let mut cluster = Cluster::start(Layout::Ssd);
    let room = room(&cluster).await;
    room.put(&[(1, b"kept")]).await;
    let mut reading = room.begin().await;
    reading.get(&room.row(1)).await.unwrap();
    let mut writing = room.begin().await;
    writing.get(&room.row(1)).await.unwrap();
    writing.set(&room.row(1), b"never");
    cluster.kill();
    let began = Instant::now();
    assert_unavailable(room.try_read(1).await);
    assert_unavailable(room.store.changes_after(Stamp::default(), 1).await);
    assert_unavailable(room.store.wait_for_change(Stamp::default()).await);
    assert!(began.elapsed() < REQUEST_TIMEOUT * 3 + SLACK);
    cluster.run();
    assert_eq!(room.read_patiently(1).await.as_deref(), Some(&b"kept"[..]));
    // The moment that these saw is over.
    let outcome = reading.get(&room.row(2)).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    let outcome = writing.commit().await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(room.read(1).await.as_deref(), Some(&b"kept"[..]));
    room.put(&[(1, b"later")]).await;
    assert_eq!(room.read(1).await.as_deref(), Some(&b"later"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn what_was_acknowledged_under_load_outlives_a_kill() {
    for layout in [Layout::Memory, Layout::Ssd, Layout::Double] {
        let mut cluster = Cluster::start(layout);
        let room = room(&cluster).await;
        room.loses_nothing(async || {
            for _ in 0..3 {
                sleep(Duration::from_millis(300)).await;
                cluster.kill();
                cluster.run();
                room.read_patiently(0).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_cluster_of_three_goes_on_without_any_one_of_them() {
    let mut cluster = Cluster::start(Layout::Double);
    let room = room(&cluster).await;
    room.loses_nothing(async || {
        for index in 0..3 {
            sleep(Duration::from_millis(300)).await;
            cluster.kill_one(index);
            room.read_patiently(0).await;
            room.put(&[(2_000_000, b"with two of them")]).await;
            cluster.run();
            // Until what the process held is in two places again.
            let began = Instant::now();
            while !cluster.tell("status").contains("Healthy") {
                assert!(began.elapsed() < PATIENCE);
                sleep(Duration::from_millis(200)).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_cluster_that_hangs_is_unavailable_within_the_deadline() {
    let cluster = Cluster::start(Layout::Memory);
    let room = room(&cluster).await;
    room.put(&[(1, b"kept")]).await;
    let mut writing = room.begin().await;
    writing.get(&room.row(1)).await.unwrap();
    writing.set(&room.row(1), b"doubtful");
    cluster.signal(Signal::STOP);
    let began = Instant::now();
    let outcome = writing.commit().await;
    assert_in_doubt(&outcome);
    assert!(began.elapsed() < REQUEST_TIMEOUT + SLACK);
    let began = Instant::now();
    let readers = join_all((0..20).map(|_| room.try_read(1))).await;
    readers.into_iter().for_each(assert_unavailable);
    assert_unavailable(room.store.changes_after(Stamp::default(), 1).await);
    assert!(began.elapsed() < REQUEST_TIMEOUT * 2 + SLACK);
    cluster.signal(Signal::CONT);
    // Whatever became of the commit, it does not change afterwards.
    let decided = room.read_patiently(1).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(room.read(1).await, decided);
    room.put(&[(1, b"later")]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(room.read(1).await.as_deref(), Some(&b"later"[..]));
}

/// A commit that is given up but has not arrived yet: here, one that is sent only after it was settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_commit_that_was_given_up_cannot_happen_later() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let options = options(MEMORY.get().unwrap());
    let store = FoundationDbStore::open(&options).await.unwrap();
    let shared = Arc::clone(&store.shared);
    let room = Room::new(Arc::new(store));
    for settled in [false, true] {
        let late = shared.transaction().unwrap();
        late.get_read_version().await.unwrap();
        late.set(&shared.stored(room.row(1).as_bytes()), b"late");
        let mark = shared.doubts.mark(&late).unwrap();
        if settled {
            shared.doubts.note(mark);
        }
        room.put(&[(2, b"another")]).await;
        let outcome = late.commit().await.map(drop).map_err(|error| error.code());
        assert_eq!(outcome, if settled { Err(1020) } else { Ok(()) });
    }
}
