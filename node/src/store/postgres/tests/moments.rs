//! Reading one moment of the database for as long as that takes.

use std::sync::Arc;
use std::time::Duration;

use super::server::Server;
use crate::store::contract::Room;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::{Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_lasts_longer_than_a_request_and_cannot_write() {
    let server = Server::start();
    let options = PostgresOptions {
        request_timeout: Duration::from_secs(1),
        ..server.options()
    };
    let store = PostgresStore::open(&options, Duration::from_millis(50)).await;
    let store = Arc::new(store.unwrap());
    let room = Room::new(Arc::clone(&store) as Arc<dyn Store>);
    room.put(&[(1, b"then"), (2, b"then")]).await;
    let mut moment = store.moment().await.unwrap().unwrap();
    let mut usual = room.begin().await;
    for transaction in [&mut moment, &mut usual] {
        let read = transaction.get(&room.row(1)).await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"then"[..]));
    }
    room.put(&[(1, b"now"), (2, b"now"), (3, b"now")]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // The server has ended the usual one meanwhile.
    assert!(usual.get(&room.row(2)).await.is_err());
    let rows = moment.range(&room.rows(0, 9), 9, false).await.unwrap();
    let expected = [1, 2].map(|number| (room.row(number), b"then".to_vec()));
    assert_eq!(rows, expected);
    moment.set(&room.row(1), b"lost update");
    assert!(matches!(moment.commit().await, Err(StoreError::Misuse(_))));
    assert_eq!(room.read(1).await.as_deref(), Some(&b"now"[..]));
    // Its connection goes back with the usual settings.
    store
        .moment()
        .await
        .unwrap()
        .unwrap()
        .commit()
        .await
        .unwrap();
}
