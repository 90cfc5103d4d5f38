//! The suite that every [`Transport`] passes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::device::DropReason;
use crate::message::MAX_MESSAGE_BYTES;
use crate::peer::PeerName;
use crate::transport::{Received, SendError, Transport};

type Node = Arc<dyn Transport>;

/// How long a message is waited for before it is sent again: no transport promises delivery.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often a message is sent before the test gives up.
const TRIES: usize = 40;

/// How node `node` of a test is called.
pub(crate) fn name(node: usize) -> PeerName {
    format!("node-{node}").parse().expect("a name")
}

/// Checks the promises of a transport. `make` makes that many nodes, called [`name`], that know each other.
pub(crate) async fn check(make: impl AsyncFn(usize) -> Vec<Node>) {
    messages_arrive_whole_with_the_senders_name(&make(2).await).await;
    bad_requests_are_refused(&make(2).await).await;
    nobody_hears_what_is_for_others(&make(3).await).await;
    a_receiver_that_sleeps_costs_nobody_more_than_its_messages(&make(2).await).await;
    a_wait_that_is_given_up_loses_nothing(&make(2).await).await;
}

/// Sends until it arrives. Answers what arrived; other messages are passed over.
async fn deliver(from: (&Node, usize), to: (&Node, usize), message: &[u8]) -> Received {
    for _ in 0..TRIES {
        from.0
            .send(&name(to.1), message.to_vec())
            .await
            .expect("sent");
        let expected = async {
            loop {
                let received = to.0.recv().await.expect("open");
                if received.message == message {
                    return received;
                }
            }
        };
        if let Ok(received) = timeout(PATIENCE, expected).await {
            return received;
        }
    }
    panic!(
        "{} bytes did not get from node {} to node {}",
        message.len(),
        from.1,
        to.1
    );
}

async fn messages_arrive_whole_with_the_senders_name(nodes: &[Node]) {
    for length in [0, 1, 1300, 1400, 20_000, MAX_MESSAGE_BYTES] {
        let message: Vec<u8> = (0..length).map(|at| (at % 249) as u8).collect();
        for (from, to) in [(0, 1), (1, 0)] {
            let received = deliver((&nodes[from], from), (&nodes[to], to), &message).await;
            assert_eq!(
                received,
                Received {
                    from: name(from),
                    message: message.clone()
                }
            );
        }
    }
    // Statistics may lag.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let stats = nodes[0].stats();
    assert_eq!(stats.peers.len(), 1);
    let peer = &stats.peers[0];
    assert_eq!((&peer.name, peer.up), (&name(1), true));
    assert!(
        peer.heard_age
            .is_some_and(|age| age < Duration::from_secs(30))
    );
    let total = (1 + 1300 + 1400 + 20_000 + MAX_MESSAGE_BYTES) as u64;
    assert!(
        peer.sent_bytes >= total && peer.received_bytes >= total,
        "{peer:?}"
    );
}

async fn bad_requests_are_refused(nodes: &[Node]) {
    let stranger = name(77);
    assert_eq!(
        nodes[0].send(&stranger, vec![1]).await,
        Err(SendError::UnknownPeer)
    );
    assert_eq!(
        nodes[0].send(&name(0), vec![1]).await,
        Err(SendError::UnknownPeer),
        "itself"
    );
    let longer = vec![0; MAX_MESSAGE_BYTES + 1];
    assert_eq!(
        nodes[0].send(&name(1), longer).await,
        Err(SendError::TooLong)
    );
    deliver((&nodes[0], 0), (&nodes[1], 1), b"still works").await;
}

async fn nobody_hears_what_is_for_others(nodes: &[Node]) {
    for (from, to) in [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)] {
        let message = format!("from {from} to {to}");
        let received = deliver((&nodes[from], from), (&nodes[to], to), message.as_bytes()).await;
        assert_eq!(received.from, name(from));
    }
    for (node, transport) in nodes.iter().enumerate() {
        while let Ok(received) = timeout(PATIENCE, transport.recv()).await {
            let received = received.expect("open");
            let text = String::from_utf8(received.message).expect("text");
            assert!(
                text.ends_with(&format!("to {node}")),
                "node {node} heard {text}"
            );
        }
    }
}

async fn a_receiver_that_sleeps_costs_nobody_more_than_its_messages(nodes: &[Node]) {
    deliver((&nodes[0], 0), (&nodes[1], 1), b"awake").await;
    let mut sent = 0;
    for _ in 0..1000 {
        match nodes[0].send(&name(1), vec![7; 100]).await {
            Ok(()) => sent += 1,
            Err(error) => assert_eq!(error, SendError::Full),
        }
        tokio::task::yield_now().await;
    }
    assert!(sent > 500, "sending goes on");
    tokio::time::sleep(PATIENCE + PATIENCE).await;
    let mut kept = 0;
    while timeout(PATIENCE, nodes[1].recv()).await.is_ok() {
        kept += 1;
    }
    assert!((1..=300).contains(&kept), "{kept} messages were kept");
    let dropped = nodes[1].stats().drops.of(DropReason::Overflow);
    assert!(dropped > 0, "what did not fit is counted");
    deliver((&nodes[0], 0), (&nodes[1], 1), b"awake again").await;
}

async fn a_wait_that_is_given_up_loses_nothing(nodes: &[Node]) {
    for round in 0..5u8 {
        assert!(
            timeout(Duration::from_millis(20), nodes[1].recv())
                .await
                .is_err()
        );
        let received = deliver((&nodes[0], 0), (&nodes[1], 1), &[round]).await;
        assert_eq!(received.message, [round]);
        // A line that doubles may deliver the same again.
        while timeout(PATIENCE, nodes[1].recv()).await.is_ok() {}
    }
}
