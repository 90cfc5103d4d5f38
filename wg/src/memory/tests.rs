//! The network in memory keeps to its rules: what it loses, delays and cuts.

use super::*;
use crate::contract;

fn name(node: usize) -> PeerName {
    contract::name(node)
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract() {
    contract::check(async |count| {
        let network = MemoryNetwork::new(1, Faults::none());
        (0..count)
            .map(|node| Arc::new(network.join(name(node))) as Arc<dyn Transport>)
            .collect()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn keeps_the_contract_on_a_bad_line() {
    let delay = Duration::from_millis(1)..=Duration::from_millis(80);
    let faults = Faults {
        lost_per_mille: 200,
        doubled_per_mille: 50,
        delay,
    };
    contract::check(async |count| {
        let network = MemoryNetwork::new(2, faults.clone());
        (0..count)
            .map(|node| Arc::new(network.join(name(node))) as Arc<dyn Transport>)
            .collect()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_is_unknown_and_its_transport_closed() {
    let network = MemoryNetwork::new(1, Faults::none());
    let (first, second) = (network.join(name(0)), network.join(name(1)));
    network.leave(&name(1));
    assert_eq!(
        first.send(&name(1), vec![1]).await,
        Err(SendError::UnknownPeer)
    );
    assert_eq!(second.send(&name(0), vec![1]).await, Err(SendError::Closed));
    assert_eq!(second.recv().await, Err(Closed));
}
