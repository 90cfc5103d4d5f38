//! [`Node`]: what one running node is made of. Built by `app.rs`, shared by all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix::Addr;

use crate::auth::biscuit::Biscuits;
use crate::clock::Clock;
use crate::error::Error;
use crate::http::body::BodyRoom;
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
    /// How requests are treated.
    pub settings: NodeSettings,
    /// Room for the bodies of requests.
    pub body_room: BodyRoom,
    draining: AtomicBool,
    in_flight: AtomicUsize,
}

/// A request that is being served, for as long as this lives.
pub struct InFlight<'n>(&'n Node);

impl Node {
    /// A node of these parts.
    pub fn new(
        (store, store_metrics): (Arc<dyn Store>, Arc<StoreMetrics>),
        clock: Arc<dyn Clock>,
        tenants: Arc<Tenants>,
        biscuits: Biscuits,
        (feed, freshness): (Addr<ChangeFeed>, Arc<Freshness>),
        settings: NodeSettings,
    ) -> Self {
        Self {
            store,
            store_metrics,
            clock,
            random: OsRandom,
            tenants,
            biscuits,
            feed,
            freshness,
            settings,
            body_room: BodyRoom::default(),
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        }
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
