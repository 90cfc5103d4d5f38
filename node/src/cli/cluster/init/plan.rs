//! [`Plan`]: who is where in the new cluster, with which keys.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use conclave_cluster::{MAX_MEMBERS, NodeName};
use conclave_wg::key::{PresharedKey, PrivateKey};
use conclave_wg::subnet::Subnet;
use uuid::Uuid;

use super::super::super::Failure;
use super::{Arguments, StoreKind};
use crate::rng::OsRandom;

/// The interface when there must be one.
const INTERFACE: &str = "wg-kms";
/// How many ports a node on loopback has to itself.
const PORTS_PER_NODE: u16 = 10;
/// Nodes have the addresses from 1, databases those from here, so that both can grow.
const FIRST_DATABASE: u8 = 101;
/// As many as have an address.
const MAX_DATABASES: usize = 100;

/// See the module.
pub(super) struct Plan {
    pub cluster_id: Uuid,
    pub nodes: Vec<Node>,
    pub databases: Vec<Database>,
    /// Whether all nodes are on this machine.
    pub is_loopback: bool,
    pub interface: Option<String>,
    /// The key that two of them share, by both names.
    shared: BTreeMap<(NodeName, NodeName), PresharedKey>,
}

/// One node.
pub(super) struct Node {
    pub name: NodeName,
    /// Its host's name or address.
    host: String,
    pub api: SocketAddr,
    pub api_addr: String,
    pub listen: SocketAddr,
    pub endpoint: String,
    pub address: IpAddr,
    pub key: PrivateKey,
}

/// One host of the database.
pub(super) struct Database {
    pub name: NodeName,
    pub endpoint: String,
    pub port: u16,
    pub address: IpAddr,
    pub key: PrivateKey,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments, random: &OsRandom) -> Result<Self, Failure> {
        let network = network(&arguments.network)?;
        let nodes = nodes(arguments, network, random)?;
        let databases = databases(arguments, network, random)?;
        if nodes.len() > 1 && arguments.store_url.is_none() {
            return Err(Failure::local(match arguments.store {
                StoreKind::Postgres => {
                    "several nodes share a store: give --store-url postgres://user@host:5432/database"
                }
                StoreKind::Foundationdb => {
                    "several nodes share a store: give --store-url with FoundationDB's cluster file"
                }
            }));
        }
        let names: Vec<&NodeName> = nodes
            .iter()
            .map(|node| &node.name)
            .chain(databases.iter().map(|database| &database.name))
            .collect();
        let mut shared = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            if ["ca", "operator"].contains(&name.as_str())
                || names.iter().skip(place + 1).any(|other| other == name)
            {
                return Err(Failure::Local(format!(
                    "the name {name} is taken; choose another one"
                )));
            }
            // Nodes share a key with everybody, hosts of the database with nodes only.
            if place >= nodes.len() {
                continue;
            }
            for other in names.iter().skip(place + 1) {
                let key = PresharedKey::from_random(random.array());
                shared.insert(((*name).clone(), (*other).clone()), key);
            }
        }
        let interface = arguments
            .interface
            .clone()
            .or_else(|| (!databases.is_empty()).then(|| INTERFACE.to_owned()));
        Ok(Self {
            cluster_id: random.uuid(),
            nodes,
            databases,
            is_loopback: arguments.host.is_empty(),
            interface,
            shared,
        })
    }

    pub(super) fn interface_name(&self) -> &str {
        self.interface.as_deref().unwrap_or(INTERFACE)
    }

    /// The keys that one of them shares with the others.
    pub(super) fn keys_of(&self, name: &NodeName) -> Vec<(&NodeName, &PresharedKey)> {
        let shared = self.shared.iter().filter_map(|((one, other), key)| {
            let peer = match (one == name, other == name) {
                (true, _) => other,
                (_, true) => one,
                _ => return None,
            };
            Some((peer, key))
        });
        shared.collect()
    }
}

