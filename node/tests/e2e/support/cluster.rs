//! Several nodes on one shared store: `Cluster::start(3)`, then `cluster.nodes[0].request(..)`.
//!
//! The store is a PostgreSQL server of the cluster's own, or whatever else implements [`SharedStore`].

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use conclave::auth::biscuit::OperatorKey;
use conclave::rng::OsRandom;

use super::foundationdb;
use super::http::Request;
use super::node::{AddOn, TestNode};
use super::postgres::Server;

/// A database that nodes can share.
pub trait SharedStore: Send + Sync {
    /// The `storage` block of its nodes.
    fn storage(&self) -> String;

    /// Kills it, as if its machine had stopped.
    fn kill(&mut self);

    /// Starts it again.
    fn run(&mut self);

    /// Stops its processes where they stand, and lets them go on with [`SharedStore::thaw`].
    fn freeze(&self);

    /// The opposite of [`SharedStore::freeze`].
    fn thaw(&self);
}

/// A shared store, its nodes, and the operator's key that they share.
pub struct Cluster {
    // Nodes go before their store does.
    pub nodes: Vec<TestNode>,
    pub store: Box<dyn SharedStore>,
    keys: TempDir,
}

/// The default add-on of a cluster, open on the nodes it was opened on.
pub struct OpenedCluster {
    pub cluster: Cluster,
    pub addon: AddOn,
    pub shares: Vec<String>,
    /// The opaque initial root token.
    pub root: String,
}

impl SharedStore for Server {
    fn storage(&self) -> String {
        // A short deadline, so that outages are short to test; for a busy machine long enough.
        format!(
            "storage \"postgres\" {{\n  url = \"host={} user=conclave dbname=postgres\"\n  request_timeout = \"2s\"\n}}",
            self.folder.display()
        )
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn run(&mut self) {
        Self::run(self);
    }

    fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl SharedStore for foundationdb::Cluster {
    fn storage(&self) -> String {
        format!(
            "storage \"foundationdb\" {{\n  cluster_file = {:?}\n  library_path = {:?}\n  request_timeout = \"2s\"\n}}",
            self.cluster_file(),
            foundationdb::library(),
        )
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn run(&mut self) {
        Self::run(self);
    }

    fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn thaw(&self) {
        self.signal(Signal::CONT);
    }
}

impl Cluster {
    /// That many nodes on a new FoundationDB cluster.
    pub fn start_on_foundationdb(nodes: usize) -> Self {
        let store = foundationdb::Cluster::start(foundationdb::Layout::Ssd);
        Self::start_on(Box::new(store), nodes, "")
    }

    /// That many running nodes on a new PostgreSQL server. They all start at the same moment.
    pub fn start(nodes: usize) -> Self {
        Self::start_on(Box::new(Server::start()), nodes, "")
    }

    /// The same on another store, with more lines at the top of each node's configuration.
    pub fn start_on(store: Box<dyn SharedStore>, nodes: usize, settings: &str) -> Self {
        let keys = tempfile::tempdir().expect("a scratch folder");
        let operator = OperatorKey::generate(&OsRandom).expect("a key");
        operator
            .write_new(&keys.path().join("operator.key"))
            .expect("a file");
        let mut cluster = Self {
            nodes: Vec::new(),
            store,
            keys,
        };
        let mut starting: Vec<_> = (0..nodes).map(|_| cluster.stopped_node(settings)).collect();
        std::thread::scope(|scope| {
            for node in &mut starting {
                scope.spawn(|| node.run());
            }
        });
        cluster.nodes = starting;
        cluster
    }

    /// One more node for this store, not started and not among `nodes`.
    pub fn stopped_node(&self, settings: &str) -> TestNode {
        let key = self.operator_key();
        let settings = format!("operator_key = \"{}\"\n{settings}", key.display());
        TestNode::stopped(&self.store.storage(), &settings, "")
    }

    /// The file of the operator's key.
    pub fn operator_key(&self) -> PathBuf {
        self.keys.path().join("operator.key")
    }

    /// What the nodes' own metrics say, as only the operator may ask.
    pub fn metrics(&self, node: &TestNode) -> String {
        let token = super::operator_token(&self.operator_key());
        let request = node.request("GET", "conclave/metrics");
        request.token(&token).send().expect(200).body
    }

    /// Initialises the default add-on with 3 shares, 2 needed, and unseals it on every node.
    pub fn open(self) -> OpenedCluster {
        let addon = self.nodes[0].default_addon();
        let (shares, root) = self.nodes[0].init(&addon, 3, 2);
        let opened = OpenedCluster {
            cluster: self,
            addon,
            shares,
            root,
        };
        for node in &opened.cluster.nodes {
            // Nobody founds it a second time, through whichever node.
            let again = json!({ "secret_shares": 1, "secret_threshold": 1 });
            let request = node.request("PUT", "sys/init");
            let answer = request.token(&opened.addon.root_token).json(&again).send();
            answer.expect_errors(400, &["Vault is already initialized"]);
            opened.unseal(node);
        }
        opened
    }
}

impl OpenedCluster {
    /// A request to one of the nodes, with the initial root token.
    pub fn request(&self, node: usize, method: &str, path: &str) -> Request {
        let request = self.cluster.nodes[node].request(method, path);
        request.token(&self.root)
    }

    /// Unseals the default add-on on one node.
    pub fn unseal(&self, node: &TestNode) {
        node.unseal(&self.addon, &self.shares[..2]);
    }
}
