//! What a tunnel costs: without sockets (sealing at one end and opening at the other, on one thread), and over loopback
//! with sockets and actors.
//!
//! ```text
//! cargo bench -p conclave-wg
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a benchmark may fail loudly"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use conclave_wg::clock::SystemClock;
use conclave_wg::device::{Device, Effect, Settings};
use conclave_wg::key::PrivateKey;
use conclave_wg::message::MAX_MESSAGE_BYTES;
use conclave_wg::peer::{Endpoint, Peer, PeerName};
use conclave_wg::subnet::Subnet;
use conclave_wg::transport::Transport;
use conclave_wg::udp::{Options, UdpTransport};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::time::{Instant, timeout};

const NOW: Duration = Duration::from_secs(1);

fn private_key(node: u8) -> PrivateKey {
    PrivateKey::from_random([node + 1; 32])
}

fn name(node: u8) -> PeerName {
    format!("node-{node}").parse().expect("a name")
}

fn place(node: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node + 1], 51820))
}

fn address(node: u8) -> IpAddr {
    Ipv4Addr::new(10, 90, 0, node + 1).into()
}

fn settings(node: u8) -> Settings {
    Settings {
        private_key: private_key(node),
        addresses: vec![Subnet::host(address(node))],
        mtu: Settings::DEFAULT_MTU,
        message_port: Settings::DEFAULT_MESSAGE_PORT,
        interface: None,
    }
}

fn peer(node: u8, place: SocketAddr) -> Peer {
    Peer {
        name: name(node),
        public_key: private_key(node).public(),
        preshared_key: None,
        endpoint: Some(Endpoint::Address(place)),
        address: address(node),
        routes: Vec::new(),
        keepalive_seconds: None,
    }
}

fn device(node: u8) -> Device {
    let mut device = Device::new(settings(node));
    let other = 1 - node;
    device
        .set_peers(vec![peer(other, place(other))], NOW, &mut Vec::new())
        .expect("a good list");
    device
}

/// Carries datagrams until nothing is left to do. Answers the messages that came out.
fn carry(devices: &mut [Device; 2], mut effects: Vec<Effect>) -> usize {
    let mut messages = 0;
    while !effects.is_empty() {
        let mut next = Vec::new();
        for effect in effects {
            match effect {
                Effect::Datagram { to, bytes } => {
                    let node = usize::from(to == place(1));
                    devices[node].receive(place(1 - node as u8), &bytes, NOW, &mut next);
                }
                Effect::Message { .. } => messages += 1,
                Effect::Packet(_) => {}
            }
        }
        effects = next;
    }
    messages
}

fn messages(criterion: &mut Criterion) {
    let mut devices = [device(0), device(1)];
    let mut group = criterion.benchmark_group("message");
    for length in [64, 1300, MAX_MESSAGE_BYTES] {
        let message = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} bytes"), |bencher| {
            bencher.iter(|| {
                let mut effects = Vec::new();
                let sent = devices[0].send_message(&name(1), &message, &mut effects);
                sent.expect("sent");
                assert_eq!(carry(&mut devices, effects), 1);
            });
        });
    }
    group.finish();
}

fn handshakes(criterion: &mut Criterion) {
    criterion.bench_function("two new devices, one handshake, one message", |bencher| {
        bencher.iter(|| {
            let mut devices = [device(0), device(1)];
            let mut effects = Vec::new();
            devices[0]
                .send_message(&name(1), b"x", &mut effects)
                .expect("sent");
            assert_eq!(carry(&mut devices, effects), 1);
        });
    });
}

/// One end of a tunnel over loopback, on a thread of its own.
async fn transport(node: u8) -> UdpTransport {
    let options = Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        settings: settings(node),
        peers: Vec::new(),
        clock: Arc::new(SystemClock),
    };
    let started = UdpTransport::start(&Arbiter::new().handle(), options).await;
    started.expect("a tunnel")
}

async fn pair() -> [UdpTransport; 2] {
    let ends = [transport(0).await, transport(1).await];
    for node in [0, 1] {
        let other = &ends[usize::from(1 - node)];
        let listed = peer(1 - node, other.local_address());
        let set = ends[usize::from(node)].set_peers(vec![listed]).await;
        set.expect("a good list");
    }
    ends
}

/// As many messages as fit are on their way at once, so that neither end waits for the other.
async fn carried(ends: &[UdpTransport; 2], messages: u64, length: usize) -> Duration {
    const ON_THEIR_WAY: u64 = 8;
    let start = Instant::now();
    let (mut sent, mut received) = (0, 0);
    while received < messages {
        while sent < messages && sent < received + ON_THEIR_WAY {
            let taken = ends[0].send(&name(1), vec![7; length]).await;
            taken.expect("taken");
            sent += 1;
        }
        // What the system lost is not waited for.
        match timeout(Duration::from_secs(1), ends[1].recv()).await {
            Ok(message) => drop(message.expect("open")),
            Err(_) => eprintln!("{} messages were lost", sent - received),
        }
        received += 1;
    }
    start.elapsed()
}

fn sockets(criterion: &mut Criterion) {
    let system = actix::System::new();
    let ends = system.block_on(async {
        let ends = pair().await;
        carried(&ends, 1, 1).await;
        ends
    });
    let mut group = criterion.benchmark_group("over loopback");
    for length in [1300, MAX_MESSAGE_BYTES] {
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} bytes"), |bencher| {
            bencher.iter_custom(|messages| system.block_on(carried(&ends, messages, length)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = messages, handshakes, sockets
}
criterion_main!(benches);
