//! Tunnels between network namespaces, with another implementation (`wireguard-go`) and with the kernel's own TCP.
//! They need root, and Debian's iproute2, iputils-ping, wireguard-go and wireguard-tools, so they are not run by default:
//!
//! ```text
//! cargo test -p conclave-wg --test namespaces -- --ignored
//! ```
//!
//! Two hosts (namespaces) are joined by a third one that routes between them and records every frame. All traffic stays in
//! these namespaces, which are removed at the end.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and these wait in real time"
)]

mod hosts;
mod world;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use conclave_wg::device::Settings;
use conclave_wg::key::PresharedKey;
use conclave_wg::message::MAX_MESSAGE_BYTES;
use conclave_wg::peer::{Endpoint, Peer};
use conclave_wg::transport::Transport;
use world::{Node, Side, World, private_key};

/// How much a TCP connection carries in these tests.
const TCP_BYTES: usize = 16 * 1024 * 1024;

/// What fills it, and must not be seen outside.
const MARKER: &[u8; 32] = b"a secret that stays in the tunne";

/// How each side is listed by the other.
fn peer(side: Side, keepalive_seconds: u16) -> Peer {
    Peer {
        name: side.name(),
        public_key: private_key(side).public(),
        preshared_key: Some(PresharedKey::from_random([42; 32])),
        endpoint: Some(Endpoint::Address(side.place())),
        address: side.address(),
        routes: vec![side.address_v6().into()],
        keepalive_seconds: NonZeroU16::new(keepalive_seconds),
    }
}

/// Sends [`TCP_BYTES`] from one side to the other and answers how long it took.
fn tcp(world: &World, from: Side, to: impl Into<IpAddr>, receiver: Side) -> Duration {
    let address = SocketAddr::new(to.into(), 5432);
    let (ready, listening) = std::sync::mpsc::channel();
    let server = world.thread(receiver, move || {
        let listener = TcpListener::bind(address).expect("listening");
        ready.send(()).expect("waited for");
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut received, mut buffer) = (0, vec![0; 32 * 1024]);
        loop {
            let length = stream.read(&mut buffer).expect("read");
            if length == 0 {
                return received;
            }
            received += length;
        }
    });
    listening.recv().expect("listening");
    let client = world.thread(from, move || {
        let start = Instant::now();
        let mut stream =
            TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("connected");
        let block = MARKER.repeat(1024);
        for _ in 0..TCP_BYTES / block.len() {
            stream.write_all(&block).expect("written");
        }
        start.elapsed()
    });
    let time = client.join().expect("sent");
    assert_eq!(server.join().expect("received"), TCP_BYTES);
    time
}

/// A program on the right host that sends back whatever comes to the message port, until it is told that this was all:
/// fragments are the same both ways.
fn echo(world: &World) -> JoinHandle<()> {
    let address = SocketAddr::new(Side::Right.address(), Settings::DEFAULT_MESSAGE_PORT);
    world.thread(Side::Right, move || {
        let socket = UdpSocket::bind(address).expect("bound");
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("set");
        let mut buffer = [0; 2000];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).expect("something");
            socket.send_to(&buffer[..length], from).expect("sent back");
            if buffer[..length].ends_with(b"the end") {
                return;
            }
        }
    })
}

#[actix::test]
#[ignore = "needs root and wireguard-go"]
async fn wireguard_go_greets_us_and_the_kernels_tcp_flows_both_ways() {
    let world = World::new("g2u");
    let node = Node::start(&world, Side::Left, Some(peer(Side::Right, 0)), true).await;
    let _other = world.wireguard_go(Side::Right, &peer(Side::Left, 0));
    assert!(
        world.ping(Side::Right, Side::Left.address()),
        "they greet, we answer"
    );
    assert!(world.ping(Side::Right, Side::Left.address_v6()));
    tcp(&world, Side::Right, Side::Left.address(), Side::Left);
    tcp(&world, Side::Left, Side::Right.address_v6(), Side::Right);
    world.only_wireguard_was_seen(&MARKER[..16]);
    let stats = node.transport.stats();
    assert!(stats.peers[0].up && stats.peers[0].received_bytes > TCP_BYTES as u64);
}

#[actix::test]
#[ignore = "needs root and wireguard-go"]
async fn we_greet_wireguard_go_without_knowing_its_place_beforehand_there() {
    let world = World::new("u2g");
    let unknown = Peer {
        endpoint: None,
        ..peer(Side::Left, 0)
    };
    let _other = world.wireguard_go(Side::Right, &unknown);
    let _node = Node::start(&world, Side::Left, Some(peer(Side::Right, 25)), true).await;
    assert!(
        world.ping(Side::Left, Side::Right.address()),
        "we greet, they answer"
    );
    tcp(&world, Side::Left, Side::Right.address(), Side::Right);
    world.only_wireguard_was_seen(&MARKER[..16]);
}

