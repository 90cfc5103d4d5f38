//! What stands around a seal in its tests: a gate that remembers, and a store that can fail.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::barrier::{Rows, Unsealed, View};
use crate::clock::SystemClock;
use crate::error::Error;
use crate::id::TenantId;
use crate::rng::OsRandom;
use crate::seal::generate_root;
use crate::seal::peers::Alone;
use crate::seal::{
    Gate, Initialized, Publish, Quorum, SealHandle, SealParts, SealSettings, SealStatus,
};
use crate::secret::Secret;
use crate::store::embedded::EmbeddedStore;
use crate::store::key::{Key, KeyRange, Scope, Table};
use crate::store::{Change, Properties, Row, Stamp, Store, StoreError, Transaction};

pub(super) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A gate that keeps what it was given, and does what it was told to do next.
pub(super) struct TestGate {
    pub unsealed: Mutex<Option<Arc<Unsealed>>>,
    pub next_opens: Mutex<VecDeque<Error>>,
    pub found_fails: AtomicBool,
    pub open_panics: AtomicBool,
    /// A permit for each opening.
    pub turnstile: Semaphore,
    founded: AtomicUsize,
}

impl TestGate {
    pub fn is_open(&self) -> bool {
        self.unsealed.lock().is_some()
    }

    pub fn view(&self, store: &Arc<TestStore>) -> View {
        let unsealed = Arc::clone(self.unsealed.lock().as_ref().unwrap());
        let scope = Scope::Tenant(unsealed.tenant());
        View::new(Arc::clone(store) as Arc<dyn Store>, unsealed, scope)
    }
}

#[async_trait(?Send)]
impl Gate for TestGate {
    async fn open(&self, unsealed: Unsealed) -> Result<Publish, Error> {
        *self.unsealed.lock() = Some(Arc::new(unsealed));
        assert!(!self.open_panics.load(SeqCst), "as told");
        self.turnstile.acquire().await.unwrap().forget();
        match self.next_opens.lock().pop_front() {
            Some(error) => Err(error),
            // It shows what it has too early: the shell must cope with a gate that is open before it is told to be.
            None => Ok(Box::new(|| ())),
        }
    }

    async fn found(&self, rows: &mut Rows<'_>) -> Result<Secret<String>, Error> {
        let token = format!("root {}", self.founded.fetch_add(1, SeqCst));
        rows.put(Table::Mounts, &[], token.as_bytes())?;
        if self.found_fails.load(SeqCst) {
            return Err(Error::Bug("as told".into()));
        }
        Ok(Secret::new(token))
    }

    fn draw_token(&self) -> Secret<String> {
        Secret::new("t".repeat(generate_root::OTP_BYTES))
    }

    async fn add_root_token(
        &self,
        rows: &mut Rows<'_>,
        token: &Secret<String>,
    ) -> Result<(), Error> {
        rows.put(Table::Token, &[], token.expose().as_bytes())
    }

    fn close(&self) {
        *self.unsealed.lock() = None;
    }
}

/// A store that fails when told to.
pub(super) struct TestStore {
    inner: EmbeddedStore,
    pub down: AtomicBool,
    pub hangs: AtomicBool,
    /// Reads work, commits with writes do not.
    pub full: Arc<AtomicBool>,
    /// What the next commit with writes answers: a conflict, and nothing happens; or a doubt, and it happens.
    pub next_commit: Arc<Mutex<Option<StoreError>>>,
}

