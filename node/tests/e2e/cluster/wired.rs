//! [`Wired`]: nodes of one cluster whose every wire, to each other and to the database, can be cut, slowed and listened to.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conclave::auth::biscuit::OperatorKey;
use conclave::rng::OsRandom;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::relay::{Connections, Datagrams};
use crate::support::node::program;
use crate::support::postgres::Server;
use crate::support::{AddOn, Request, TestNode};

/// The socket of a PostgreSQL server in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// See the module.
pub struct Wired {
    // Nodes go before what they stand on.
    pub nodes: Vec<TestNode>,
    /// `links[a][b]`: what node `a` sends to node `b` first. Answers come back the same way.
    links: Vec<Vec<Option<Datagrams>>>,
    stores: Vec<Connections>,
    _server: Server,
    _folder: TempDir,
}

/// A [`Wired`] whose default add-on is initialised with 5 shares, 3 needed.
pub struct Founded {
    pub wired: Wired,
    pub addon: AddOn,
    pub shares: Vec<String>,
    /// The opaque initial root token.
    pub root: String,
}

impl Wired {
    /// That many running nodes.
    pub fn start(count: usize) -> Self {
        Self::start_with(count, "")
    }

    /// The same with more lines at the top of each configuration.
    pub fn start_with(count: usize, settings: &str) -> Self {
        let server = Server::start();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let operator = folder.path().join("operator.key");
        let key = OperatorKey::generate(&OsRandom).expect("a key");
        key.write_new(&operator).expect("a file");
        let keys: Vec<(PathBuf, String)> =
            (0..count).map(|at| key_pair(folder.path(), at)).collect();
        let ports: Vec<SocketAddr> = (0..count).map(|_| free_udp_port()).collect();
        let link = |from: usize, to: usize| (from != to).then(|| Datagrams::to(ports[to]));
        let links: Vec<Vec<_>> = (0..count)
            .map(|from| (0..count).map(|to| link(from, to)).collect())
            .collect();
        let mut stores = Vec::new();
        let mut nodes = Vec::new();
        for me in 0..count {
            let socket_folder = folder.path().join(format!("store-{me}"));
            std::fs::create_dir(&socket_folder).expect("a folder");
            let socket = socket_folder.join(SOCKET);
            stores.push(Connections::between(&socket, &server.folder.join(SOCKET)));
            let storage = format!(
                "storage \"postgres\" {{\n  url = \"host={} user=conclave dbname=postgres\"\n  request_timeout = \"2s\"\n}}",
                socket_folder.display()
            );
            let mut members = String::new();
            for (to, (_, public_key)) in keys.iter().enumerate() {
                let endpoint = links[me][to].as_ref().map_or_else(String::new, |link| {
                    format!("    endpoint = \"{}\"\n", link.address())
                });
                members += &format!(
                    "  node \"n{to}\" {{\n    public_key = \"{public_key}\"\n{endpoint}    address = \"10.90.0.{}\"\n  }}\n",
                    to + 1
                );
            }
            let settings = format!(
                "operator_key = \"{}\"\nstate_dir = \"./state\"\n{settings}\n\
                 cluster {{\n  cluster_id = \"6b1f6d2e-9a53-4d7c-8d2f-5d5d0f9f1a11\"\n  node_name = \"n{me}\"\n{members}}}\n\
                 wireguard {{\n  private_key_file = \"{}\"\n  listen = \"{}\"\n}}\n",
                operator.display(),
                keys[me].0.display(),
                ports[me],
            );
            nodes.push(TestNode::stopped(&storage, &settings, ""));
        }
        std::thread::scope(|scope| {
            for node in &mut nodes {
                scope.spawn(|| node.run());
            }
        });
        Self {
            nodes,
            links,
            stores,
            _server: server,
            _folder: folder,
        }
    }

    /// Initialises the default add-on.
    pub fn found(self) -> Founded {
        let addon = self.nodes[0].default_addon();
        let (shares, root) = self.nodes[0].init(&addon, 5, 3);
        Founded {
            wired: self,
            addon,
            shares,
            root,
        }
    }

    /// Cuts, heals or slows all that two groups of nodes say to each other.
    pub fn between(&self, some: &[usize], others: &[usize], act: impl Fn(&Datagrams)) {
        for a in some {
            for b in others {
                let pair = [&self.links[*a][*b], &self.links[*b][*a]];
                pair.into_iter().flatten().for_each(&act);
            }
        }
    }

    /// All wires between nodes.
    pub fn links(&self) -> impl Iterator<Item = &Datagrams> {
        self.links.iter().flatten().flatten()
    }

    /// Each node's wire to the database.
    pub fn stores(&self) -> &[Connections] {
        &self.stores
    }

    /// Heals every wire.
    pub fn heal(&self) {
        self.links().for_each(|link| link.heal());
        self.stores.iter().for_each(|store| store.heal());
    }
}

impl Founded {
    /// Gives one share to one node; what it answers. While the node finds that connections to its store are broken, which
    /// it does one by one, the share is given again.
    #[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
    pub fn give(&self, node: usize, share: usize) -> Value {
        let body = json!({ "key": self.shares[share] });
        let give = || self.seal_request(node, "PUT", "sys/unseal").json(&body);
        let mut answer = give().send();
        for _ in 0..10 {
            if answer.status != 503 {
                break;
            }
            std::thread::sleep(Duration::from_millis(300));
            answer = give().send();
        }
        answer.expect(200).json()
    }

    /// What a node says of the seal. It is asked again while it does not reach its store: it notices a moment late that a
    /// wire is whole again.
    pub fn status(&self, node: usize) -> Value {
        let ask = || self.seal_request(node, "GET", "sys/seal-status").send();
        let mut answer = ask();
        eventually(Duration::from_secs(10), || {
            if answer.status == 503 {
                answer = ask();
            }
            answer.status != 503
        });
        answer.expect(200).json()
    }

    /// Whether the add-on is open on a node.
    pub fn is_open(&self, node: usize) -> bool {
        self.status(node)["sealed"] == false
    }

    /// Opens all nodes, with a share for each in turn.
    pub fn open(&self) {
        let count = self.wired.nodes.len();
        for node in 0..count {
            self.status(node);
        }
        for share in 0..3 {
            self.give(share % count, share);
        }
        for node in 0..count {
            assert!(
                eventually(Duration::from_secs(10), || self.is_open(node)),
                "node {node} stays sealed: {}",
                self.status(node)
            );
        }
    }

    /// A request about the seal, with the add-on's root Biscuit, which is good while it is sealed.
    pub fn seal_request(&self, node: usize, method: &str, path: &str) -> Request {
        let request = self.wired.nodes[node].request(method, path);
        request.token(&self.addon.root_token)
    }

    /// A request with the initial root token.
    pub fn request(&self, node: usize, method: &str, path: &str) -> Request {
        self.wired.nodes[node]
            .request(method, path)
            .token(&self.root)
    }
}

/// Looks again and again, for at most so long, whether something holds.
#[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
pub fn eventually(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A private key's file and its public key.
fn key_pair(folder: &Path, at: usize) -> (PathBuf, String) {
    let file = folder.join(format!("wireguard-{at}.key"));
    let private = program(&["wg", "genkey"], "");
    std::fs::write(&file, &private).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).expect("a mode");
    (file, program(&["wg", "pubkey"], &private).trim().to_owned())
}

fn free_udp_port() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address")
}
