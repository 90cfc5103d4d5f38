//! `cluster {}` and `wireguard {}`: who the other nodes are, and the tunnels to them.
//!
//! Nodes speak to each other through WireGuard and in no other way, so the two blocks come together or not at all: a
//! [`ClusterConfig`] has its [`WireGuard`] inside. The roster in it is well formed. Files are named here and read at start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use conclave_cluster::{ClusterId, MAX_MEMBERS, Member, NodeName, Roster, Settings};
use conclave_wg::device;
use conclave_wg::key::PublicKey;
use conclave_wg::peer::Endpoint;
use conclave_wg::subnet::Subnet;
use hcl::Block;

use super::ConfigError;
use super::read::{heading, label, leaf, set};
use super::section::Section;

/// WireGuard's usual port.
const DEFAULT_PORT: u16 = 51820;
/// The most database hosts and other peers that are no nodes.
const MAX_HOSTS: usize = 64;
/// Faster heartbeats than this find nobody dead sooner.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(20);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(10);
const LONGEST_DOWN_AFTER: Duration = Duration::from_secs(60);
/// A heartbeat's answer takes up to one interval, and one in a row may be lost.
const LEAST_HEARTBEATS: u32 = 3;

const NAME_RULE: &str = "must be a name of 1 to 63 of the characters a-z A-Z 0-9 . _ : -";
const ENDPOINT_RULE: &str =
    "must be where its tunnel is found, such as 192.0.2.1:51820 or node-1.example.org:51820";

/// `cluster {}`, with the `wireguard {}` that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `cluster_id`, `node_name` and the `node "..." {}` blocks, this node's own among them.
    pub roster: Roster,
    /// `heartbeat_interval` and `down_after`. Default: 500ms and 3s.
    pub settings: Settings,
    /// The `preshared_key_file` of each node that has one.
    pub preshared_key_files: BTreeMap<NodeName, PathBuf>,
    /// `wireguard {}`.
    pub wireguard: WireGuard,
}

/// `wireguard {}`: this node's end of the tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireGuard {
    /// `private_key_file`: this node's private key, as `conclave wg genkey` and `wg genkey` print it.
    pub private_key_file: PathBuf,
    /// `listen`: IP address and UDP port. Default: `0.0.0.0:51820`.
    pub listen: SocketAddr,
    /// `interface`: the name of a TUN interface to open, so that the machine's own connections (those to the database)
    /// can go through the tunnels. Needs CAP_NET_ADMIN. Default: none.
    pub interface: Option<String>,
    /// `mtu`: longest packet inside the tunnels, in bytes. Default: 1420.
    pub mtu: u16,
    /// `message_port`: UDP port inside the tunnels at which nodes hear each other. Default: 8203.
    pub message_port: u16,
    /// `peer "..." {}`: hosts that are no nodes, such as those of the database.
    pub hosts: Vec<Host>,
}

/// `peer "..." {}`: a host at the other end of a tunnel that is no node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What it is called.
    pub name: NodeName,
    /// `public_key`.
    pub public_key: PublicKey,
    /// `preshared_key_file`.
    pub preshared_key_file: Option<PathBuf>,
    /// `endpoint`: where its tunnel is found. Default: it must speak first.
    pub endpoint: Option<Endpoint>,
    /// `address`: its address inside the tunnel.
    pub address: std::net::IpAddr,
    /// `routes`: networks behind it, separated by commas.
    pub routes: Vec<Subnet>,
}

/// The `cluster {}` block without its tunnels.
pub(super) struct Membership {
    place: String,
    roster: Roster,
    settings: Settings,
    preshared_key_files: BTreeMap<NodeName, PathBuf>,
}

/// A `node` or `peer` block.
struct Entry {
    name: NodeName,
    public_key: PublicKey,
    preshared_key_file: Option<PathBuf>,
    endpoint: Option<Endpoint>,
    address: std::net::IpAddr,
}

