//! A disk that fails: everybody is answered, and the store comes back if it can.

use std::time::Duration;

use futures_util::future::join_all;

use super::disk::Fault;
use super::*;
use crate::error::Error;
use crate::store::transact;

const PATIENCE: Duration = Duration::from_secs(20);

/// Many commits at once; each must be answered.
async fn commit_many(room: &Room) -> Vec<Result<Stamp, StoreError>> {
    let commits = (0..20).map(async |number| {
        let mut transaction = room.store.begin().await?;
        transaction.set(&room.row(number), &[7; 2000]);
        transaction.commit().await
    });
    tokio::time::timeout(PATIENCE, join_all(commits))
        .await
        .unwrap()
}

/// Waits until a row can be read and written, one that the failed commits wrote as well.
async fn wait_until_back(room: &Room) {
    let increment = async || {
        transact(room.store.as_ref(), async |transaction, _| {
            let mut value = transaction.get(&room.row(1)).await?.unwrap_or_default();
            value.push(1);
            transaction.set(&room.row(1), &value);
            Ok(())
        })
        .await
    };
    let back = async {
        while let Err(error) = increment().await {
            assert!(
                !matches!(error, Error::Conflict),
                "there is nobody to conflict with"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.unwrap();
}

fn assert_unavailable<T>(outcome: &Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_full_disk_stops_writers_until_there_is_room() {
    let disk = Disk::default();
    let room = room(open_on(&disk).unwrap());
    let before = room.put(&[(50, b"before")]).await;
    disk.fail_after(3, Fault::Full);
    for _again in 0..3 {
        commit_many(&room).await.iter().for_each(assert_unavailable);
    }
    disk.heal();
    wait_until_back(&room).await;
    assert_eq!(room.read(50).await.as_deref(), Some(&b"before"[..]));
    assert!(room.put(&[(51, b"after")]).await > before);
}

#[tokio::test]
async fn a_disk_that_cannot_sync_stops_the_store_for_good() {
    let disk = Disk::default();
    let room = room(open_on(&disk).unwrap());
    let before = room.put(&[(50, b"before")]).await;
    disk.fail_after(0, Fault::Unsyncable);
    commit_many(&room).await.iter().for_each(assert_unavailable);
    disk.heal();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_unavailable(&room.store.wait_for_change(before).await);
    assert_unavailable(&room.store.changes_after(before, 10).await);
    assert_unavailable(&room.store.trim_changes(before).await);
    let error = room.store.begin().await.map(drop).unwrap_err();
    assert!(
        error.to_string().contains("did not keep what was written"),
        "{error}"
    );
    // A new process may look again.
    drop(open_on(&Disk::holding(disk.image())).unwrap());
}

/// Whatever operation of a commit panics, everybody is answered and the store goes on.
#[tokio::test]
async fn a_panic_while_committing_hangs_nobody() {
    let mut panics = 0;
    for operation in 0..40 {
        let disk = Disk::default();
        let room = room(open_on(&disk).unwrap());
        room.put(&[(50, b"before")]).await;
        let operations = disk.operations();
        disk.fail_after(operation, Fault::Panic);
        commit_many(&room).await;
        panics += usize::from(disk.operations() > operations + operation);
        wait_until_back(&room).await;
        assert_eq!(room.read(50).await.as_deref(), Some(&b"before"[..]));
    }
    assert!(panics > 10);
}

/// Dropping the store while commits wait: each is answered, and what was acknowledged is there afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_answers_everybody() {
    let disk = Disk::default();
    let store = open_on(&disk).unwrap();
    let tenant = room(EmbeddedStore::in_memory().unwrap()).tenant;
    let mut transactions = Vec::new();
    for number in 0..200 {
        transactions.push((number, store.begin().await.unwrap()));
    }
    let room = Room {
        store: Arc::new(EmbeddedStore::in_memory().unwrap()),
        tenant,
    };
    let commits = transactions.into_iter().map(|(number, mut transaction)| {
        transaction.set(&room.row(number), &[1; 500]);
        tokio::spawn(async move { (number, transaction.commit().await) })
    });
    let commits: Vec<_> = commits.collect();
    tokio::task::yield_now().await;
    drop(store);
    let answers = tokio::time::timeout(PATIENCE, join_all(commits))
        .await
        .unwrap();
    let room = Room {
        store: Arc::new(open_on(&disk).unwrap()),
        tenant,
    };
    for answer in answers {
        let (number, outcome) = answer.unwrap();
        match outcome {
            Ok(_) => assert_eq!(room.read(number).await, Some(vec![1; 500])),
            Err(error) => {
                assert_unavailable(&Err::<(), _>(error));
                assert_eq!(room.read(number).await, None);
            }
        }
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let store = EmbeddedStore::in_memory().unwrap();
    let mut writing = store.begin().await.unwrap();
    let room = room(EmbeddedStore::in_memory().unwrap());
    writing.set(&room.row(1), b"too late");
    drop(store);
    assert_unavailable(&writing.commit().await);
}
