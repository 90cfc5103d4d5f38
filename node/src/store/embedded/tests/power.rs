//! Power cuts: the disk keeps what was synced, and any part of what was not.

use futures_util::future::join_all;
use proptest::prelude::*;

use super::disk::Fault;
use super::*;
use crate::store::contract::counter;

/// Numbers from a seed, for choices that a failing case must be able to repeat (splitmix64).
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Writes a value to two rows and counts; tells what was acknowledged.
async fn commit(room: &Room, number: u64) -> Option<u64> {
    let mut transaction = room.store.begin().await.ok()?;
    let value = vec![number as u8; (number as usize * 997) % 9_000];
    transaction.set(&room.row(2 * number), &value);
    transaction.set(&room.row(2 * number + 1), &value);
    transaction.add(&room.row(1_000_000), 1);
    if number % 5 == 4 {
        transaction.clear_range(&room.rows(2 * (number - 4), 2 * (number - 2)));
    }
    transaction.commit().await.ok()?;
    Some(number)
}

async fn survive(operations: usize, seed: u64, share: u64) {
    let mut seeded = Seeded(seed);
    let disk = Disk::default();
    let mut room = room(open_on(&disk).unwrap());
    let tenant = room.tenant;
    let mut acknowledged = Vec::new();
    let mut disk = disk;
    // Three lives, so that a store that came out of a power cut is cut off again.
    for life in 0..3_u64 {
        disk.fail_after(operations, Fault::Dead);
        for round in 0..6 {
            let numbers = (0..5).map(|index| life * 100 + round * 5 + index);
            let answers = join_all(numbers.map(|number| commit(&room, number))).await;
            acknowledged.extend(answers.into_iter().flatten());
        }
        let after = disk.after_power_cut(|| seeded.next() % 100 < share);
        drop(room);
        disk = after;
        room = Room {
            store: Arc::new(open_on(&disk).unwrap()),
            tenant,
        };
        check(&room, &acknowledged).await;
    }
}

async fn check(room: &Room, acknowledged: &[u64]) {
    let mut transaction = room.begin().await;
    let mut there = 0;
    for number in 0..300 {
        let rows = [2 * number, 2 * number + 1].map(|row| room.row(row));
        let first = transaction.get(&rows[0]).await.unwrap();
        let second = transaction.get(&rows[1]).await.unwrap();
        assert_eq!(first, second, "half a transaction");
        there += i64::from(first.is_some());
        let removed_later = number % 5 < 2;
        assert!(
            first.is_some() || removed_later || !acknowledged.contains(&number),
            "{number} is lost"
        );
    }
    let counted = counter(transaction.get(&room.row(1_000_000)).await.unwrap());
    assert!(counted >= i64::try_from(acknowledged.len()).unwrap());
    assert!(counted >= there);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_loses_nothing_acknowledged(
        operations in 0..250_usize,
        seed in any::<u64>(),
        share in prop_oneof![Just(0_u64), Just(50), Just(90), Just(100)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(survive(operations, seed, share));
    }
}