/// Both blocks, or neither.
pub(super) fn join(
    name: &str,
    cluster: Option<Membership>,
    wireguard: Option<WireGuard>,
) -> Result<Option<ClusterConfig>, ConfigError> {
    let (membership, wireguard) = match (cluster, wireguard) {
        (None, None) => return Ok(None),
        (Some(membership), Some(wireguard)) => (membership, wireguard),
        (Some(membership), None) => {
            let message =
                "needs wireguard { private_key_file = ... }: nodes speak through tunnels only";
            return Err(ConfigError::new(membership.place, message));
        }
        (None, Some(_)) => {
            let message =
                "needs cluster {}, which says who is at the other ends; one node is enough";
            return Err(ConfigError::new(format!("{name}: wireguard"), message));
        }
    };
    reachable(name, &membership.roster, &wireguard)?;
    for host in &wireguard.hosts {
        let roster = &membership.roster;
        let mut members = roster.peers().iter().chain([roster.me()]);
        if members.any(|member| {
            member.name == host.name
                || member.public_key == host.public_key
                || member.address == host.address
        }) {
            let place = format!("{name}: wireguard: peer {:?}", host.name.as_str());
            let message = "has the name, public key or address of a node of the cluster";
            return Err(ConfigError::new(place, message));
        }
    }
    Ok(Some(ClusterConfig {
        roster: membership.roster,
        settings: membership.settings,
        preshared_key_files: membership.preshared_key_files,
        wireguard,
    }))
}

/// A socket that speaks IPv4 only reaches no IPv6 endpoint.
fn reachable(name: &str, roster: &Roster, wireguard: &WireGuard) -> Result<(), ConfigError> {
    let nodes = roster.peers().iter();
    let nodes = nodes.map(|node| ("cluster: node", &node.name, &node.endpoint));
    let hosts = wireguard.hosts.iter();
    let hosts = hosts.map(|host| ("wireguard: peer", &host.name, &host.endpoint));
    for (kind, peer, endpoint) in nodes.chain(hosts) {
        if let Some(Endpoint::Address(SocketAddr::V6(_))) = endpoint
            && wireguard.listen.is_ipv4()
        {
            let place = format!("{name}: {kind} {:?}", peer.as_str());
            let message = "is IPv6, and wireguard { listen } is IPv4; [::]:51820 takes both";
            return Err(ConfigError::at(place, "endpoint", message));
        }
    }
    Ok(())
}

/// Reads `cluster {}`.
pub(super) fn cluster(place: String, block: &Block) -> Result<Membership, ConfigError> {
    no_label(&place, block)?;
    let entries = entries(&place, block, "node", MAX_MEMBERS)?;
    let mut section = Section::new(place.clone(), block.body())?;
    let cluster_rule = "must be a UUID, the same on every node";
    let id = section.word("cluster_id", cluster_rule, |text| {
        uuid::Uuid::try_parse(text).ok()
    })?;
    let id = id.ok_or_else(|| {
        section.wrong(
            "cluster_id",
            "is missing; it is a UUID, the same on every node",
        )
    })?;
    let me: NodeName = section
        .word("node_name", NAME_RULE, |text| text.parse().ok())?
        .ok_or_else(|| {
            section.wrong(
                "node_name",
                "is missing; it says which node of the cluster this is",
            )
        })?;
    let settings = settings(&mut section)?;
    section.finish()?;
    let mut preshared_key_files = BTreeMap::new();
    let mut members = Vec::with_capacity(entries.len());
    for (entry, section) in entries {
        section.finish()?;
        if let Some(file) = entry.preshared_key_file {
            preshared_key_files.insert(entry.name.clone(), file);
        }
        members.push(Member {
            name: entry.name,
            public_key: entry.public_key,
            endpoint: entry.endpoint,
            address: entry.address,
        });
    }
    let roster = Roster::new(ClusterId(id.into_bytes()), &me, members)
        .map_err(|error| ConfigError::new(&place, error.to_string()))?;
    if preshared_key_files.contains_key(&me) {
        let place = format!("{place}: node {:?}", me.as_str());
        let message = "is this node itself, and shares no key with itself";
        return Err(ConfigError::at(place, "preshared_key_file", message));
    }
    Ok(Membership {
        place,
        roster,
        settings,
        preshared_key_files,
    })
}