#[actix::test]
#[ignore = "needs root and wireguard-go"]
async fn messages_are_ordinary_udp_for_wireguard_go() {
    let world = World::new("msg");
    let _other = world.wireguard_go(Side::Right, &peer(Side::Left, 0));
    let node = Node::start(&world, Side::Left, Some(peer(Side::Right, 25)), false).await;
    let echoing = echo(&world);
    for length in [1, 1300, 20_000, MAX_MESSAGE_BYTES] {
        let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        assert_eq!(node.echoed(&message, 10).await, message, "{length} bytes");
    }
    node.transport
        .send(&Side::Right.name(), b"the end".to_vec())
        .await
        .expect("sent");
    echoing.join().expect("echoed");
}

/// An open report (boringtun issue 495) says that sessions of boringtun 0.7.1 with another implementation go deaf in one
/// direction 15 to 30 seconds after each handshake.
#[actix::test]
#[ignore = "needs root and wireguard-go, and takes three minutes"]
async fn long_sessions_with_wireguard_go_never_go_deaf() {
    let world = World::new("lng");
    let _other = world.wireguard_go(Side::Right, &peer(Side::Left, 0));
    let node = Node::start(&world, Side::Left, Some(peer(Side::Right, 25)), false).await;
    let echoing = echo(&world);
    let start = Instant::now();
    let (mut number, mut sessions, mut youngest) = (0u64, 0, Duration::MAX);
    // Steady, then rare enough for keep-alives and for handshakes out of suspicion, and past two rekeys.
    for pause in [200, 3_000, 17_000] {
        let until = start.elapsed() + Duration::from_secs(60);
        while start.elapsed() < until {
            number += 1;
            let message = number.to_be_bytes();
            let tries = if number == 1 { 10 } else { 1 };
            assert_eq!(
                node.echoed(&message, tries).await,
                message,
                "after {:?}",
                start.elapsed()
            );
            let age = node.transport.stats().peers[0]
                .handshake_age
                .unwrap_or(Duration::MAX);
            sessions += u32::from(age < youngest);
            youngest = age;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
    println!("{number} messages there and back, {sessions} sessions");
    node.transport
        .send(&Side::Right.name(), b"the end".to_vec())
        .await
        .expect("sent");
    echoing.join().expect("echoed");
}

#[actix::test]
#[ignore = "needs root"]
async fn two_of_us_carry_tcp_and_survive_a_restart() {
    let world = World::new("u2u");
    let first = Node::start(&world, Side::Left, Some(peer(Side::Right, 25)), true).await;
    let second = Node::start(&world, Side::Right, Some(peer(Side::Left, 25)), true).await;
    assert!(world.ping(Side::Left, Side::Right.address()));
    let time = tcp(&world, Side::Left, Side::Right.address(), Side::Right);
    let rate = TCP_BYTES as f64 / time.as_secs_f64() / 1e6;
    println!(
        "TCP through the tunnel: {rate:.0} MB/s, unoptimised build, both ends on this machine"
    );
    world.only_wireguard_was_seen(&MARKER[..16]);
    second.stop().await;
    let _second = Node::start(&world, Side::Right, Some(peer(Side::Left, 25)), true).await;
    let start = Instant::now();
    while !world.ping(Side::Left, Side::Right.address()) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the tunnel did not come back"
        );
    }
    tcp(&world, Side::Right, Side::Left.address(), Side::Left);
    first.stop().await;
}

#[actix::test]
#[ignore = "needs root"]
async fn routes_follow_the_list_of_peers() {
    let world = World::new("rte");
    let node = Node::start(&world, Side::Left, None, true).await;
    let target: IpAddr = "10.91.7.7".parse().expect("an address");
    assert!(!world.routes(Side::Left).contains("10.91.0.0/16"));
    let routes = vec!["10.91.0.0/16".parse().expect("a subnet")];
    let routed = Peer {
        routes,
        ..peer(Side::Right, 0)
    };
    node.transport
        .set_peers(vec![routed])
        .await
        .expect("a good list");
    world.until(|| world.routes(Side::Left).contains("10.91.0.0/16"));
    let before = world.captured().len();
    world.ping(Side::Left, target);
    assert!(
        world.captured().len() > before,
        "a handshake was tried for the routed address"
    );
    node.transport
        .set_peers(vec![peer(Side::Right, 0)])
        .await
        .expect("a good list");
    world.until(|| !world.routes(Side::Left).contains("10.91.0.0/16"));
}
