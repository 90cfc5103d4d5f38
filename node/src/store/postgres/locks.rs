//! Which locks a commit holds, so that nothing it read changes and nobody writes what it writes. Pure.
//!
//! Keys are tuples, so they form a tree: tenant, mount, table, and so on. A commit locks each key that it writes
//! exclusively and each that it read in shared mode, and everything above them in shared mode. A range that it read or
//! emptied is locked exclusively as a whole, at the lowest place in the tree that holds all of it: every key in it has
//! that place above it. All commits take their locks in the order of their numbers, so no two wait for each other.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::super::overlay::{Mutation, WriteBuffer};
use super::reads::ReadSet;

/// How many locks one commit holds at most. A server of PostgreSQL's default settings has room for 6400 at a time:
/// enough for a hundred commits under way, whatever they do. Beyond that, a commit locks larger parts of the tree.
const MOST_LOCKS: usize = 64;
/// A key has a tenant, a mount, a table and at most some parts more.
const DEEPEST: usize = 12;
/// Orders the commits that append to the change feed, so that their stamps grow as they become visible. The largest
/// number, so that it is taken last and held shortest.
const FEED: i64 = i64::MAX;
/// Held while the schema is changed.
pub(super) const SCHEMA: i64 = -1;

/// Locks by number, and whether each is exclusive.
#[derive(Default)]
pub(super) struct Locks(BTreeMap<i64, bool>);

impl Locks {
    /// The locks that a commit of `writes` needs, which depend on `reads`.
    pub(super) fn of(reads: &ReadSet, writes: &WriteBuffer) -> Self {
        let mut depth = DEEPEST;
        loop {
            let locks = Self::down_to(depth, reads, writes);
            if depth == 0 || locks.0.len() <= MOST_LOCKS {
                return locks;
            }
            depth -= 1;
        }
    }

    /// The numbers in the order in which to take them, each with whether it is exclusive.
    pub(super) fn in_order(self) -> (Vec<i64>, Vec<bool>) {
        self.0.into_iter().unzip()
    }

    /// What lies deeper than `depth` is locked as part of what it belongs to.
    fn down_to(depth: usize, reads: &ReadSet, writes: &WriteBuffer) -> Self {
        let mut locks = Self::default();
        for key in reads.points() {
            locks.key(key, false, depth);
        }
        for (begin, end) in reads.ranges() {
            locks.range(begin, end, depth);
        }
        for (begin, end) in writes.cleared() {
            locks.range(begin, end, depth);
        }
        for (key, mutation) in writes.rows() {
            match mutation {
                Mutation::Set(_) | Mutation::Clear | Mutation::Add(_) | Mutation::Stamp => {
                    locks.key(key, true, depth);
                }
            }
        }
        if !writes.changes().is_empty() {
            locks.add(FEED, true);
        }
        locks
    }

    fn key(&mut self, key: &[u8], exclusive: bool, depth: usize) {
        let complete = self.above(key, key.len(), depth);
        if complete {
            self.add(number(b"key", key), exclusive);
        }
    }

    fn range(&mut self, begin: &[u8], end: &[u8], depth: usize) {
        let place = begin.get(..place_of(begin, end)).unwrap_or_default();
        if self.above(place, place.len(), depth) {
            self.add(number(b"place", place), true);
        }
    }

    /// Locks the places above the first `length` bytes of `key`. If there are more than `depth` of them, the last that
    /// counts is locked as a whole, and the answer is that nothing below needs a lock.
    fn above(&mut self, key: &[u8], length: usize, depth: usize) -> bool {
        let places = elements(key).take_while(|end| *end == 0 || *end < length);
        for (level, end) in places.enumerate() {
            let place = number(b"place", key.get(..end).unwrap_or_default());
            if level == depth {
                self.add(place, true);
                return false;
            }
            self.add(place, false);
        }
        true
    }

    fn add(&mut self, number: i64, exclusive: bool) {
        *self.0.entry(number).or_default() |= exclusive;
    }
}

