//! Commits that were given up and may still be on their way.
//!
//! A commit that is not answered in time may be done much later, when its caller has long run again. So that it cannot
//! come on top of what the second round does, each commit reads and writes a *mark*, a key of its own that is never
//! stored: before anything else happens in this store, a transaction that writes the marks of all given-up commits is
//! committed. After that, each of them is either done or conflicts with it. This is what FoundationDB's library does by
//! itself before it says that a result is unknown, but not when it is its caller who gives up.

use std::sync::atomic::{AtomicU64, Ordering};

use ::foundationdb::options::ConflictRangeType;
use ::foundationdb::{Database, FdbResult, Transaction};
use parking_lot::Mutex;

use super::super::StoreError;
use super::failure;
use crate::rng::OsRandom;

/// Stands between the subspace's prefix and what makes a mark unique. Rows go on with another byte.
const MARK: u8 = 0xfe;

/// See the module's documentation.
pub(super) struct Doubts {
    /// What all marks of this store begin with, which those of other nodes do not.
    prefix: Vec<u8>,
    next: AtomicU64,
    /// The marks of given-up commits.
    open: Mutex<Vec<Mark>>,
    /// Held by who settles, so that it is done once.
    settling: tokio::sync::Mutex<()>,
}

/// A key that one commit conflicts on, and nothing else.
#[derive(Clone)]
pub(super) struct Mark(Vec<u8>);

impl Doubts {
    /// For marks in a subspace.
    pub(super) fn new(subspace: &[u8]) -> Self {
        let prefix = [subspace, &[MARK], &OsRandom.array::<16>()].concat();
        Self {
            prefix,
            next: AtomicU64::new(0),
            open: Mutex::default(),
            settling: tokio::sync::Mutex::default(),
        }
    }

    /// Makes a transaction one that can be settled.
    pub(super) fn mark(&self, transaction: &Transaction) -> FdbResult<Mark> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mark = Mark([self.prefix.as_slice(), &number.to_be_bytes()].concat());
        mark.put_on(transaction)?;
        Ok(mark)
    }

    /// Notes that a commit was given up.
    pub(super) fn note(&self, mark: Mark) {
        self.open.lock().push(mark);
    }

    /// Returns once no commit is in doubt any more.
    pub(super) async fn settle(&self, database: &Database) -> Result<(), StoreError> {
        if self.open.lock().is_empty() {
            return Ok(());
        }
        let _settling = self.settling.lock().await;
        loop {
            let open = self.open.lock().clone();
            if open.is_empty() {
                return Ok(());
            }
            let transaction = database.create_trx().map_err(failure::while_reading)?;
            for mark in &open {
                mark.put_on(&transaction).map_err(failure::while_reading)?;
            }
            match transaction.commit().await.map_err(|error| *error) {
                // Others have been noted behind these meanwhile, if at all.
                Ok(_) => drop(self.open.lock().drain(..open.len())),
                // One of them has just been done, or this one may not be.
                Err(error) => match failure::while_committing(error) {
                    StoreError::Conflict | StoreError::MaybeCommitted(_) => {}
                    error => return Err(error),
                },
            }
        }
    }
}

impl Mark {
    fn put_on(&self, transaction: &Transaction) -> FdbResult<()> {
        let end = [self.0.as_slice(), &[0]].concat();
        for side in [ConflictRangeType::Read, ConflictRangeType::Write] {
            transaction.add_conflict_range(&self.0, &end, side)?;
        }
        Ok(())
    }
}
