//! What every store must do, as one list of tests. A store runs it with `contract::suite!`, giving an expression that
//! opens a store; see the end of `embedded/tests.rs`.
//!
//! A test works in a [`Room`] of its own (a random add-on), so that stores which outlive a test can be tested as well,
//! and several tests at once. The change feed belongs to the whole store; its tests know their records by a tag.

pub(crate) mod counters;
pub(crate) mod doubt;
pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod isolation;
pub(crate) mod limits;
pub(crate) mod outages;
pub(crate) mod reading;

use std::sync::Arc;

use super::key::{Key, KeyRange, Part, Scope, Table};
use super::{Stamp, Store, StoreError, Transaction};
use crate::id::TenantId;
use crate::rng::OsRandom;

/// Makes one test of each promise, for the store that `$open` (a future of the store and of whatever must outlive it)
/// opens. An attribute before it, such as `#[ignore]`, goes to each test.
macro_rules! suite {
    (#[$attribute:meta] $open:expr) => {
        $crate::store::contract::suite! { @all [#[$attribute]] $open }
    };
    (@all $attributes:tt $open:expr) => {
        $crate::store::contract::suite! { @tests $attributes $open;
            reading::a_missing_row_is_none,
            reading::what_was_committed_is_read,
            reading::a_transaction_reads_its_own_writes,
            reading::ranges_hold_own_writes_in_order,
            reading::pages_join_up_in_both_directions,
            reading::keys_and_values_are_any_bytes,
            reading::an_empty_range_has_no_rows,
            isolation::a_dropped_transaction_leaves_nothing,
            isolation::a_failed_body_leaves_nothing,
            isolation::nobody_sees_half_a_transaction,
            isolation::an_update_is_never_lost,
            isolation::writes_cannot_be_skewed,
            isolation::phantoms_conflict,
            isolation::a_storm_of_phantoms_is_counted_exactly,
            isolation::a_removed_range_conflicts_with_its_readers,
            isolation::blind_writes_conflict_with_nobody,
            isolation::a_read_only_transaction_sees_one_moment,
            isolation::a_new_transaction_sees_every_acknowledged_commit,
            history::every_history_is_strictly_serializable,
            counters::a_storm_of_increments_is_counted_exactly,
            counters::concurrent_additions_are_counted_exactly,
            counters::addition_starts_at_zero_and_wraps,
            counters::addition_combines_with_other_writes,
            feed::stamps_grow_and_are_what_the_commit_returned,
            feed::a_stamp_cannot_be_read_before_its_commit,
            feed::a_follower_misses_nothing,
            feed::a_page_never_splits_a_commit,
            feed::trimmed_changes_are_gone_and_later_ones_stay,
            feed::a_waiting_follower_is_woken,
            limits::the_largest_value_survives,
            limits::a_full_transaction_survives,
            limits::a_transaction_over_the_limit_leaves_nothing,
            doubt::a_body_is_told_of_a_doubtful_commit,
            doubt::a_careful_body_is_applied_once,
            doubt::a_careless_body_is_applied_twice,
        }
    };
    (@tests $attributes:tt $open:expr; $($topic:ident::$name:ident,)*) => {
        $($crate::store::contract::suite! { @test $attributes $open; $topic $name })*
    };
    (@test [$($attributes:tt)*] $open:expr; $topic:ident $name:ident) => {
        $($attributes)*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (store, _kept) = $open.await;
            $crate::store::contract::$topic::$name($crate::store::contract::Room::new(store)).await;
        }
    };
    ($open:expr) => {
        $crate::store::contract::suite! { @all [] $open }
    };
}
pub(crate) use suite;

/// A store, and an add-on in it that no other test knows.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tenant: TenantId,
}

impl Room {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            tenant: TenantId::generate(&OsRandom),
        }
    }

    pub(crate) fn row(&self, number: u64) -> Key {
        Key::row(
            Scope::Tenant(self.tenant),
            Table::Policy,
            &[Part::Number(number)],
        )
    }

    /// The rows from `begin` up to but not including `end`.
    pub(crate) fn rows(&self, begin: u64, end: u64) -> KeyRange {
        KeyRange {
            begin: self.row(begin).as_bytes().to_vec(),
            end: self.row(end).as_bytes().to_vec(),
        }
    }

    pub(crate) async fn begin(&self) -> Box<dyn Transaction> {
        self.store.begin().await.unwrap()
    }

    /// Writes `rows` in one transaction.
    pub(crate) async fn put(&self, rows: &[(u64, &[u8])]) -> Stamp {
        let mut transaction = self.begin().await;
        for (number, value) in rows {
            transaction.set(&self.row(*number), value);
        }
        transaction.commit().await.unwrap()
    }

    pub(crate) async fn read(&self, number: u64) -> Option<Vec<u8>> {
        self.begin().await.get(&self.row(number)).await.unwrap()
    }

    pub(crate) async fn read_counter(&self, number: u64) -> i64 {
        counter(self.read(number).await)
    }
}

/// A counter as stored; absent is zero.
pub(crate) fn counter(value: Option<Vec<u8>>) -> i64 {
    value.map_or(0, |bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
}

#[track_caller]
pub(crate) fn assert_conflict(outcome: &Result<Stamp, StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Conflict)),
        "expected a conflict, got {outcome:?}"
    );
}
