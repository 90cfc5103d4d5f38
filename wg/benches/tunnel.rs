//! What a tunnel costs, without sockets: sealing at one end and opening at the other, on one thread.
//!
//! ```text
//! cargo bench -p conclave-wg
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may fail loudly"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use conclave_wg::device::{Device, Effect, Settings};
use conclave_wg::key::PrivateKey;
use conclave_wg::message::MAX_MESSAGE_BYTES;
use conclave_wg::peer::{Endpoint, Peer, PeerName};
use conclave_wg::subnet::Subnet;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

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

fn device(node: u8) -> Device {
    let address = |node| Ipv4Addr::new(10, 90, 0, node + 1).into();
    let mut device = Device::new(Settings {
        private_key: private_key(node),
        addresses: vec![Subnet::host(address(node))],
        mtu: Settings::DEFAULT_MTU,
        message_port: Settings::DEFAULT_MESSAGE_PORT,
        interface: None,
    });
    let other = 1 - node;
    let peer = Peer {
        name: name(other),
        public_key: private_key(other).public(),
        preshared_key: None,
        endpoint: Some(Endpoint::Address(place(other))),
        address: address(other),
        routes: Vec::new(),
        keepalive_seconds: None,
    };
    device
        .set_peers(vec![peer], NOW, &mut Vec::new())
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

criterion_group!(benches, messages, handshakes);
criterion_main!(benches);