#[async_trait]
impl Store for TestStore {
    fn properties(&self) -> Properties {
        self.inner.properties()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.down.load(SeqCst) {
            return Err(StoreError::Unavailable("as told".into()));
        }
        Ok(Box::new(TestTransaction {
            inner: self.inner.begin().await?,
            wrote: false,
            full: Arc::clone(&self.full),
            next_commit: Arc::clone(&self.next_commit),
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

struct TestTransaction {
    inner: Box<dyn Transaction>,
    wrote: bool,
    full: Arc<AtomicBool>,
    next_commit: Arc<Mutex<Option<StoreError>>>,
}

#[async_trait]
impl Transaction for TestTransaction {
    async fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key).await
    }

    async fn range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        self.inner.range(range, limit, reverse).await
    }

    fn set(&mut self, key: &Key, value: &[u8]) {
        self.wrote = true;
        self.inner.set(key, value);
    }

    fn clear(&mut self, key: &Key) {
        self.wrote = true;
        self.inner.clear(key);
    }

    fn clear_range(&mut self, range: &KeyRange) {
        self.wrote = true;
        self.inner.clear_range(range);
    }

    fn add(&mut self, key: &Key, delta: i64) {
        self.wrote = true;
        self.inner.add(key, delta);
    }

    fn set_stamp(&mut self, key: &Key) {
        self.wrote = true;
        self.inner.set_stamp(key);
    }

    fn append_change(&mut self, record: &[u8]) {
        self.wrote = true;
        self.inner.append_change(record);
    }

    async fn commit(self: Box<Self>) -> Result<Stamp, StoreError> {
        if self.wrote && self.full.load(SeqCst) {
            return Err(StoreError::Unavailable("as told".into()));
        }
        let answer = self.next_commit.lock().take_if(|_| self.wrote);
        if let Some(conflict @ StoreError::Conflict) = answer {
            return Err(conflict);
        }
        let stamp = self.inner.commit().await?;
        if let Some(doubt) = answer {
            return Err(doubt);
        }
        Ok(stamp)
    }
}

/// An add-on with its seal.
pub(super) struct Bench {
    pub tenant: TenantId,
    pub store: Arc<TestStore>,
    pub gate: Arc<TestGate>,
    pub settings: SealSettings,
    pub seal: SealHandle,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(SealSettings {
            store_timeout: Duration::from_millis(200),
            retry_interval: Duration::from_millis(5),
            ..SealSettings::default()
        })
        .await
    }

    pub async fn with(settings: SealSettings) -> Self {
        let tenant = TenantId::generate(&OsRandom);
        let store = Arc::new(TestStore {
            inner: EmbeddedStore::in_memory().unwrap(),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            full: Arc::default(),
            next_commit: Arc::default(),
        });
        let (gate, seal) = start(tenant, &store, settings).await.unwrap();
        Self {
            tenant,
            store,
            gate,
            settings,
            seal,
        }
    }

    pub async fn init(&self) -> Initialized {
        self.seal.init(Quorum::new(5, 3).unwrap()).await.unwrap()
    }

    pub async fn give(
        &self,
        initialized: &Initialized,
        index: usize,
    ) -> Result<Arc<SealStatus>, Error> {
        let text = initialized.shares[index].to_base64url();
        self.seal.submit(text.expose(), SOURCE).await
    }

    pub async fn unseal(&self, initialized: &Initialized) {
        for index in [4, 1, 3] {
            self.give(initialized, index).await.unwrap();
        }
        assert!(!self.seal.status().sealed);
        assert!(self.gate.is_open());
    }

    /// The same add-on's seal, started again.
    pub async fn restart(self) -> Self {
        let Self {
            tenant,
            store,
            settings,
            seal,
            ..
        } = self;
        drop(seal);
        let (gate, seal) = start(tenant, &store, settings).await.unwrap();
        Self {
            tenant,
            store,
            gate,
            settings,
            seal,
        }
    }

    /// Changes the stored row of `table`.
    pub async fn tamper(&self, table: Table, change: impl Fn(&mut Vec<u8>)) {
        let key = Key::row(Scope::Tenant(self.tenant), table, &[]);
        crate::store::transact(self.store.as_ref(), async |transaction, _| {
            let mut row = transaction.get(&key).await?.unwrap();
            change(&mut row);
            transaction.set(&key, &row);
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// Starts a seal with a gate of its own.
pub(super) async fn start(
    tenant: TenantId,
    store: &Arc<TestStore>,
    settings: SealSettings,
) -> Result<(Arc<TestGate>, SealHandle), Error> {
    let gate = Arc::new(TestGate {
        unsealed: Mutex::default(),
        next_opens: Mutex::default(),
        found_fails: AtomicBool::default(),
        open_panics: AtomicBool::default(),
        turnstile: Semaphore::new(100),
        founded: AtomicUsize::default(),
    });
    let parts = SealParts {
        tenant,
        store: Arc::clone(store) as Arc<dyn Store>,
        gate: Arc::clone(&gate) as Arc<dyn Gate>,
        clock: Arc::new(SystemClock),
        random: OsRandom,
        peers: Arc::new(Alone),
        intents: None,
        counters: Arc::default(),
        settings,
    };
    let seal = SealHandle::start(&actix::Arbiter::current(), parts).await?;
    Ok((gate, seal))
}

/// Waits until something is so, at most two seconds.
pub(super) async fn eventually(mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come about");
}
