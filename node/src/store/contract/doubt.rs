//! Commits whose outcome is not known, planted between a store and [`transact`].

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Room, counter};
use crate::store::key::{Key, KeyRange};
use crate::store::{
    Attempt, Change, Properties, Row, Stamp, Store, StoreError, Transaction, transact,
};

/// What happens to a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It is done, but its caller is told that nobody knows.
    DoneInDoubt,
    /// It is not done, and its caller is told that nobody knows.
    LostInDoubt,
    /// It is not done, and its caller is told so.
    Conflict,
}

/// A store whose next commits meet the fates in `plan`, last first, and then go well.
pub(crate) struct Doubtful {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Vec<Fate>>>,
}

struct DoubtfulTransaction {
    inner: Box<dyn Transaction>,
    plan: Arc<Mutex<Vec<Fate>>>,
}

#[async_trait]
impl Store for Doubtful {
    fn properties(&self) -> Properties {
        Properties {
            doubtful_commits: true,
            ..self.inner.properties()
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let (inner, plan) = (self.inner.begin().await?, Arc::clone(&self.plan));
        Ok(Box::new(DoubtfulTransaction { inner, plan }))
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.inner.changes_after(after, limit).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.inner.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        self.inner.trim_changes(before).await
    }
}

#[async_trait]
impl Transaction for DoubtfulTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.inner.range(range, limit, reverse).await
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &Key) {
        self.inner.clear(key);
    }

    fn clear_range(&mut self, range: &KeyRange) {
        self.inner.clear_range(range);
    }

    fn add(&mut self, key: &Key, delta: i64) {
        self.inner.add(key, delta);
    }

    fn set_stamp(&mut self, key: &Key) {
        self.inner.set_stamp(key);
    }

    fn append_change(&mut self, record: &[u8]) {
        self.inner.append_change(record);
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        let fate = self.plan.lock().pop();
        match fate {
            None => self.inner.commit().await,
            Some(Fate::Conflict) => Err(StoreError::Conflict),
            Some(Fate::LostInDoubt) => Err(StoreError::MaybeCommitted("planted".into())),
            Some(Fate::DoneInDoubt) => {
                self.inner.commit().await?;
                Err(StoreError::MaybeCommitted("planted".into()))
            }
        }
    }
}

impl Doubtful {
    /// A store in front of `inner` whose commits go well until told otherwise.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// What the next commits meet, reads included.
    pub(crate) fn plan(&self, fates: &[Fate]) {
        *self.plan.lock() = fates.iter().rev().copied().collect();
    }
}

impl Room {
    fn doubtful(&self, fates: &[Fate]) -> Doubtful {
        let store = Doubtful::new(Arc::clone(&self.store));
        store.plan(fates);
        store
    }
}

pub(crate) async fn a_body_is_told_of_a_doubtful_commit(room: Room) {
    use Fate::{Conflict, DoneInDoubt, LostInDoubt};
    for (fates, told) in [
        (&[][..], &[false][..]),
        (&[Conflict], &[false, false]),
        (&[LostInDoubt], &[false, true]),
        (&[DoneInDoubt, DoneInDoubt], &[false, true, true]),
        // A conflict afterwards does not lift the doubt.
        (
            &[Conflict, LostInDoubt, Conflict],
            &[false, false, true, true],
        ),
    ] {
        let mut attempts: Vec<Attempt> = Vec::new();
        transact(&room.doubtful(fates), async |transaction, attempt| {
            attempts.push(attempt);
            transaction.set(&room.row(1), b"written");
            Ok(())
        })
        .await
        .unwrap();
        let heard: Vec<bool> = attempts
            .iter()
            .map(|attempt| attempt.maybe_committed)
            .collect();
        assert_eq!(heard, told, "{fates:?}");
        assert!(
            attempts
                .iter()
                .zip(0..)
                .all(|(attempt, number)| attempt.number == number)
        );
    }
}

/// Every plan of up to three fates; the body leaves a trace of itself and looks for it when in doubt.
pub(crate) async fn a_careful_body_is_applied_once(room: Room) {
    let fates = [Fate::DoneInDoubt, Fate::LostInDoubt, Fate::Conflict];
    let mut plans: Vec<Vec<Fate>> = vec![Vec::new()];
    for first in fates {
        for second in fates {
            plans.extend(fates.map(|third| vec![first, second, third]));
        }
    }
    for (operation, plan) in (1_u64..).zip(&plans) {
        transact(&room.doubtful(plan), async |transaction, attempt| {
            let trace = room.row(1000 + operation);
            if attempt.maybe_committed && transaction.get(&trace).await?.is_some() {
                return Ok(());
            }
            let count = counter(transaction.get(&room.row(1)).await?);
            transaction.set(&room.row(1), &(count + 1).to_le_bytes());
            transaction.set(&trace, b"done");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(
            room.read_counter(1).await,
            i64::try_from(operation).unwrap(),
            "{plan:?}"
        );
    }
}

/// Shows that the planted doubt bites: without a trace, the increment happens twice.
pub(crate) async fn a_careless_body_is_applied_twice(room: Room) {
    transact(
        &room.doubtful(&[Fate::DoneInDoubt]),
        async |transaction, _| {
            let count = counter(transaction.get(&room.row(1)).await?);
            transaction.set(&room.row(1), &(count + 1).to_le_bytes());
            Ok(())
        },
    )
    .await
    .unwrap();
    assert_eq!(room.read_counter(1).await, 2);
}
