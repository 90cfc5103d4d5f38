//! The store: ordered keys, strictly serializable transactions. Everything below the barrier is untrusted, so this
//! module moves ciphertext and knows nothing of secrets.
//!
//! [`Store`] and [`Transaction`] are modelled on FoundationDB, the cluster's store: optimistic transactions with
//! read-your-writes, range reads, atomic counters, stamps set at commit, and a commit that may be in doubt. The other
//! stores offer the same; [`contract`] is the suite that each of them passes. Keys are built in [`key`] only.

pub mod announced;
pub mod change;
#[cfg(test)]
pub(crate) mod contract;
pub mod embedded;
pub mod foundationdb;
pub mod key;
pub mod observed;
mod overlay;
pub mod postgres;
pub mod tools;
mod transact;

use async_trait::async_trait;

use self::key::{Key, KeyRange};
use crate::error::Error;

pub use self::transact::{Attempt, transact};

/// The place of a commit in the order of all commits of one store; later commits have larger stamps.
/// Ten bytes, as FoundationDB's versionstamp (8 bytes of version, 2 of batch order), big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(pub [u8; 10]);

/// One record of the change feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// When it was committed.
    pub stamp: Stamp,
    /// What [`Transaction::append_change`] was given.
    pub record: Vec<u8>,
}

/// A row as read.
pub type Row = (Key, Vec<u8>);

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another commit touched what this transaction read, or the transaction is too old. Run it again.
    #[error("the transaction conflicts with another")]
    Conflict,
    /// The commit may or may not have happened. Run it again, knowing that.
    #[error("the commit's outcome is not known: {0}")]
    MaybeCommitted(String),
    /// The store cannot be reached or is full. Try later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A limit of the store was exceeded; the same transaction will never fit.
    #[error("the transaction is too large: {0}")]
    TooLarge(String),
    /// What was read is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The caller asked for something that has no meaning, such as the value of a stamp before its commit.
    #[error("{0}")]
    Misuse(&'static str),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            StoreError::MaybeCommitted(why) | StoreError::Unavailable(why) => {
                Self::Unavailable(format!("the store is unavailable: {why}"))
            }
            StoreError::TooLarge(_) => Self::TooLarge,
            StoreError::Corrupt(what) => Self::Corrupt(what),
            StoreError::Misuse(what) => Self::Bug(what.into()),
        }
    }
}

/// What a store can and cannot do, for callers that may skip work.
#[derive(Clone, Copy, Debug)]
pub struct Properties {
    /// Vault's `storage_type`: `embedded`, `inmem`, `foundationdb`, `postgres`.
    pub name: &'static str,
    /// Whether a commit can be in doubt. Where it cannot, idempotency rows are not written.
    pub doubtful_commits: bool,
    /// The longest value that fits into one row, in bytes.
    pub max_value_bytes: usize,
    /// How much one transaction may write, in bytes, the keys of what it reads and writes included.
    pub max_transaction_bytes: usize,
}

/// An ordered key-value store with strictly serializable transactions.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What this store is.
    fn properties(&self) -> Properties;

    /// Starts a transaction. It sees every commit acknowledged before this call.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// A transaction for reading everything as of one moment, however much that is and however long it takes. It cannot
    /// write. `None` where the store has no such thing: FoundationDB ends a transaction after five seconds.
    async fn moment(&self) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        Ok(None)
    }

    /// The changes committed after `after`, oldest first, at most `limit`; all of a commit's records or none.
    /// `Stamp::default()` is before every change.
    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// Returns once a change after `after` may exist. May return early; a caller then finds nothing and waits again.
    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError>;

    /// Forgets changes older than the stamp; nobody will ask for them again.
    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError>;
}

/// One transaction. Reads see its own writes. Dropping it without [`Transaction::commit`] undoes it.
#[async_trait]
pub trait Transaction: Send {
    /// The value at `key`.
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows of `range`, in key order, or from its end when `reverse`.
    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError>;

    /// Writes a row. Blind: it conflicts with nobody.
    fn set(&mut self, key: &Key, value: &[u8]);

    /// Removes a row.
    fn clear(&mut self, key: &Key);

    /// Removes all rows of a range.
    fn clear_range(&mut self, range: &KeyRange);

    /// Adds to a little-endian `i64` counter (absent counts as zero, overflow wraps) without reading it.
    fn add(&mut self, key: &Key, delta: i64);

    /// Sets the row at `key` to the stamp of this commit (10 bytes), without conflicting. Not readable before commit:
    /// a `get` of it in this transaction is an error.
    fn set_stamp(&mut self, key: &Key);

    /// Appends a record to the change feed.
    fn append_change(&mut self, record: &[u8]);

    /// Commits and says where in the order it stands; durable when this returns. A transaction without writes returns
    /// the stamp of what it read.
    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError>;
}
