//! The store in PostgreSQL: one table of keys and values on one primary, shared by all nodes.
//!
//! It promises what [`Store`] promises, which is more than PostgreSQL's SERIALIZABLE does. That level may place a
//! transaction before others that were committed earlier, as long as some order explains what all of them saw: a write
//! could be acknowledged after the seal of its add-on. Here the order is that of the commits. A transaction reads one
//! moment of the database (REPEATABLE READ) and keeps its writes to itself; its commit is one call of a function in the
//! database (`migration_1.sql`), which takes locks on what was read and is written ([`locks`]), looks whether what was
//! read is still so ([`reads`]), and only then writes. So commits that touch the same stand in one order, which is the
//! order of their stamps, and the others do not wait for each other. What SERIALIZABLE would reject by mistake, since
//! it watches whole pages of the index, is not rejected.
//!
//! A stamp is the number of the transaction (`xid8`). The change feed is a table to which commits append one after the
//! other, so whoever sees a record sees all with smaller stamps: nothing appears late, and nothing that is acknowledged
//! is held back because of some other transaction of the server. A read-only transaction's stamp is below
//! `pg_snapshot_xmin`, so that everything it did not see has a larger one.
//!
//! It refuses a standby, a server older than PostgreSQL 14, one that lacks commits seen before, and the network of
//! other machines without TLS unless told otherwise. While the server does not answer, everybody is told
//! [`StoreError::Unavailable`] within `request_timeout`; nothing hangs. The feed is polled. PostgreSQL's NOTIFY would be
//! faster, but takes a lock of the whole server at each commit that uses it.

mod commit;
mod connection;
mod connector;
mod driver;
mod failure;
mod feed;
mod locks;
mod options;
mod pool;
mod reads;
mod schema;
mod session;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::connector::Connector;
use self::driver::Driver;
use self::pool::Pool;
use self::transaction::{PostgresTransaction, TRANSACTION_BYTES};
use super::{Change, Properties, Stamp, Store, StoreError, Transaction};
use crate::error::Error;

pub use self::options::{ConnectionUrl, PostgresOptions};

/// See the module's documentation. Dropping it ends the connections.
pub struct PostgresStore {
    shared: Arc<Shared>,
}

/// What transactions use.
struct Shared {
    pool: Arc<Pool>,
    /// What is added to the number of a transaction to make a stamp.
    stamp_base: i64,
    /// Tells waiting followers of this node's own commits at once.
    changed: Notify,
    poll_interval: Duration,
}

impl PostgresStore {
    /// Connects, and makes or updates the tables. The change feed is looked at every `poll_interval`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option that cannot be used; [`Error::Unavailable`] saying why there is no database.
    pub async fn open(options: &PostgresOptions, poll_interval: Duration) -> Result<Self, Error> {
        let connector = Arc::new(Connector::new(options)?);
        let driver = Driver::start()?;
        let deadline = Instant::now() + options.request_timeout;
        let first = Arc::clone(&connector);
        let preparing = async move {
            let connected = first.connect().await?;
            let stamp_base = schema::prepare(&connected.client, connected.server).await?;
            Ok((connected.server, stamp_base))
        };
        let (server, stamp_base) = driver.run(deadline, preparing).await?;
        let pool = Pool::new(
            connector,
            driver,
            server,
            options.max_connections,
            options.request_timeout,
        );
        let shared = Shared {
            pool,
            stamp_base,
            changed: Notify::new(),
            poll_interval,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    /// Notes how far the server has come, from a stamp's number.
    fn heard_of(&self, number: i64) {
        self.pool.heard_of(number.saturating_sub(self.stamp_base));
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn properties(&self) -> Properties {
        Properties {
            name: "postgres",
            doubtful_commits: true,
            max_value_bytes: TRANSACTION_BYTES / 2,
            max_transaction_bytes: TRANSACTION_BYTES,
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(PostgresTransaction::new(Arc::clone(&self.shared))))
    }

    async fn moment(&self) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        let lasting = PostgresTransaction::lasting(Arc::clone(&self.shared));
        Ok(Some(Box::new(lasting)))
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

#[cfg(test)]
mod tests;
