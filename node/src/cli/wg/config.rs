//! `conclave wg config`: the other end of the tunnels of a cluster's nodes, for a host that is no node.

use std::path::{Path, PathBuf};

use clap::Args;
use conclave_cluster::{Member, NodeName};
use conclave_wg::config::Config as Tunnels;
use conclave_wg::key::{KeyError, PresharedKey, PrivateKey};
use conclave_wg::peer::{Endpoint, Peer};
use conclave_wg::subnet::Subnet;

use super::super::{Failure, Session};
use crate::config::{ClusterConfig, Config, Host};
use crate::private_file;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The host's name: that of its `peer "name"` in the node's `wireguard {}`.
    host: String,
    /// A node's configuration file.
    #[arg(long)]
    config: PathBuf,
    /// The host's private key, as `conclave wg genkey` printed it.
    #[arg(long)]
    private_key_file: PathBuf,
    /// A key that the host shares with a node, as NODE=FILE. That of the configuration's own node is known from there.
    #[arg(long, value_name = "NODE=FILE")]
    preshared_key: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<(), Failure> {
    let config = Config::load(&arguments.config, session.environment.pairs())
        .map_err(Failure::local)?
        .cluster
        .ok_or_else(|| {
            let file = arguments.config.display();
            Failure::Local(format!(
                "{file} has neither cluster {{}} nor wireguard {{}}"
            ))
        })?;
    let hosts = &config.wireguard.hosts;
    let host = hosts
        .iter()
        .find(|host| host.name.as_str() == arguments.host)
        .ok_or_else(|| {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            Failure::Local(format!(
                "wireguard {{}} has no peer {:?}; it has {:?}",
                arguments.host, names
            ))
        })?;
    let private_key: PrivateKey = key(&arguments.private_key_file)?;
    if private_key.public() != host.public_key {
        return Err(Failure::Local(format!(
            "{}: is not the key of {}: its public half is {}, and the configuration has {}",
            arguments.private_key_file.display(),
            host.name,
            private_key.public(),
            host.public_key
        )));
    }
    let shared = shared_keys(arguments, &config, host)?;
    let tunnels = Tunnels {
        private_key,
        listen_port: match &host.endpoint {
            Some(Endpoint::Address(address)) => Some(address.port()),
            Some(Endpoint::Name { port, .. }) => Some(*port),
            None => None,
        },
        addresses: vec![Subnet::host(host.address)],
        mtu: Some(config.wireguard.mtu),
        peers: nodes(&config).map(|member| peer(member, &shared)).collect(),
    };
    session.output.write_all(tunnels.to_text().as_bytes())?;
    Ok(())
}

fn nodes(config: &ClusterConfig) -> impl Iterator<Item = &Member> {
    [config.roster.me()]
        .into_iter()
        .chain(config.roster.peers())
}

fn peer(member: &Member, shared: &[(NodeName, PresharedKey)]) -> Peer {
    let known = shared.iter().find(|(name, _)| *name == member.name);
    Peer {
        name: member.name.clone(),
        public_key: member.public_key,
        preshared_key: known.map(|(_, key)| key.clone()),
        endpoint: member.endpoint.clone(),
        address: member.address,
        routes: Vec::new(),
        keepalive_seconds: None,
    }
}

fn shared_keys(
    arguments: &Arguments,
    config: &ClusterConfig,
    host: &Host,
) -> Result<Vec<(NodeName, PresharedKey)>, Failure> {
    let mut shared = Vec::new();
    for given in &arguments.preshared_key {
        let (name, file) = given.split_once('=').ok_or_else(|| {
            Failure::Local(format!(
                "--preshared-key {given:?} is not of the form NODE=FILE"
            ))
        })?;
        let member = nodes(config)
            .find(|member| member.name.as_str() == name)
            .ok_or_else(|| {
                Failure::Local(format!("--preshared-key: no node is called {name:?}"))
            })?;
        shared.push((member.name.clone(), key(file.as_ref())?));
    }
    if let Some(file) = &host.preshared_key_file {
        shared.push((config.roster.me().name.clone(), key(file)?));
    }
    Ok(shared)
}

fn key<K>(file: &Path) -> Result<K, Failure>
where
    K: std::str::FromStr<Err = KeyError>,
{
    private_file::read("key", file)?
        .trim()
        .parse()
        .map_err(|error| Failure::Local(format!("{}: {error}", file.display())))
}