/// The length of the longest beginning that all keys of a range have in common and that is above each of them.
fn place_of(begin: &[u8], end: &[u8]) -> usize {
    let common = begin.iter().zip(end).take_while(|(a, b)| a == b).count();
    let is_above_all = |length: &usize| {
        // Where the keys part, none may go on with 0xff: there, `elements` would not see the same end.
        let unclear = *length == common && matches!(end.get(common..), Some([0xff, _, ..]));
        *length < begin.len() && *length <= common && !unclear
    };
    elements(begin).filter(is_above_all).last().unwrap_or(0)
}

/// The lengths of a tuple's beginnings: 0, its first element, its first two, and so on. Ends early where the bytes are
/// no tuple. Keys that agree up to and including the byte after such a beginning agree on it.
fn elements(key: &[u8]) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(0), |position| {
        let rest = key.get(*position..)?;
        let (code, body) = rest.split_first()?;
        let length = match code {
            // Bytes: until a zero that is not followed by 0xff.
            0x01 => {
                let is_end = |at: &usize| {
                    body.get(*at) == Some(&0) && body.get(at.saturating_add(1)) != Some(&0xff)
                };
                (0..body.len()).find(is_end)? + 1
            }
            // Integers: the code says how many bytes they take.
            0x0c..=0x1c => usize::from(code.abs_diff(0x14)),
            _ => return None,
        };
        let end = position + 1 + length;
        (end <= key.len()).then_some(end)
    })
}

