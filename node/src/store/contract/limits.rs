//! The limits that [`Properties`](crate::store::Properties) states, from both sides.

use super::Room;
use crate::store::StoreError;

/// Limits of gigabytes would make this suite slow; two mebibytes are more than any one row of this project.
const LARGE_VALUE: usize = 2 * 1024 * 1024 + 17;

pub(crate) async fn the_largest_value_survives(room: Room) {
    let length = room.store.properties().max_value_bytes.min(LARGE_VALUE);
    let value: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    room.put(&[(1, &value), (2, b"neighbour")]).await;
    assert!(
        room.read(1).await == Some(value),
        "the value came back changed"
    );
    assert_eq!(room.read(2).await.as_deref(), Some(&b"neighbour"[..]));
}

pub(crate) async fn a_full_transaction_survives(room: Room) {
    let properties = room.store.properties();
    let value = vec![0x5a; properties.max_value_bytes.min(80_000)];
    // Nine tenths: keys and what the store adds to each row count as well.
    let total = properties.max_transaction_bytes.min(8 * 1024 * 1024) / 10 * 9;
    let count = (total / (value.len() + 200)) as u64;
    let mut transaction = room.begin().await;
    for number in 0..count {
        transaction.set(&room.row(number), &value);
    }
    transaction.commit().await.unwrap();
    let last = room
        .begin()
        .await
        .range(&room.rows(0, count + 1), 1, true)
        .await
        .unwrap();
    assert_eq!(last, [(room.row(count - 1), value)]);
}

pub(crate) async fn a_transaction_over_the_limit_leaves_nothing(room: Room) {
    let properties = room.store.properties();
    let value = vec![0x5a; properties.max_value_bytes.min(1024 * 1024)];
    let mut transaction = room.begin().await;
    for number in 0..=(properties.max_transaction_bytes / value.len()) as u64 {
        transaction.set(&room.row(number), &value);
    }
    let outcome = transaction.commit().await;
    assert!(
        matches!(outcome, Err(StoreError::TooLarge(_))),
        "{outcome:?}"
    );
    assert_eq!(
        room.begin()
            .await
            .range(&room.rows(0, 9), 9, false)
            .await
            .unwrap(),
        []
    );
    room.put(&[(1, b"the store goes on")]).await;
}
