//! Copies, backups and restores of stores with add-ons in them: whole, interrupted, of sources that change, refused.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::pages::{PageSource, StorePages};
use super::*;
use crate::barrier::{Rows, Unsealed};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::MountId;
use crate::rng::OsRandom;
use crate::seal::init::{Prepared, prepare};
use crate::seal::{Quorum, Share};
use crate::store::change::Facet;
use crate::store::embedded::EmbeddedStore;
use crate::store::key::{Key, Part, Scope, Table};
use crate::store::{
    Attempt, Change, Properties, Row, Stamp, Store, StoreError, Transaction, transact,
};
use crate::tenant::registry::{self, AddOn};

/// A store with an add-on that was never initialised, and one that has secrets.
pub(super) struct Sample {
    pub(super) store: Arc<dyn Store>,
    pub(super) addon: AddOn,
    pub(super) mount: MountId,
    pub(super) unsealed: Unsealed,
    pub(super) shares: Vec<Share>,
}

/// How many secrets it has: more than some pages.
const SECRETS: u64 = 300;

pub(super) fn empty() -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::in_memory().unwrap())
}

pub(super) async fn sample() -> Sample {
    let store = empty();
    life::ensure(store.as_ref(), &OsRandom).await.unwrap();
    let now = Timestamp(7);
    for name in ["idle", "used"] {
        registry::create(store.as_ref(), &OsRandom, now, name, "o")
            .await
            .unwrap();
    }
    let addon = registry::find(store.as_ref(), "used").await.unwrap();
    let quorum = Quorum::new(3, 2).unwrap();
    let Prepared {
        rows: seal_rows,
        unsealed,
        shares,
    } = prepare(addon.id, quorum, &OsRandom, now).unwrap();
    let mount = MountId::generate(&OsRandom);
    transact(store.as_ref(), async |transaction, _| {
        seal_rows.write(transaction, addon.id);
        let scope = Scope::Tenant(addon.id);
        let mut rows = Rows::checked(transaction, &unsealed, scope, Attempt::default()).await?;
        rows.put(Table::Policy, &[1.into()], &vec![b'p'; 100_000])?;
        rows.note_change(Facet::Policies);
        let mut rows = rows.of(Scope::Mount(addon.id, mount));
        for number in 0..SECRETS {
            let length = if number % 50 == 0 { 200_000 } else { number };
            let value = vec![b's'; usize::try_from(length).unwrap()];
            rows.put(Table::KvVersion, &[number.into()], &value)?;
        }
        Ok(())
    })
    .await
    .unwrap();
    Sample {
        store,
        addon,
        mount,
        unsealed,
        shares,
    }
}

async fn rows_of(store: &dyn Store) -> Vec<Row> {
    let mut pages = StorePages::new(store, None);
    let mut rows = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        rows.extend(page.rows);
    }
    rows
}

async fn stored(store: &dyn Store, table: Table) -> Option<Vec<u8>> {
    let key = Key::row(Scope::Node, table, &[]);
    let read = transact(store, async |transaction, _| {
        Ok(transaction.get(&key).await?)
    });
    read.await.unwrap().0
}

async fn copied(source: &dyn Store, target: &dyn Store) -> Result<Moved, Error> {
    copy(source, target, &OsRandom, &mut |_| {}).await
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>, why: &str) {
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(why), "{error}, not {why}");
}

#[actix::test]
async fn a_copy_is_the_same_with_a_life_of_its_own() {
    let (sample, target) = (sample().await, empty());
    let mut steps = Vec::new();
    let mut watch = |progress: Progress| {
        if steps.last() != Some(&progress.step) {
            steps.push(progress.step);
        }
    };
    let (source, random) = (sample.store.as_ref(), OsRandom);
    let moved = copy(source, target.as_ref(), &random, &mut watch).await;
    let moved = moved.unwrap();
    assert_eq!(steps, ["Copying", "Verifying"]);
    let rows = rows_of(sample.store.as_ref()).await;
    assert_eq!(rows_of(target.as_ref()).await, rows);
    assert_eq!(moved.rows, rows.len() as u64);
    assert!(moved.rows > SECRETS);

    let life = async |store: &Arc<dyn Store>| stored(store.as_ref(), Table::Incarnation).await;
    let (old, new) = (life(&sample.store).await, life(&target).await);
    assert!(old.is_some() && new.is_some() && old != new);
    assert_eq!(stored(target.as_ref(), Table::CopyMark).await, None);
    let changes = async |store: &Arc<dyn Store>| {
        let changes = store.changes_after(Stamp::default(), 10).await.unwrap();
        changes.len()
    };
    assert!(changes(&sample.store).await > 0);
    assert_eq!(changes(&target).await, 0);
    let stamp = Key::row(Scope::Tenant(sample.addon.id), Table::ChangeStamp, &[]);
    let read = transact(target.as_ref(), async |transaction, _| {
        Ok(transaction.get(&stamp).await?)
    });
    assert_eq!(read.await.unwrap().0, None);
    life::ensure(target.as_ref(), &OsRandom).await.unwrap();
    assert_eq!(stored(target.as_ref(), Table::Incarnation).await, new);
}

