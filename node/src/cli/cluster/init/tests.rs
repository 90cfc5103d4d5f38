//! What `cluster init` writes: files that nodes can read and nobody else, and that fit together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conclave_wg::config::Config as Tunnels;
use conclave_wg::key::PrivateKey;

use crate::auth::biscuit::OperatorKey;
use crate::cli::{Environment, Session};
use crate::clock::{ManualClock, Timestamp};
use crate::config::{Config, OperatorPublicKey};
use crate::rng::OsRandom;

/// Runs the command with `--dir`, and gives its exit code, output and errors.
fn init(dir: &Path, arguments: &[&str]) -> (u8, String, String) {
    let mut all = vec![
        "conclave",
        "cluster",
        "init",
        "--dir",
        dir.to_str().unwrap(),
    ];
    all.extend(arguments);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let code = crate::cli::run(
        all.into_iter().map(Into::into),
        &mut Session {
            environment: &Environment::new([]),
            input: &mut std::io::empty(),
            output: &mut output,
            errors: &mut errors,
            is_terminal: false,
            clock: &ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000)),
            random: &OsRandom,
        },
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(output), text(errors))
}

const STORE: [&str; 2] = ["--store-url", "postgres://conclave@127.0.0.1/conclave"];

fn made(arguments: &[&str]) -> (tempfile::TempDir, PathBuf, String) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("made");
    let (code, output, errors) = init(&dir, arguments);
    assert_eq!(code, 0, "{errors}");
    (scratch, dir, output)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o700
            );
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn load(dir: &Path, node: &str) -> Config {
    Config::load(&dir.join(node).join("node.hcl"), []).unwrap()
}

