//! The retry loop around a transaction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Stamp, Store, StoreError, Transaction};
use crate::error::Error;

/// How often a transaction is run before the caller is told [`Error::Conflict`]: about two seconds of [`back_off`].
const MAX_ATTEMPTS: u32 = 64;
/// Rounds that are run again at once. Most conflicts are with one other writer, who is done by then.
const EAGER_ATTEMPTS: u32 = 4;
/// The first wait is at most this long, and each later one at most twice as long as the one before...
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// ...up to this. Long enough that a hundred writers of one row thin out, short for a person.
const LONGEST_WAIT: Duration = Duration::from_millis(64);

/// What the closure should know about the round it runs in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempt {
    /// 0 for the first round.
    pub number: u32,
    /// An earlier round may have committed: a write that is not idempotent must look for its own traces first.
    pub maybe_committed: bool,
}

/// Runs `body` in a transaction and commits it, again after each conflict.
///
/// The future is not `Send` where `body` borrows from around it, a limit of the language's async closures: await it in
/// the handler or actor that needs the outcome.
///
/// # Errors
/// What `body` returns, or [`Error::Conflict`] when every round lost, or why the store failed.
pub async fn transact<T>(
    store: &dyn Store,
    mut body: impl AsyncFnMut(&mut dyn Transaction, Attempt) -> Result<T, Error>,
) -> Result<(T, Stamp), Error> {
    let mut attempt = Attempt::default();
    while attempt.number < MAX_ATTEMPTS {
        let mut transaction = store.begin().await?;
        let outcome = match body(transaction.as_mut(), attempt).await {
            Ok(value) => transaction.commit().await.map(|stamp| (value, stamp)),
            Err(Error::Conflict) => Err(StoreError::Conflict),
            Err(error) => return Err(error),
        };
        match outcome {
            Ok(done) => return Ok(done),
            Err(StoreError::Conflict) => {}
            Err(StoreError::MaybeCommitted(_)) => attempt.maybe_committed = true,
            Err(error) => return Err(error.into()),
        }
        attempt.number += 1;
        back_off(attempt.number).await;
    }
    Err(Error::Conflict)
}

/// Waits before round `number`, longer the more rounds were lost. Writers of one row that all ran again at once would
/// mostly beat each other; spread out, each finds its turn.
async fn back_off(number: u32) {
    /// Numbers the waits of this process. Multiplied by the golden ratio, consecutive ones lie far apart in any window.
    static WAITS: AtomicU64 = AtomicU64::new(0);
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    let Some(doublings) = number.checked_sub(EAGER_ATTEMPTS) else {
        return tokio::task::yield_now().await;
    };
    let window = FIRST_WAIT
        .saturating_mul(1 << doublings.min(16))
        .min(LONGEST_WAIT);
    let spread = WAITS
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(GOLDEN_RATIO)
        >> 32;
    tokio::time::sleep(window.mul_f64(spread as f64 / f64::from(u32::MAX))).await;
}
