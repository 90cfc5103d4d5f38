//! What is counted against FoundationDB's limits, compared with what FoundationDB counts.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Layout, MEMORY, options, room, store_in};
use crate::store::contract::Room;
use crate::store::foundationdb::transaction::{FoundationDbTransaction, VALUE_BYTES};
use crate::store::foundationdb::{FoundationDbStore, Shared};
use crate::store::{StoreError, Transaction};

#[derive(Clone, Debug)]
enum Operation {
    Get(u64),
    Range(u64, u64, usize),
    Set(u64, usize),
    Clear(u64),
    ClearRange(u64, u64),
    Add(u64),
    Stamp(u64),
    Change(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let row = || 0..1000_u64;
    prop_oneof![
        row().prop_map(Operation::Get),
        (row(), row(), 1..9_usize).prop_map(|(a, b, limit)| Operation::Range(a, b, limit)),
        (row(), 0..3000_usize).prop_map(|(row, length)| Operation::Set(row, length)),
        row().prop_map(Operation::Clear),
        (row(), row()).prop_map(|(a, b)| Operation::ClearRange(a, b)),
        row().prop_map(Operation::Add),
        // Beyond what is read, since a stamp cannot be.
        (2000..3000_u64).prop_map(Operation::Stamp),
        (0..100_usize).prop_map(Operation::Change),
    ]
}

async fn perform(room: &Room, transaction: &mut FoundationDbTransaction, operation: &Operation) {
    match operation {
        Operation::Get(row) => drop(transaction.get(&room.row(*row)).await.unwrap()),
        Operation::Range(begin, end, limit) => {
            let range = room.rows(*begin, *end);
            drop(transaction.range(&range, *limit, false).await.unwrap());
        }
        Operation::Set(row, length) => transaction.set(&room.row(*row), &vec![7; *length]),
        Operation::Clear(row) => transaction.clear(&room.row(*row)),
        Operation::ClearRange(begin, end) => transaction.clear_range(&room.rows(*begin, *end)),
        Operation::Add(row) => transaction.add(&room.row(*row), 1),
        Operation::Stamp(row) => transaction.set_stamp(&room.row(*row)),
        Operation::Change(length) => transaction.append_change(&vec![7; *length]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn what_is_counted_is_never_less_than_what_foundationdb_counts() {
    let (store, ()) = store_in(&MEMORY, Layout::Memory).await;
    let cluster = MEMORY.get().unwrap();
    let opened = FoundationDbStore::open(&options(cluster)).await.unwrap();
    let (room, shared) = (Room::new(store), Arc::clone(&opened.shared));
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        let operations = prop::collection::vec(operation(), 1..60);
        TestRunner::new(config).run(&operations, |operations| {
            let (counted, actual) = handle.block_on(sizes(&room, &shared, &operations));
            prop_assert!(counted >= actual, "{counted} < {actual}");
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn sizes(room: &Room, shared: &Arc<Shared>, operations: &[Operation]) -> (usize, usize) {
    let inner = shared.transaction().unwrap();
    let mut transaction = FoundationDbTransaction::new(Arc::clone(shared), inner);
    for operation in operations {
        perform(room, &mut transaction, operation).await;
    }
    transaction.sizes().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_value_that_is_too_long_is_refused_and_the_longest_is_not() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let room = room(&options(MEMORY.get().unwrap())).await;
    room.put(&[(1, &vec![1; VALUE_BYTES])]).await;
    assert_eq!(room.read(1).await.unwrap().len(), VALUE_BYTES);
    let mut transaction = room.begin().await;
    transaction.set(&room.row(1), &vec![2; VALUE_BYTES + 1]);
    let outcome = transaction.commit().await;
    assert!(
        matches!(outcome, Err(StoreError::TooLarge(_))),
        "{outcome:?}"
    );
    assert_eq!(room.read(1).await.unwrap()[0], 1);
}

/// Ranges arrive in pages; this one is several of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs FoundationDB"]
async fn a_long_range_arrives_whole_in_both_directions() {
    let (_, ()) = store_in(&MEMORY, Layout::Memory).await;
    let room = room(&options(MEMORY.get().unwrap())).await;
    let value = vec![7; 50_000];
    let rows: Vec<(u64, &[u8])> = (0..100).map(|row| (row, value.as_slice())).collect();
    room.put(&rows).await;
    let mut transaction = room.begin().await;
    for reverse in [false, true] {
        for limit in [99, 1000] {
            let range = room.rows(0, 1000);
            let mut found = transaction.range(&range, limit, reverse).await.unwrap();
            assert_eq!(found.len(), limit.min(100));
            if reverse {
                found.reverse();
            }
            let first = if reverse { 100 - found.len() as u64 } else { 0 };
            for (row, (key, found)) in (first..).zip(found) {
                assert_eq!(key, room.row(row));
                assert!(found == value);
            }
        }
    }
}
