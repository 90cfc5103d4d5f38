//! Unsealing and sealing as one, with wires whole and cut: each row of the table of what a seal promises.

use std::time::{Duration, Instant};

use serde_json::json;

use super::wired::{Founded, Wired, eventually};
use crate::support::base64;

/// Nodes confirm what they know with the store at least this often; nothing is served beyond it.
const STALENESS_MAX: Duration = Duration::from_millis(500);
/// What a loaded machine may add to any bound.
const SLACK: Duration = Duration::from_millis(1500);
const SOON: Duration = Duration::from_secs(10);

fn opened(count: usize) -> Founded {
    let founded = Wired::start(count).found();
    founded.open();
    write(&founded);
    founded
}

fn write(founded: &Founded) {
    let body = json!({"data": {"word": "kept"}});
    let request = founded.request(0, "POST", "secret/data/one");
    request.json(&body).send().expect(200);
}

/// Whether a node serves: a warm encryption, which asks the store nothing.
fn serves(founded: &Founded, node: usize) -> bool {
    let body = json!({"plaintext": base64("word")});
    let request = founded.request(node, "POST", "transit/encrypt/warm");
    request.json(&body).send().status == 200
}

fn reads(founded: &Founded, node: usize) -> u16 {
    founded
        .request(node, "GET", "secret/data/one")
        .send()
        .status
}

fn seal(founded: &Founded, node: usize) -> u16 {
    founded.seal_request(node, "PUT", "sys/seal").send().status
}

#[test]
fn shares_given_to_different_nodes_open_all_of_them() {
    let founded = Wired::start(3).found();
    // A node that was not asked to initialise knows of it in the next request.
    for node in 0..3 {
        assert_eq!(founded.status(node)["initialized"], true);
    }
    assert_eq!(founded.give(0, 0)["progress"], 1);
    let second = founded.give(1, 1);
    assert_eq!(second["progress"], 2);
    // Progress and nonce are the same wherever one asks.
    for node in 0..3 {
        let status = founded.status(node);
        assert_eq!(status["progress"], 2, "node {node}: {status}");
        assert_eq!(status["nonce"], second["nonce"]);
    }
    // A wrong share is refused by itself, on any node.
    let wrong = json!({ "key": "A".repeat(44) });
    let request = founded.seal_request(2, "PUT", "sys/unseal");
    request.json(&wrong).send().expect(400);
    assert_eq!(founded.status(0)["progress"], 2);
    assert_eq!(founded.give(2, 2)["sealed"], false);
    for node in 0..3 {
        assert!(eventually(SOON, || founded.is_open(node)), "node {node}");
        write(&founded);
        assert_eq!(reads(&founded, node), 200);
    }
}

#[test]
fn a_reset_forgets_the_shares_everywhere() {
    let founded = Wired::start(3).found();
    founded.give(0, 0);
    founded.give(1, 1);
    let request = founded.seal_request(2, "PUT", "sys/unseal");
    request.json(&json!({ "reset": true })).send().expect(200);
    for node in 0..3 {
        let forgotten = || founded.status(node)["progress"] == 0;
        assert!(eventually(SOON, forgotten), "{}", founded.status(node));
    }
    // What was forgotten does not come back by whoever still had it.
    assert_eq!(founded.give(0, 2)["progress"], 1);
    assert_eq!(founded.status(1)["progress"], 1);
}

#[test]
fn a_node_killed_in_mid_attempt_loses_nothing() {
    let mut founded = Wired::start(3).found();
    founded.give(0, 0);
    founded.give(0, 1);
    founded.wired.nodes[0].kill();
    assert_eq!(founded.give(1, 2)["sealed"], false);
    assert!(eventually(SOON, || founded.is_open(2)));
    // And comes back open, with the keyring of the others.
    founded.wired.nodes[0].run();
    assert!(
        eventually(SOON, || founded.is_open(0)),
        "{}",
        founded.status(0)
    );
    write(&founded);
    assert_eq!(reads(&founded, 0), 200);
}

#[test]
fn a_restart_of_all_is_sealed() {
    let mut founded = opened(2);
    for node in &mut founded.wired.nodes {
        node.kill();
    }
    for node in &mut founded.wired.nodes {
        node.run();
    }
    std::thread::sleep(Duration::from_secs(2));
    assert!(!founded.is_open(0) && !founded.is_open(1));
    founded.open();
    assert_eq!(reads(&founded, 1), 200);
}

#[test]
fn a_seal_on_one_node_closes_all() {
    let founded = opened(3);
    assert!(serves(&founded, 1));
    assert_eq!(seal(&founded, 0), 204);
    // The reply means that it is committed: nothing that asks the store is served anywhere from now on.
    for node in 0..3 {
        assert_eq!(reads(&founded, node), 503, "node {node}");
    }
    assert_closed_within(&founded, &[0, 1, 2], STALENESS_MAX + SLACK);
    for node in 0..3 {
        assert!(!founded.is_open(node));
    }
    founded.open();
    assert_eq!(reads(&founded, 2), 200);
}

