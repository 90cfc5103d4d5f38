//! `conclave cluster init`: writes what a new cluster needs into one folder per node, readable by its owner only.
//!
//! Every key is made here. The operator's key, and that of the certificate authority, have folders of their own: nodes
//! need neither, and whoever has them can be any add-on's root, or any node.

mod authority;
mod files;
mod plan;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::plan::Plan;
use super::super::output::{self, Format};
use super::super::{Failure, Session};
use crate::auth::biscuit::OperatorKey;
use crate::private_file;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// How many nodes. Default: 3, or as many as there are --host.
    #[arg(long)]
    nodes: Option<usize>,
    /// Where to put the folders; must not exist yet.
    #[arg(long, default_value = "nodes")]
    dir: PathBuf,
    /// A node and the address by which clients and other nodes reach it, as NAME=HOST; once for each node. Without any,
    /// all nodes are on this machine's loopback address.
    #[arg(long, value_name = "NAME=HOST")]
    host: Vec<String>,
    /// The first node's API port. On loopback the next ones are 10 apart, and each node's tunnel is one port higher.
    #[arg(long, default_value_t = 8200)]
    base_port: u16,
    /// The UDP port of the tunnels of real hosts.
    #[arg(long, default_value_t = 51820)]
    wireguard_port: u16,
    /// The network of addresses inside the tunnels.
    #[arg(long, default_value = "10.90.0.0/24")]
    network: String,
    /// The TUN interface through which the nodes' machines reach the tunnels. Default: none, and wg-kms with --database.
    #[arg(long)]
    interface: Option<String>,
    /// A host of the database to reach through the tunnels, as NAME=HOST or NAME=HOST:PORT; gets a folder with a file for
    /// `conclave wg up` or `wg-quick up`.
    #[arg(long, value_name = "NAME=HOST")]
    database: Vec<String>,
    /// The store that the nodes share.
    #[arg(long, value_enum, default_value_t = StoreKind::Postgres)]
    store: StoreKind,
    /// Where it is: postgres://user@host:5432/database without a password, or FoundationDB's cluster file.
    #[arg(long)]
    store_url: Option<String>,
    /// On the nodes: the file with the database's password.
    #[arg(long)]
    store_password_file: Option<String>,
    /// On the nodes: the file with the certificate authority of the database.
    #[arg(long)]
    store_ca_file: Option<String>,
    /// The certificate (PEM) of an authority to sign the nodes' certificates, instead of a new one.
    #[arg(long, requires = "ca_key")]
    ca_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, requires = "ca_cert")]
    ca_key: Option<PathBuf>,
    /// One more name by which clients reach the nodes, such as that of the load balancer.
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// The folder in which a node's files will be on its machine; paths in its configuration begin with it. Default: they
    /// are relative, so nodes are started in their folder.
    #[arg(long, value_name = "DIR")]
    install_dir: Option<PathBuf>,
}

/// The stores that nodes can share.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    Postgres,
    Foundationdb,
}

pub(super) fn run(
    arguments: &Arguments,
    format: Format,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let plan = Plan::new(arguments, session.random)?;
    let authority = authority::Authority::open(arguments, session.clock.now())?;
    let operator = OperatorKey::generate(session.random)?;
    let configurations = files::configurations(arguments, &plan, &operator.public().to_string())?;

    let folder = |name: &str| arguments.dir.join(name);
    make_folder(&arguments.dir)?;
    make_folder(&folder("operator"))?;
    operator.write_new(&folder("operator").join("operator.key"))?;
    make_folder(&folder("ca"))?;
    write(
        &folder("ca").join("ca.pem"),
        authority.certificate().as_bytes(),
    )?;
    if let Some(key) = authority.new_key() {
        write(&folder("ca").join("ca.key"), key.as_bytes())?;
    }
    for (node, configuration) in plan.nodes.iter().zip(&configurations) {
        let folder = folder(node.name.as_str());
        make_folder(&folder)?;
        let certified = authority.certify(&node.certificate_names(&arguments.dns))?;
        write(&folder.join("node.hcl"), configuration.as_bytes())?;
        write(
            &folder.join("wireguard.key"),
            line(&node.key.to_base64()).as_bytes(),
        )?;
        write(&folder.join("tls.pem"), certified.chain.as_bytes())?;
        write(&folder.join("tls.key"), certified.key.as_bytes())?;
        for (peer, key) in plan.keys_of(&node.name) {
            let file = folder.join(format!("{peer}.psk"));
            write(&file, line(&key.to_base64()).as_bytes())?;
        }
    }
    for database in &plan.databases {
        let folder = folder(database.name.as_str());
        make_folder(&folder)?;
        let tunnels = files::database_tunnels(&plan, database)?;
        write(
            &folder.join(format!("{}.conf", plan.interface_name())),
            tunnels.to_text().as_bytes(),
        )?;
    }
    match format {
        Format::Json => output::json(session.output, &described(arguments, &plan))?,
        Format::Table => print_next_steps(arguments, &plan, session.output)?,
    }
    Ok(())
}

