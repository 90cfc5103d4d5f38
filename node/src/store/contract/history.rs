//! Random transactions, several open at a time, against a model in memory.
//!
//! The model is a list of the states that the store went through, one per commit. What a transaction read must be what
//! it would have read, run alone, on one of the states since it began; if it wrote, on the very state that its writes
//! were applied to. A transaction may only conflict when another one committed since it began.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Room;
use crate::store::{StoreError, Transaction};

/// How many transactions are open at once.
const SLOTS: usize = 3;
/// How many rows they fight about.
const ROWS: u64 = 6;

/// One operation of a transaction.
#[derive(Clone, Debug)]
enum Operation {
    Get(u64),
    Range {
        begin: u64,
        end: u64,
        limit: usize,
        reverse: bool,
    },
    Set(u64, Vec<u8>),
    Clear(u64),
    ClearRange(u64, u64),
    Add(u64, i64),
}

/// What the transaction in one slot does next. The first step in an empty slot begins a transaction.
#[derive(Clone, Debug)]
enum Step {
    Do(Operation),
    Commit,
    Drop,
}

type State = BTreeMap<u64, Vec<u8>>;
type Rows = Vec<(u64, Vec<u8>)>;

struct Open {
    transaction: Box<dyn Transaction>,
    /// How many states there were when it began.
    began_at: usize,
    /// What it did, and what it got for it.
    done: Vec<(Operation, Rows)>,
    wrote: bool,
}

pub(crate) async fn every_history_is_strictly_serializable(room: Room) {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let steps = prop::collection::vec((0..SLOTS, step()), 1..60);
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&steps, |steps| {
            handle.block_on(run(&Room::new(room.store.clone()), steps));
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => operation().prop_map(Step::Do),
        2 => Just(Step::Commit),
        1 => Just(Step::Drop),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let row = 0..ROWS;
    // Few values, counters among them, so that additions meet all kinds.
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..10),
        (-2..3_i64).prop_map(|count| count.to_le_bytes().to_vec()),
    ];
    prop_oneof![
        4 => row.clone().prop_map(Operation::Get),
        3 => (0..ROWS, 0..=ROWS, 0..5_usize, any::<bool>())
            .prop_map(|(begin, end, limit, reverse)| Operation::Range { begin, end, limit, reverse }),
        3 => (row.clone(), value).prop_map(|(row, value)| Operation::Set(row, value)),
        2 => row.clone().prop_map(Operation::Clear),
        1 => (0..ROWS, 1..=ROWS)
            .prop_map(|(begin, rows)| Operation::ClearRange(begin, (begin + rows).min(ROWS))),
        2 => (row, -3..4_i64).prop_map(|(row, delta)| Operation::Add(row, delta)),
    ]
}

async fn run(room: &Room, steps: Vec<(usize, Step)>) {
    let mut states = vec![State::new()];
    let mut slots: Vec<Option<Open>> = (0..SLOTS).map(|_| None).collect();
    for (slot, step) in steps {
        let mut open = match slots[slot].take() {
            Some(open) => open,
            None => Open {
                transaction: room.begin().await,
                began_at: states.len() - 1,
                done: Vec::new(),
                wrote: false,
            },
        };
        match step {
            Step::Do(operation) => {
                let rows = perform(room, open.transaction.as_mut(), &operation).await;
                open.wrote |= !matches!(operation, Operation::Get(_) | Operation::Range { .. });
                open.done.push((operation, rows));
                slots[slot] = Some(open);
            }
            Step::Drop => assert_one_moment(&open.done, &states[open.began_at..]),
            Step::Commit => match open.transaction.commit().await {
                Err(StoreError::Conflict) => {
                    assert!(open.began_at + 1 < states.len(), "a conflict with nobody");
                    assert_one_moment(&open.done, &states[open.began_at..]);
                }
                Err(error) => panic!("{error}"),
                Ok(_) if open.wrote => {
                    let now = states[states.len() - 1].clone();
                    states.push(replay(&open.done, now).expect("stale reads were committed"));
                }
                Ok(_) => assert_one_moment(&open.done, &states[open.began_at..]),
            },
        }
    }
    let rows = Operation::Range {
        begin: 0,
        end: ROWS,
        limit: 100,
        reverse: false,
    };
    let stored = perform(room, room.begin().await.as_mut(), &rows).await;
    assert_eq!(
        stored,
        states[states.len() - 1]
            .clone()
            .into_iter()
            .collect::<Rows>()
    );
}

async fn perform(room: &Room, transaction: &mut dyn Transaction, operation: &Operation) -> Rows {
    match operation {
        Operation::Get(row) => {
            let value = transaction.get(&room.row(*row)).await.unwrap();
            return value.map(|value| (*row, value)).into_iter().collect();
        }
        Operation::Range {
            begin,
            end,
            limit,
            reverse,
        } => {
            let rows = transaction
                .range(&room.rows(*begin, *end), *limit, *reverse)
                .await
                .unwrap();
            let number = |key| (0..ROWS).find(|row| room.row(*row) == key).unwrap();
            return rows
                .into_iter()
                .map(|(key, value)| (number(key), value))
                .collect();
        }
        Operation::Set(row, value) => transaction.set(&room.row(*row), value),
        Operation::Clear(row) => transaction.clear(&room.row(*row)),
        Operation::ClearRange(begin, end) => transaction.clear_range(&room.rows(*begin, *end)),
        Operation::Add(row, delta) => transaction.add(&room.row(*row), *delta),
    }
    Rows::new()
}

fn assert_one_moment(done: &[(Operation, Rows)], states: &[State]) {
    let some_state_explains_it = states
        .iter()
        .any(|state| replay(done, state.clone()).is_some());
    assert!(
        some_state_explains_it,
        "no single moment explains {done:?} among {states:?}"
    );
}

/// Runs `done` on `state`. `None` if a read gives something else than it did then.
fn replay(done: &[(Operation, Rows)], mut state: State) -> Option<State> {
    for (operation, rows) in done {
        match operation {
            Operation::Get(row) => {
                let value = state.get(row).map(|value| (*row, value.clone()));
                if &value.into_iter().collect::<Rows>() != rows {
                    return None;
                }
            }
            Operation::Range {
                begin,
                end,
                limit,
                reverse,
            } => {
                let inside = state.iter().filter(|(row, _)| (begin..end).contains(row));
                let mut inside: Rows = inside.map(|(row, value)| (*row, value.clone())).collect();
                if *reverse {
                    inside.reverse();
                }
                inside.truncate(*limit);
                if &inside != rows {
                    return None;
                }
            }
            Operation::Set(row, value) => drop(state.insert(*row, value.clone())),
            Operation::Clear(row) => drop(state.remove(row)),
            Operation::ClearRange(begin, end) => {
                state.retain(|row, _| !(begin..end).contains(&row));
            }
            Operation::Add(row, delta) => {
                let mut bytes = state.remove(row).unwrap_or_default();
                bytes.resize(8, 0);
                let count = i64::from_le_bytes(bytes.try_into().unwrap());
                state.insert(*row, count.wrapping_add(*delta).to_le_bytes().to_vec());
            }
        }
    }
    Some(state)
}
