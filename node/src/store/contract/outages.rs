//! What the tests of shared stores need while their servers come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::Room;
use crate::store::{Stamp, StoreError};

/// How long a store may take to find its servers again, and these to be themselves again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl Room {
    pub(crate) async fn try_read(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.begin().await?.get(&self.row(number)).await
    }

    async fn write_and_count(&self, number: u64) -> Result<Stamp, StoreError> {
        let mut transaction = self.store.begin().await?;
        transaction.get(&self.row(number)).await?;
        transaction.set(&self.row(number), b"acknowledged");
        transaction.add(&self.row(1_000_000), 1);
        transaction.commit().await
    }

    /// Reads a row as soon as the store can again.
    pub(crate) async fn read_patiently(&self, number: u64) -> Option<Vec<u8>> {
        let began = Instant::now();
        loop {
            match self.try_read(number).await {
                Ok(value) => return value,
                Err(StoreError::Unavailable(_) | StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(began.elapsed() < PATIENCE, "the store does not come back");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets eight writers write while `meanwhile` happens, then looks for everything that was acknowledged to them.
    pub(crate) async fn loses_nothing(&self, meanwhile: impl AsyncFnOnce()) {
        const WRITERS: u64 = 8;
        let done = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (room, done) = (self.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in (writer..).step_by(8) {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    match room.write_and_count(number).await {
                        Ok(_) => acknowledged.push(number),
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                }
                acknowledged
            })
        });
        let writers: Vec<_> = writers.collect();
        meanwhile().await;
        sleep(Duration::from_millis(300)).await;
        done.store(true, Ordering::SeqCst);
        let acknowledged = join_all(writers).await;
        let acknowledged: Vec<u64> = acknowledged.into_iter().flat_map(Result::unwrap).collect();
        assert!(acknowledged.len() > 50, "{}", acknowledged.len());
        for number in &acknowledged {
            let value = self.read_patiently(*number).await;
            assert_eq!(value.as_deref(), Some(&b"acknowledged"[..]), "{number}");
        }
        let count = usize::try_from(self.read_counter(1_000_000).await).unwrap();
        assert!(count >= acknowledged.len());
    }
}

#[track_caller]
pub(crate) fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[track_caller]
pub(crate) fn assert_in_doubt(outcome: &Result<Stamp, StoreError>) {
    assert!(
        matches!(outcome, Err(StoreError::MaybeCommitted(_))),
        "{outcome:?}"
    );
}
