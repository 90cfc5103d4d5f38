//! The store in FoundationDB, which is what [`Store`] was modelled on: nodes talk to a cluster that orders the commits.
//!
//! Its transactions are strictly serializable, and a new one sees every acknowledged commit: nothing here asks
//! FoundationDB for less (`causal_read_risky` and the like). Stamps are FoundationDB's versionstamps, so the change feed
//! is in the order of the commits and nothing appears in it late. Writes are not gathered into larger commits: the
//! cluster's commit proxies do that, for all nodes together.
//!
//! Everything stands below one prefix. While the cluster does not answer, everybody is told
//! [`StoreError::Unavailable`] within `request_timeout`; nothing hangs, and nothing needs to be done when it is back.
//! The time is taken here rather than by FoundationDB's own option, so that it also runs out if the library's thread
//! does not run. A commit that was given up cannot happen behind the back of what comes after it ([`doubt`]).
//!
//! The client library is loaded when the first store is opened, and its one thread stops when the program ends
//! ([`library`]). It refuses a library older than 7.3, values above 100 kB and transactions above 10 MB.

mod doubt;
mod failure;
mod feed;
mod library;
mod network;
mod options;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use ::foundationdb::{Database, FdbResult};
use async_trait::async_trait;
use foundationdb_tuple::pack;
use tokio::time::timeout;

use self::doubt::Doubts;
use self::failure::while_reading;
use self::network::wrong;
use self::transaction::{FoundationDbTransaction, TRANSACTION_BYTES, VALUE_BYTES};
use super::key::KeyRange;
use super::{Change, Properties, Stamp, Store, StoreError, Transaction};
use crate::error::Error;

pub use self::options::{FoundationDbOptions, FoundationDbTls};

const LATE: &str = "the cluster does not answer";

/// See the module's documentation.
pub struct FoundationDbStore {
    shared: Arc<Shared>,
}

/// What transactions use.
struct Shared {
    database: Database,
    /// What every key begins with.
    subspace: Vec<u8>,
    request_timeout: Duration,
    doubts: Doubts,
}

impl FoundationDbStore {
    /// Loads the library if no store has, and waits for the cluster's first answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option that cannot be used; [`Error::Unavailable`] when the cluster does not answer
    /// within `request_timeout`.
    pub async fn open(options: &FoundationDbOptions) -> Result<Self, Error> {
        let file = &options.cluster_file;
        network::check_readable("cluster_file", file)?;
        let path = file.to_str().filter(|path| !path.contains('\0'));
        let path = path.ok_or_else(|| wrong("cluster_file", "is no readable name"))?;
        network::start(options)?;
        let unusable = |why: &dyn std::fmt::Display| {
            Error::Unavailable(format!(
                "no FoundationDB cluster at cluster_file {path}: {why}; it must run, and be of version 7.3"
            ))
        };
        let database = Database::from_path(path).map_err(|error| unusable(&error))?;
        let subspace = pack(&(options.tenant_prefix.as_str(),));
        let shared = Shared {
            database,
            doubts: Doubts::new(&subspace),
            subspace,
            request_timeout: options.request_timeout,
        };
        let first = shared.transaction()?;
        match timeout(options.request_timeout, first.get_read_version()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(unusable(&error)),
            Err(_) => return Err(unusable(&"it does not answer")),
        }
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    fn transaction(&self) -> Result<::foundationdb::Transaction, StoreError> {
        self.database.create_trx().map_err(while_reading)
    }

    /// Waits for an answer of the cluster, but not for long.
    async fn answer<T>(&self, asking: impl Future<Output = FdbResult<T>>) -> Result<T, StoreError> {
        match timeout(self.request_timeout, asking).await {
            Ok(answer) => answer.map_err(while_reading),
            Err(_) => Err(StoreError::Unavailable(LATE.into())),
        }
    }

    /// A key as FoundationDB has it.
    fn stored(&self, key: &[u8]) -> Vec<u8> {
        [self.subspace.as_slice(), key].concat()
    }

    fn stored_range(&self, range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
        (self.stored(&range.begin), self.stored(&range.end))
    }

    /// The other way around.
    fn own<'k>(&self, stored: &'k [u8]) -> Result<&'k [u8], StoreError> {
        stored
            .strip_prefix(self.subspace.as_slice())
            .ok_or_else(|| StoreError::Corrupt("a key of somebody else".into()))
    }
}

/// FoundationDB's stamp, as ours.
fn stamp(bytes: &[u8]) -> Result<Stamp, StoreError> {
    let bytes = <[u8; 10]>::try_from(bytes);
    bytes
        .map(Stamp)
        .map_err(|_| StoreError::Corrupt("a stamp of the wrong length".into()))
}

#[async_trait]
impl Store for FoundationDbStore {
    fn properties(&self) -> Properties {
        Properties {
            name: "foundationdb",
            doubtful_commits: true,
            max_value_bytes: VALUE_BYTES,
            max_transaction_bytes: TRANSACTION_BYTES,
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let shared = &self.shared;
        let settling = shared.doubts.settle(&shared.database);
        match timeout(shared.request_timeout, settling).await {
            Ok(settled) => settled?,
            Err(_) => return Err(StoreError::Unavailable(LATE.into())),
        }
        let transaction = shared.transaction()?;
        Ok(Box::new(FoundationDbTransaction::new(
            Arc::clone(shared),
            transaction,
        )))
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.shared.changes_after(after, limit).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.shared.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        self.shared.trim_changes(before).await
    }
}
