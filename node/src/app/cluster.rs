//! Opens the tunnels and joins the cluster, as `wireguard {}` and `cluster {}` say, and follows both when the
//! configuration is read again on SIGHUP.
//!
//! The tunnels come first, because the way to the store may lead through them. Each of the two has a thread of its own:
//! a busy tunnel must not delay the heartbeats by which nodes know each other alive.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use conclave_cluster::{BootId, ClusterHandle, Moment, News, Time};
use conclave_wg::clock::SystemClock;
use conclave_wg::device;
use conclave_wg::key::{PresharedKey, PrivateKey};
use conclave_wg::peer::Peer;
use conclave_wg::subnet::Subnet;
use conclave_wg::udp::{Options, UdpTransport};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::{self, ClusterConfig};
use crate::error::Error;
use crate::membership::{About, Membership};
use crate::node::Node;
use crate::private_file;
use crate::rng::{Jitter, OsRandom};

/// WireGuard's own recommendation: often enough for every address translator, and tunnels are set up before they are
/// needed.
const KEEPALIVE_SECONDS: Option<NonZeroU16> = NonZeroU16::new(25);

/// How often a node looks whether what it says of itself is still so.
const DESCRIBE_EVERY: Duration = Duration::from_secs(2);

/// The node's clock, as the cluster wants it.
struct ClusterTime(Arc<dyn Clock>);

impl Time for ClusterTime {
    fn now(&self) -> Moment {
        Moment {
            since_boot: self.0.since_boot(),
            wall_ns: self.0.now().0,
        }
    }
}

/// Opens this node's end of the tunnels.
///
/// # Errors
/// [`Error::Invalid`] for keys and addresses that cannot be used.
pub async fn open_tunnels(config: &ClusterConfig) -> Result<Arc<UdpTransport>, Error> {
    let private_key = private_key(config)?;
    let wireguard = &config.wireguard;
    let settings = device::Settings {
        private_key,
        addresses: vec![Subnet::host(config.roster.me().address)],
        mtu: wireguard.mtu,
        message_port: wireguard.message_port,
        interface: wireguard.interface.clone(),
    };
    let options = Options {
        listen: wireguard.listen,
        settings,
        peers: tunnel_peers(config)?,
        clock: Arc::new(SystemClock),
    };
    let transport = UdpTransport::start(&Arbiter::new().handle(), options)
        .await
        .map_err(|error| Error::invalid("wireguard", format!("wireguard: {error}")))?;
    tracing::info!(
        address = %transport.local_address(),
        public_key = %transport.public_key(),
        interface = wireguard.interface,
        "the tunnels are open"
    );
    Ok(Arc::new(transport))
}

/// Joins the cluster through open tunnels. What other nodes say comes out of the receiver.
pub fn join(
    config: &ClusterConfig,
    tunnels: Arc<UdpTransport>,
    clock: Arc<dyn Clock>,
    about: &About,
) -> (Membership, mpsc::Receiver<News>) {
    let transport: Arc<UdpTransport> = Arc::clone(&tunnels);
    let (cluster, news) = ClusterHandle::start(
        &Arbiter::new().handle(),
        config.roster.clone(),
        config.settings,
        BootId(OsRandom.next_u64()),
        transport,
        Arc::new(ClusterTime(clock)),
    );
    if let Err(error) = cluster.describe(about.encode()) {
        tracing::warn!(%error, "other nodes are not told this node's version");
    }
    tracing::info!(
        node = %config.roster.me().name,
        nodes = config.roster.peers().len() + 1,
        "joined the cluster"
    );
    (Membership { cluster, tunnels }, news)
}

/// Tells the other nodes, from now on, how many add-ons are unsealed here.
pub fn keep_described(node: &Arc<Node>, mut about: About) {
    let Some(cluster) = node.cluster.clone() else {
        return;
    };
    let node = Arc::downgrade(node);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(DESCRIBE_EVERY).await;
            let Some(node) = node.upgrade() else {
                return;
            };
            let addons = node.tenants.all();
            let initialized = addons
                .iter()
                .filter(|addon| addon.seal().status().initialized);
            let unsealed = addons.iter().filter(|addon| addon.opened().is_some());
            let next = About {
                initialized: initialized.count(),
                unsealed: unsealed.count(),
                ..about.clone()
            };
            // When the cluster takes nothing in now, it may the next time.
            if next != about && cluster.describe(next.encode()).is_ok() {
                about = next;
            }
        }
    });
}

