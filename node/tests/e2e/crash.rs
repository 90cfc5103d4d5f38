//! kill -9 while writers are at work: every write that was acknowledged is there afterwards, with its value.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::support::{Opened, is_long, opened_node};

const WRITERS: u64 = 4;

/// Writes until the node is gone; gives the numbers that were acknowledged.
fn write_until_killed(opened: &Opened, first: u64, pause: Duration) -> Vec<u64> {
    let next = AtomicU64::new(first);
    let acknowledged = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let body = json!({ "data": { "number": number } });
                    let request = opened.request("POST", &format!("secret/data/crash/{number}"));
                    match request.json(&body).try_send() {
                        Ok(answer) if answer.status == 200 => {
                            acknowledged.lock().push(number);
                        }
                        Ok(answer) => panic!("{}: {}", answer.status, answer.body),
                        Err(_) => return,
                    }
                }
            });
        }
        std::thread::sleep(pause);
        opened.node.kill_by_id();
        stop.store(true, Ordering::SeqCst);
    });
    acknowledged.into_inner()
}

#[test]
fn a_killed_node_has_every_acknowledged_write() {
    let mut opened = opened_node();
    let rounds = if is_long() { 25 } else { 4 };
    let mut all = Vec::new();
    for round in 0..rounds {
        let pause = Duration::from_millis(120 + 90 * (round % 5));
        let acknowledged = write_until_killed(&opened, round * 100_000, pause);
        assert!(!acknowledged.is_empty(), "round {round} wrote nothing");
        all.extend(acknowledged);
        opened.node.wait();
        opened.node.run();
        opened.node.unseal(&opened.addon, &opened.shares[..2]);
        for number in &all {
            let read = opened.read(&format!("secret/data/crash/{number}"), 200);
            assert_eq!(read["data"]["data"]["number"], *number, "round {round}");
        }
    }
    let listed = opened
        .request("LIST", "secret/metadata/crash")
        .send()
        .expect(200)
        .data();
    assert!(listed["keys"].as_array().unwrap().len() >= all.len());
}

#[test]
fn a_killed_node_has_every_acknowledged_key_version() {
    let mut opened = opened_node();
    opened.write("transit/keys/k", &json!({}), 200);
    let mut ciphertexts = Vec::new();
    for round in 0..3 {
        opened.write("transit/keys/k/rotate", &json!({}), 200);
        let encrypted = opened.write("transit/encrypt/k", &json!({"plaintext": "AAEC"}), 200);
        ciphertexts.push(encrypted["data"]["ciphertext"].clone());
        opened.node.kill();
        opened.node.run();
        opened.node.unseal(&opened.addon, &opened.shares[..2]);
        for ciphertext in &ciphertexts {
            let body = json!({ "ciphertext": ciphertext });
            let decrypted = opened.write("transit/decrypt/k", &body, 200);
            assert_eq!(decrypted["data"]["plaintext"], "AAEC", "round {round}");
        }
        assert_eq!(
            opened.read("transit/keys/k", 200)["data"]["latest_version"],
            round + 2
        );
    }
}
