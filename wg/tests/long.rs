//! What only time shows: sessions that stay good, and change in time, for minutes. Not run by default:
//!
//! ```text
//! cargo test -p conclave-wg --test long -- --ignored one_rekey        # three minutes
//! cargo test -p conclave-wg --test long -- --ignored several_rekeys   # eleven minutes
//! ```
//!
//! Each runs pairs of nodes side by side over loopback, with steady and with rare traffic, with and without keep-alive,
//! one way and both ways. All messages must arrive, each within [`SOON`].

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use conclave_wg::clock::SystemClock;
use conclave_wg::device::Settings;
use conclave_wg::key::PrivateKey;
use conclave_wg::peer::{Endpoint, Peer, PeerName};
use conclave_wg::subnet::Subnet;
use conclave_wg::transport::Transport;
use conclave_wg::udp::{Options, UdpTransport};
use tokio::time::{Instant, sleep, timeout};

/// How long a message may take over loopback, on a machine that is busy with other tests. A tunnel that is deaf stays so
/// until a new handshake repairs it, which takes 15 seconds.
const SOON: Duration = Duration::from_secs(3);

/// One pair's traffic.
#[derive(Clone, Copy)]
struct Traffic {
    what: &'static str,
    /// Between two rounds.
    pause: Duration,
    /// Whether the second node sends, too.
    both_ways: bool,
    keepalive_seconds: u16,
}

const fn traffic(
    what: &'static str,
    pause_ms: u64,
    both_ways: bool,
    keepalive_seconds: u16,
) -> Traffic {
    Traffic {
        what,
        pause: Duration::from_millis(pause_ms),
        both_ways,
        keepalive_seconds,
    }
}

const TRAFFIC: [Traffic; 8] = [
    traffic("steady, both ways", 50, true, 25),
    traffic("steady, one way", 50, false, 25),
    traffic("steady, both ways, no keep-alive", 50, true, 0),
    traffic("steady, one way, no keep-alive", 50, false, 0),
    traffic("every 3 s, both ways", 3_000, true, 25),
    traffic("every 17 s, both ways", 17_000, true, 25),
    traffic("every 17 s, one way, no keep-alive", 17_000, false, 0),
    traffic("every 40 s, one way", 40_000, false, 25),
];

fn name(node: usize) -> PeerName {
    format!("node-{node}").parse().expect("a name")
}

fn private_key(node: usize) -> PrivateKey {
    PrivateKey::from_random([node as u8 + 1; 32])
}

fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 90, 0, node as u8 + 1)
}

async fn pair(arbiter: &Arbiter, traffic: Traffic) -> [UdpTransport; 2] {
    let start = async |node| {
        let options = Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            settings: Settings {
                private_key: private_key(node),
                addresses: vec![Subnet::new(address(node).into(), 24).expect("a subnet")],
                mtu: Settings::DEFAULT_MTU,
                message_port: Settings::DEFAULT_MESSAGE_PORT,
                interface: None,
            },
            peers: Vec::new(),
            clock: Arc::new(SystemClock),
        };
        UdpTransport::start(&arbiter.handle(), options)
            .await
            .expect("started")
    };
    let nodes = [start(0).await, start(1).await];
    for node in 0..2 {
        let other = 1 - node;
        let peer = Peer {
            name: name(other),
            public_key: private_key(other).public(),
            preshared_key: None,
            endpoint: Some(Endpoint::Address(nodes[other].local_address())),
            address: address(other).into(),
            routes: Vec::new(),
            keepalive_seconds: NonZeroU16::new(traffic.keepalive_seconds),
        };
        nodes[node]
            .set_peers(vec![peer])
            .await
            .expect("a good list");
    }
    nodes
}

/// Sends one message and waits for it. Answers what went wrong.
async fn pass(
    from: &UdpTransport,
    to: &UdpTransport,
    receiver: usize,
    number: u64,
) -> Result<(), String> {
    let sent = from
        .send(&name(receiver), number.to_be_bytes().to_vec())
        .await;
    sent.map_err(|error| format!("message {number} to node {receiver} was not sent: {error}"))?;
    match timeout(SOON, to.recv()).await {
        Ok(Ok(received)) if received.message == number.to_be_bytes() => Ok(()),
        Ok(other) => Err(format!(
            "node {receiver} got {other:?} instead of message {number}"
        )),
        Err(_) => Err(format!(
            "message {number} did not arrive at node {receiver}"
        )),
    }
}

/// Runs one pair for `time`. Answers how many messages were sent, how many sessions were seen, and what went wrong.
async fn run(arbiter: &Arbiter, traffic: Traffic, time: Duration) -> (u64, u32, Vec<String>) {
    let nodes = pair(arbiter, traffic).await;
    let start = Instant::now();
    let (mut number, mut sessions, mut youngest) = (0, 0, Duration::MAX);
    let mut wrong = Vec::new();
    while start.elapsed() < time {
        let second = traffic.both_ways.then_some((1, 0));
        for (from, to) in std::iter::once((0, 1)).chain(second) {
            number += 1;
            if let Err(what) = pass(&nodes[from], &nodes[to], to, number).await {
                wrong.push(format!(
                    "after {:.1} s: {what}",
                    start.elapsed().as_secs_f64()
                ));
            }
        }
        sleep(traffic.pause).await;
        if let Some(age) = nodes[0].stats().peers[0].handshake_age {
            sessions += u32::from(sessions == 0 || age < youngest);
            youngest = age;
        }
    }
    (number, sessions, wrong)
}

async fn run_all(time: Duration) {
    let arbiter = Arbiter::new();
    let runs = TRAFFIC.map(|traffic| run(&arbiter, traffic, time));
    let results = futures_util::future::join_all(runs).await;
    let mut failures = 0;
    for (traffic, (number, sessions, wrong)) in TRAFFIC.iter().zip(results) {
        println!(
            "{}: {number} messages, {sessions} sessions, {} wrong",
            traffic.what,
            wrong.len()
        );
        for what in &wrong {
            println!("  {what}");
        }
        failures += wrong.len();
        assert!(
            sessions > 1,
            "{}: the session was never renewed",
            traffic.what
        );
    }
    assert_eq!(failures, 0);
    arbiter.stop();
}

/// A session is renewed after 120 s by the node that began it, when that one has something to send; where it only
/// receives, it does so after 165 s (WireGuard's paper, section 6.2). Which of the two began depends on who was faster.
#[actix::test]
#[ignore = "takes three minutes"]
async fn one_rekey() {
    run_all(Duration::from_secs(185)).await;
}

#[actix::test]
#[ignore = "takes eleven minutes"]
async fn several_rekeys() {
    run_all(Duration::from_secs(660)).await;
}
