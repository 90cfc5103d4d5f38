//! How fast nodes act as one. Prints figures and judges none: `scripts/bench` runs it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::wired::{Founded, Wired, eventually};
use crate::support::base64;

const ROUNDS: usize = 15;
const SOON: Duration = Duration::from_secs(10);

#[test]
#[ignore = "prints figures, for scripts/bench"]
fn figures_of_three_nodes() {
    println!("| what, on three nodes | median ms | worst ms |");
    println!("|---|---|---|");
    let founded = Wired::start(3).found();
    measure(&founded, "");
    // Half of 40 ms there, half back.
    founded
        .wired
        .links()
        .for_each(|link| link.delay(Duration::from_millis(20)));
    measure(&founded, ", 40 ms of round trip between them");
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure(founded: &Founded, distance: &str) {
    let mut opening = Vec::new();
    let mut closing = Vec::new();
    for round in 0..ROUNDS {
        founded.give(round % 3, 0);
        founded.give((round + 1) % 3, 1);
        founded.give((round + 2) % 3, 2);
        let begun = Instant::now();
        for node in 0..3 {
            assert!(eventually(SOON, || founded.is_open(node)));
        }
        opening.push(begun.elapsed());
        for node in 0..3 {
            assert!(eventually(SOON, || serves(founded, node)));
        }
        let sealed = founded.seal_request(round % 3, "PUT", "sys/seal");
        assert_eq!(sealed.send().status, 204);
        let begun = Instant::now();
        let mut last_served = Duration::ZERO;
        let mut closed = [false; 3];
        while !closed.iter().all(|closed| *closed) {
            for (node, closed) in closed.iter_mut().enumerate() {
                let asked = begun.elapsed();
                *closed = !serves(founded, node);
                if !*closed {
                    last_served = asked;
                }
            }
        }
        closing.push(last_served);
    }
    print(
        &format!("from the third share's answer to all unsealed{distance}"),
        opening,
    );
    print(
        &format!("from the seal's answer to the last request served anywhere{distance}"),
        closing,
    );
    founded.open();
    print(
        &format!("from a rotation's answer to its key in use on the others{distance}"),
        rotations(founded),
    );
    let sealed = founded.seal_request(0, "PUT", "sys/seal");
    assert_eq!(sealed.send().status, 204);
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn rotations(founded: &Founded) -> Vec<Duration> {
    let write = |node: usize, path: &str, body| {
        let request = founded.request(node, "POST", path);
        request.json(&body).send().expect(200).data()
    };
    let version = |node: usize| {
        let body = json!({"plaintext": base64("word")});
        write(node, "transit/encrypt/turning", body)["key_version"].as_u64()
    };
    write(0, "transit/keys/turning", json!({}));
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let before = (0..3).map(version).collect::<Vec<_>>();
        write(round % 3, "transit/keys/turning/rotate", json!({}));
        let begun = Instant::now();
        for (node, before) in before.iter().enumerate() {
            assert!(eventually(SOON, || version(node) > *before));
        }
        times.push(begun.elapsed());
    }
    times
}

/// A warm request, which asks the store nothing.
fn serves(founded: &Founded, node: usize) -> bool {
    let body = json!({"plaintext": base64("word")});
    let request = founded.request(node, "POST", "transit/encrypt/warm");
    request.json(&body).send().status == 200
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
    let (median, worst) = (&times[times.len() / 2], &times[times.len() - 1]);
    println!("| {what} | {:.1} | {:.1} |", ms(median), ms(worst));
}