/// Follows the configuration file from now on: with each SIGHUP the nodes and tunnels become those that it lists.
///
/// # Errors
/// [`Error::Unavailable`] when signals cannot be awaited.
pub fn reload_on_hangup(
    membership: Membership,
    current: ClusterConfig,
    source: config::Source,
) -> Result<(), Error> {
    let mut hangups =
        signal(SignalKind::hangup()).map_err(|error| Error::Unavailable(error.to_string()))?;
    actix_web::rt::spawn(async move {
        let mut current = current;
        while hangups.recv().await.is_some() {
            match reload(&membership, &current, &source).await {
                Ok(next) => {
                    let nodes = next.roster.peers().len() + 1;
                    tracing::info!(nodes, "read the list of nodes again");
                    current = next;
                }
                Err(error) => tracing::error!(%error, "the old list of nodes stays in use"),
            }
        }
    });
    Ok(())
}

/// Goes over to what the file says now. Tunnels come first: a node that is off the list is cut off even when the cluster
/// takes nothing in.
async fn reload(
    membership: &Membership,
    current: &ClusterConfig,
    source: &config::Source,
) -> Result<ClusterConfig, Error> {
    let refused = |error: &dyn std::fmt::Display| Error::invalid("cluster", error.to_string());
    let config = source.load().map_err(|error| refused(&error))?;
    let next = config.cluster.ok_or_else(|| {
        refused(&"cluster {} is gone; a running node cannot leave its cluster, restart it")
    })?;
    current
        .roster
        .check_successor(&next.roster)
        .map_err(|error| refused(&error))?;
    if private_key(&next)?.public() != membership.tunnels.public_key() {
        return Err(refused(&"the private key is another one; restart the node"));
    }
    warn_of_fixed(current, &next);
    membership
        .tunnels
        .set_peers(tunnel_peers(&next)?)
        .await
        .map_err(|error| refused(&error))?;
    membership
        .cluster
        .reload(next.roster.clone())
        .map_err(|error| Error::Unavailable(format!("{error} (send SIGHUP again)")))?;
    Ok(next)
}

/// Says which changes have no effect before the next start.
fn warn_of_fixed(current: &ClusterConfig, next: &ClusterConfig) {
    let (old, new) = (&current.wireguard, &next.wireguard);
    let fixed = [
        (
            "address",
            current.roster.me().address == next.roster.me().address,
        ),
        (
            "heartbeat_interval, down_after",
            current.settings == next.settings,
        ),
        ("listen", old.listen == new.listen),
        ("interface", old.interface == new.interface),
        ("mtu", old.mtu == new.mtu),
        ("message_port", old.message_port == new.message_port),
    ];
    for (setting, _) in fixed.iter().filter(|(_, is_same)| !is_same) {
        tracing::warn!(setting, "has changed; this takes effect at the next start");
    }
}

/// This node's private key, which must be the one whose public half the roster has.
fn private_key(config: &ClusterConfig) -> Result<PrivateKey, Error> {
    let path = &config.wireguard.private_key_file;
    let key: PrivateKey = wireguard_key("private_key_file", path)?;
    let me = config.roster.me();
    if key.public() == me.public_key {
        return Ok(key);
    }
    Err(Error::invalid(
        "private_key_file",
        format!(
            "{}: is not the key of node {}: its public half is {}, and public_key is {}",
            path.display(),
            me.name,
            key.public(),
            me.public_key
        ),
    ))
}

fn tunnel_peers(config: &ClusterConfig) -> Result<Vec<Peer>, Error> {
    let preshared = |path: Option<&std::path::PathBuf>| {
        path.map(|path| wireguard_key::<PresharedKey>("preshared_key_file", path))
            .transpose()
    };
    let nodes = config.roster.peers().iter().map(|member| {
        Ok(Peer {
            name: member.name.clone(),
            public_key: member.public_key,
            preshared_key: preshared(config.preshared_key_files.get(&member.name))?,
            endpoint: member.endpoint.clone(),
            address: member.address,
            routes: Vec::new(),
            keepalive_seconds: KEEPALIVE_SECONDS,
        })
    });
    let hosts = config.wireguard.hosts.iter().map(|host| {
        Ok(Peer {
            name: host.name.clone(),
            public_key: host.public_key,
            preshared_key: preshared(host.preshared_key_file.as_ref())?,
            endpoint: host.endpoint.clone(),
            address: host.address,
            routes: host.routes.clone(),
            keepalive_seconds: KEEPALIVE_SECONDS,
        })
    });
    nodes.chain(hosts).collect()
}

/// A key as `wg` prints it, from a file that nobody else may read.
fn wireguard_key<K>(field: &'static str, path: &Path) -> Result<K, Error>
where
    K: std::str::FromStr<Err = conclave_wg::key::KeyError>,
{
    private_file::read(field, path)?
        .trim()
        .parse()
        .map_err(|error| Error::invalid(field, format!("{}: {error}", path.display())))
}
