//! Servers that stop, hang and come back, and connections that are all in use.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::server::Server;
use crate::store::contract::Room;
use crate::store::contract::outages::{assert_in_doubt, assert_unavailable};
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::{Stamp, StoreError};

/// Short, so that the tests are, but enough for a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(3);

async fn room(server: &Server, change: impl FnOnce(&mut PostgresOptions)) -> Room {
    let mut options = server.options();
    options.request_timeout = REQUEST_TIMEOUT;
    change(&mut options);
    let store = PostgresStore::open(&options, Duration::from_millis(50));
    Room::new(Arc::new(store.await.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_killed_and_restarted_in_mid_transaction() {
    let mut server = Server::start();
    let room = room(&server, |_| ()).await;
    room.put(&[(1, b"kept")]).await;
    let mut reading = room.begin().await;
    reading.get(&room.row(1)).await.unwrap();
    let mut writing = room.begin().await;
    writing.get(&room.row(1)).await.unwrap();
    writing.set(&room.row(1), b"never");
    server.kill();
    let outcome = reading.get(&room.row(2)).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    // What a transaction saw is gone; it does not go on with another state.
    let outcome = reading.get(&room.row(1)).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert!(writing.commit().await.is_err());
    let started = Instant::now();
    assert_unavailable(room.try_read(1).await);
    assert_unavailable(room.store.changes_after(Stamp::default(), 1).await);
    assert_unavailable(room.store.wait_for_change(Stamp::default()).await);
    assert!(started.elapsed() < REQUEST_TIMEOUT + SLACK);
    server.run();
    assert_eq!(room.read_patiently(1).await.as_deref(), Some(&b"kept"[..]));
    room.put(&[(1, b"later")]).await;
    assert_eq!(room.read(1).await.as_deref(), Some(&b"later"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_under_load_outlives_a_kill() {
    let mut server = Server::start();
    let room = room(&server, |_| ()).await;
    room.loses_nothing(async || {
        for _ in 0..3 {
            sleep(Duration::from_millis(300)).await;
            server.kill();
            server.run();
            room.read_patiently(0).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable_within_the_deadline() {
    let server = Server::start();
    let room = room(&server, |_| ()).await;
    room.put(&[(1, b"kept")]).await;
    let mut writing = room.begin().await;
    writing.get(&room.row(1)).await.unwrap();
    writing.set(&room.row(1), b"doubtful");
    server.signal(Signal::STOP);
    let started = Instant::now();
    let outcome = writing.commit().await;
    assert_in_doubt(&outcome);
    assert!(started.elapsed() < REQUEST_TIMEOUT + SLACK);
    let started = Instant::now();
    let readers = join_all((0..20).map(|_| room.try_read(1))).await;
    readers.into_iter().for_each(assert_unavailable);
    assert_unavailable(room.store.changes_after(Stamp::default(), 1).await);
    assert!(started.elapsed() < REQUEST_TIMEOUT * 3 + SLACK);
    server.signal(Signal::CONT);
    let value = room.read_patiently(1).await.unwrap();
    assert!([&b"kept"[..], b"doubtful"].contains(&value.as_slice()));
    room.put(&[(1, b"later")]).await;
    assert_eq!(room.read(1).await.as_deref(), Some(&b"later"[..]));
}

/// One session hangs with a commit on its way while the server goes on. Nothing is read until that commit is done or
/// never will be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_in_doubt_is_over_before_anything_else_happens() {
    let server = Server::start();
    let room = room(&server, |_| ()).await;
    room.put(&[(1, b"before")]).await;
    let sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'conclave'";
    let session: i32 = server.sql(sessions).await.unwrap().parse().unwrap();
    let session = rustix::process::Pid::from_raw(session).unwrap();
    rustix::process::kill_process(session, Signal::STOP).unwrap();
    let mut writing = room.begin().await;
    writing.set(&room.row(1), b"after");
    let outcome = writing.commit().await;
    assert_in_doubt(&outcome);
    assert_unavailable(room.try_read(1).await);
    rustix::process::kill_process(session, Signal::CONT).unwrap();
    let decided = room.read_patiently(1).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(room.read(1).await, decided);
    let gone = format!(
        "SELECT pid FROM pg_stat_activity WHERE pid = {}",
        session.as_raw_nonzero()
    );
    assert_eq!(server.sql(&gone).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_waiting_for_one_is_too() {
    let server = Server::start();
    let room = room(&server, |options| options.max_connections = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut transaction = room.begin().await;
        transaction.get(&room.row(1)).await.unwrap();
        open.push(transaction);
    }
    let started = Instant::now();
    assert_unavailable(room.try_read(1).await);
    assert!((REQUEST_TIMEOUT..REQUEST_TIMEOUT + SLACK).contains(&started.elapsed()));
    // One that is not asked for longer than a request may take is too old.
    sleep(REQUEST_TIMEOUT).await;
    let outcome = open.pop().unwrap().get(&room.row(1)).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(room.try_read(1).await.unwrap(), None);
    let many = join_all((0..40).map(|_| room.try_read(1))).await;
    assert!(many.into_iter().all(|outcome| outcome.is_ok()));
}
