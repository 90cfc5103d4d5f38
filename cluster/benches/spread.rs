//! How long a fact takes from the node that publishes it to the last of the others: actors, mailboxes and the wire
//! format included, the network and its encryption not.
//!
//! ```text
//! cargo bench -p conclave-cluster
//! ```

#![allow(clippy::expect_used, reason = "a benchmark may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use conclave_cluster::{
    BootId, ClusterHandle, ClusterId, Fact, FactKey, FactName, FactValue, Member, Moment, News,
    Notice, Roster, Settings, Tenant, Time,
};
use conclave_wg::key::PublicKey;
use conclave_wg::memory::{Faults, MemoryNetwork};
use conclave_wg::peer::PeerName;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Longer than the time within which facts are told together, so that each is told at once.
const PAUSE: Duration = Duration::from_millis(6);

struct BenchTime(Instant);

impl Time for BenchTime {
    fn now(&self) -> Moment {
        Moment {
            since_boot: self.0.elapsed(),
            wall_ns: 0,
        }
    }
}

type Node = (ClusterHandle, mpsc::Receiver<News>);

async fn start(count: u8) -> Vec<Node> {
    let network = MemoryNetwork::new(1, Faults::none());
    let name = |node: u8| -> PeerName { format!("n{node}").parse().expect("a name") };
    let members: Vec<_> = (0..count)
        .map(|node| Member {
            name: name(node),
            public_key: PublicKey::from_bytes([node; 32]),
            endpoint: None,
            address: [10, 90, 0, node].into(),
        })
        .collect();
    let time: Arc<dyn Time> = Arc::new(BenchTime(Instant::now()));
    let nodes = (0..count).map(|node| {
        let roster = Roster::new(ClusterId([1; 16]), &name(node), members.clone());
        ClusterHandle::start(
            &Arbiter::current(),
            roster.expect("a roster"),
            Settings::default(),
            BootId(u64::from(node) + 1),
            Arc::new(network.join(name(node))),
            Arc::clone(&time),
        )
    });
    let nodes: Vec<_> = nodes.collect();
    let others = usize::from(count) - 1;
    while nodes
        .iter()
        .any(|(node, _)| node.live_peers().len() < others)
    {
        tokio::time::sleep(PAUSE).await;
    }
    nodes
}

async fn spread(nodes: &mut [Node], version: u64) -> Duration {
    let Some(((teller, _), others)) = nodes.split_first_mut() else {
        return Duration::ZERO;
    };
    let fact = Fact {
        key: FactKey {
            tenant: Tenant([1; 16]),
            name: FactName::new(b"sealed").expect("a few bytes"),
        },
        version,
        value: FactValue::default(),
        life: Duration::from_secs(600),
    };
    tokio::time::sleep(PAUSE).await;
    let start = Instant::now();
    teller.publish(fact).expect("room in the mailbox");
    for (_, news) in others {
        loop {
            match news.recv().await {
                Some(News::Notice(Notice::Learned(fact))) if fact.version == version => break,
                Some(_) => {}
                None => return Duration::ZERO,
            }
        }
    }
    start.elapsed()
}

fn facts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fact_to_all_nodes");
    for count in [3u8, 50] {
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|times| {
                actix::System::new().block_on(async move {
                    let mut nodes = start(count).await;
                    let mut total = Duration::ZERO;
                    for version in 1..=times {
                        total += spread(&mut nodes, version).await;
                    }
                    total
                })
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = facts
}
criterion_main!(benches);
