//! [`World`]: the nodes, and what can happen to them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use actix::{Addr, Arbiter};
use async_trait::async_trait;
use conclave_cluster::{
    BootId, ClusterHandle, ClusterId, Member, Moment, NodeName, Roster, Settings, Time,
};
use conclave_wg::key::PublicKey;
use conclave_wg::memory::{Faults, MemoryNetwork};

use crate::audit::Audit;
use crate::auth::token::entry::LifetimeLimits;
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::id::TenantId;
use crate::peers::{self, PeersPort};
use crate::rng::OsRandom;
use crate::seal::{Initialized, IntentFiles, Quorum, SealHandle, SealSettings, SealStatus};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Change, Properties, Stamp, Store, StoreError, Transaction};
use crate::tenant::directory::TenantSettings;
use crate::tenant::feed::{ChangeFeed, Freshness};
use crate::tenant::{Tenants, registry};

pub const STALENESS_MAX: Duration = Duration::from_millis(200);
pub const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const QUICK: Settings = Settings {
    heartbeat_interval: Duration::from_millis(40),
    down_after: Duration::from_millis(400),
};

struct SystemTime;

impl Time for SystemTime {
    fn now(&self) -> Moment {
        Moment {
            since_boot: SystemClock.since_boot(),
            wall_ns: SystemClock.now().0,
        }
    }
}

/// One node's way to the store all share.
pub struct StoreLine {
    shared: Arc<EmbeddedStore>,
    pub cut: AtomicBool,
}