fn line(key: &str) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(format!("{key}\n"))
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            Failure::Local(format!(
                "cannot make the folder {}: {error}",
                folder.display()
            ))
        })
}

fn write(file: &Path, content: &[u8]) -> Result<(), Failure> {
    private_file::write_new(file, content)
        .map_err(|error| Failure::Local(format!("cannot write {}: {error}", file.display())))
}

fn described(arguments: &Arguments, plan: &Plan) -> serde_json::Value {
    let nodes: Vec<_> = plan
        .nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.name.as_str(),
                "folder": arguments.dir.join(node.name.as_str()),
                "api_addr": node.api_addr,
                "endpoint": node.endpoint,
                "address": node.address.to_string(),
                "public_key": node.key.public().to_string(),
            })
        })
        .collect();
    json!({
        "cluster_id": plan.cluster_id.hyphenated().to_string(),
        "nodes": nodes,
        "operator_key": arguments.dir.join("operator").join("operator.key"),
        "ca_cert": arguments.dir.join("ca").join("ca.pem"),
    })
}

fn print_next_steps(
    arguments: &Arguments,
    plan: &Plan,
    output: &mut dyn Write,
) -> std::io::Result<()> {
    let dir = arguments.dir.display();
    writeln!(
        output,
        "Made the cluster {} in {dir}:\n",
        plan.cluster_id.hyphenated()
    )?;
    for node in &plan.nodes {
        writeln!(
            output,
            "  {}    {}  (tunnel: {})",
            node.name, node.api_addr, node.endpoint
        )?;
    }
    for database in &plan.databases {
        writeln!(
            output,
            "  {}    database host (tunnel: {})",
            database.name, database.endpoint
        )?;
    }
    writeln!(output, "\nWhat to do next:\n")?;
    if plan.is_loopback {
        writeln!(output, "1. Start each node in its folder:")?;
        for node in &plan.nodes {
            writeln!(
                output,
                "     (cd {dir}/{} && conclave server --config node.hcl)",
                node.name
            )?;
        }
    } else {
        let place = arguments
            .install_dir
            .as_deref()
            .unwrap_or(Path::new("a folder"));
        writeln!(
            output,
            "1. Bring each node's folder to its host, into {}, and no other node's. Start `conclave server --config node.hcl`\n   \
             in it. Let UDP port {} through between the hosts.",
            place.display(),
            arguments.wireguard_port
        )?;
    }
    for database in &plan.databases {
        writeln!(
            output,
            "   On {}: conclave wg up {}.conf",
            database.name,
            plan.interface_name()
        )?;
    }
    let first = plan.nodes.first().map_or("n1", |node| node.name.as_str());
    writeln!(
        output,
        "2. Look whether the nodes found each other, and make an add-on:\n     \
         export VAULT_CACERT={dir}/ca/ca.pem\n     \
         conclave cluster status --config {dir}/{first}/node.hcl --operator-key {dir}/operator/operator.key\n     \
         conclave addon create NAME --org ORG --config {dir}/{first}/node.hcl --operator-key {dir}/operator/operator.key\n\
         3. Keep {dir}/operator and {dir}/ca away from the nodes: whoever has them can mint any add-on's tokens, or pass for\n   \
         a node. When the folders are where they belong, remove them here."
    )
}
