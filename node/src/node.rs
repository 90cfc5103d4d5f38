//! [`Node`]: what one running node is made of. Built by `app.rs`, shared by all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::Addr;
use conclave_cluster::ClusterHandle;
use conclave_wg::udp::UdpTransport;

use crate::audit::Audit;
use crate::auth::biscuit::Biscuits;
use crate::clock::Clock;
use crate::error::Error;
use crate::http::body::BodyRoom;
use crate::membership::Membership;
use crate::metrics::NodeMetrics;
use crate::rng::OsRandom;
use crate::store::Store;
use crate::store::observed::StoreMetrics;
use crate::tenant::Tenants;
use crate::tenant::feed::{ChangeFeed, Freshness};

/// What a node says of itself and how it treats requests.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The add-on that requests mean which name none.
    pub default_addon: String,
    /// The domain under which an add-on is chosen by its first label.
    pub addon_domain: Option<String>,
    /// Shown by status routes.
    pub cluster_name: String,
    /// What clients are told; semver.
    pub version: String,
    /// Whether init and unseal of the default add-on need no token.
    pub unauthenticated_seal_routes: bool,
}

/// What watches a node at work.
pub struct Observers {
    /// Who asked for what.
    pub audit: Arc<Audit>,
    /// What it cost.
    pub metrics: Arc<NodeMetrics>,
    /// What the store's operations cost.
    pub store: Arc<StoreMetrics>,
}

/// One running node.
pub struct Node {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What its operations cost.
    pub store_metrics: Arc<StoreMetrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where keys and ids come from.
    pub random: OsRandom,
    /// The add-ons.
    pub tenants: Arc<Tenants>,
    /// Verifies root, user and operator tokens.
    pub biscuits: Biscuits,
    /// Follows the store.
    pub feed: Addr<ChangeFeed>,
    /// Whether caches may be served.
    pub freshness: Arc<Freshness>,
    /// The other nodes; `None` when there are none and never will be.
    pub cluster: Option<ClusterHandle>,
    /// The tunnels to them.
    pub tunnels: Option<Arc<UdpTransport>>,
    /// How requests are treated.
    pub settings: NodeSettings,
    /// Room for the bodies of requests.
    pub body_room: BodyRoom,
    /// Who asked for what.
    pub audit: Arc<Audit>,
    /// What it cost.
    pub metrics: Arc<NodeMetrics>,
    draining: AtomicBool,
    in_flight: AtomicUsize,
}

/// A request that is being served, for as long as this lives.
pub struct InFlight<'n>(&'n Node);

/// What a node is made of, as `app.rs` makes it.
pub struct NodeParts {
    /// See [`Node::store`].
    pub store: Arc<dyn Store>,
    /// See [`Node::clock`].
    pub clock: Arc<dyn Clock>,
    /// See [`Node::tenants`].
    pub tenants: Arc<Tenants>,
    /// See [`Node::biscuits`].
    pub biscuits: Biscuits,
    /// See [`Node::feed`].
    pub feed: Addr<ChangeFeed>,
    /// See [`Node::freshness`].
    pub freshness: Arc<Freshness>,
    /// The other nodes and the tunnels to them.
    pub membership: Option<Membership>,
    /// What watches it.
    pub observers: Observers,
    /// See [`Node::settings`].
    pub settings: NodeSettings,
}

impl Node {
    /// A node of these parts.
    pub fn new(parts: NodeParts) -> Self {
        let membership = parts.membership;
        let observers = parts.observers;
        Self {
            store: parts.store,
            store_metrics: observers.store,
            clock: parts.clock,
            random: OsRandom,
            tenants: parts.tenants,
            biscuits: parts.biscuits,
            feed: parts.feed,
            freshness: parts.freshness,
            cluster: membership.as_ref().map(|member| member.cluster.clone()),
            tunnels: membership.map(|member| member.tunnels),
            settings: parts.settings,
            body_room: BodyRoom::default(),
            audit: observers.audit,
            metrics: observers.metrics,
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Lets caches take in everything that was committed before this call, on whatever node: to be called before
    /// somebody is told that something is not there or not allowed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.freshness.catch_up(&self.feed).await
    }

    /// Counts a request in.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once the node is shutting down.
    pub fn enter(&self) -> Result<InFlight<'_>, Error> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let entered = InFlight(self);
        if self.is_draining() {
            return Err(Error::Unavailable("the node is shutting down".into()));
        }
        Ok(entered)
    }

    /// From now on, new requests are refused.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the node is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// How many requests are being served.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
