//! Counters, read-modify-write and atomic.

use futures_util::future::join_all;

use super::{Room, counter};
use crate::store::transact;

const WRITERS: i64 = 32;
const ROUNDS: i64 = 4;

pub(crate) async fn a_storm_of_increments_is_counted_exactly(room: Room) {
    let writers = (0..WRITERS).map(async |_| {
        for _ in 0..ROUNDS {
            transact(room.store.as_ref(), async |transaction, _| {
                let count = counter(transaction.get(&room.row(1)).await?);
                tokio::task::yield_now().await;
                transaction.set(&room.row(1), &(count + 1).to_le_bytes());
                Ok(())
            })
            .await
            .unwrap();
        }
    });
    join_all(writers).await;
    assert_eq!(room.read_counter(1).await, WRITERS * ROUNDS);
}

pub(crate) async fn concurrent_additions_are_counted_exactly(room: Room) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let room = room.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let mut transaction = room.begin().await;
                    transaction.add(&room.row(1), 3);
                    transaction.add(&room.row(2), -1);
                    // Nobody reads, so nobody conflicts.
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(room.read_counter(1).await, 3 * WRITERS * ROUNDS);
    assert_eq!(room.read_counter(2).await, -WRITERS * ROUNDS);
}

pub(crate) async fn addition_starts_at_zero_and_wraps(room: Room) {
    for (delta, expected) in [
        (-5, -5),
        (i64::MIN, i64::MAX - 4),
        (5, i64::MIN),
        (-1, i64::MAX),
    ] {
        let mut transaction = room.begin().await;
        transaction.add(&room.row(1), delta);
        transaction.commit().await.unwrap();
        assert_eq!(room.read_counter(1).await, expected);
    }
}

pub(crate) async fn addition_combines_with_other_writes(room: Room) {
    room.put(&[
        (1, &10_i64.to_le_bytes()),
        (2, &10_i64.to_le_bytes()),
        (3, &[7]),
    ])
    .await;
    let mut transaction = room.begin().await;
    transaction.add(&room.row(1), 1);
    transaction.add(&room.row(1), 2);
    transaction.clear(&room.row(2));
    transaction.add(&room.row(2), 4);
    // A value that is no counter is cut or extended to eight bytes, as FoundationDB does.
    transaction.add(&room.row(3), 1);
    transaction.set(&room.row(4), &1_i64.to_le_bytes());
    transaction.add(&room.row(4), 1);
    transaction.add(&room.row(5), 1);
    transaction.set(&room.row(5), &0_i64.to_le_bytes());
    transaction.commit().await.unwrap();
    let mut counts = Vec::new();
    for row in 1..=5 {
        counts.push(room.read_counter(row).await);
    }
    assert_eq!(counts, [13, 4, 8, 2, 0]);
}