impl StoreLine {
    fn check(&self) -> Result<(), StoreError> {
        if self.cut.load(SeqCst) {
            return Err(StoreError::Unavailable("as told".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for StoreLine {
    fn properties(&self) -> Properties {
        self.shared.properties()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.check()?;
        self.shared.begin().await
    }

    async fn changes_after(&self, after: Stamp, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.check()?;
        self.shared.changes_after(after, limit).await
    }

    async fn wait_for_change(&self, after: Stamp) -> Result<(), StoreError> {
        self.check()?;
        self.shared.wait_for_change(after).await
    }

    async fn trim_changes(&self, before: Stamp) -> Result<(), StoreError> {
        self.check()?;
        self.shared.trim_changes(before).await
    }
}

pub struct TestNode {
    pub store: Arc<StoreLine>,
    pub cluster: ClusterHandle,
    pub tenants: Arc<Tenants>,
    pub freshness: Arc<Freshness>,
    pub feed: Addr<ChangeFeed>,
}

impl TestNode {
    pub fn seal(&self, tenant: TenantId) -> SealHandle {
        self.tenants.by_id(tenant).unwrap().seal().clone()
    }

    pub fn is_open(&self, tenant: TenantId) -> bool {
        let found = self.tenants.by_id(tenant).unwrap();
        let (shown, status) = (found.opened().is_some(), found.seal().status());
        shown && !status.sealed
    }

    pub async fn give(
        &self,
        tenant: TenantId,
        initialized: &Initialized,
        index: usize,
    ) -> Result<Arc<SealStatus>, Error> {
        let text = initialized.shares[index].to_base64url();
        self.seal(tenant).submit(text.expose(), SOURCE).await
    }
}

pub struct World {
    shared: Arc<EmbeddedStore>,
    pub network: MemoryNetwork,
    names: Vec<NodeName>,
    boots: u64,
    pub nodes: Vec<TestNode>,
    pub handoff: bool,
    pub state_dir: Option<PathBuf>,
}

impl World {
    /// So many nodes, all of which see each other.
    pub async fn of(nodes: usize) -> Self {
        Self::with(nodes, true, None).await
    }

    pub async fn with(nodes: usize, handoff: bool, state_dir: Option<PathBuf>) -> Self {
        let names = (0..nodes).map(|number| format!("n{number}").parse().unwrap());
        let mut world = Self {
            shared: Arc::new(EmbeddedStore::in_memory().unwrap()),
            network: MemoryNetwork::new(1, Faults::none()),
            names: names.collect(),
            boots: 0,
            nodes: Vec::new(),
            handoff,
            state_dir,
        };
        for place in 0..nodes {
            let node = world.boot(place).await;
            world.nodes.push(node);
        }
        world.all_up().await;
        world
    }

    pub async fn all_up(&self) {
        let others = self.nodes.len() - 1;
        eventually("all are up", || {
            self.nodes
                .iter()
                .all(|node| node.cluster.live_peers().len() == others)
        })
        .await;
    }

    async fn boot(&mut self, place: usize) -> TestNode {
        self.boots += 1;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let members = self.names.iter().zip(1u8..).map(|(name, number)| Member {
            name: name.clone(),
            public_key: PublicKey::from_bytes([number; 32]),
            endpoint: None,
            address: [10, 90, 0, number].into(),
        });
        let name = &self.names[place];
        let roster = Roster::new(ClusterId([1; 16]), name, members.collect()).unwrap();
        let transport = Arc::new(self.network.join(name.clone()));
        let boot = BootId(self.boots);
        let arbiter = Arbiter::current();
        let (cluster, news) = ClusterHandle::start(
            &arbiter,
            roster,
            QUICK,
            boot,
            transport,
            Arc::new(SystemTime),
        );
        let (port, wanted) = PeersPort::new(cluster.clone(), Arc::clone(&clock));
        let store = Arc::new(StoreLine {
            shared: Arc::clone(&self.shared),
            cut: AtomicBool::new(false),
        });
        let folder = self
            .state_dir
            .as_ref()
            .map(|folder| folder.join(name.as_str()));
        let settings = TenantSettings {
            limits: LifetimeLimits {
                default_ttl_s: 1,
                max_ttl_s: 1,
            },
            seal: SealSettings {
                store_timeout: Duration::from_millis(500),
                retry_interval: Duration::from_millis(20),
                handoff: self.handoff,
                ..SealSettings::default()
            },
            keepers: arbiter.clone(),
            peers: Arc::clone(&port) as _,
            intents: folder.map(|folder| IntentFiles::open(folder).unwrap()),
            counters: Arc::default(),
        };
        let below: Arc<dyn Store> = Arc::clone(&store) as _;
        let tenants = Tenants::load(Arc::clone(&below), Arc::clone(&clock), settings);
        let tenants = Arc::new(tenants.await.unwrap());
        let freshness = Arc::new(Freshness::new(Arc::clone(&clock), STALENESS_MAX));
        let feed = ChangeFeed::follow(
            below,
            Arc::clone(&clock),
            Arc::clone(&tenants),
            Arc::clone(&freshness),
            Stamp::default(),
            &arbiter,
        );
        let context = peers::Context {
            tenants: Arc::clone(&tenants),
            feed: feed.clone(),
            clock,
            audit: Arc::new(Audit::open(&[], &OsRandom).unwrap()),
        };
        peers::start(port, wanted, news, context, &arbiter);
        TestNode {
            store,
            cluster,
            tenants,
            freshness,
            feed,
        }
    }

    /// Ends a node for all others; what it has in memory is out of the world.
    pub fn kill(&mut self, place: usize) {
        self.network.leave(&self.names[place]);
    }

    /// Starts a node that was killed, with nothing in its memory.
    pub async fn restart(&mut self, place: usize) {
        self.kill(place);
        self.nodes[place] = self.boot(place).await;
    }

    /// Lets nothing through between this node and the others.
    pub fn isolate(&self, place: usize) {
        let side = [self.names[place].clone()];
        self.network
            .with_line(|line| line.partition(&side, &self.names));
    }

    /// Lets nothing through between any two.
    pub fn silence(&self) {
        for name in &self.names {
            for other in &self.names {
                self.network.with_line(|line| line.cut(name, other, true));
            }
        }
    }

    pub fn heal(&self) {
        self.network.with_line(conclave_wg::memory::Line::heal);
    }

    /// An add-on that nobody does anything with.
    pub async fn quiet_addon(&self, name: &str) {
        let now = SystemClock.now();
        let made = registry::create(self.shared.as_ref(), &OsRandom, now, name, "orga").await;
        made.unwrap();
    }

    /// An add-on with five shares of which three open, known to all nodes.
    pub async fn addon(&self, name: &str) -> (TenantId, Initialized) {
        let now = SystemClock.now();
        let made = registry::create(self.shared.as_ref(), &OsRandom, now, name, "orga").await;
        let tenant = made.unwrap().id;
        for node in &self.nodes {
            node.freshness.catch_up(&node.feed).await.unwrap();
        }
        let quorum = Quorum::new(5, 3).unwrap();
        let initialized = self.nodes[0].seal(tenant).init(quorum).await.unwrap();
        for node in &self.nodes {
            node.freshness.catch_up(&node.feed).await.unwrap();
        }
        (tenant, initialized)
    }

    /// Opens it, with a share at each node in turn.
    pub async fn unseal(&self, tenant: TenantId, initialized: &Initialized) {
        for index in 0..3 {
            let node = &self.nodes[index % self.nodes.len()];
            node.give(tenant, initialized, index).await.unwrap();
        }
        self.all("open", |node| node.is_open(tenant)).await;
    }

    pub async fn all(&self, what: &str, holds: impl Fn(&TestNode) -> bool) {
        eventually(what, || self.nodes.iter().all(&holds)).await;
    }
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within 10 s");
}
