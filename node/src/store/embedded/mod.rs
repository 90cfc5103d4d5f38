//! The embedded store: one process, one file, [redb] below.
//!
//! It promises what [`Store`] promises, and that a commit is on the disk before it is acknowledged. Transactions are
//! optimistic: each reads an immutable snapshot, which costs neither a lock nor a call into redb, and keeps its writes
//! to itself; one thread ([`committer`]) takes what is waiting, lets those win that read nothing stale, and writes the
//! winners with one fsync. On redb's in-memory backend the same code is the store for `--dev` and for tests.
//!
//! A read that misses the cache goes to the disk on the caller's thread. That is 0.1 ms now and then, less than moving
//! every read to another thread would cost.
//!
//! It refuses a file that another process has open, one that is cut short or not its own. A damaged page is an
//! error to whoever needs it and to nobody else ([`checked_file`]). When the disk fails, everybody is told
//! [`StoreError::Unavailable`] and nothing hangs; once the disk works again, so does the store, unless what was lost
//! cannot be known.

mod checked_file;
mod committer;
mod conflict;
mod feed;
mod file;
mod layout;
mod queue;
mod snapshot;
mod transaction;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use redb::Database;
use redb::backends::InMemoryBackend;
use tokio::sync::watch;

use self::committer::Committer;
use self::conflict::ReadSet;
use self::file::Location;
use self::queue::Queue;
use self::snapshot::Snapshot;
use self::transaction::{EmbeddedTransaction, TRANSACTION_BYTES};
use self::writer::{Reopen, Writer};
use super::key::Key;
use super::overlay::WriteBuffer;
use super::{Change, Properties, Stamp, Store, StoreError, Transaction};

pub use self::file::FILE_NAME;

/// How to open the store.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// How much of the file is kept in memory, in bytes.
    pub cache_bytes: usize,
}

impl Default for EmbeddedOptions {
    /// 128 MiB of cache: some hundred thousand secrets.
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
        }
    }
}

/// See the module's documentation. Dropping it finishes the commits that wait and closes the file.
pub struct EmbeddedStore {
    name: &'static str,
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

/// What transactions and the committer share.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    queue: Queue,
    last_change: watch::Sender<Stamp>,
    /// Why the store has stopped.
    failure: ArcSwapOption<String>,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, making both where they are missing, readable by the owner only.
    ///
    /// # Errors
    /// One line that says what is wrong with the folder or the file.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, StoreError> {
        let location = Location::new(folder, options);
        let database = location.open_or_create()?;
        Self::start(
            "embedded",
            database,
            true,
            Box::new(move || location.open()),
        )
    }

    /// An empty store that forgets everything when dropped.
    ///
    /// # Errors
    /// None that would be expected.
    pub fn in_memory() -> Result<Self, StoreError> {
        let database = Database::builder()
            // The backend is memory already; the cache saves locking it.
            .set_cache_size(16 * 1024 * 1024)
            .create_with_backend(InMemoryBackend::new())
            .map_err(snapshot::failed)?;
        let gone = || Err(StoreError::Corrupt("it was held in memory".into()));
        Self::start("inmem", database, false, Box::new(gone))
    }

    fn start(
        name: &'static str,
        database: Database,
        quick_repair: bool,
        reopen: Reopen,
    ) -> Result<Self, StoreError> {
        let (writer, snapshot) = Writer::new(database, reopen, quick_repair)?;
        let last_change = feed::last_change(&snapshot)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            queue: Queue::new(),
            last_change: watch::Sender::new(last_change),
            failure: ArcSwapOption::empty(),
        });
        let committer = Committer::new(writer, Arc::clone(&shared));
        let committer = std::thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
        Ok(Self {
            name,
            shared,
            committer: Some(committer),
        })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(committer) = self.committer.take() {
            // Its panics are caught inside; there is nothing to pass on.
            let _ = committer.join();
        }
    }
}

impl Shared {
    /// Stops the store: whoever waits for a change and whoever comes is told the reason.
    fn stop(&self, reason: String) {
        self.failure.store(Some(Arc::new(reason)));
        self.last_change.send_modify(|_| {});
    }

    /// Shows a state that was read anew from the file, and lets everybody in again.
    fn resume(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.last_change.send_replace(feed::last_change(&snapshot)?);
        self.snapshot.store(Arc::new(snapshot));
        self.failure.store(None);
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.failure.load().is_some() {
            return Err(self.why_unavailable());
        }
        Ok(())
    }

    fn why_unavailable(&self) -> StoreError {
        let reason = self.failure.load();
        StoreError::Unavailable(
            reason
                .as_ref()
                .map_or("it is closed".into(), |reason| reason.to_string()),
        )
    }

    /// The state that new transactions see.
    fn current(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.check()?;
        Ok(self.snapshot.load_full())
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn properties(&self) -> Properties {
        Properties {
            name: self.name,
            doubtful_commits: false,
            max_value_bytes: TRANSACTION_BYTES / 2,
            max_transaction_bytes: TRANSACTION_BYTES,
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let snapshot = self.shared.current()?;
        Ok(Box::new(EmbeddedTransaction::new(
            Arc::clone(&self.shared),
            snapshot,
        )))
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        feed::changes_after(self.shared.current()?.as_ref(), after, limit)
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        let mut last_change = self.shared.last_change.subscribe();
        let stopped = || self.shared.failure.load().is_some();
        // The sender lives in `shared`, so the wait ends by the condition.
        let _ = last_change
            .wait_for(|stamp| *stamp > after || stopped())
            .await;
        self.shared.check()
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        let range = Key::changes_before(before);
        let mut writes = WriteBuffer::default();
        writes.clear_range(&range.begin, &range.end);
        self.shared
            .commit(writes, ReadSet::default(), 0)
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