/// A lock's number. Two that share one by chance only wait for each other now and then.
fn number(kind: &[u8], bytes: &[u8]) -> i64 {
    let digest = Sha256::new()
        .chain_update([u8::try_from(kind.len()).unwrap_or(0)])
        .chain_update(kind)
        .chain_update(bytes)
        .finalize();
    let first = digest.first_chunk().copied().unwrap_or_default();
    // Neither negative, where the schema's is, nor the feed's.
    (i64::from_be_bytes(first) & i64::MAX).min(FEED - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{MountId, TenantId};
    use crate::store::key::{Key, KeyRange, Part, Pseudonym, Scope, Table};

    fn scope() -> Scope {
        let mount = MountId::from_bytes([0xff; 16]);
        Scope::Mount(TenantId::from_bytes([0; 16]), mount)
    }

    fn row(number: u64) -> Key {
        let name = Part::Name(Pseudonym([0; 16]));
        Key::row(scope(), Table::KvVersion, &[name, Part::Number(number)])
    }

    fn writing(keys: &[Key]) -> WriteBuffer {
        let mut writes = WriteBuffer::default();
        for key in keys {
            writes.set(key.as_bytes(), b"");
        }
        writes
    }

    fn emptying(range: &KeyRange) -> WriteBuffer {
        let mut writes = WriteBuffer::default();
        writes.clear_range(&range.begin, &range.end);
        writes
    }

    fn reading(keys: &[Key]) -> ReadSet {
        let mut reads = ReadSet::default();
        for key in keys {
            reads.point(key.as_bytes(), None);
        }
        reads
    }

    /// Whether two commits cannot be under way at the same time.
    fn exclude(one: &Locks, other: &Locks) -> bool {
        one.0.iter().any(|(number, exclusive)| {
            other
                .0
                .get(number)
                .is_some_and(|other_exclusive| *exclusive || *other_exclusive)
        })
    }

    fn commit(reads: &ReadSet, writes: &WriteBuffer) -> Locks {
        Locks::of(reads, writes)
    }

    #[test]
    fn elements_end_where_the_tuple_encoding_ends_them() {
        let key = row(300);
        let ends: Vec<usize> = elements(key.as_bytes()).collect();
        // An empty start, 16 escaped zeros, 16 bytes, a table, 16 escaped zeros, a number of two bytes.
        let lengths = [0, 1 + 32 + 1, 1 + 16 + 1, 2, 1 + 32 + 1, 3];
        let expected: Vec<usize> = lengths
            .iter()
            .scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            })
            .collect();
        assert_eq!(ends, expected);
        assert_eq!(ends.last(), Some(&key.as_bytes().len()));
    }

    #[test]
    fn writers_of_different_rows_do_not_wait_for_each_other() {
        let none = ReadSet::default();
        let one = commit(&reading(&[row(9)]), &writing(&[row(1)]));
        let other = commit(&reading(&[row(9)]), &writing(&[row(2)]));
        assert!(!exclude(&one, &other));
        assert!(exclude(&one, &commit(&none, &writing(&[row(1)]))));
        assert!(exclude(&one, &commit(&none, &writing(&[row(9)]))));
    }

    #[test]
    fn a_range_excludes_what_is_in_it_and_not_its_neighbours() {
        let none = ReadSet::default();
        let name = |byte| Part::Name(Pseudonym([byte; 16]));
        let range = KeyRange::rows(scope(), Table::KvVersion, &[name(0)]);
        let emptying = commit(&none, &emptying(&range));
        assert!(exclude(&emptying, &commit(&none, &writing(&[row(7)]))));
        let neighbour = Key::row(scope(), Table::KvVersion, &[name(1), Part::Number(7)]);
        assert!(!exclude(&emptying, &commit(&none, &writing(&[neighbour]))));
        let mut reads = ReadSet::default();
        reads.range(&range.begin, &range.end, Vec::new());
        let reading = commit(&reads, &writing(&[]));
        assert!(exclude(&reading, &commit(&none, &writing(&[row(7)]))));
    }

    #[test]
    fn large_commits_lock_larger_parts_and_still_exclude() {
        let none = ReadSet::default();
        let keys: Vec<Key> = (0..1000).map(row).collect();
        let large = commit(&none, &writing(&keys));
        assert!(large.0.len() <= MOST_LOCKS);
        assert!(exclude(&large, &commit(&none, &writing(&[row(999)]))));
        assert!(exclude(
            &large,
            &commit(&reading(&[row(5)]), &none_written())
        ));
        let everywhere: Vec<Key> = (0..1000_u64)
            .map(|number| {
                let mut id = [1; 16];
                id[..8].copy_from_slice(&number.to_be_bytes());
                Key::row(Scope::Tenant(TenantId::from_bytes(id)), Table::Epoch, &[])
            })
            .collect();
        let everything = commit(&none, &writing(&everywhere));
        assert!(everything.0.len() <= MOST_LOCKS);
        assert!(exclude(&everything, &commit(&none, &writing(&[row(1)]))));
    }

    fn none_written() -> WriteBuffer {
        WriteBuffer::default()
    }

    #[test]
    fn the_feeds_lock_comes_last() {
        let mut writes = writing(&[row(1)]);
        writes.append_change(b"record");
        let (numbers, exclusive) = commit(&ReadSet::default(), &writes).in_order();
        assert!(numbers.is_sorted());
        assert_eq!(numbers.last(), Some(&FEED));
        assert_eq!(exclusive.last(), Some(&true));
        assert!(numbers.iter().all(|number| *number > SCHEMA));
    }

    proptest! {
        /// Whatever the bytes are: a range and a key inside it exclude each other.
        #[test]
        fn a_key_in_a_range_excludes_it(
            a in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x15), Just(0xff), any::<u8>()], 0..12),
            b in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x15), Just(0xff), any::<u8>()], 0..12),
            c in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x15), Just(0xff), any::<u8>()], 0..12),
        ) {
            let mut sorted = [a, b, c];
            sorted.sort();
            let [begin, key, end] = sorted;
            prop_assume!(key < end);
            let emptying = emptying(&KeyRange { begin, end });
            let none = ReadSet::default();
            let writing = writing(&[Key::from_stored(key)]);
            prop_assert!(exclude(&commit(&none, &emptying), &commit(&none, &writing)));
        }
    }
}