#[actix::test]
async fn only_an_empty_store_is_written_to() {
    let (sample, other, target) = (sample().await, sample().await, empty());
    registry::create_first(target.as_ref(), &OsRandom, Timestamp(1), "a", "o")
        .await
        .unwrap();
    let before = rows_of(target.as_ref()).await;
    assert_refused(
        copied(sample.store.as_ref(), target.as_ref()).await,
        "not empty",
    );
    assert_refused(
        copied(sample.store.as_ref(), other.store.as_ref()).await,
        "not empty",
    );
    assert_eq!(rows_of(target.as_ref()).await, before);
    assert_refused(copied(empty().as_ref(), empty().as_ref()).await, "empty");
}

/// A store that fails after so many commits, or writes to itself at so many begins.
struct Trouble {
    inner: Arc<dyn Store>,
    commits_left: Arc<AtomicUsize>,
    writes_left: AtomicUsize,
    row: Key,
}

struct TroubledTransaction {
    inner: Box<dyn Transaction>,
    commits_left: Arc<AtomicUsize>,
}

impl Trouble {
    fn new(inner: &Arc<dyn Store>, commits_left: usize, writes_left: usize) -> Self {
        let tenant = crate::id::TenantId::generate(&OsRandom);
        Self {
            inner: Arc::clone(inner),
            commits_left: Arc::new(AtomicUsize::new(commits_left)),
            writes_left: AtomicUsize::new(writes_left),
            row: Key::row(Scope::Tenant(tenant), Table::Policy, &[]),
        }
    }
}

fn take_one(count: &AtomicUsize) -> Result<usize, usize> {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    })
}

