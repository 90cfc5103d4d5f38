//! A deployment moves: from the embedded store to a shared one by `conclave store copy`, and back by `backup` and
//! `restore`, with all that is in it. The add-on's tokens and unseal keys stay what they are.

use serde_json::{Value, json};

use super::support::cluster::SharedStore;
use super::support::node::EMBEDDED;
use super::support::{Cluster, Opened, TestNode, opened_node};

const SECRET: &str = "hidden-from-everybody";

#[test]
fn a_deployment_moves_to_postgresql_and_back() {
    move_there_and_back(Cluster::start(0).store);
}

#[test]
#[ignore = "needs FoundationDB"]
fn a_deployment_moves_to_foundationdb_and_back() {
    move_there_and_back(Cluster::start_on_foundationdb(0).store);
}

fn move_there_and_back(mut store: Box<dyn SharedStore>) {
    let mut home = opened_node();
    let ciphertext = fill(&home);
    let key_file = home.node.folder().join("data/operator.key");
    let settings = format!("operator_key = {key_file:?}");
    let mut shared = TestNode::stopped(&store.storage(), &settings, "");
    shared.write_config();
    let shared_config = shared.folder().join("node.hcl").display().to_string();
    let copy = [
        "store",
        "copy",
        "--from",
        "node.hcl",
        "--to",
        &shared_config,
    ];
    home.node
        .conclave(None, &copy)
        .expect(1)
        .expect_error("is a node running on it?");
    assert!(home.node.stop().success());
    let copied = home.node.conclave(None, &copy).expect(0).output;
    assert!(copied.contains("all verified"), "{copied}");
    home.node
        .conclave(None, &copy)
        .expect(1)
        .expect_error("not empty");

    // The same add-on, with another node on another store.
    shared.run();
    let home = Opened {
        node: shared,
        ..home
    };
    home.node.unseal(&home.addon, &home.shares[..2]);
    is_all_there(&home, &ciphertext);
    check(&home);

    let file = home.node.folder().join("backup").display().to_string();
    let save = ["store", "backup", &file, "--config", "node.hcl"];
    home.node.conclave(None, &save).expect(0);
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        !bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes())
    );

    let mut back = TestNode::stopped(EMBEDDED, &settings, "");
    back.write_config();
    let restore = ["store", "restore", &file, "--config", "node.hcl"];
    back.conclave(None, &restore).expect(0);
    back.conclave(None, &restore)
        .expect(1)
        .expect_error("not empty");
    back.run();
    // It stands on its own.
    store.kill();
    let back = Opened { node: back, ..home };
    back.node.unseal(&back.addon, &back.shares[..2]);
    is_all_there(&back, &ciphertext);
}

/// Gives the add-on something to lose; returns a ciphertext.
fn fill(opened: &Opened) -> Value {
    let secret = |path: &str, value: &str| {
        opened.write(path, &json!({ "data": { "value": value } }), 200);
    };
    secret("secret/data/short", SECRET);
    secret("secret/data/long", &"x".repeat(200_000));
    opened.write("transit/keys/k", &json!({}), 200);
    opened.request("POST", "sys/rotate").send().expect(204);
    secret("secret/data/under-another-term", SECRET);
    let encrypted = opened.write("transit/encrypt/k", &json!({"plaintext": "AAEC"}), 200);
    encrypted["data"]["ciphertext"].clone()
}

fn is_all_there(opened: &Opened, ciphertext: &Value) {
    for path in ["secret/data/short", "secret/data/under-another-term"] {
        assert_eq!(opened.read(path, 200)["data"]["data"]["value"], SECRET);
    }
    let long = opened.read("secret/data/long", 200);
    let length = long["data"]["data"]["value"].as_str().map(str::len);
    assert_eq!(length, Some(200_000));
    let body = json!({ "ciphertext": ciphertext });
    let decrypted = opened.write("transit/decrypt/k", &body, 200);
    assert_eq!(decrypted["data"]["plaintext"], "AAEC");
}

/// Every row is where and what it should be, and opens with the shares.
fn check(opened: &Opened) {
    let check = ["store", "check", "--config", "node.hcl", "--format", "json"];
    let keys = opened.shares[..2].join("\n");
    let with_keys = [&check[..], &["--unseal", "default"]].concat();
    let outcome = opened.node.conclave_with_input(&with_keys, &keys).expect(0);
    let findings: Value = serde_json::from_str(&outcome.output).unwrap();
    assert_eq!(findings["faults"], json!([]));
    assert_eq!(findings["long_values"], 1, "{findings}");
    assert!(findings["opened"].as_u64() > Some(5), "{findings}");
    let one = &opened.shares[0];
    opened
        .node
        .conclave_with_input(&with_keys, &format!("{one}\n{one}\n"))
        .expect(1)
        .expect_error("was given already");
    let plain = opened.node.conclave(None, &check).expect(0).output;
    let findings: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(findings["opened"], 0);
}
