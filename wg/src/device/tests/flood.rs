//! Many handshakes at once.

use super::*;
use crate::device::admission::HANDSHAKES_PER_PLACE;

/// A stranger who knows node 0's public key and nothing else.
fn initiations(count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for at in 0..count {
        let mut stranger = Device::new(Settings {
            private_key: PrivateKey::from_random([at as u8 + 50; 32]),
            addresses: vec![Subnet::host(overlay(9))],
            mtu: Settings::DEFAULT_MTU,
            message_port: Settings::DEFAULT_MESSAGE_PORT,
            interface: None,
        });
        let mut effects = Vec::new();
        let listed = stranger.set_peers(vec![peer(0)], Duration::ZERO, &mut effects);
        listed.expect("a good list");
        stranger
            .send_message(&name(0), b"x", &mut effects)
            .expect("sent");
        for effect in effects {
            if let Effect::Datagram { bytes, .. } = effect {
                datagrams.push(bytes);
            }
        }
    }
    datagrams
}

#[test]
fn a_flood_is_answered_with_cookies_and_a_peer_still_gets_through() {
    let mut network = Network::mesh(2);
    for (at, datagram) in initiations(200).iter().enumerate() {
        let source = SocketAddr::from(([198, 51, 100, at as u8], 1));
        network.datagram(source, place(0), datagram);
    }
    assert_eq!(
        network.drops(0, DropReason::UnknownPeer),
        100,
        "these cost a Diffie-Hellman"
    );
    assert_eq!(
        network.drops(0, DropReason::UnderLoad),
        100,
        "these cost next to nothing"
    );
    let cookies = network
        .captured
        .iter()
        .filter(|(_, _, bytes)| bytes.len() == 64);
    assert_eq!(cookies.count(), 100);
    // A peer is asked for a cookie, too, ...
    network.send(1, 0, b"let me in");
    assert_eq!(network.take(0), []);
    assert_eq!(network.drops(0, DropReason::UnderLoad), 101);
    // ... and gets in with it when it tries again: its own try after five seconds, made here at once.
    let mut effects = Vec::new();
    network.nodes[1].device.retry(&name(0), &mut effects);
    network.carry(1, effects);
    assert_eq!(network.take(0), [(name(1), b"let me in".to_vec())]);
}

#[test]
fn one_place_cannot_make_us_compute_for_ever() {
    let mut network = Network::mesh(2);
    let source: SocketAddr = "198.51.100.1:1".parse().expect("an address");
    for datagram in initiations(60) {
        network.datagram(source, place(0), &datagram);
    }
    let computed = u64::from(HANDSHAKES_PER_PLACE);
    assert_eq!(network.drops(0, DropReason::UnknownPeer), computed);
    assert_eq!(
        network.drops(0, DropReason::TooManyHandshakes),
        60 - computed
    );
}

#[test]
fn answers_to_handshakes_count_as_handshakes() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"x");
    let answer = network
        .captured
        .iter()
        .find(|(_, to, _)| *to == place(0))
        .cloned();
    let (from, to, answer) = answer.expect("an answer");
    for _ in 0..50 {
        network.datagram(from, to, &answer);
    }
    let looked_at = u64::from(HANDSHAKES_PER_PLACE) - 1;
    assert_eq!(network.drops(0, DropReason::Stale), looked_at);
    assert_eq!(
        network.drops(0, DropReason::TooManyHandshakes),
        50 - looked_at
    );
}
