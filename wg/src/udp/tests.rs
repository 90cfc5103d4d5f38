//! The UDP transport over loopback: the shared suite, a full mailbox, stopping.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use tokio::time::timeout;

use super::*;
use crate::clock::SystemClock;
use crate::contract;
use crate::key::{PresharedKey, PrivateKey};
use crate::peer::Endpoint;
use crate::subnet::Subnet;

fn private_key(node: usize) -> PrivateKey {
    PrivateKey::from_random([node as u8 + 1; 32])
}

fn peer(node: usize, endpoint: Option<Endpoint>) -> Peer {
    Peer {
        name: contract::name(node),
        public_key: private_key(node).public(),
        preshared_key: Some(PresharedKey::from_random([9; 32])),
        endpoint,
        address: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, node as u16 + 1).into(),
        routes: Vec::new(),
        keepalive_seconds: NonZeroU16::new(25),
    }
}

fn options(node: usize, listen: SocketAddr) -> Options {
    let address = peer(node, None).address;
    Options {
        listen,
        settings: Settings {
            private_key: private_key(node),
            addresses: vec![Subnet::new(address, 64).expect("a subnet")],
            mtu: Settings::DEFAULT_MTU,
            message_port: Settings::DEFAULT_MESSAGE_PORT,
            interface: None,
        },
        peers: Vec::new(),
        clock: Arc::new(SystemClock),
    }
}

async fn start(arbiter: &Arbiter, count: usize) -> Vec<Arc<UdpTransport>> {
    let mut nodes = Vec::new();
    for node in 0..count {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let transport = UdpTransport::start(&arbiter.handle(), options(node, listen)).await;
        nodes.push(Arc::new(transport.expect("started")));
    }
    for (node, transport) in nodes.iter().enumerate() {
        let others = nodes.iter().enumerate().filter(|(other, _)| *other != node);
        let peers = others.map(|(other, transport)| {
            peer(other, Some(Endpoint::Address(transport.local_address())))
        });
        transport
            .set_peers(peers.collect())
            .await
            .expect("a good list");
    }
    nodes
}

#[actix::test]
async fn keeps_the_contract() {
    let arbiter = Arbiter::new();
    contract::check(async |count| {
        let nodes = start(&arbiter, count).await;
        nodes
            .into_iter()
            .map(|node| node as Arc<dyn Transport>)
            .collect()
    })
    .await;
    arbiter.stop();
}

#[actix::test]
async fn a_full_mailbox_refuses_and_recovers() {
    let arbiter = Arbiter::new();
    let nodes = start(&arbiter, 2).await;
    // The thread of the tunnels is kept busy, so nothing is taken out of the mailbox.
    let (release, held) = std::sync::mpsc::channel::<()>();
    arbiter.spawn_fn(move || {
        let _ = held.recv_timeout(Duration::from_secs(10));
    });
    let mut waiting = Vec::new();
    let mut full = 0;
    for _ in 0..MAILBOX + 50 {
        let (node, to) = (Arc::clone(&nodes[0]), contract::name(1));
        let mut sending = Box::pin(async move { node.send(&to, vec![1]).await });
        match futures_util::poll!(&mut sending) {
            std::task::Poll::Ready(answer) => {
                assert_eq!(answer, Err(SendError::Full));
                full += 1;
            }
            std::task::Poll::Pending => waiting.push(sending),
        }
    }
    assert!(full >= 40, "{full} were refused");
    assert!(waiting.len() >= MAILBOX, "{} fitted", waiting.len());
    release.send(()).expect("held");
    for sending in waiting {
        assert_eq!(sending.await, Ok(()));
    }
    arbiter.stop();
}

#[actix::test]
async fn a_transport_that_is_dropped_frees_its_port() {
    let arbiter = Arbiter::new();
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let first = UdpTransport::start(&arbiter.handle(), options(0, listen))
        .await
        .expect("started");
    let listen = first.local_address();
    let taken = UdpTransport::start(&arbiter.handle(), options(1, listen)).await;
    assert!(matches!(taken, Err(StartError::Bind { .. })), "{taken:?}");
    drop(first);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if UdpTransport::start(&arbiter.handle(), options(1, listen))
            .await
            .is_ok()
        {
            return arbiter.stop().then_some(()).expect("stopped");
        }
    }
    panic!("the port is still taken");
}

#[actix::test]
async fn peers_are_found_by_host_name_and_on_a_socket_for_both_ip_versions() {
    let arbiter = Arbiter::new();
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let first = UdpTransport::start(&arbiter.handle(), options(0, v4))
        .await
        .expect("started");
    let second = UdpTransport::start(&arbiter.handle(), options(1, both))
        .await
        .expect("started");
    first
        .set_peers(vec![peer(1, None)])
        .await
        .expect("a good list");
    let name = Endpoint::Name {
        host: "127.0.0.1".into(),
        port: first.local_address().port(),
    };
    second
        .set_peers(vec![peer(0, Some(name))])
        .await
        .expect("a good list");
    // The tunnel is set up by itself, so the first node learns where the second one is.
    let hello = async {
        while first
            .send(&contract::name(1), b"hello".to_vec())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        second.recv().await.expect("open")
    };
    let received = timeout(Duration::from_secs(10), hello)
        .await
        .expect("in time");
    assert_eq!(
        received,
        Received {
            from: contract::name(0),
            message: b"hello".to_vec()
        }
    );
    arbiter.stop();
}
