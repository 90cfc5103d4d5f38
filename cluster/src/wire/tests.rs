//! Property tests of the wire format.

use proptest::prelude::*;

use super::*;
use crate::bounded::MAX_BODY_BYTES;
use crate::facts::{
    BUCKETS, FactKey, FactName, FactValue, MAX_FACT_NAME_BYTES, MAX_FACT_VALUE_BYTES,
};
use crate::hints::{HintContent, MAX_HINT_BYTES};
use crate::id::{ClusterId, Tenant};

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn decode(bytes: &[u8], cluster: &ClusterId) -> Result<Packet, Unreadable> {
    super::decode(bytes, cluster, NEWEST_VERSION)
}

fn bytes(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=limit)
}

fn fact() -> impl Strategy<Value = Fact> {
    (
        any::<[u8; 16]>(),
        bytes(MAX_FACT_NAME_BYTES),
        any::<u64>(),
        bytes(MAX_FACT_VALUE_BYTES),
        any::<u32>(),
    )
        .prop_map(|(tenant, name, version, value, life_ms)| Fact {
            key: FactKey {
                tenant: Tenant(tenant),
                name: FactName::new(&name).unwrap(),
            },
            version,
            value: FactValue::new(&value).unwrap(),
            life: Duration::from_millis(life_ms.into()),
        })
}

fn hint() -> impl Strategy<Value = Hint> {
    (any::<[u8; 16]>(), bytes(MAX_HINT_BYTES)).prop_map(|(tenant, content)| Hint {
        tenant: Tenant(tenant),
        content: HintContent::new(&content).unwrap(),
    })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let echo = prop::option::of(any::<(u64, u64, u64)>());
    let numbers = any::<(u64, u64, i64, u8, bool, u64, u64)>();
    (numbers, echo, bytes(MAX_ABOUT_BYTES)).prop_map(|(numbers, echo, about)| {
        let (boot, mark, wall_ns, newest_version, wants_reply, facts_root, roster) = numbers;
        Heartbeat {
            boot: BootId(boot),
            mark: Duration::from_nanos(mark),
            wall_ns,
            newest_version,
            wants_reply,
            echo: echo.map(|(boot, mark, held_ns)| Echo {
                boot: BootId(boot),
                mark: Duration::from_nanos(mark),
                held_ns,
            }),
            facts_root,
            about: About::new(&about).unwrap(),
            roster: Some(roster),
        }
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let body = || prop_oneof![bytes(40), bytes(MAX_BODY_BYTES)].prop_map(|b| Body::new(b).unwrap());
    let end = prop_oneof![Just(End::No), Just(End::Complete), Just(End::Partial)];
    prop_oneof![
        heartbeat().prop_map(Packet::Heartbeat),
        (end, prop::collection::vec(fact(), 0..8))
            .prop_map(|(end, facts)| Packet::Facts { end, facts }),
        prop::collection::vec(any::<u64>(), usize::from(BUCKETS))
            .prop_map(|buckets| Packet::Digest(Digest::from_buckets(buckets.try_into().unwrap()))),
        prop::collection::vec(hint(), 0..17).prop_map(Packet::Hints),
        (any::<(u64, u32)>(), body()).prop_map(|((id, remaining_ms), body)| Packet::Request {
            id,
            remaining_ms,
            body
        }),
        (any::<u64>(), prop::option::of(body())).prop_map(|(id, body)| Packet::Reply { id, body }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(packet in packet()) {
        let written = encode(&packet, &CLUSTER, NEWEST_VERSION);
        prop_assert!(written.len() <= MAX_MESSAGE_BYTES);
        prop_assert!(written.capacity() <= written.len() + 40);
        if !matches!(packet, Packet::Request { .. } | Packet::Reply { .. }) {
            prop_assert!(written.len() <= MAX_GOSSIP_BYTES);
        }
        prop_assert_eq!(decode(&written, &CLUSTER), Ok(packet));
    }

    #[test]
    fn the_version_before_is_read_without_what_it_lacks(packet in packet()) {
        let written = encode(&packet, &CLUSTER, OLDEST_VERSION);
        let mut expected = packet;
        if let Packet::Heartbeat(heartbeat) = &mut expected {
            heartbeat.roster = None;
        }
        prop_assert_eq!(decode(&written, &CLUSTER), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut noise in bytes(1300), version in 0u8..4, kind in 0u8..8) {
        let _ = decode(&noise, &CLUSTER);
        // With a header that is right, the noise reaches the readers behind it.
        if let Some(header) = noise.first_chunk_mut::<HEADER_BYTES>() {
            header[0] = version;
            header[1] = kind;
            header[2..].copy_from_slice(&CLUSTER.0);
        }
        if let Ok(packet) = decode(&noise, &CLUSTER) {
            prop_assert_eq!(&*encode(&packet, &CLUSTER, version), &noise);
        }
    }

    #[test]
    fn no_part_of_a_packet_is_a_packet(packet in packet(), cut in any::<prop::sample::Index>()) {
        let written = encode(&packet, &CLUSTER, NEWEST_VERSION);
        let part = &written[..cut.index(written.len())];
        prop_assert!(decode(part, &CLUSTER).is_err());
    }

    #[test]
    fn lists_are_divided_into_packets_that_fit(
        facts in prop::collection::vec(fact(), 0..100),
        hints in prop::collection::vec(hint(), 0..200),
    ) {
        let divided = divide_facts(facts.clone());
        prop_assert!(divided.iter().all(|list| !list.is_empty()));
        for list in &divided {
            let packet = Packet::Facts { end: End::No, facts: list.clone() };
            prop_assert!(encode(&packet, &CLUSTER, NEWEST_VERSION).len() <= MAX_GOSSIP_BYTES);
        }
        prop_assert_eq!(divided.concat(), facts);
        let divided = divide_hints(hints.clone());
        for list in &divided {
            let packet = Packet::Hints(list.clone());
            prop_assert_eq!(decode(&encode(&packet, &CLUSTER, 1), &CLUSTER), Ok(packet));
        }
        prop_assert_eq!(divided.concat(), hints);
    }
}

#[test]
fn other_clusters_and_versions_are_refused() {
    let packet = Packet::Hints(Vec::new());
    let written = encode(&packet, &ClusterId([8; 16]), NEWEST_VERSION);
    assert_eq!(
        decode(&written, &CLUSTER),
        Err(Unreadable::OtherCluster(ClusterId([8; 16])))
    );
    for version in [0, NEWEST_VERSION + 1, u8::MAX] {
        let written = encode(&packet, &CLUSTER, version);
        assert_eq!(decode(&written, &CLUSTER), Err(Unreadable::Version));
    }
    let newer = encode(&packet, &CLUSTER, NEWEST_VERSION);
    let by_older = super::decode(&newer, &CLUSTER, OLDEST_VERSION);
    assert_eq!(by_older, Err(Unreadable::Version));
    assert_eq!(decode(&[], &CLUSTER), Err(Unreadable::Malformed));
}

#[test]
fn the_longest_heartbeat_and_body_fit() {
    let body = Body::new(vec![1; MAX_BODY_BYTES]).unwrap();
    let request = Packet::Request {
        id: 1,
        remaining_ms: 1,
        body,
    };
    let written = encode(&request, &CLUSTER, NEWEST_VERSION);
    assert!(written.len() <= MAX_MESSAGE_BYTES);
    assert_eq!(decode(&written, &CLUSTER), Ok(request));
    let mut too_long = written.to_vec();
    too_long.resize(MAX_MESSAGE_BYTES + 1, 0);
    assert_eq!(decode(&too_long, &CLUSTER), Err(Unreadable::Malformed));
}
