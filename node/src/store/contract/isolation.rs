//! Transactions as if one after the other, in the order in which they were acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;

use super::{Room, assert_conflict, counter};
use crate::error::Error;
use crate::store::transact;

pub(crate) async fn a_dropped_transaction_leaves_nothing(room: Room) {
    let mut transaction = room.begin().await;
    transaction.set(&room.row(1), b"never");
    transaction.add(&room.row(2), 1);
    drop(transaction);
    assert_eq!(room.read(1).await, None);
    assert_eq!(room.read(2).await, None);
}

pub(crate) async fn a_failed_body_leaves_nothing(room: Room) {
    let outcome = transact(room.store.as_ref(), async |transaction, _| {
        transaction.set(&room.row(1), b"never");
        Err::<(), _>(Error::not_found())
    })
    .await;
    assert!(matches!(outcome, Err(Error::NotFound(None))));
    assert_eq!(room.read(1).await, None);
}

/// Two accounts with 100 between them; money moves, and no reader ever counts another sum.
pub(crate) async fn nobody_sees_half_a_transaction(room: Room) {
    room.put(&[(1, &60_i64.to_le_bytes()), (2, &40_i64.to_le_bytes())])
        .await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (room, done) = (room.clone(), Arc::clone(&done));
        async move {
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) || rounds == 0 {
                let mut transaction = room.begin().await;
                let first = counter(transaction.get(&room.row(1)).await.unwrap());
                tokio::task::yield_now().await;
                let second = counter(transaction.get(&room.row(2)).await.unwrap());
                assert_eq!(first + second, 100);
                let rows = transaction.range(&room.rows(0, 9), 9, true).await.unwrap();
                let sum: i64 = rows
                    .into_iter()
                    .map(|(_, value)| counter(Some(value)))
                    .sum();
                assert_eq!(sum, 100);
                rounds += 1;
            }
        }
    });
    for amount in 0..100_i64 {
        transact(room.store.as_ref(), async |transaction, _| {
            for (row, change) in [(1, -amount), (2, amount)] {
                let balance = counter(transaction.get(&room.row(row)).await?);
                transaction.set(&room.row(row), &(balance + change).to_le_bytes());
            }
            Ok(())
        })
        .await
        .unwrap();
    }
    done.store(true, Ordering::SeqCst);
    reader.await.unwrap();
}

pub(crate) async fn an_update_is_never_lost(room: Room) {
    room.put(&[(1, b"start")]).await;
    let mut first = room.begin().await;
    let mut second = room.begin().await;
    for transaction in [&mut first, &mut second] {
        assert_eq!(
            transaction.get(&room.row(1)).await.unwrap().as_deref(),
            Some(&b"start"[..])
        );
    }
    first.set(&room.row(1), b"first");
    second.set(&room.row(1), b"second");
    first.commit().await.unwrap();
    assert_conflict(&second.commit().await);
    assert_eq!(room.read(1).await.as_deref(), Some(&b"first"[..]));
}

/// Two doctors on call; each may leave if the other stays.
pub(crate) async fn writes_cannot_be_skewed(room: Room) {
    room.put(&[(1, b"on call"), (2, b"on call")]).await;
    let mut first = room.begin().await;
    let mut second = room.begin().await;
    for transaction in [&mut first, &mut second] {
        for row in [1, 2] {
            assert!(transaction.get(&room.row(row)).await.unwrap().is_some());
        }
    }
    first.clear(&room.row(1));
    second.clear(&room.row(2));
    first.commit().await.unwrap();
    assert_conflict(&second.commit().await);
    assert!(room.read(2).await.is_some());
}

pub(crate) async fn phantoms_conflict(room: Room) {
    room.put(&[(5, b"5")]).await;
    let mut counting = room.begin().await;
    let rows = counting.range(&room.rows(0, 9), 100, false).await.unwrap();
    counting.set(&room.row(100), &rows.len().to_le_bytes());
    room.put(&[(7, b"phantom")]).await;
    assert_conflict(&counting.commit().await);
    assert_eq!(room.read(100).await, None);

    // Looking for a row that is not there is a read as well.
    let mut looking = room.begin().await;
    assert_eq!(looking.get(&room.row(8)).await.unwrap(), None);
    looking.set(&room.row(100), b"there was none");
    room.put(&[(8, b"phantom")]).await;
    assert_conflict(&looking.commit().await);
}

