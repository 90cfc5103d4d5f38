//! The retry loop around a transaction.

use super::{Stamp, Store, StoreError, Transaction};
use crate::error::Error;

/// How often a transaction is run again before the caller is told [`Error::Conflict`]. Thirty-two writers on one row
/// need at most thirty-two rounds each, since every round lets one of them through; twice that is slack.
const MAX_ATTEMPTS: u32 = 64;

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
    }
    Err(Error::Conflict)
}
