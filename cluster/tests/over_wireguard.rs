//! Three nodes whose packets really go through WireGuard, over loopback.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use conclave_cluster::{
    Body, BootId, ClusterHandle, ClusterId, Fact, FactKey, FactName, FactValue, MAX_BODY_BYTES,
    Member, Moment, News, NodeName, Notice, Roster, Settings, Tenant, Time,
};
use conclave_wg::clock::{Clock, SystemClock};
use conclave_wg::device;
use conclave_wg::key::PrivateKey;
use conclave_wg::peer::{Endpoint, Peer};
use conclave_wg::subnet::Subnet;
use conclave_wg::transport::Transport;
use conclave_wg::udp::{Options, UdpTransport};
use tokio::sync::mpsc;

const NODES: u8 = 3;
const QUICK: Settings = Settings {
    heartbeat_interval: Duration::from_millis(50),
    down_after: Duration::from_millis(1000),
};

struct SystemTime;

impl Time for SystemTime {
    fn now(&self) -> Moment {
        Moment {
            since_boot: SystemClock.now(),
            wall_ns: 0,
        }
    }
}

fn name(node: u8) -> NodeName {
    format!("node-{node}").parse().expect("a name")
}

fn private_key(node: u8) -> PrivateKey {
    PrivateKey::from_random([node + 1; 32])
}

fn address(node: u8) -> IpAddr {
    Ipv4Addr::new(10, 90, 0, node + 1).into()
}

async fn tunnel(node: u8) -> Arc<UdpTransport> {
    let settings = device::Settings {
        private_key: private_key(node),
        addresses: vec![Subnet::new(address(node), 24).expect("a subnet")],
        mtu: device::Settings::DEFAULT_MTU,
        message_port: device::Settings::DEFAULT_MESSAGE_PORT,
        interface: None,
    };
    let options = Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        settings,
        peers: Vec::new(),
        clock: Arc::new(SystemClock),
    };
    let started = UdpTransport::start(&Arbiter::current(), options).await;
    Arc::new(started.expect("a tunnel"))
}

/// The tunnels of all nodes, and the roster of each.
async fn tunnels() -> Vec<(Arc<UdpTransport>, Roster)> {
    let mut tunnels = Vec::new();
    for node in 0..NODES {
        tunnels.push(tunnel(node).await);
    }
    let members: Vec<_> = (0..NODES)
        .zip(&tunnels)
        .map(|(node, tunnel)| Member {
            name: name(node),
            public_key: private_key(node).public(),
            endpoint: Some(Endpoint::Address(tunnel.local_address())),
            address: address(node),
        })
        .collect();
    let mut nodes = Vec::new();
    for (node, tunnel) in (0..NODES).zip(tunnels) {
        let cluster = ClusterId([1; 16]);
        let roster = Roster::new(cluster, &name(node), members.clone()).expect("a roster");
        let peers = roster.peers().iter().map(|member| Peer {
            name: member.name.clone(),
            public_key: member.public_key,
            preshared_key: None,
            endpoint: member.endpoint.clone(),
            address: member.address,
            routes: Vec::new(),
            keepalive_seconds: NonZeroU16::new(25),
        });
        let listed = tunnel.set_peers(peers.collect()).await;
        listed.expect("a good list of peers");
        nodes.push((tunnel, roster));
    }
    nodes
}

async fn next_notice<T>(
    news: &mut mpsc::Receiver<News>,
    pick: impl Fn(&News) -> Option<T>,
) -> (T, News) {
    let picked = async {
        loop {
            let news = news.recv().await.expect("the actor runs");
            if let Some(picked) = pick(&news) {
                return (picked, news);
            }
        }
    };
    let picked = tokio::time::timeout(Duration::from_secs(20), picked).await;
    picked.expect("the news came in time")
}

#[actix::test]
async fn nodes_find_each_other_tell_facts_and_answer() {
    let mut nodes = Vec::new();
    for ((tunnel, roster), boot) in tunnels().await.into_iter().zip(1..) {
        let (arbiter, transport) = (Arbiter::current(), tunnel as Arc<dyn Transport>);
        let time = Arc::new(SystemTime);
        nodes.push(ClusterHandle::start(
            &arbiter,
            roster,
            QUICK,
            BootId(boot),
            transport,
            time,
        ));
    }
    for (_, news) in &mut nodes {
        for _ in 1..NODES {
            next_notice(news, |news| match news {
                News::Notice(Notice::PeerUp { .. }) => Some(()),
                _ => None,
            })
            .await;
        }
    }

    let fact = Fact {
        key: FactKey {
            tenant: Tenant([1; 16]),
            name: FactName::new(b"sealed").expect("a few bytes"),
        },
        version: 7,
        value: FactValue::default(),
        life: Duration::from_secs(60),
    };
    nodes[0].0.publish(fact).expect("room");
    for (_, news) in &mut nodes[1..] {
        let (version, _) = next_notice(news, |news| match news {
            News::Notice(Notice::Learned(fact)) => Some(fact.version),
            _ => None,
        })
        .await;
        assert_eq!(version, 7);
    }

    // The longest body needs some thirty packets, each way.
    let asker = nodes[0].0.clone();
    let body = Body::new(vec![5; MAX_BODY_BYTES]).expect("not too long");
    let asking = asker.ask(name(1), body.clone(), Duration::from_secs(10));
    let answering = async {
        let picked = next_notice(&mut nodes[1].1, |news| {
            matches!(news, News::Request(_)).then_some(())
        });
        if let ((), News::Request(request)) = picked.await {
            assert_eq!(*request.from(), name(0));
            let body = request.body.clone();
            request.answer(body).expect("room");
        }
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer, Ok(body));
}
