//! The text of the files: each node's `node.hcl`, and the tunnels of the database's hosts.

use std::fmt::Write as _;
use std::path::Path;

use conclave_wg::config::Config as Tunnels;
use conclave_wg::peer::{Endpoint, Peer};
use conclave_wg::subnet::Subnet;

use super::super::super::Failure;
use super::plan::{Database, Node, Plan};
use super::{Arguments, StoreKind};
use crate::config::Config;

/// Each node's `node.hcl`, which a node can read.
pub(super) fn configurations(
    arguments: &Arguments,
    plan: &Plan,
    operator_public_key: &str,
) -> Result<Vec<String>, Failure> {
    let texts = plan.nodes.iter().map(|node| {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = top(&mut text, arguments, plan, node, operator_public_key);
        let _ = cluster(&mut text, arguments, plan, node);
        let _ = wireguard(&mut text, arguments, plan, node);
        // What was given on the command line may be what no node would take.
        match Config::parse("the configuration that this would write", &text, []) {
            Ok(_) => Ok(text),
            Err(error) => Err(Failure::local(error)),
        }
    });
    texts.collect()
}

fn top(
    text: &mut String,
    arguments: &Arguments,
    plan: &Plan,
    node: &Node,
    operator_public_key: &str,
) -> std::fmt::Result {
    let file = |name: &str| quoted(&file(arguments, name));
    writeln!(
        text,
        "# Node {} of the cluster; made by `conclave cluster init`.\n",
        node.name
    )?;
    store(text, arguments, plan)?;
    writeln!(
        text,
        "\nlistener \"tcp\" {{\n  address       = {}\n  tls_cert_file = {}\n  tls_key_file  = {}\n}}\n",
        quoted(&node.api.to_string()),
        file("tls.pem"),
        file("tls.key")
    )?;
    writeln!(text, "api_addr            = {}", quoted(&node.api_addr))?;
    writeln!(
        text,
        "operator_public_key = {}\n",
        quoted(operator_public_key)
    )
}

fn store(text: &mut String, arguments: &Arguments, plan: &Plan) -> std::fmt::Result {
    match (&arguments.store_url, arguments.store) {
        (None, _) => {
            let path = quoted(&file(arguments, "data"));
            writeln!(text, "storage \"embedded\" {{\n  path = {path}\n}}")
        }
        (Some(cluster_file), StoreKind::Foundationdb) => {
            let path = quoted(cluster_file);
            writeln!(
                text,
                "storage \"foundationdb\" {{\n  cluster_file = {path}\n}}"
            )
        }
        (Some(url), StoreKind::Postgres) => {
            writeln!(text, "storage \"postgres\" {{\n  url = {}", quoted(url))?;
            if let Some(file) = &arguments.store_password_file {
                writeln!(text, "  password_file = {}", quoted(file))?;
            }
            match &arguments.store_ca_file {
                Some(file) => writeln!(text, "  tls_ca_file = {}", quoted(file))?,
                None if plan.databases.is_empty() => {}
                None => writeln!(text, "  # The tunnel encrypts.\n  tls_disable = true")?,
            }
            writeln!(text, "}}")
        }
    }
}

fn cluster(text: &mut String, arguments: &Arguments, plan: &Plan, me: &Node) -> std::fmt::Result {
    writeln!(
        text,
        "cluster {{\n  cluster_id = {}\n  node_name  = {}",
        quoted(&plan.cluster_id.hyphenated().to_string()),
        quoted(me.name.as_str())
    )?;
    for node in &plan.nodes {
        writeln!(
            text,
            "\n  node {} {{\n    public_key = {}\n    endpoint   = {}\n    address    = {}",
            quoted(node.name.as_str()),
            quoted(&node.key.public().to_string()),
            quoted(&node.endpoint),
            quoted(&node.address.to_string())
        )?;
        if node.name != me.name {
            preshared(text, arguments, node.name.as_str())?;
        }
        writeln!(text, "  }}")?;
    }
    writeln!(text, "}}\n")
}

fn wireguard(text: &mut String, arguments: &Arguments, plan: &Plan, me: &Node) -> std::fmt::Result {
    writeln!(
        text,
        "wireguard {{\n  private_key_file = {}\n  listen           = {}",
        quoted(&file(arguments, "wireguard.key")),
        quoted(&me.listen.to_string())
    )?;
    if let Some(interface) = &plan.interface {
        writeln!(text, "  interface        = {}", quoted(interface))?;
    }
    for database in &plan.databases {
        writeln!(
            text,
            "\n  peer {} {{\n    public_key = {}\n    endpoint   = {}\n    address    = {}",
            quoted(database.name.as_str()),
            quoted(&database.key.public().to_string()),
            quoted(&database.endpoint),
            quoted(&database.address.to_string())
        )?;
        preshared(text, arguments, database.name.as_str())?;
        writeln!(text, "  }}")?;
    }
    writeln!(text, "}}")
}

fn preshared(text: &mut String, arguments: &Arguments, peer: &str) -> std::fmt::Result {
    let path = quoted(&file(arguments, &format!("{peer}.psk")));
    writeln!(text, "    preshared_key_file = {path}")
}

/// The other end of the nodes' tunnels.
pub(super) fn database_tunnels(plan: &Plan, database: &Database) -> Result<Tunnels, Failure> {
    let keys = plan.keys_of(&database.name);
    let peers = plan.nodes.iter().map(|node| Peer {
        name: node.name.clone(),
        public_key: node.key.public(),
        preshared_key: keys
            .iter()
            .find(|(name, _)| **name == node.name)
            .map(|(_, key)| (*key).clone()),
        endpoint: node.endpoint.parse::<Endpoint>().ok(),
        address: node.address,
        routes: Vec::new(),
        keepalive_seconds: None,
    });
    Ok(Tunnels {
        private_key: database
            .key
            .to_base64()
            .parse()
            .map_err(|error| Failure::Local(format!("a new key is none: {error}")))?,
        listen_port: Some(database.port),
        addresses: vec![Subnet::host(database.address)],
        mtu: None,
        peers: peers.collect(),
    })
}

/// A file of the node's folder, as its configuration names it.
fn file(arguments: &Arguments, name: &str) -> String {
    let folder = arguments.install_dir.as_deref().unwrap_or(Path::new(""));
    folder.join(name).display().to_string()
}

/// Text as HCL writes it, without templates.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace("${", "$${")
        .replace("%{", "%%{");
    format!("\"{escaped}\"")
}
