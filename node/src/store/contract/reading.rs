//! Reads, with and without a transaction's own writes in the way.

use super::{Room, counter};
use crate::store::Row;
use crate::store::key::{Key, KeyRange, Scope};

pub(crate) async fn a_missing_row_is_none(room: Room) {
    assert_eq!(room.read(1).await, None);
}

pub(crate) async fn what_was_committed_is_read(room: Room) {
    room.put(&[(1, b"one"), (2, b"two"), (3, b"")]).await;
    assert_eq!(room.read(1).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(room.read(3).await.as_deref(), Some(&b""[..]));
    let mut transaction = room.begin().await;
    transaction.clear(&room.row(1));
    transaction.set(&room.row(2), b"changed");
    transaction.commit().await.unwrap();
    assert_eq!(room.read(1).await, None);
    assert_eq!(room.read(2).await.as_deref(), Some(&b"changed"[..]));
}

pub(crate) async fn a_transaction_reads_its_own_writes(room: Room) {
    room.put(&[(1, b"stored"), (2, b"stored"), (3, &7_i64.to_le_bytes())])
        .await;
    let mut transaction = room.begin().await;
    transaction.set(&room.row(1), b"mine");
    assert_eq!(
        transaction.get(&room.row(1)).await.unwrap().as_deref(),
        Some(&b"mine"[..])
    );
    transaction.clear(&room.row(1));
    assert_eq!(transaction.get(&room.row(1)).await.unwrap(), None);
    transaction.add(&room.row(3), 5);
    assert_eq!(counter(transaction.get(&room.row(3)).await.unwrap()), 12);
    transaction.clear_range(&room.rows(1, 4));
    assert_eq!(transaction.get(&room.row(2)).await.unwrap(), None);
    assert_eq!(transaction.get(&room.row(3)).await.unwrap(), None);
    transaction.set(&room.row(2), b"after");
    transaction.add(&room.row(3), 1);
    assert_eq!(counter(transaction.get(&room.row(3)).await.unwrap()), 1);
    transaction.commit().await.unwrap();
    assert_eq!(room.read(1).await, None);
    assert_eq!(room.read(2).await.as_deref(), Some(&b"after"[..]));
    assert_eq!(room.read_counter(3).await, 1);
}

pub(crate) async fn ranges_hold_own_writes_in_order(room: Room) {
    room.put(&[
        (1, b"1"),
        (2, b"2"),
        (4, b"4"),
        (5, b"5"),
        (6, b"6"),
        (9, b"out"),
    ])
    .await;
    let mut transaction = room.begin().await;
    transaction.set(&room.row(0), b"new first");
    transaction.clear(&room.row(2));
    transaction.set(&room.row(3), b"between");
    transaction.clear_range(&room.rows(5, 7));
    transaction.set(&room.row(6), b"back again");
    transaction.set(&room.row(7), b"new last");
    let expected = [
        (room.row(0), b"new first".to_vec()),
        (room.row(1), b"1".to_vec()),
        (room.row(3), b"between".to_vec()),
        (room.row(4), b"4".to_vec()),
        (room.row(6), b"back again".to_vec()),
        (room.row(7), b"new last".to_vec()),
    ];
    let forwards = transaction
        .range(&room.rows(0, 9), 100, false)
        .await
        .unwrap();
    assert_eq!(forwards, expected);
    let mut backwards = transaction
        .range(&room.rows(0, 9), 100, true)
        .await
        .unwrap();
    backwards.reverse();
    assert_eq!(backwards, expected);
    let first_two = transaction.range(&room.rows(0, 9), 2, false).await.unwrap();
    assert_eq!(first_two, expected[..2]);
    let last_two = transaction.range(&room.rows(0, 9), 2, true).await.unwrap();
    assert_eq!(last_two, [expected[5].clone(), expected[4].clone()]);
    transaction.commit().await.unwrap();
    let after = room
        .begin()
        .await
        .range(&room.rows(0, 9), 100, false)
        .await
        .unwrap();
    assert_eq!(after, expected);
}

pub(crate) async fn pages_join_up_in_both_directions(room: Room) {
    let mut transaction = room.begin().await;
    for number in 0..57 {
        transaction.set(&room.row(number * 3), &number.to_le_bytes());
    }
    transaction.commit().await.unwrap();

    let mut transaction = room.begin().await;
    let (mut range, mut forwards): (KeyRange, Vec<Row>) = (room.rows(0, 1000), Vec::new());
    loop {
        let page = transaction.range(&range, 10, false).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        range.begin = [last.as_bytes(), &[0]].concat();
        forwards.extend(page);
    }
    let (mut range, mut backwards): (KeyRange, Vec<Row>) = (room.rows(0, 1000), Vec::new());
    loop {
        let page = transaction.range(&range, 10, true).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        range.end = last.as_bytes().to_vec();
        backwards.extend(page);
    }
    let expected: Vec<Row> = (0..57_u64)
        .map(|number| (room.row(number * 3), number.to_le_bytes().to_vec()))
        .collect();
    assert_eq!(forwards, expected);
    backwards.reverse();
    assert_eq!(backwards, expected);
}

pub(crate) async fn keys_and_values_are_any_bytes(room: Room) {
    let prefix = room.row(1).as_bytes().to_vec();
    let mut endings: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    endings.extend([
        vec![0, 0],
        vec![0, 255],
        vec![255, 0],
        vec![255, 255],
        b"caf\xc3\xa9".to_vec(),
    ]);
    let mut rows: Vec<Row> = endings
        .into_iter()
        .map(|ending| {
            (
                Key::from_stored([&prefix[..], &ending[..]].concat()),
                ending,
            )
        })
        .collect();
    let mut transaction = room.begin().await;
    for (key, value) in &rows {
        transaction.set(key, value);
    }
    transaction.commit().await.unwrap();
    rows.sort();
    let range = KeyRange::scope(Scope::Tenant(room.tenant));
    assert_eq!(
        room.begin().await.range(&range, 1000, false).await.unwrap(),
        rows
    );
}

pub(crate) async fn an_empty_range_has_no_rows(room: Room) {
    room.put(&[(1, b"1"), (2, b"2")]).await;
    let mut transaction = room.begin().await;
    assert_eq!(
        transaction
            .range(&room.rows(1, 1), 10, false)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        transaction.range(&room.rows(2, 1), 10, true).await.unwrap(),
        []
    );
    assert_eq!(
        transaction.range(&room.rows(0, 9), 0, false).await.unwrap(),
        []
    );
    transaction.clear_range(&room.rows(2, 1));
    transaction.commit().await.unwrap();
    assert_eq!(
        room.begin()
            .await
            .range(&room.rows(0, 9), 10, false)
            .await
            .unwrap()
            .len(),
        2
    );
}