impl Node {
    /// What its certificate is to say, apart from names that all nodes share.
    pub(super) fn certificate_names(&self, more: &[String]) -> Vec<String> {
        let own = [
            &self.host,
            self.name.as_str(),
            "localhost",
            "127.0.0.1",
            "::1",
        ];
        let mut names: Vec<String> = Vec::new();
        for name in own.into_iter().chain(more.iter().map(String::as_str)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

fn nodes(
    arguments: &Arguments,
    network: Ipv4Addr,
    random: &OsRandom,
) -> Result<Vec<Node>, Failure> {
    let hosts = arguments
        .host
        .iter()
        .map(|given| named("--host", given))
        .collect::<Result<Vec<_>, _>>()?;
    let count = arguments
        .nodes
        .unwrap_or(if hosts.is_empty() { 3 } else { hosts.len() });
    if !(1..=MAX_MEMBERS).contains(&count) {
        return Err(Failure::Local(format!("--nodes: from 1 to {MAX_MEMBERS}")));
    }
    if !hosts.is_empty() && hosts.len() != count {
        return Err(Failure::Local(format!(
            "there are {count} --nodes and {} --host; give one for each, or none",
            hosts.len()
        )));
    }
    (1..)
        .zip(0..count)
        .map(|(number, index)| {
            let address = within(network, number);
            let key = PrivateKey::from_random(random.array());
            match hosts.get(index) {
                Some((name, host)) => Ok(Node::at(arguments, name.clone(), host, address, key)),
                None => Node::on_loopback(arguments, number, address, key),
            }
        })
        .collect()
}

impl Node {
    fn at(
        arguments: &Arguments,
        name: NodeName,
        host: &str,
        address: IpAddr,
        key: PrivateKey,
    ) -> Self {
        let any: IpAddr = match speaks_ipv6(arguments) {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        };
        let everywhere = |port| SocketAddr::new(any, port);
        Self {
            name,
            host: host.to_owned(),
            api: everywhere(arguments.base_port),
            api_addr: format!("https://{}", with_port(host, arguments.base_port)),
            listen: everywhere(arguments.wireguard_port),
            endpoint: with_port(host, arguments.wireguard_port),
            address,
            key,
        }
    }

    fn on_loopback(
        arguments: &Arguments,
        number: u8,
        address: IpAddr,
        key: PrivateKey,
    ) -> Result<Self, Failure> {
        let distance = u16::from(number - 1) * PORTS_PER_NODE;
        let port = arguments.base_port.checked_add(distance);
        let port = port.filter(|port| *port > 0 && *port < u16::MAX);
        let port = port.ok_or_else(|| Failure::local("--base-port: too high for so many nodes"))?;
        let (api, listen) = (
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            SocketAddr::from((Ipv4Addr::LOCALHOST, port + 1)),
        );
        Ok(Self {
            name: name(&format!("n{number}"))?,
            host: api.ip().to_string(),
            api,
            api_addr: format!("https://{api}"),
            listen,
            endpoint: listen.to_string(),
            address,
            key,
        })
    }
}

fn databases(
    arguments: &Arguments,
    network: Ipv4Addr,
    random: &OsRandom,
) -> Result<Vec<Database>, Failure> {
    if arguments.database.len() > MAX_DATABASES {
        return Err(Failure::Local(format!(
            "--database: at most {MAX_DATABASES}"
        )));
    }
    let numbered = arguments.database.iter().zip(FIRST_DATABASE..);
    numbered
        .map(|(given, number)| {
            let (name, place) = named("--database", given)?;
            let (endpoint, port) = match place.rsplit_once(':') {
                Some((_, port)) if place.parse::<IpAddr>().is_err() => {
                    let port = port.parse().map_err(|_| {
                        Failure::Local(format!("--database {given:?}: the port is none"))
                    })?;
                    (place, port)
                }
                _ => (
                    with_port(&place, arguments.wireguard_port),
                    arguments.wireguard_port,
                ),
            };
            Ok(Database {
                name,
                endpoint,
                port,
                address: within(network, number),
                key: PrivateKey::from_random(random.array()),
            })
        })
        .collect()
}

/// Whether a host is given by an IPv6 address. Listening on that takes IPv4 along, where there is IPv6.
fn speaks_ipv6(arguments: &Arguments) -> bool {
    let given = arguments.host.iter().chain(&arguments.database);
    given
        .filter_map(|given| given.split_once('='))
        .any(|(_, host)| host.starts_with('[') || host.parse::<Ipv6Addr>().is_ok())
}

/// `NAME=REST`.
fn named(option: &str, given: &str) -> Result<(NodeName, String), Failure> {
    let (before, rest) = given
        .split_once('=')
        .filter(|(_, rest)| !rest.is_empty())
        .ok_or_else(|| {
            Failure::Local(format!("{option} {given:?} is not of the form NAME=HOST"))
        })?;
    Ok((name(before)?, rest.to_owned()))
}

/// Names are names of folders and of hosts in certificates, too, so they are plainer than the cluster needs.
fn name(text: &str) -> Result<NodeName, Failure> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-');
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| {
        Failure::Local(format!(
            "{text:?} is no name of 1 to 63 letters, digits and '-'"
        ))
    })
}

fn with_port(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

fn network(text: &str) -> Result<Ipv4Addr, Failure> {
    let subnet: Option<Subnet> = text.parse().ok();
    match subnet.map(|subnet| (subnet.network().address(), subnet.prefix())) {
        Some((IpAddr::V4(address), 8..=24)) => Ok(address),
        _ => Err(Failure::Local(format!(
            "--network {text:?} is no IPv4 network such as 10.90.0.0/24, at least that large"
        ))),
    }
}

fn within(network: Ipv4Addr, number: u8) -> IpAddr {
    Ipv4Addr::from_bits(network.to_bits() | u32::from(number)).into()
}