/// Reads `wireguard {}`.
pub(super) fn wireguard(place: String, block: &Block) -> Result<WireGuard, ConfigError> {
    no_label(&place, block)?;
    let hosts = entries(&place, block, "peer", MAX_HOSTS)?;
    let mut section = Section::new(place, block.body())?;
    let private_key_file = section.path("private_key_file")?.ok_or_else(|| {
        let message = "is missing; `conclave wg genkey` makes the key";
        section.wrong("private_key_file", message)
    })?;
    let listen_rule = "must be an IP address and a UDP port, such as 0.0.0.0:51820 or [::]:51820";
    let listen = section.word("listen", listen_rule, |text| text.parse().ok())?;
    let interface = section.text("interface")?;
    let mtu = section.count(
        "mtu",
        device::Settings::MIN_MTU.into(),
        device::Settings::MAX_MTU.into(),
    )?;
    let message_port = section.count("message_port", 1, u16::MAX.into())?;
    section.finish()?;
    let hosts = hosts
        .into_iter()
        .map(|(entry, section)| host(entry, section));
    Ok(WireGuard {
        private_key_file,
        listen: listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT))),
        interface,
        mtu: port_sized(mtu, device::Settings::DEFAULT_MTU),
        message_port: port_sized(message_port, device::Settings::DEFAULT_MESSAGE_PORT),
        hosts: hosts.collect::<Result<_, _>>()?,
    })
}

fn settings(section: &mut Section) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    set(
        &mut settings.heartbeat_interval,
        section.duration("heartbeat_interval", SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT)?,
    );
    let least = settings.heartbeat_interval * LEAST_HEARTBEATS;
    set(
        &mut settings.down_after,
        section.duration("down_after", least, LONGEST_DOWN_AFTER)?,
    );
    if settings.down_after < least {
        return Err(section.wrong(
            "down_after",
            "is less than three heartbeat_interval; nodes would seem dead for every lost packet",
        ));
    }
    Ok(settings)
}

fn host(entry: Entry, mut section: Section) -> Result<Host, ConfigError> {
    let rule = "must be networks separated by commas, such as 10.91.0.0/16";
    let routes = section.word("routes", rule, |text| {
        let parts = text.split(',').map(|part| part.trim().parse());
        parts.collect::<Result<Vec<Subnet>, _>>().ok()
    })?;
    section.finish()?;
    Ok(Host {
        name: entry.name,
        public_key: entry.public_key,
        preshared_key_file: entry.preshared_key_file,
        endpoint: entry.endpoint,
        address: entry.address,
        routes: routes.unwrap_or_default(),
    })
}

/// The blocks of one kind inside another, each with its section, of which more may be asked.
fn entries(
    place: &str,
    block: &Block,
    kind: &str,
    most: usize,
) -> Result<Vec<(Entry, Section)>, ConfigError> {
    let mut entries = Vec::new();
    for inner in block.body().blocks() {
        let place = format!("{place}: {}", heading(inner));
        if inner.identifier() != kind {
            let message = format!("unknown block; there is {kind}");
            return Err(ConfigError::new(place, message));
        }
        if entries.len() == most {
            return Err(ConfigError::new(
                place,
                format!("is one more than the {most} that there may be"),
            ));
        }
        let name = label(&place, inner)?.parse();
        let name = name.map_err(|_| ConfigError::new(&place, NAME_RULE))?;
        entries.push(entry(name, leaf(place, inner)?)?);
    }
    Ok(entries)
}

fn entry(name: NodeName, mut section: Section) -> Result<(Entry, Section), ConfigError> {
    let key_rule = "must be a WireGuard public key: 44 characters of base64, the last one '='";
    let public_key = section
        .word("public_key", key_rule, |text| text.parse().ok())?
        .ok_or_else(|| {
            let message = "is missing; `conclave wg pubkey` prints it";
            section.wrong("public_key", message)
        })?;
    let address_rule = "must be an IP address inside the tunnel, such as 10.90.0.1";
    let address = section
        .word("address", address_rule, |text| text.parse().ok())?
        .ok_or_else(|| {
            let message = "is missing; it is an IP address inside the tunnel, such as 10.90.0.1";
            section.wrong("address", message)
        })?;
    let entry = Entry {
        name,
        public_key,
        preshared_key_file: section.path("preshared_key_file")?,
        endpoint: section.word("endpoint", ENDPOINT_RULE, |text| text.parse().ok())?,
        address,
    };
    Ok((entry, section))
}

fn no_label(place: &str, block: &Block) -> Result<(), ConfigError> {
    if block.labels().is_empty() {
        return Ok(());
    }
    let message = format!("has no name in quotes; write {} {{", block.identifier());
    Err(ConfigError::new(place, message))
}

fn port_sized(given: Option<u32>, default: u16) -> u16 {
    given
        .and_then(|number| u16::try_from(number).ok())
        .unwrap_or(default)
}

#[cfg(test)]
mod tests;
