//! The composition root: every actor and trait object of a running node is made here, and taken down here.

mod audit;
mod cluster;
mod dev;
mod logging;
mod memory;
mod operator;
mod shutdown;
mod telemetry;
mod tls;
pub mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use actix::{Arbiter, ArbiterHandle};
use actix_web::dev::fn_service;
use actix_web::{App, HttpServer};
use conclave_cluster::News;
use tokio::sync::mpsc;

use crate::auth::biscuit::Biscuits;
use crate::auth::token::entry::LifetimeLimits;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Listener, Storage};
use crate::error::Error;
use crate::http::{Endpoint, serve as serve_request};
use crate::membership::{About, Membership};
use crate::metrics::NodeMetrics;
use crate::node::{Node, NodeParts, NodeSettings, Observers};
use crate::peers::{self, PeersPort};
use crate::rng::OsRandom;
use crate::seal::peers::{Alone, Peers};
use crate::seal::{IntentFiles, SealSettings};
use crate::store::announced::AnnouncedStore;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::store::foundationdb::FoundationDbStore;
use crate::store::observed::{Observed, StoreMetrics};
use crate::store::postgres::PostgresStore;
use crate::store::tools::life;
use crate::store::{Store, transact};
use crate::tenant::Tenants;
use crate::tenant::directory::TenantSettings;
use crate::tenant::feed::{ChangeFeed, Freshness};
use crate::tenant::{outage, registry};
use crate::wiping::wipe_stack_after_seals;

/// How long a connection may take to send its request's head. Slow senders hold a connection, not a worker.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. Longer than common load balancers keep theirs, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How the node is run.
#[derive(Debug)]
pub enum Mode {
    /// With what the store holds, sealed until unsealed.
    Production,
    /// In memory, initialised and unsealed, for trying things out.
    Dev {
        /// The root token, instead of a random one.
        root_token: Option<String>,
    },
}

/// Runs a node until it is told to stop by SIGTERM or SIGINT. `source` is where `config` came from, to be read again on
/// SIGHUP.
///
/// # Errors
/// [`Error::Invalid`] for settings that do not work out on this machine, and what the store says at start.
pub fn serve(config: &Config, source: Option<config::Source>, mode: Mode) -> Result<(), Error> {
    logging::start(config);
    memory::protect(config.disable_mlock);
    actix_web::rt::System::new().block_on(run(config, source, mode))
}

async fn run(config: &Config, source: Option<config::Source>, mode: Mode) -> Result<(), Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(NodeMetrics::new(clock.now())?);
    // The way to the store may lead through the tunnels.
    let tunnels = match &config.cluster {
        Some(cluster) => Some(cluster::open_tunnels(cluster).await?),
        None => None,
    };
    let store_metrics = Arc::new(StoreMetrics::new()?);
    let store: Arc<dyn Store> = Arc::new(Observed::new(
        open_store(config).await?,
        Arc::clone(&store_metrics),
        Arc::clone(&clock),
    ));
    let random = OsRandom;
    life::ensure(store.as_ref(), &random).await?;
    let is_new = registry::list(store.as_ref()).await?.is_empty();
    let operator = operator::public_key(config, &random, is_new)?;
    if is_new {
        let (now, name) = (clock.now(), &config.default_addon);
        registry::create_first(store.as_ref(), &random, now, name, "default").await?;
    }
    let membership = match (&config.cluster, tunnels) {
        (Some(settings), Some(tunnels)) => {
            let (membership, news) =
                cluster::join(settings, tunnels, Arc::clone(&clock), &about(config));
            if let Some(source) = source {
                cluster::reload_on_hangup(membership.clone(), settings.clone(), source)?;
            }
            Some((membership, news))
        }
        _ => None,
    };
    let audit = audit::open(config, &random)?;
    audit.metrics().register(metrics.registry())?;
    let observers = Observers {
        audit,
        metrics,
        store: store_metrics,
    };
    let biscuits = Biscuits::new(operator);
    let node = Arc::new(build(config, store, clock, biscuits, membership, observers).await?);
    cluster::keep_described(&node, about(config));
    if let Mode::Dev { root_token } = mode {
        dev::open(&node, root_token).await?;
    }
    let mut servers = Vec::with_capacity(config.listeners.len() + 1);
    for listener in &config.listeners {
        servers.push(listen(&node, listener)?);
        tracing::info!(url = listener.url(), "listening");
    }
    if let Some(settings) = &config.telemetry {
        servers.push(telemetry::listen(&node, settings)?);
    }
    shutdown::serve_until_told(&node, servers).await
}

/// Opens the store that the configuration names.
///
/// # Errors
/// What the store says.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Error> {
    Ok(match &config.storage {
        Storage::InMemory => Arc::new(EmbeddedStore::in_memory()?),
        Storage::Embedded { path, cache_bytes } => {
            let options = EmbeddedOptions {
                cache_bytes: usize::try_from(*cache_bytes).unwrap_or(usize::MAX),
            };
            Arc::new(EmbeddedStore::open(path, options)?)
        }
        Storage::FoundationDb(options) => Arc::new(FoundationDbStore::open(options).await?),
        Storage::Postgres(options) => {
            // Twice within the time that a cached grant may be out of date.
            let poll_interval = config.staleness_max / 2;
            Arc::new(PostgresStore::open(options, poll_interval).await?)
        }
    })
}

