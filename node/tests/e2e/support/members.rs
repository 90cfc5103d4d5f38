//! Clusters as `conclave cluster init` makes them, on this machine: `Members::start(3)`.
//!
//! Each node has, besides the listener with the certificate that `init` made, a plain one, because the tests' own HTTP
//! client speaks no TLS.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::bao::Outcome;
use super::http::Request;
use super::postgres::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conclave");
/// A loaded machine starts a debug build slowly, and nodes wait for heartbeats.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports of one node: `init` puts nodes 10 apart.
const PORTS_PER_NODE: u16 = 10;

/// The nodes `n1`, `n2`, ... of a cluster, and their shared store.
pub struct Members {
    nodes: Vec<Option<Child>>,
    // Nodes go before their store does.
    server: Server,
    folder: TempDir,
    base_port: u16,
}

impl Members {
    /// That many nodes, all running.
    pub fn start(nodes: usize) -> Self {
        let mut members = Self::stopped(nodes);
        for number in 1..=nodes {
            members.spawn(number);
        }
        for number in 1..=nodes {
            members.wait_until_up(number);
        }
        members
    }

    /// That many nodes, none of them running.
    pub fn stopped(nodes: usize) -> Self {
        let server = Server::start();
        let members = Self {
            nodes: (0..nodes).map(|_| None).collect(),
            server,
            folder: tempfile::tempdir().expect("a scratch folder"),
            base_port: free_ports(nodes),
        };
        let (count, port) = (nodes.to_string(), members.base_port.to_string());
        let store = format!(
            "host={} user=conclave dbname=postgres",
            members.server.folder.display()
        );
        let arguments = [
            "cluster",
            "init",
            "--dir",
            "made",
            "--nodes",
            &count,
            "--base-port",
            &port,
            "--store-url",
            &store,
        ];
        members.conclave(&arguments).expect(0);
        for number in 1..=nodes {
            members.edit(number, |text| {
                let address = members.plain_address(number);
                format!("{text}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n")
            });
        }
        members
    }

    /// Where a node's files are.
    pub fn node_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join("made").join(format!("n{number}"))
    }

    /// Changes a node's configuration.
    pub fn edit(&self, number: usize, change: impl FnOnce(String) -> String) {
        let file = self.node_folder(number).join("node.hcl");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(&file, change(text)).expect("written");
    }

    /// Starts a node and waits until it serves.
    pub fn run(&mut self, number: usize) {
        self.spawn(number);
        self.wait_until_up(number);
    }

    fn spawn(&mut self, number: usize) {
        let folder = self.node_folder(number);
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("node.log"))
            .expect("a log file");
        let child = Command::new(PROGRAM)
            .args(["server", "--config", "node.hcl"])
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.nodes[number - 1] = Some(child.expect("the node starts"));
    }

    fn wait_until_up(&mut self, number: usize) {
        let address = self.plain_address(number);
        let log = self.node_folder(number).join("node.log");
        let log = || std::fs::read_to_string(&log).unwrap_or_default();
        let child = self.nodes[number - 1].as_mut().expect("it was started");
        until(&format!("n{number} serves"), || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the node does not start:\n{}", log());
            TcpStream::connect(&address).is_ok()
        });
    }

    /// Kills a node as a power cut would.
    pub fn kill(&mut self, number: usize) {
        let mut child = self.nodes[number - 1].take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks a node to stop, and waits until it has, in order.
    pub fn stop(&mut self, number: usize) {
        self.signal(number, Signal::TERM);
        let mut child = self.nodes[number - 1].take().expect("it runs");
        assert!(child.wait().expect("it ends").success());
    }

    /// Sends a signal to a node.
    pub fn signal(&self, number: usize, signal: Signal) {
        let child = self.nodes[number - 1].as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("a signal");
    }

    /// What a node logged.
    pub fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.node_folder(number).join("node.log")).unwrap_or_default()
    }

    /// Where a node speaks plain HTTP.
    pub fn plain_address(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.port(number) + 2)
    }

    /// The port of a node's own listener; its tunnel is one higher.
    fn port(&self, number: usize) -> u16 {
        self.base_port + u16::try_from(number - 1).expect("few nodes") * PORTS_PER_NODE
    }

    /// A request to a node; `path` is below `/v1/`.
    pub fn request(&self, number: usize, method: &str, path: &str) -> Request {
        Request::new(&self.plain_address(number), method, &format!("/v1/{path}"))
    }

    /// The file of the operator's key.
    pub fn operator_key(&self) -> PathBuf {
        self.folder.path().join("made/operator/operator.key")
    }

    /// `conclave` in the folder where `init` made the cluster. It trusts the cluster's own certificate authority.
    pub fn conclave(&self, arguments: &[&str]) -> Outcome {
        let folder: &Path = self.folder.path();
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("VAULT_CACERT", "made/ca/ca.pem")
            .stdin(Stdio::null())
            .output()
            .expect("conclave runs")
            .into()
    }

    /// `conclave <arguments>` as the operator, at a node.
    pub fn ask(&self, number: usize, arguments: &[&str]) -> Outcome {
        let address = format!("https://127.0.0.1:{}", self.port(number));
        let target = [
            "--address",
            &address,
            "--operator-key",
            "made/operator/operator.key",
        ];
        self.conclave(&[arguments, &target].concat())
    }

    /// `conclave cluster status --json` at a node.
    pub fn status(&self, number: usize) -> Value {
        let outcome = self.ask(number, &["cluster", "status", "--json"]).expect(0);
        serde_json::from_str(&outcome.output).expect("JSON")
    }

    /// Which of the nodes a node can reach, itself among them.
    pub fn up_at(&self, number: usize) -> Vec<String> {
        let status = self.status(number);
        let members = status["members"].as_array().expect("members").iter();
        members
            .filter(|member| member["up"] == true)
            .map(|member| member["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// Waits until a node reaches these nodes and no others.
    pub fn until_up_at(&self, number: usize, expected: &[&str]) {
        until(&format!("n{number} reaches {expected:?}"), || {
            self.up_at(number) == expected
        });
    }

    /// Waits until a node has logged something that contains `text`.
    pub fn until_logged(&self, number: usize, text: &str) {
        until(&format!("n{number} logs {text:?}"), || {
            self.log(number).contains(text)
        });
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for number in 1..=self.nodes.len() {
                eprintln!("the log of n{number}:\n{}", self.log(number));
            }
        }
    }
}

/// Waits for something that takes a moment.
#[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it is still not so that {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The first of as many ports as the nodes need, all of them free a moment ago. Below those that the system hands out by
/// itself, and another row for each cluster of this process.
fn free_ports(nodes: usize) -> u16 {
    static ROWS: AtomicU16 = AtomicU16::new(0);
    const ROW: u16 = 100;
    const ROW_COUNT: u16 = 180;
    let count = u16::try_from(nodes).expect("few nodes") * PORTS_PER_NODE;
    let free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    let start = u16::try_from(std::process::id() % u32::from(ROW_COUNT)).expect("small");
    for _ in 0..ROW_COUNT {
        let row = (start + ROWS.fetch_add(1, Ordering::Relaxed)) % ROW_COUNT;
        let first = 12_000 + row * ROW;
        if (first..first + count).all(free) {
            return first;
        }
    }
    panic!("no row of free ports");
}