#[test]
fn three_nodes_on_this_machine_get_configurations_that_fit_together() {
    let (_scratch, dir, output) = made(&STORE);
    for file in files_below(&dir) {
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let operator = OperatorKey::load(&dir.join("operator/operator.key")).unwrap();
    for (node, port) in [("n1", 8200), ("n2", 8210), ("n3", 8220)] {
        let config = load(&dir, node);
        let folder = dir.join(node);
        let Some(OperatorPublicKey::Inline(public)) = config.operator_public_key else {
            panic!("the public key");
        };
        assert_eq!(
            operator.public().to_string(),
            format!("ed25519/{}", hex::encode(public))
        );
        assert!(!folder.join("operator.key").exists());
        assert_eq!(config.api_addr, format!("https://127.0.0.1:{port}"));
        let cluster = config.cluster.unwrap();
        assert_eq!(cluster.roster.me().name.as_str(), node);
        assert_eq!(cluster.roster.peers().len(), 2);
        assert_eq!(cluster.wireguard.listen.port(), port + 1);
        let key = fs::read_to_string(folder.join(&cluster.wireguard.private_key_file)).unwrap();
        let key: PrivateKey = key.parse().unwrap();
        assert_eq!(key.public(), cluster.roster.me().public_key);
        for (peer, file) in &cluster.preshared_key_files {
            let ours = fs::read(folder.join(file)).unwrap();
            let theirs = fs::read(dir.join(peer.as_str()).join(format!("{node}.psk"))).unwrap();
            assert_eq!(ours, theirs);
        }
        assert_eq!(cluster.preshared_key_files.len(), 2);
        assert!(
            output.contains(&format!("(cd {}/{node} &&", dir.display())),
            "{output}"
        );
    }
    let keys: Vec<_> = ["n1/n2.psk", "n1/n3.psk", "n2/n3.psk"]
        .map(|file| fs::read(dir.join(file)).unwrap())
        .into();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

#[test]
fn real_hosts_and_a_database_get_their_addresses() {
    let (_scratch, dir, output) = made(&[
        "--host",
        "paris=10.0.0.1",
        "--host",
        "lyon=kms-2.example.org",
        "--database",
        "db=10.0.0.9:7000",
        "--install-dir",
        "/etc/conclave",
        STORE[0],
        STORE[1],
    ]);
    let config = load(&dir, "lyon");
    assert_eq!(config.api_addr, "https://kms-2.example.org:8200");
    assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8200");
    let cluster = config.cluster.unwrap();
    let paris = &cluster.roster.peers()[0];
    assert_eq!(
        paris.endpoint.as_ref().unwrap().to_string(),
        "10.0.0.1:51820"
    );
    let wireguard = cluster.wireguard;
    assert_eq!(
        wireguard.private_key_file,
        PathBuf::from("/etc/conclave/wireguard.key")
    );
    assert_eq!(wireguard.interface.as_deref(), Some("wg-kms"));
    let database = &wireguard.hosts[0];
    assert_eq!(
        database.endpoint.as_ref().unwrap().to_string(),
        "10.0.0.9:7000"
    );
    assert_eq!(database.address.to_string(), "10.90.0.101");

    let text = fs::read_to_string(dir.join("db/wg-kms.conf")).unwrap();
    let tunnels = Tunnels::parse(&text).unwrap();
    assert_eq!(tunnels.private_key.public(), database.public_key);
    assert_eq!(tunnels.listen_port, Some(7000));
    assert_eq!(tunnels.addresses[0].address(), database.address);
    let peer = &tunnels.peers[1];
    assert_eq!(peer.name.as_str(), "lyon");
    assert_eq!(peer.public_key, cluster.roster.me().public_key);
    let shared = fs::read_to_string(dir.join("lyon/db.psk")).unwrap();
    assert_eq!(peer.preshared_key, Some(shared.parse().unwrap()));
    assert!(output.contains("conclave wg up wg-kms.conf"), "{output}");
}

#[test]
fn hosts_with_ipv6_addresses_are_listened_to() {
    let hosts = ["--host", "a=2001:db8::1", "--host", "b=192.0.2.1"];
    let database = ["--database", "db=[2001:db8::9]:7000"];
    let (_scratch, dir, _) = made(&[&hosts[..], &database, &STORE].concat());
    let config = load(&dir, "b");
    assert_eq!(config.listeners[0].address.to_string(), "[::]:8200");
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.wireguard.listen.to_string(), "[::]:51820");
    let endpoint =
        |endpoint: &Option<conclave_wg::peer::Endpoint>| endpoint.as_ref().unwrap().to_string();
    assert_eq!(
        endpoint(&cluster.roster.peers()[0].endpoint),
        "[2001:db8::1]:51820"
    );
    assert_eq!(
        endpoint(&cluster.wireguard.hosts[0].endpoint),
        "[2001:db8::9]:7000"
    );
}

#[test]
fn one_node_needs_no_shared_store() {
    let (_scratch, dir, output) = made(&["--nodes", "1", "--format", "json"]);
    assert!(load(&dir, "n1").cluster.unwrap().roster.peers().is_empty());
    let shown: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(shown["nodes"][0]["endpoint"], "127.0.0.1:8201");
}

#[test]
fn a_given_authority_signs_and_its_key_stays_where_it_is() {
    let (_scratch, first, _) = made(&["--nodes", "1"]);
    let (certificate, key) = (first.join("ca/ca.pem"), first.join("ca/ca.key"));
    let given = [
        "--ca-cert",
        certificate.to_str().unwrap(),
        "--ca-key",
        key.to_str().unwrap(),
    ];
    let (_scratch, second, _) = made(&[&["--nodes", "1"][..], &given].concat());
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(read(second.join("ca/ca.pem")), read(certificate.clone()));
    assert!(!second.join("ca/ca.key").exists());
    assert!(read(second.join("n1/tls.pem")).ends_with(&read(certificate.clone())));

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let third = second.with_file_name("third");
    let (code, _, errors) = init(&third, &[&["--nodes", "1"][..], &given].concat());
    assert_eq!(code, 1);
    assert!(errors.contains("chmod 600"), "{errors}");
    assert!(
        !third.exists(),
        "nothing is written before all is known to be good"
    );
}

#[test]
fn mistakes_are_named_and_nothing_is_overwritten() {
    let (_scratch, dir, _) = made(&["--nodes", "1"]);
    let (code, _, errors) = init(&dir, &["--nodes", "1"]);
    assert_eq!(code, 1);
    assert!(errors.contains("cannot make the folder"), "{errors}");
    let fresh = dir.with_file_name("fresh");
    for (arguments, expected) in [
        (
            &["--nodes", "3"][..],
            "several nodes share a store: give --store-url",
        ),
        (&["--nodes", "65"], "--nodes: from 1 to 64"),
        (&["--nodes", "0"], "--nodes: from 1 to 64"),
        (
            &["--nodes", "2", "--host", "a=b"],
            "there are 2 --nodes and 1 --host",
        ),
        (
            &["--host", "a"],
            "--host \"a\" is not of the form NAME=HOST",
        ),
        (&["--host", "a/b=c"], "\"a/b\" is no name"),
        (&["--host", "..=c"], "\"..\" is no name"),
        (&["--host", "operator=c"], "the name operator is taken"),
        (
            &["--nodes", "1", "--database", "n1=c"],
            "the name n1 is taken",
        ),
        (
            &["--nodes", "1", "--network", "10.0.0.0/30"],
            "is no IPv4 network",
        ),
        (
            &["--nodes", "1", "--database", "d=c:99999"],
            "the port is none",
        ),
        (
            &["--nodes", "1", "--host", "a=no host"],
            "cluster: node \"a\": endpoint: must be where",
        ),
        (
            &["--nodes", "3", "--base-port", "65530", STORE[0], STORE[1]],
            "--base-port: too high",
        ),
    ] {
        let (code, _, errors) = init(&fresh, arguments);
        assert_eq!(code, 1, "{arguments:?}");
        assert!(errors.contains(expected), "{expected}\n  {errors}");
        assert!(!fresh.exists());
    }
}