/// Starts the actors and joins the parts of a node.
async fn build(
    config: &Config,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    biscuits: Biscuits,
    joined: Option<(Membership, mpsc::Receiver<News>)>,
    observers: Observers,
) -> Result<Node, Error> {
    let keepers = Arbiter::new().handle();
    keepers.spawn(wipe_stack_after_seals());
    actix_web::rt::spawn(wipe_stack_after_seals());
    let (membership, news) = joined.unzip();
    let port = membership
        .as_ref()
        .map(|membership| PeersPort::new(membership.cluster.clone(), Arc::clone(&clock)));
    let (port, wanted) = port.unzip();
    let store: Arc<dyn Store> = match &port {
        Some(port) => Arc::new(AnnouncedStore::new(store, Arc::clone(port) as _)),
        None => store,
    };
    let peers: Arc<dyn Peers> = match &port {
        Some(port) => Arc::clone(port) as _,
        None => Arc::new(Alone),
    };
    let settings = tenant_settings(config, keepers.clone(), peers)?;
    // The feed starts where the store stands before the add-ons are read, so that no change falls in between.
    let ((), seen) = transact(store.as_ref(), async |_, _| Ok(())).await?;
    let tenants = Tenants::load(Arc::clone(&store), Arc::clone(&clock), settings).await?;
    let tenants = Arc::new(tenants);
    let freshness = Arc::new(Freshness::new(Arc::clone(&clock), config.staleness_max));
    let feed = ChangeFeed::follow(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&tenants),
        Arc::clone(&freshness),
        seen,
        &keepers,
    );
    outage::watch(
        Arc::clone(&tenants),
        Arc::clone(&freshness),
        Arc::clone(&clock),
        config.outage_grace,
        &keepers,
    );
    if let (Some(port), Some(wanted), Some(news)) = (port, wanted, news) {
        let context = peers::Context {
            tenants: Arc::clone(&tenants),
            feed: feed.clone(),
            clock: Arc::clone(&clock),
            audit: Arc::clone(&observers.audit),
        };
        peers::start(port, wanted, news, context, &keepers);
    }
    Ok(Node::new(NodeParts {
        store,
        clock,
        tenants,
        biscuits,
        feed,
        freshness,
        membership,
        observers,
        settings: node_settings(config),
    }))
}

/// What add-ons are made with.
fn tenant_settings(
    config: &Config,
    keepers: ArbiterHandle,
    peers: Arc<dyn Peers>,
) -> Result<TenantSettings, Error> {
    let seconds = |ttl: Duration| i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    Ok(TenantSettings {
        limits: LifetimeLimits {
            default_ttl_s: seconds(config.default_lease_ttl),
            max_ttl_s: seconds(config.max_lease_ttl),
        },
        seal: SealSettings {
            attempt_ttl: config.attempt_ttl,
            handoff: config.seal_handoff,
            ..SealSettings::default()
        },
        keepers,
        peers,
        intents: intents(config)?,
        counters: Arc::default(),
    })
}

/// How requests are treated.
fn node_settings(config: &Config) -> NodeSettings {
    NodeSettings {
        default_addon: config.default_addon.clone(),
        addon_domain: config.addon_domain.clone(),
        cluster_name: config.cluster_name.clone(),
        version: config
            .reported_version
            .clone()
            .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        unauthenticated_seal_routes: config.unauthenticated_seal_routes,
    }
}

/// Where seals are kept that the store could not be told.
fn intents(config: &Config) -> Result<Option<IntentFiles>, Error> {
    let folder = config.state_dir.as_ref();
    folder
        .map(|folder| IntentFiles::open(folder.join("unfinished-seals")))
        .transpose()
}

/// What the other nodes are told of this one.
fn about(config: &Config) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_addr: config.api_addr.clone(),
        ..About::default()
    }
}

/// Binds one listener.
fn listen(node: &Arc<Node>, listener: &Listener) -> Result<actix_web::dev::Server, Error> {
    let endpoint = Arc::new(Endpoint {
        node: Arc::clone(node),
        max_request_bytes: usize::try_from(listener.max_request_bytes).unwrap_or(usize::MAX),
        max_request_duration: listener.max_request_duration,
    });
    let server = HttpServer::new(move || {
        // Runs on each worker.
        actix_web::rt::spawn(wipe_stack_after_seals());
        let endpoint = Arc::clone(&endpoint);
        let serve = move |request| serve_request(request, Arc::clone(&endpoint));
        App::new().default_service(fn_service(serve))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(shutdown::GRACE.as_secs())
    .disable_signals();
    let address = listener.address;
    let server = match &listener.tls {
        None => server.bind(address),
        Some(files) => server.bind_rustls_0_23(address, tls::server_config(files)?),
    };
    server
        .map(HttpServer::run)
        .map_err(|error| Error::invalid("address", format!("cannot listen on {address}: {error}")))
}
