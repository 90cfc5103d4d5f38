//! A node and its database on two hosts (network namespaces), and a router between them that records every frame: only
//! WireGuard is seen. Needs root, so it is not run by default: `cargo test -p conclave --test e2e -- --ignored cluster_`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::Request;
use super::support::hosts::Hosts;
use super::support::members::until;
use super::support::postgres::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_conclave");
/// What each connection to the database begins with, in plain text: the name of its user.
const MARKER: &[u8] = b"conclave\0database\0";
const NODE: &str = "1";
const DATABASE: &str = "2";

/// A program on a host, ended with the test.
struct Running(Child);

impl Running {
    fn stop(mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::TERM).expect("a signal");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(hosts: &Hosts, host: &str, folder: &Path, arguments: &[&str]) -> Running {
    let folder = folder.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let started = hosts.thread(host, move || {
        let log = File::create(folder.join("log")).expect("a file");
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    });
    Running(started.join().expect("a thread").expect("it starts"))
}

/// `conclave` on the node's host, as the operator.
fn operate(hosts: &Hosts, folder: &Path, arguments: &[&str]) -> Value {
    let folder = folder.to_owned();
    let target = [
        "--config",
        "made/n1/node.hcl",
        "--operator-key",
        "made/operator/operator.key",
        "--format",
        "json",
    ];
    let arguments: Vec<String> = arguments
        .iter()
        .chain(&target)
        .map(|text| (*text).to_owned())
        .collect();
    let ran = hosts.thread(NODE, move || {
        Command::new(PROGRAM)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("VAULT_CACERT", "made/ca/ca.pem")
            .output()
            .expect("conclave runs")
    });
    let output = ran.join().expect("a thread");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A request on the node's host.
fn request(hosts: &Hosts, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let request = Request::new("127.0.0.1:8202", method, &format!("/v1/{path}"))
        .token(token)
        .json(body);
    let sent = hosts.thread(NODE, move || request.send());
    let answer = sent.join().expect("a thread");
    assert!((200..300).contains(&answer.status), "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap_or_default()
}

fn has_interface(hosts: &Hosts, host: &str) -> bool {
    let namespace = hosts.namespace(host);
    let show = ["-n", &namespace, "link", "show", "wg-kms"];
    let output = Command::new("ip").args(show).output();
    output.expect("ip runs").status.success()
}

/// What `conclave cluster init` makes for a node on one host and a database on the other.
fn made(folder: &Path) -> PathBuf {
    let status = Command::new(PROGRAM)
        .args([
            "cluster",
            "init",
            "--dir",
            "made",
            "--host",
            "n1=10.200.1.2",
        ])
        .args(["--database", "db=10.200.2.2"])
        .args(["--store-url", "postgres://conclave@10.90.0.101/postgres"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("conclave runs").success());
    let file = folder.join("made/n1/node.hcl");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let plain = "listener \"tcp\" {\n  address = \"127.0.0.1:8202\"\n  tls_disable = true\n}";
    std::fs::write(&file, format!("{text}\n{plain}\n")).expect("written");
    folder.join("made")
}

/// A PostgreSQL server on the database's host that listens inside the tunnel only.
fn database(hosts: &Hosts) -> Server {
    let started = hosts.thread(DATABASE, || {
        let mut server = Server::stopped();
        let rules = server.data().join("pg_hba.conf");
        let known = std::fs::read_to_string(&rules).expect("the server's rules");
        let rule = "host all all 10.90.0.0/24 trust";
        std::fs::write(&rules, format!("{known}\n{rule}\n")).expect("written");
        server.run_with(&["listen_addresses=10.90.0.101"]);
        server
    });
    started.join().expect("a thread")
}

#[test]
#[ignore = "needs root"]
fn cluster_traffic_of_the_database_is_seen_as_wireguard_only() {
    let hosts = Hosts::new("kms");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let made = made(scratch.path());

    let tunnel = start(
        &hosts,
        DATABASE,
        &made.join("db"),
        &["wg", "up", "wg-kms.conf"],
    );
    until("the tunnel's interface is there", || {
        has_interface(&hosts, DATABASE)
    });
    let server = database(&hosts);
    let node = start(
        &hosts,
        NODE,
        &made.join("n1"),
        &["server", "--config", "node.hcl"],
    );
    let log = || std::fs::read_to_string(made.join("n1/log")).unwrap_or_default();
    until("the node listens", || {
        assert!(!log().contains("conclave: "), "{}", log());
        log().matches("listening").count() == 2
    });

    let addon = operate(
        &hosts,
        scratch.path(),
        &["addon", "show", "default", "--tokens"],
    );
    let root = addon["root_token"].as_str().expect("a token");
    let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let opened = request(&hosts, "PUT", "sys/init", root, &shares);
    let key = json!({ "key": opened["keys_base64"][0] });
    let status = request(&hosts, "PUT", "sys/unseal", root, &key);
    assert_eq!(status["sealed"], false, "{status}");
    let token = opened["root_token"].as_str().expect("a token");
    for number in 0..50 {
        let secret = json!({ "data": { "text": "t".repeat(10_000) } });
        let path = format!("secret/data/{number}");
        request(&hosts, "POST", &path, token, &secret);
    }

    until("the tunnel has carried it", || {
        let status = operate(&hosts, scratch.path(), &["wg", "show"]);
        let shown = &status["tunnels"][0];
        shown["peer"] == "db" && shown["sent_bytes"].as_u64() > Some(500_000)
    });
    hosts.only_wireguard_was_seen(51820, MARKER);

    node.stop();
    tunnel.stop();
    until("the interface is gone", || !has_interface(&hosts, DATABASE));
    drop(server);
}
