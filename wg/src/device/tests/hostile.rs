//! What strangers, dishonest peers and the line may do.

use proptest::prelude::*;

use super::*;
use crate::packet;
use crate::tunnel::MAX_PACKET_BYTES;

#[test]
fn an_unknown_key_is_refused_without_an_answer() {
    let mut network = Network::strangers(2);
    network.set_peers(0, vec![peer(1)]);
    network.send(0, 1, b"let me in");
    assert_eq!(network.captured.len(), 1, "nothing came back");
    assert_eq!(network.take(1), []);
    assert_eq!(network.drops(1, DropReason::UnknownPeer), 1);
}

#[test]
fn a_handshake_for_somebody_else_is_refused() {
    let mut network = Network::mesh(3);
    network.send(0, 1, b"x");
    let (from, _, initiation) = network.captured[0].clone();
    network.datagram(from, place(2), &initiation);
    assert_eq!(network.drops(2, DropReason::Forged), 1);
}

#[test]
fn replayed_datagrams_are_dropped_and_do_not_move_the_peer() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"x");
    network.send(0, 1, b"y");
    network.take(1);
    let thief: SocketAddr = "203.0.113.66:1".parse().expect("an address");
    let captured = network.captured.clone();
    let to_node_1 = captured.iter().filter(|(_, to, _)| *to == place(1));
    let mut replayed = 0;
    for (_, to, bytes) in to_node_1 {
        network.datagram(thief, *to, bytes);
        replayed += 1;
    }
    assert!(replayed >= 4, "initiation, keep-alive, two messages");
    assert_eq!(network.take(1), []);
    assert_eq!(network.drops(1, DropReason::Replayed), replayed);
    assert_eq!(
        network.nodes[1].device.peers(network.now)[0].endpoint,
        Some(place(0))
    );
}

#[test]
fn a_peer_cannot_speak_for_another_address() {
    let mut network = Network::mesh(3);
    let forged = packet::wrap(overlay(2), overlay(1), Settings::DEFAULT_MESSAGE_PORT, b"x");
    let mut effects = Vec::new();
    network.nodes[0]
        .device
        .send_packet(&forged.expect("a packet"), &mut effects);
    network.carry(0, effects);
    assert_eq!(network.take(1), []);
    assert_eq!(network.drops(1, DropReason::WrongSource), 1);
}

#[test]
fn messages_come_from_the_peers_own_address_only() {
    let mut network = Network::mesh(2);
    let routes = vec!["10.91.0.0/24".parse().expect("a subnet")];
    network.set_peers(1, vec![Peer { routes, ..peer(0) }]);
    let routed = "10.91.0.5".parse().expect("an address");
    let forged = packet::wrap(routed, overlay(1), Settings::DEFAULT_MESSAGE_PORT, b"x");
    let mut effects = Vec::new();
    network.nodes[0]
        .device
        .send_packet(&forged.expect("a packet"), &mut effects);
    network.carry(0, effects);
    assert_eq!(network.drops(1, DropReason::WrongSource), 1);
}

#[test]
fn what_is_no_fragment_is_counted() {
    let mut network = Network::mesh(2);
    let packet = packet::wrap(
        overlay(0),
        overlay(1),
        Settings::DEFAULT_MESSAGE_PORT,
        b"hello",
    );
    let mut effects = Vec::new();
    network.nodes[0]
        .device
        .send_packet(&packet.expect("a packet"), &mut effects);
    network.carry(0, effects);
    assert_eq!(network.drops(1, DropReason::BadMessage), 1);
    assert_eq!(network.take(1), []);
}

#[test]
fn a_message_that_lost_a_packet_is_counted_and_forgotten() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"up");
    network.take(1);
    let mut effects = Vec::new();
    network.nodes[0]
        .device
        .send_message(&name(1), &[7; 5000], &mut effects)
        .expect("sent");
    effects.remove(1);
    network.carry(0, effects);
    assert_eq!(network.take(1), []);
    network.tick(Duration::from_secs(6));
    assert_eq!(network.drops(1, DropReason::Incomplete), 1);
}

