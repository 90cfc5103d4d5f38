//! Messages cut into packets and joined again, in any order and from any bytes.

use std::time::Duration;

use proptest::prelude::*;

use super::header::{HEADER_BYTES, Header};
use super::reassemble::{Joined, MAX_PARTIAL_BYTES, MAX_PARTIALS, PARTIAL_TTL, Reassembler};
use super::{MAX_MESSAGE_BYTES, fragments};

const CHUNK: usize = 1300;
const NOW: Duration = Duration::from_secs(1_000);

/// A message that differs from place to place and from others, so that wrong joins show.
fn message(length: usize, id: u64) -> Vec<u8> {
    (0..length)
        .map(|at| ((at as u64 + 31 * id) % 251) as u8)
        .collect()
}

fn cut(length: usize, id: u64) -> Vec<Vec<u8>> {
    fragments(&message(length, id), id, CHUNK).collect()
}

#[test]
fn a_message_comes_together_in_any_order() {
    for length in [
        0,
        1,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        10 * CHUNK,
        MAX_MESSAGE_BYTES,
    ] {
        let mut reassembler = Reassembler::default();
        let pieces = cut(length, 7);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= CHUNK + HEADER_BYTES)
        );
        let (first, rest) = pieces.split_first().expect("at least one fragment");
        for piece in rest.iter().rev() {
            assert_eq!(reassembler.accept(piece, NOW), Joined::Waiting);
            // Once more: a repeated fragment changes nothing.
            assert_eq!(reassembler.accept(piece, NOW), Joined::Waiting);
        }
        assert_eq!(
            reassembler.accept(first, NOW),
            Joined::Message(message(length, 7))
        );
        assert_eq!(reassembler.held(), (0, 0));
        assert_eq!(reassembler.take_lost(), 0);
    }
}

#[test]
fn an_incomplete_message_is_dropped_in_time() {
    let mut reassembler = Reassembler::default();
    let pieces = cut(3 * CHUNK, 7);
    assert_eq!(reassembler.accept(&pieces[0], NOW), Joined::Waiting);
    reassembler.expire(NOW + PARTIAL_TTL);
    assert_eq!(reassembler.held().0, 1);
    reassembler.expire(NOW + PARTIAL_TTL + Duration::from_millis(1));
    assert_eq!(reassembler.held(), (0, 0));
    assert_eq!(reassembler.take_lost(), 1);
    assert_eq!(reassembler.accept(&pieces[1], NOW), Joined::Waiting);
    assert_eq!(reassembler.accept(&pieces[2], NOW), Joined::Waiting);
}

#[test]
fn the_oldest_incomplete_message_goes_when_there_are_too_many() {
    let mut reassembler = Reassembler::default();
    for id in 0..=MAX_PARTIALS as u64 {
        let moment = NOW + Duration::from_millis(id);
        assert_eq!(
            reassembler.accept(&cut(2 * CHUNK, id)[0], moment),
            Joined::Waiting
        );
    }
    assert_eq!(reassembler.take_lost(), 1);
    let last = NOW + Duration::from_secs(1);
    assert_eq!(
        reassembler.accept(&cut(2 * CHUNK, 0)[1], last),
        Joined::Waiting
    );
    let newest = cut(2 * CHUNK, MAX_PARTIALS as u64);
    assert_eq!(
        reassembler.accept(&newest[1], last),
        Joined::Message(message(2 * CHUNK, MAX_PARTIALS as u64))
    );
}

#[test]
fn bytes_of_incomplete_messages_are_bounded() {
    let mut reassembler = Reassembler::default();
    for id in 0..10 {
        for piece in cut(MAX_MESSAGE_BYTES, id).iter().skip(1) {
            reassembler.accept(piece, NOW);
            assert!(reassembler.held().1 <= MAX_PARTIAL_BYTES);
        }
    }
    assert!(reassembler.held().0 >= 4, "four whole messages fit");
    assert!(reassembler.take_lost() >= 5);
}

#[test]
fn fragments_that_contradict_each_other_are_refused() {
    let mut reassembler = Reassembler::default();
    assert_eq!(
        reassembler.accept(&cut(3 * CHUNK, 7)[0], NOW),
        Joined::Waiting
    );
    assert_eq!(
        reassembler.accept(&cut(4 * CHUNK, 7)[1], NOW),
        Joined::Malformed
    );
    let other: Vec<_> = fragments(&message(3 * CHUNK, 7), 7, CHUNK - 1).collect();
    assert_eq!(reassembler.accept(&other[1], NOW), Joined::Malformed);
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    let good = cut(3 * CHUNK, 7).remove(1);
    assert!(Header::decode(&good).is_some());
    let changes: [(usize, u8, &str); 5] = [
        (0, 2, "another version"),
        (1, 1, "a reserved bit"),
        (2, 0, "too small a chunk"),
        (5, 3, "an index past the end"),
        (7, 2, "a total above the limit"),
    ];
    for (at, value, what) in changes {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(Header::decode(&bad), None, "{what}");
    }
    assert_eq!(Header::decode(&good[..good.len() - 1]), None, "cut short");
    assert_eq!(Header::decode(&[good, vec![0]].concat()), None, "too long");
}

proptest! {
    #[test]
    fn headers_read_back(id: u64, total in 0..=MAX_MESSAGE_BYTES, chunk in 0usize..3000, index: u16) {
        let first = Header::first(id, total, chunk);
        let header = Header { index: index % first.count(), ..first };
        let mut fragment = Vec::new();
        header.encode(&mut fragment);
        prop_assert_eq!(fragment.len(), HEADER_BYTES);
        fragment.resize(HEADER_BYTES + header.range().len(), 0xab);
        prop_assert_eq!(Header::decode(&fragment).map(|(header, _)| header), Some(header));
    }

    #[test]
    fn noise_never_panics_and_stays_bounded(
        noise in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 0u64..4, 0u64..9000), 0..60),
    ) {
        let mut reassembler = Reassembler::default();
        let mut now = NOW;
        for (mut bytes, kind, pause_ms) in noise {
            now += Duration::from_millis(pause_ms);
            // Mostly almost-valid fragments: noise alone would rarely pass the version.
            if kind > 0 {
                let fragment = cut((bytes.len() + 1) * 800, kind).swap_remove(bytes.len() / 3);
                let keep = bytes.first().map_or(0, |byte| usize::from(*byte) % HEADER_BYTES);
                bytes = if kind > 1 { fragment } else { [&fragment[..keep], &bytes[..]].concat() };
            }
            reassembler.accept(&bytes, now);
            let (partials, held) = reassembler.held();
            prop_assert!(partials <= MAX_PARTIALS && held <= MAX_PARTIAL_BYTES);
        }
    }

    #[test]
    fn shuffled_duplicated_and_interleaved_messages_come_out_whole(
        lengths in prop::collection::vec(0..20_000usize, 1..6),
        seed: u64,
    ) {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for (id, length) in lengths.iter().enumerate() {
            all.extend(cut(*length, id as u64));
        }
        let count = all.len() as u64;
        let mut state = seed | 1;
        for at in (1..all.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(count);
            all.swap(at, (state >> 33) as usize % (at + 1));
        }
        let mut reassembler = Reassembler::default();
        let mut out: Vec<Vec<u8>> = Vec::new();
        for fragment in &all {
            if let Joined::Message(joined) = reassembler.accept(fragment, NOW) {
                out.push(joined);
            }
        }
        let mut expected: Vec<_> = (0..).zip(lengths).map(|(id, length)| message(length, id)).collect();
        expected.sort_unstable();
        out.sort_unstable();
        prop_assert_eq!(out, expected);
    }
}
