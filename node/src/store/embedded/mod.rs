//! The embedded store: one process, one file, [redb] below.
//!
//! It promises what [`Store`] promises, and that a commit is on the disk before it is acknowledged. Transactions are
//! optimistic: each reads an immutable snapshot, which costs neither a lock nor a call into redb, and keeps its writes
//! to itself; one thread ([`committer`]) takes what is waiting, lets those win that read nothing stale, and writes the
//! winners with one fsync. On redb's in-memory backend the same code is the store for `--dev` and for tests.
//!
//! It refuses a file that another process has open, one that is cut short, damaged or not its own. When the disk fails,
//! everybody is told [`StoreError::Unavailable`]; nothing hangs.

mod buffer;
mod committer;
mod conflict;
mod file;
mod queue;
mod snapshot;
mod transaction;

use std::borrow::Borrow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redb::Database;
use redb::backends::InMemoryBackend;
use tokio::sync::watch;

use self::buffer::WriteBuffer;
use self::committer::Committer;
use self::conflict::ReadSet;
use self::queue::Queue;
use self::snapshot::Snapshot;
use self::transaction::{EmbeddedTransaction, TRANSACTION_BYTES};
use super::key::Key;
use super::{Change, Properties, Stamp, Store, StoreError, Transaction};

/// The name of the file in the data folder.
pub const FILE_NAME: &str = "conclave.store";

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
    failure: OnceLock<String>,
}

impl EmbeddedStore {
    /// Opens the store in `folder`, making both where they are missing, readable by the owner only.
    ///
    /// # Errors
    /// One line that says what is wrong with the folder or the file.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let database =
            file::open(folder, &path, options).map_err(|error| name_file(error, &path))?;
        Self::start("embedded", database, true).map_err(|error| name_file(error, &path))
    }

    /// An empty store that forgets everything when dropped.
    ///
    /// # Errors
    /// None that would be expected.
    pub fn in_memory() -> Result<Self, StoreError> {
        // The backend is memory already; the cache saves locking it.
        let database = Database::builder()
            .set_cache_size(16 * 1024 * 1024)
            .create_with_backend(InMemoryBackend::new())
            .map_err(snapshot::failed)?;
        Self::start("inmem", database, false)
    }

    fn start(
        name: &'static str,
        database: Database,
        quick_repair: bool,
    ) -> Result<Self, StoreError> {
        let last = committer::prepare(&database)?;
        let snapshot = committer::snapshot(&database, last)?;
        let changes = last_change(&snapshot)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            queue: Queue::new(),
            last_change: watch::Sender::new(changes),
            failure: OnceLock::new(),
        });
        let committer = Committer::new(database, Arc::clone(&shared), quick_repair);
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
    /// Stops the store: whoever waits and whoever comes is told the reason.
    fn fail(&self, reason: String) {
        let _ = self.failure.set(reason);
        self.queue.abandon();
        self.last_change.send_modify(|_| {});
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(_) => Err(self.why_unavailable()),
        }
    }

    fn why_unavailable(&self) -> StoreError {
        StoreError::Unavailable(
            self.failure
                .get()
                .map_or("it is closed", String::as_str)
                .to_owned(),
        )
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
        self.shared.check()?;
        let snapshot = self.shared.snapshot.load_full();
        Ok(Box::new(EmbeddedTransaction::new(
            Arc::clone(&self.shared),
            snapshot,
        )))
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.shared.check()?;
        let range = Key::changes_after(after);
        let snapshot = self.shared.snapshot.load_full();
        snapshot.scan((&range.begin, &range.end), false, |rows| {
            whole_commits(rows, limit)
        })
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        let mut last_change = self.shared.last_change.subscribe();
        let stopped = || self.shared.failure.get().is_some();
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

/// The stamp of the newest record in the change feed.
fn last_change(snapshot: &Snapshot) -> Result<Stamp, StoreError> {
    let range = Key::changes_after(Stamp::default());
    snapshot.scan((&range.begin, &range.end), true, |rows| {
        rows.next().map_or(Ok(Stamp::default()), |row| {
            let (key, _) = row?;
            Key::from_stored(<_ as Borrow<[u8]>>::borrow(&key).to_vec()).change_stamp()
        })
    })
}

/// Decodes change records until `limit`, without splitting a commit.
fn whole_commits(
    rows: &mut dyn Iterator<Item = snapshot::StoredRow>,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let mut changes: Vec<Change> = Vec::new();
    for row in rows {
        let (key, record) = row?;
        let stamp = Key::from_stored(<_ as Borrow<[u8]>>::borrow(&key).to_vec()).change_stamp()?;
        if changes.len() >= limit {
            let first_of_its_commit =
                |changes: &[Change]| changes.last().is_none_or(|last| last.stamp != stamp);
            if first_of_its_commit(&changes) {
                break;
            }
            // The limit falls inside this commit. It is left for the next call, unless nothing else was found.
            let complete = changes
                .iter()
                .take_while(|change| change.stamp != stamp)
                .count();
            if complete > 0 {
                changes.truncate(complete);
                break;
            }
        }
        changes.push(Change {
            stamp,
            record: <_ as Borrow<[u8]>>::borrow(&record).to_vec(),
        });
    }
    Ok(changes)
}

/// Puts the file's name in front of an error.
fn name_file(error: StoreError, path: &Path) -> StoreError {
    let name = |what: String| format!("{}: {what}", path.display());
    match error {
        StoreError::Unavailable(what) => StoreError::Unavailable(name(what)),
        StoreError::Corrupt(what) => StoreError::Corrupt(name(what)),
        other => other,
    }
}

#[cfg(test)]
mod tests;