#[test]
fn with_gossip_cut_a_seal_closes_all_through_the_store() {
    let founded = opened(3);
    founded.wired.between(&[0], &[1, 2], |link| link.cut());
    founded.wired.between(&[1], &[2], |link| link.cut());
    assert_eq!(seal(&founded, 0), 204);
    for node in 0..3 {
        assert_eq!(reads(&founded, node), 503, "node {node}");
    }
    assert_closed_within(&founded, &[0, 1, 2], STALENESS_MAX + SLACK);
}

#[test]
fn with_the_store_cut_a_node_closes_by_gossip_and_serves_nothing() {
    let founded = opened(3);
    founded.wired.stores()[1].cut();
    assert_eq!(seal(&founded, 0), 204);
    assert_closed_within(&founded, &[0, 1, 2], STALENESS_MAX + SLACK);
    founded.wired.heal();
    assert!(eventually(SOON, || !founded.is_open(1)));
}

#[test]
fn with_both_cut_a_node_serves_nothing_after_its_lease() {
    let founded = opened(3);
    assert!(serves(&founded, 2));
    founded.wired.between(&[2], &[0, 1], |link| link.cut());
    founded.wired.stores()[2].cut();
    assert_eq!(seal(&founded, 0), 204);
    assert_closed_within(&founded, &[2], STALENESS_MAX + SLACK);
    founded.wired.heal();
    assert!(
        eventually(SOON, || !founded.is_open(2)),
        "{}",
        founded.status(2)
    );
    assert_eq!(reads(&founded, 2), 503);
}

#[test]
fn a_seal_without_the_store_is_told_to_be_not_yet_durable_and_becomes_it() {
    let mut founded = opened(3);
    founded.wired.stores().iter().for_each(|store| store.cut());
    let answer = founded.seal_request(0, "PUT", "sys/seal").send();
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("not yet durable"), "{}", answer.body);
    assert_closed_within(&founded, &[0, 1, 2], STALENESS_MAX + SLACK);
    // The intent survives the node that had it.
    founded.wired.nodes[0].kill();
    founded.wired.heal();
    founded.wired.nodes[0].run();
    for node in 0..3 {
        assert!(eventually(SOON, || !founded.is_open(node)), "node {node}");
    }
    founded.open();
}

#[test]
fn an_outage_of_the_store_is_no_seal() {
    let founded = opened(3);
    founded.wired.stores().iter().for_each(|store| store.cut());
    assert!(eventually(SOON, || !serves(&founded, 0)));
    founded.wired.heal();
    for node in 0..3 {
        assert!(
            eventually(SOON, || reads(&founded, node) == 200),
            "node {node}"
        );
    }
}

/// From now on none of these nodes serves, at the latest after `bound`: asked without pause, also beyond it.
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "a test waits in real time")]
fn assert_closed_within(founded: &Founded, nodes: &[usize], bound: Duration) {
    let begun = Instant::now();
    let mut last_served = None;
    while begun.elapsed() < bound + STALENESS_MAX {
        for node in nodes {
            let asked = begun.elapsed();
            if serves(founded, *node) {
                last_served = Some((*node, asked));
            }
        }
    }
    if let Some((node, at)) = last_served {
        assert!(at < bound, "node {node} served {at:?} after the seal");
    }
}

#[test]
fn no_wire_carries_a_share_a_token_or_a_secret() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    const MARKER: &str = "a marker that nobody else would write";
    let founded = Wired::start(3).found();
    founded.wired.links().for_each(|link| link.start_capture());
    let stores = founded.wired.stores();
    stores.iter().for_each(|store| store.start_capture());
    founded.open();
    let body = json!({"data": {"word": MARKER}});
    let path = "secret/data/marked/marker-of-a-name";
    founded
        .request(0, "POST", path)
        .json(&body)
        .send()
        .expect(200);
    assert_eq!(founded.request(1, "GET", path).send().status, 200);
    assert!(serves(&founded, 2));
    assert_eq!(seal(&founded, 2), 204);

    let wires: Vec<Vec<u8>> = founded
        .wired
        .links()
        .map(|link| link.captured())
        .chain(stores.iter().map(|store| store.captured()))
        .collect();
    assert!(wires.iter().filter(|wire| wire.len() > 1000).count() >= 5);
    let mut secrets: Vec<Vec<u8>> = vec![MARKER.into(), "marker-of-a-name".into()];
    secrets.push(founded.root.clone().into_bytes());
    for share in &founded.shares {
        secrets.push(URL_SAFE_NO_PAD.decode(share).expect("base64url"));
    }
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for shape in [
            URL_SAFE_NO_PAD.encode(&secret).into_bytes(),
            STANDARD_NO_PAD.encode(&secret).into_bytes(),
            hex.into_bytes(),
            secret,
        ] {
            for wire in &wires {
                let found = wire.windows(shape.len()).any(|part| part == shape);
                assert!(!found, "{:?}", String::from_utf8_lossy(&shape));
            }
        }
    }
}
