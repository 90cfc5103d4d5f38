//! What honest peers do.

use super::*;
use crate::device::RosterError;
use crate::message::MAX_MESSAGE_BYTES;
use crate::packet;
use crate::transport::SendError;

#[test]
fn messages_go_both_ways_with_the_senders_name() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"ping");
    assert_eq!(network.take(1), [(name(0), b"ping".to_vec())]);
    network.send(1, 0, b"pong");
    assert_eq!(network.take(0), [(name(1), b"pong".to_vec())]);
    let stats = network.nodes[0].device.peers(network.now);
    assert_eq!((stats.len(), stats[0].up), (1, true));
    assert!(stats[0].sent_bytes > 4 && stats[0].received_bytes > 4);
    assert_eq!(stats[0].heard_age, Some(Duration::ZERO));
}

#[test]
fn what_was_sent_before_the_handshake_arrives_after_it_and_in_order() {
    let mut network = Network::mesh(2);
    let mut effects = Vec::new();
    for byte in 0..20 {
        let sent = network.nodes[0]
            .device
            .send_message(&name(1), &[byte], &mut effects);
        sent.expect("sent");
    }
    assert_eq!(effects.len(), 1, "one initiation, the messages wait");
    network.carry(0, effects);
    let arrived: Vec<_> = network
        .take(1)
        .into_iter()
        .map(|(_, bytes)| bytes[0])
        .collect();
    assert_eq!(arrived, (0..20).collect::<Vec<_>>());
}

#[test]
fn two_that_greet_each_other_at_the_same_time_lose_nothing() {
    let mut network = Network::mesh(2);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    network.nodes[0]
        .device
        .send_message(&name(1), b"a", &mut first)
        .expect("sent");
    network.nodes[1]
        .device
        .send_message(&name(0), b"b", &mut second)
        .expect("sent");
    network.carry(0, first);
    network.carry(1, second);
    network.send(0, 1, b"c");
    network.send(1, 0, b"d");
    network.tick(Duration::from_millis(250));
    let bytes = |inbox: Inbox| {
        inbox
            .into_iter()
            .map(|(_, bytes)| bytes[0])
            .collect::<Vec<_>>()
    };
    let mut arrived = (bytes(network.take(1)), bytes(network.take(0)));
    arrived.0.sort_unstable();
    arrived.1.sort_unstable();
    assert_eq!(arrived, (b"ac".to_vec(), b"bd".to_vec()));
}

#[test]
fn the_longest_message_arrives_and_a_longer_one_is_refused() {
    let mut network = Network::mesh(2);
    let longest: Vec<u8> = (0..MAX_MESSAGE_BYTES).map(|at| (at % 253) as u8).collect();
    network.send(0, 1, &longest);
    assert_eq!(network.take(1), [(name(0), longest.clone())]);
    let fits =
        |(_, _, bytes): &(_, _, Vec<u8>)| bytes.len() <= usize::from(Settings::DEFAULT_MTU) + 32;
    assert!(
        network.captured.iter().all(fits),
        "no datagram is longer than the MTU allows"
    );
    let longer = vec![0; MAX_MESSAGE_BYTES + 1];
    let sent = network.nodes[0]
        .device
        .send_message(&name(1), &longer, &mut Vec::new());
    assert_eq!(sent, Err(SendError::TooLong));
}

#[test]
fn each_of_many_peers_gets_what_is_for_it() {
    let mut network = Network::mesh(5);
    for from in 0..5 {
        for to in (0..5).filter(|to| *to != from) {
            network.send(from, to, format!("{from}>{to}").as_bytes());
        }
    }
    for to in 0..5 {
        let mut inbox = network.take(to);
        inbox.sort();
        let others = (0..5).filter(|from| *from != to);
        let expected: Vec<_> = others
            .map(|from| (name(from), format!("{from}>{to}").into_bytes()))
            .collect();
        assert_eq!(inbox, expected);
    }
}

#[test]
fn a_peer_that_moves_is_answered_at_its_new_place() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"here");
    let moved: SocketAddr = "198.51.100.7:4000".parse().expect("an address");
    network.nodes[0].place = moved;
    network.send(0, 1, b"there");
    network.send(1, 0, b"found you");
    assert_eq!(network.take(0), [(name(1), b"found you".to_vec())]);
    assert_eq!(
        network.nodes[1].device.peers(network.now)[0].endpoint,
        Some(moved)
    );
}

#[test]
fn a_peer_without_a_place_must_speak_first() {
    let mut network = Network::strangers(2);
    let homeless = Peer {
        endpoint: None,
        ..peer(0)
    };
    network.set_peers(0, vec![peer(1)]);
    network.set_peers(1, vec![homeless]);
    let sent = network.nodes[1]
        .device
        .send_message(&name(0), b"x", &mut Vec::new());
    assert_eq!(sent, Err(SendError::Unreachable));
    network.send(0, 1, b"hello");
    network.send(1, 0, b"hello yourself");
    assert_eq!(network.take(0).len(), 1);
}

#[test]
fn a_tunnel_with_keepalive_is_up_before_anything_is_sent() {
    let mut network = Network::strangers(2);
    network.set_peers(1, vec![peer(0)]);
    network.set_peers(
        0,
        vec![Peer {
            keepalive_seconds: NonZeroU16::new(25),
            ..peer(1)
        }],
    );
    assert!(network.nodes[0].device.peers(network.now)[0].up);
}