#[test]
fn counters_past_the_end_of_the_protocol_are_refused() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"x");
    let (from, to, mut bytes) = network.captured.last().cloned().expect("a datagram");
    bytes[8..16].fill(0xff);
    network.datagram(from, to, &bytes);
    assert_eq!(network.drops(1, DropReason::Malformed), 1);
}

#[test]
fn what_is_longer_than_anything_real_is_dropped_and_counted() {
    let mut network = Network::mesh(2);
    network.send(0, 1, b"up");
    network.take(1);
    let dropped = |network: &Network| -> u64 {
        let drops = network.nodes[1].device.drops();
        drops.iter().map(|(_, count)| count).sum()
    };
    // As long as a UDP datagram over IPv4 can be, of each kind that there is and two that there are not.
    for (kind, before) in (0..6).zip(0..) {
        let mut bytes = vec![0x55; 65_507];
        bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
        assert_eq!(dropped(&network), before);
        network.datagram(place(0), place(1), &bytes);
        assert_eq!(dropped(&network), before + 1, "kind {kind}");
    }
    // A true datagram with something behind it.
    let mut effects = Vec::new();
    let sent = network.nodes[0]
        .device
        .send_message(&name(1), b"true", &mut effects);
    sent.expect("sent");
    let Some(Effect::Datagram { to, bytes }) = effects.first().cloned() else {
        panic!("a datagram");
    };
    let mut longer = bytes;
    longer.resize(65_507, 0);
    network.datagram(place(0), to, &longer);
    assert_eq!(network.drops(1, DropReason::Forged), 1);
    network.carry(0, effects);
    assert_eq!(network.take(1), [(name(0), b"true".to_vec())]);
    // A packet of the interface that no datagram has room for.
    let packet = vec![0x45; MAX_PACKET_BYTES + 1];
    let mut effects = Vec::new();
    network.nodes[0].device.send_packet(&packet, &mut effects);
    assert_eq!(effects, []);
    assert_eq!(network.drops(0, DropReason::Oversize), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_never_panics_and_is_never_answered(
        mut noise in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0u8..6,
        real_length: bool,
    ) {
        let mut network = Network::mesh(2);
        if real_length {
            noise.resize(match kind { 1 => 148, 2 => 92, 3 => 64, _ => noise.len() }, 0);
        }
        if let Some(head) = noise.first_chunk_mut() {
            *head = [kind, 0, 0, 0];
        }
        network.datagram(place(0), place(1), &noise);
        prop_assert_eq!(network.captured.len(), 0);
        let dropped: u64 = network.nodes[1].device.drops().iter().map(|(_, count)| count).sum();
        prop_assert_eq!(dropped, 1);
    }

    #[test]
    fn a_changed_or_cut_datagram_changes_nothing(
        which: prop::sample::Index,
        at: prop::sample::Index,
        change in 1u8..,
        cut: bool,
    ) {
        // Datagrams that were sent and held back, each changed before it arrives for the first time.
        let mut network = Network::mesh(2);
        network.send(0, 1, b"up");
        network.take(1);
        let mut effects = Vec::new();
        network.nodes[0].device.send_message(&name(1), &[7; 3000], &mut effects).expect("sent");
        let which = which.index(effects.len());
        let Effect::Datagram { to, bytes } = &effects[which] else {
            return Err(TestCaseError::fail("only datagrams"));
        };
        let (to, mut bytes) = (*to, bytes.clone());
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at); } else { bytes[at] ^= change; }
        let thief: SocketAddr = "203.0.113.66:1".parse().expect("an address");
        network.datagram(thief, to, &bytes);
        let stats = network.nodes[1].device.peers(network.now);
        prop_assert_eq!(stats[0].endpoint, Some(place(0)), "it did not move");
        network.carry(0, effects);
        prop_assert_eq!(network.take(1), [(name(0), vec![7; 3000])], "the true ones are still taken");
    }
}