/// Writers number new rows by how many there are: each must have seen all the others'.
pub(crate) async fn a_storm_of_phantoms_is_counted_exactly(room: Room) {
    const WRITERS: u64 = 16;
    const ROUNDS: u64 = 4;
    let writers = (0..WRITERS).map(async |writer| {
        for round in 0..ROUNDS {
            transact(room.store.as_ref(), async |transaction, _| {
                let all = room.rows(0, 1000);
                let rows = transaction.range(&all, 1000, round % 2 == 0).await?;
                let count = u64::try_from(rows.len()).unwrap();
                transaction.set(&room.row(writer * ROUNDS + round), &count.to_le_bytes());
                Ok(())
            })
            .await
            .unwrap();
        }
    });
    join_all(writers).await;
    let mut transaction = room.begin().await;
    let rows = transaction.range(&room.rows(0, 1000), 1000, false).await;
    let mut numbers: Vec<u64> = rows
        .unwrap()
        .into_iter()
        .map(|(_, value)| u64::from_le_bytes(value.try_into().unwrap()))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..WRITERS * ROUNDS).collect::<Vec<_>>());
}

pub(crate) async fn a_removed_range_conflicts_with_its_readers(room: Room) {
    room.put(&[(1, b"1"), (2, b"2")]).await;
    let mut reading_row = room.begin().await;
    reading_row.get(&room.row(2)).await.unwrap();
    reading_row.set(&room.row(100), b"saw row 2");
    let mut reading_range = room.begin().await;
    reading_range
        .range(&room.rows(2, 50), 100, true)
        .await
        .unwrap();
    reading_range.set(&room.row(100), b"saw row 2");
    let mut removing = room.begin().await;
    removing.clear_range(&room.rows(0, 9));
    removing.commit().await.unwrap();
    assert_conflict(&reading_row.commit().await);
    assert_conflict(&reading_range.commit().await);
}

pub(crate) async fn blind_writes_conflict_with_nobody(room: Room) {
    room.put(&[(3, b"3")]).await;
    let mut first = room.begin().await;
    let mut second = room.begin().await;
    for (transaction, value) in [(&mut first, b"first "), (&mut second, b"second")] {
        transaction.set(&room.row(1), value);
        transaction.add(&room.row(2), 1);
        transaction.clear(&room.row(3));
        transaction.clear_range(&room.rows(3, 5));
        transaction.set_stamp(&room.row(6));
    }
    let earlier = first.commit().await.unwrap();
    let later = second.commit().await.unwrap();
    assert!(earlier < later);
    assert_eq!(room.read(1).await.as_deref(), Some(&b"second"[..]));
    assert_eq!(room.read_counter(2).await, 2);
    assert_eq!(room.read(3).await, None);
    assert_eq!(room.read(6).await.as_deref(), Some(&later.0[..]));
}

pub(crate) async fn a_read_only_transaction_sees_one_moment(room: Room) {
    let before = room.put(&[(1, b"old"), (2, b"old")]).await;
    let mut reading = room.begin().await;
    assert_eq!(
        reading.get(&room.row(1)).await.unwrap().as_deref(),
        Some(&b"old"[..])
    );
    let after = room.put(&[(1, b"new"), (2, b"new"), (3, b"new")]).await;
    assert_eq!(
        reading.get(&room.row(2)).await.unwrap().as_deref(),
        Some(&b"old"[..])
    );
    assert_eq!(
        reading
            .range(&room.rows(0, 9), 9, false)
            .await
            .unwrap()
            .len(),
        2
    );
    let seen = reading.commit().await.unwrap();
    assert!(before <= seen && seen < after);
}

/// Writers raise a shared mark after each acknowledgement; whoever begins later must find at least that much.
pub(crate) async fn a_new_transaction_sees_every_acknowledged_commit(room: Room) {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writers = (0..4).map(|writer| {
        let (room, acknowledged) = (room.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for _ in 0..25 {
                let mut transaction = room.begin().await;
                transaction.add(&room.row(1), 1);
                transaction.set(&room.row(10 + writer), b"busy");
                transaction.commit().await.unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while acknowledged.load(Ordering::SeqCst) < 100 {
        let mark = acknowledged.load(Ordering::SeqCst);
        assert!(room.read_counter(1).await >= i64::try_from(mark).unwrap());
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(room.read_counter(1).await, 100);
}