#[test]
fn preshared_keys_must_be_the_same() {
    let keyed = |node: usize, byte: u8| Peer {
        preshared_key: Some(PresharedKey::from_random([byte; 32])),
        ..peer(node)
    };
    let mut network = Network::strangers(2);
    network.set_peers(0, vec![keyed(1, 1)]);
    network.set_peers(1, vec![keyed(0, 2)]);
    network.send(0, 1, b"x");
    assert_eq!(network.take(1), []);
    assert_eq!(
        network.drops(0, DropReason::Forged),
        1,
        "the answer does not open"
    );
    network.set_peers(1, vec![keyed(0, 1)]);
    network.send(1, 0, b"y");
    assert_eq!(network.take(0), [(name(1), b"y".to_vec())]);
}

#[test]
fn a_new_list_keeps_the_tunnels_that_stay() {
    let mut network = Network::mesh(3);
    network.send(0, 1, b"x");
    network.send(0, 2, b"x");
    let renamed = Peer {
        name: "other".parse().expect("a name"),
        ..peer(1)
    };
    network.set_peers(0, vec![renamed]);
    let before = network.captured.len();
    let mut effects = Vec::new();
    let other = "other".parse().expect("a name");
    network.nodes[0]
        .device
        .send_message(&other, b"y", &mut effects)
        .expect("sent");
    network.carry(0, effects);
    assert_eq!(network.captured.len(), before + 1, "no new handshake");
    let gone = network.nodes[0]
        .device
        .send_message(&name(2), b"y", &mut Vec::new());
    assert_eq!(gone, Err(SendError::UnknownPeer));
    network.take(0);
    network.send(2, 0, b"still there?");
    assert_eq!(network.take(0), []);
    assert_eq!(network.drops(0, DropReason::Stale), 1);
}

#[test]
fn lists_that_contradict_themselves_are_refused_and_change_nothing() {
    let mut network = Network::mesh(3);
    let subnet = |text: &str| text.parse::<Subnet>().expect("a subnet");
    let cases = [
        (
            vec![
                peer(1),
                Peer {
                    name: name(1),
                    ..peer(2)
                },
            ],
            RosterError::NameTwice(name(1)),
        ),
        (
            vec![
                peer(1),
                Peer {
                    public_key: peer(1).public_key,
                    ..peer(2)
                },
            ],
            RosterError::KeyTwice(name(2)),
        ),
        (
            vec![
                peer(1),
                Peer {
                    address: overlay(1),
                    ..peer(2)
                },
            ],
            RosterError::AddressTwice(name(2)),
        ),
        (
            vec![
                Peer {
                    routes: vec![subnet("10.91.0.0/24")],
                    ..peer(1)
                },
                Peer {
                    routes: vec![subnet("10.91.0.9/24")],
                    ..peer(2)
                },
            ],
            RosterError::AddressTwice(name(2)),
        ),
        (vec![peer(0)], RosterError::Own(name(0))),
        (
            vec![Peer {
                address: overlay(0),
                ..peer(1)
            }],
            RosterError::OwnAddress(name(1)),
        ),
        (
            vec![Peer {
                address: "fd00::1".parse().expect("v6"),
                ..peer(1)
            }],
            RosterError::Family(name(1)),
        ),
    ];
    for (peers, expected) in cases {
        let refused = network.nodes[0]
            .device
            .set_peers(peers, network.now, &mut Vec::new());
        assert_eq!(refused, Err(expected));
    }
    network.send(0, 2, b"as before");
    assert_eq!(network.take(2).len(), 1);
}

#[test]
fn packets_follow_the_longest_route_and_need_an_interface() {
    let mut network = Network::mesh(3);
    network.nodes[2].device = device(2, true);
    network.set_peers(2, vec![peer(0), peer(1)]);
    let routes = |text: &str| vec![text.parse::<Subnet>().expect("a subnet")];
    network.set_peers(
        0,
        vec![
            Peer {
                routes: routes("10.0.0.0/8"),
                ..peer(1)
            },
            Peer {
                routes: routes("10.7.0.0/16"),
                ..peer(2)
            },
        ],
    );
    let target = "10.7.0.9".parse().expect("an address");
    let packet = packet::wrap(overlay(0), target, 5432, b"select 1").expect("a packet");
    let mut effects = Vec::new();
    network.nodes[0].device.send_packet(&packet, &mut effects);
    network.carry(0, effects);
    assert_eq!(network.nodes[2].packets, [packet]);
    let elsewhere = "10.8.0.9".parse().expect("an address");
    let packet = packet::wrap(overlay(0), elsewhere, 5432, b"select 1").expect("a packet");
    let mut effects = Vec::new();
    network.nodes[0].device.send_packet(&packet, &mut effects);
    network.carry(0, effects);
    assert_eq!(network.drops(1, DropReason::NoInterface), 1);
    let nowhere =
        packet::wrap(overlay(0), "192.0.2.9".parse().expect("v4"), 1, b"").expect("a packet");
    network.nodes[0]
        .device
        .send_packet(&nowhere, &mut Vec::new());
    assert_eq!(network.drops(0, DropReason::NoRoute), 1);
}