#[async_trait]
impl Store for Trouble {
    fn properties(&self) -> Properties {
        self.inner.properties()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        if let Ok(left) = take_one(&self.writes_left) {
            let mut transaction = self.inner.begin().await?;
            transaction.set(&self.row, &left.to_be_bytes());
            transaction.commit().await?;
        }
        Ok(Box::new(TroubledTransaction {
            inner: self.inner.begin().await?,
            commits_left: Arc::clone(&self.commits_left),
        }))
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
impl Transaction for TroubledTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn range(
        &mut self,
        range: &crate::store::key::KeyRange,
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

    fn clear_range(&mut self, range: &crate::store::key::KeyRange) {
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
        match take_one(&self.commits_left) {
            Ok(_) => self.inner.commit().await,
            Err(_) => Err(StoreError::Unavailable("planted".into())),
        }
    }
}

/// However often it was interrupted, wherever: no node starts on it, and in the end it is whole.
#[actix::test]
async fn an_interrupted_copy_goes_on() {
    let (sample, other) = (sample().await, sample().await);
    let target = empty();
    let mut interruptions = 0;
    loop {
        let troubled = Trouble::new(&target, 5 + interruptions, 0);
        match copied(sample.store.as_ref(), &troubled).await {
            Ok(_) => break,
            Err(Error::Unavailable(_)) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
        let why = "was not finished";
        assert_refused(life::ensure(target.as_ref(), &OsRandom).await, why);
        let first = registry::create_first(target.as_ref(), &OsRandom, Timestamp(1), "a", "o");
        assert_refused(first.await, why);
        assert_refused(copied(target.as_ref(), empty().as_ref()).await, why);
        let mixed = copied(other.store.as_ref(), target.as_ref()).await;
        assert_refused(mixed, "something else");
    }
    assert!(interruptions > 3, "{interruptions}");
    let rows = rows_of(sample.store.as_ref()).await;
    assert_eq!(rows_of(target.as_ref()).await, rows);
    life::ensure(target.as_ref(), &OsRandom).await.unwrap();
}

/// Rows that went away between two runs go away in the target too.
#[actix::test]
async fn a_copy_goes_on_from_a_source_that_changed() {
    let (sample, target) = (sample().await, empty());
    let troubled = Trouble::new(&target, 6, 0);
    copied(sample.store.as_ref(), &troubled).await.unwrap_err();
    registry::delete(sample.store.as_ref(), "used")
        .await
        .unwrap();
    registry::create(sample.store.as_ref(), &OsRandom, Timestamp(1), "new", "o")
        .await
        .unwrap();
    copied(sample.store.as_ref(), target.as_ref())
        .await
        .unwrap();
    let rows = rows_of(sample.store.as_ref()).await;
    assert_eq!(rows_of(target.as_ref()).await, rows);
}

#[actix::test]
async fn a_source_that_changes_is_read_again_and_given_up_in_the_end() {
    let sample = sample().await;
    let target = empty();
    // It comes to rest in the second reading.
    let restless = Trouble::new(&sample.store, usize::MAX, 12);
    copied(&restless, target.as_ref()).await.unwrap();
    let rows = rows_of(sample.store.as_ref()).await;
    assert_eq!(rows_of(target.as_ref()).await, rows);

    let (folder, target) = (tempfile::tempdir().unwrap(), empty());
    let restless = Trouble::new(&sample.store, usize::MAX, usize::MAX);
    assert_refused(copied(&restless, target.as_ref()).await, "stop its nodes");
    life::ensure(target.as_ref(), &OsRandom).await.unwrap_err();
    let file = folder.path().join("backup");
    let saved = backup(&restless, &file, Timestamp(9), &mut |_| {}).await;
    assert_refused(saved, "stop its nodes");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    copied(sample.store.as_ref(), target.as_ref())
        .await
        .unwrap();
}

#[actix::test]
async fn a_backup_comes_back_as_it_was() {
    let (sample, target) = (sample().await, empty());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    // What an earlier try left behind is in nobody's way.
    std::fs::write(folder.path().join("backup.unfinished"), "x").unwrap();
    let save = async || backup(sample.store.as_ref(), &file, Timestamp(9), &mut |_| {}).await;
    let saved = save().await.unwrap();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_refused(save().await, "exists already");

    let troubled = Trouble::new(&target, 4, 0);
    let bring = async |target: &dyn Store| restore(&file, target, &OsRandom, &mut |_| {}).await;
    bring(&troubled).await.unwrap_err();
    life::ensure(target.as_ref(), &OsRandom).await.unwrap_err();
    let restored = bring(target.as_ref()).await.unwrap();
    assert_eq!((restored.moved, restored.created), (saved, Timestamp(9)));
    let rows = rows_of(sample.store.as_ref()).await;
    assert_eq!(rows_of(target.as_ref()).await, rows);
    let life = async |store: &Arc<dyn Store>| stored(store.as_ref(), Table::Incarnation).await;
    assert_ne!(life(&sample.store).await, life(&target).await);
    assert_refused(bring(target.as_ref()).await, "not empty");
    let opened = transact(target.as_ref(), async |transaction, attempt| {
        let scope = Scope::Mount(sample.addon.id, sample.mount);
        let mut rows = Rows::checked(transaction, &sample.unsealed, scope, attempt).await?;
        rows.get(Table::KvVersion, &[Part::Number(50)]).await
    });
    assert_eq!(opened.await.unwrap().0.unwrap().len(), 200_000);
}

/// Not a row of a damaged backup is restored, wherever the damage is.
#[actix::test]
async fn a_damaged_backup_leaves_the_store_empty() {
    let sample = sample().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    backup(sample.store.as_ref(), &file, Timestamp(9), &mut |_| {})
        .await
        .unwrap();
    let whole = std::fs::read(&file).unwrap();
    let target = empty();
    let mut damaged: Vec<Vec<u8>> = (0..12)
        .map(|part| {
            let mut bytes = whole.clone();
            bytes[part * (whole.len() - 1) / 11] ^= 0x10;
            bytes
        })
        .collect();
    damaged.push(whole[..whole.len() - 1].to_vec());
    damaged.push(Vec::new());
    for bytes in damaged {
        std::fs::write(&file, bytes).unwrap();
        let restored = restore(&file, target.as_ref(), &OsRandom, &mut |_| {}).await;
        assert!(
            matches!(restored, Err(Error::Invalid { .. })),
            "{restored:?}"
        );
        life::ensure(target.as_ref(), &OsRandom).await.unwrap();
        assert_eq!(rows_of(target.as_ref()).await, []);
    }
}
