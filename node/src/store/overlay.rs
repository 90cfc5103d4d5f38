//! What a transaction has written so far, laid over what the store holds. Pure: no store, no locks.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use super::key::Key;
use super::{Row, StoreError};

/// What happens to one row at commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mutation {
    /// The row gets this value.
    Set(Vec<u8>),
    /// The row goes away.
    Clear,
    /// The row's counter moves by this much.
    Add(i64),
    /// The row gets the stamp of the commit.
    Stamp,
}

/// The writes of one transaction. Applying them means: empty the ranges in [`WriteBuffer::cleared`], then do each row's
/// mutation. Later writes to a row have already replaced earlier ones.
#[derive(Default)]
pub(super) struct WriteBuffer {
    rows: BTreeMap<Vec<u8>, Mutation>,
    cleared: RangeSet,
    changes: Vec<Vec<u8>>,
    bytes: usize,
    misuse: Option<&'static str>,
}

/// What the buffer alone knows about a row.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// The row's value, or that there is none.
    Value(Option<Vec<u8>>),
    /// The stored counter is to be moved by this much.
    Moved(i64),
    /// Nothing: ask the store.
    Unknown,
}

const STAMP_READ: &str = "a stamp was read in the transaction that sets it";
const STAMP_MOVED: &str = "a stamp was added to in the transaction that sets it";

impl WriteBuffer {
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.put(key, Mutation::Set(value.to_vec()), value.len());
    }

    pub(super) fn clear(&mut self, key: &[u8]) {
        self.put(key, Mutation::Clear, 0);
    }

    pub(super) fn set_stamp(&mut self, key: &[u8]) {
        self.put(key, Mutation::Stamp, 10);
    }

    pub(super) fn add(&mut self, key: &[u8], delta: i64) {
        let mutation = match self.rows.get(key) {
            Some(Mutation::Set(value)) => Mutation::Set(counter_plus(Some(value), delta)),
            Some(Mutation::Clear) => Mutation::Set(counter_plus(None, delta)),
            Some(Mutation::Add(earlier)) => Mutation::Add(earlier.wrapping_add(delta)),
            Some(Mutation::Stamp) => {
                self.misuse = Some(STAMP_MOVED);
                return;
            }
            None if self.cleared.contains(key) => Mutation::Set(counter_plus(None, delta)),
            None => Mutation::Add(delta),
        };
        self.put(key, mutation, 8);
    }

    pub(super) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        if begin >= end {
            return;
        }
        let bounds = (Bound::Included(begin), Bound::Excluded(end));
        let inside: Vec<_> = self
            .rows
            .range::<[u8], _>(bounds)
            .map(|(key, _)| key.clone())
            .collect();
        for key in inside {
            self.rows.remove(&key);
        }
        self.cleared.insert(begin, end);
        self.bytes = self.bytes.saturating_add(begin.len() + end.len());
    }

    pub(super) fn append_change(&mut self, record: &[u8]) {
        self.bytes = self.bytes.saturating_add(record.len());
        self.changes.push(record.to_vec());
    }

    /// Whether committing this would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.cleared.is_empty() && self.changes.is_empty()
    }

    /// How much memory the writes took. Grows with overwritten rows too, so that a loop that writes one row cannot run
    /// past the limit unseen.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A mistake of the caller that makes this transaction meaningless.
    pub(super) fn misuse(&self) -> Option<&'static str> {
        self.misuse
    }

    pub(super) fn rows(&self) -> &BTreeMap<Vec<u8>, Mutation> {
        &self.rows
    }

    pub(super) fn cleared(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.cleared.iter()
    }

    pub(super) fn changes(&self) -> &[Vec<u8>] {
        &self.changes
    }

    /// What this buffer says about `key`.
    pub(super) fn known(&self, key: &[u8]) -> Result<Known, StoreError> {
        Ok(match self.rows.get(key) {
            Some(Mutation::Set(value)) => Known::Value(Some(value.clone())),
            Some(Mutation::Clear) => Known::Value(None),
            Some(Mutation::Add(delta)) => Known::Moved(*delta),
            Some(Mutation::Stamp) => return Err(StoreError::Misuse(STAMP_READ)),
            None if self.cleared.contains(key) => Known::Value(None),
            None => Known::Unknown,
        })
    }

    /// The parts between `begin` and `end` that this transaction has not emptied, in order.
    pub(super) fn gaps(&self, begin: &[u8], end: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.cleared.gaps(begin, end)
    }

    /// How many rows between `begin` and `end` this transaction has written or removed one by one.
    pub(super) fn touched_between(&self, begin: &[u8], end: &[u8]) -> usize {
        let bounds = (Bound::Included(begin), Bound::Excluded(end));
        self.rows.range::<[u8], _>(bounds).count()
    }

    /// Lays the buffer's rows between `begin` and `end` over `stored`, which yields the store's rows of the same range
    /// in the same direction, and returns the first `limit`.
    pub(super) fn overlay<K: Borrow<[u8]>, V: Borrow<[u8]>>(
        &self,
        stored: impl Iterator<Item = Result<(K, V), StoreError>>,
        (begin, end): (&[u8], &[u8]),
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let bounds = (Bound::Included(begin), Bound::Excluded(end));
        let written = self.rows.range::<[u8], _>(bounds);
        if reverse {
            self.merge(stored.peekable(), written.rev().peekable(), limit, reverse)
        } else {
            self.merge(stored.peekable(), written.peekable(), limit, reverse)
        }
    }

    fn merge<'a, K: Borrow<[u8]>, V: Borrow<[u8]>>(
        &self,
        mut stored: Peekable<impl Iterator<Item = Result<(K, V), StoreError>>>,
        mut written: Peekable<impl Iterator<Item = (&'a Vec<u8>, &'a Mutation)>>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let mut merged = Vec::new();
        while merged.len() < limit {
            // Which of the two comes next; a failed read counts as next, so that it is told.
            let next = match (stored.peek(), written.peek()) {
                (None, None) => break,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
                (Some(Ok((key, _))), Some((written_key, _))) => {
                    let order = key.borrow().cmp(written_key.as_slice());
                    if reverse { order.reverse() } else { order }
                }
            };
            let base = if next.is_le() {
                stored.next().transpose()?
            } else {
                None
            };
            let mutation = if next.is_ge() { written.next() } else { None };
            match (base, mutation) {
                (Some((key, value)), None) => {
                    if !self.cleared.contains(key.borrow()) {
                        merged.push(row(key.borrow(), value.borrow().to_vec()));
                    }
                }
                (_, Some((key, Mutation::Set(value)))) => merged.push(row(key, value.clone())),
                (base, Some((key, Mutation::Add(delta)))) => {
                    let base = base.as_ref().map(|(_, value)| value.borrow());
                    merged.push(row(key, counter_plus(base, *delta)));
                }
                (_, Some((_, Mutation::Stamp))) => return Err(StoreError::Misuse(STAMP_READ)),
                (_, Some((_, Mutation::Clear))) | (None, None) => {}
            }
        }
        Ok(merged)
    }

    fn put(&mut self, key: &[u8], mutation: Mutation, value_bytes: usize) {
        self.bytes = self.bytes.saturating_add(key.len() + value_bytes);
        self.rows.insert(key.to_vec(), mutation);
    }
}

fn row(key: &[u8], value: Vec<u8>) -> Row {
    (Key::from_stored(key.to_vec()), value)
}

/// A counter's bytes after adding to it. As FoundationDB's ADD, a value of another length is cut or zero-extended.
pub(super) fn counter_plus(value: Option<&[u8]>, delta: i64) -> Vec<u8> {
    let mut bytes = [0_u8; 8];
    for (byte, stored) in bytes.iter_mut().zip(value.unwrap_or_default()) {
        *byte = *stored;
    }
    i64::from_le_bytes(bytes)
        .wrapping_add(delta)
        .to_le_bytes()
        .to_vec()
}

/// Disjoint key ranges.
#[derive(Default)]
struct RangeSet(BTreeMap<Vec<u8>, Vec<u8>>);

impl RangeSet {
    fn insert(&mut self, begin: &[u8], end: &[u8]) {
        let (mut begin, mut end) = (begin.to_vec(), end.to_vec());
        // Ranges that touch or overlap the new one become part of it: those that begin inside, and the one before.
        while let Some((other_begin, other_end)) = self
            .0
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(end.as_slice())))
            .next_back()
            .filter(|(_, other_end)| **other_end >= begin)
            .map(|(other_begin, other_end)| (other_begin.clone(), other_end.clone()))
        {
            self.0.remove(&other_begin);
            begin = begin.min(other_begin);
            end = end.max(other_end);
        }
        self.0.insert(begin, end);
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| key < end.as_slice())
    }

    /// What of `begin..end` lies in none of the ranges.
    fn gaps(&self, begin: &[u8], end: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut gaps = Vec::new();
        let mut position = begin;
        for (range_begin, range_end) in self.iter() {
            if range_begin >= end {
                break;
            }
            if position < range_begin {
                gaps.push((position.to_vec(), range_begin.to_vec()));
            }
            position = position.max(range_end);
        }
        if position < end {
            gaps.push((position.to_vec(), end.to_vec()));
        }
        gaps
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(begin, end)| (begin.as_slice(), end.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_was_not_emptied() {
        let mut writes = WriteBuffer::default();
        let gaps = |writes: &WriteBuffer, begin: &str, end: &str| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let gaps = writes.gaps(begin.as_bytes(), end.as_bytes()).into_iter();
            gaps.map(|(begin, end)| text(begin) + "-" + &text(end))
                .collect::<Vec<_>>()
        };
        assert_eq!(gaps(&writes, "a", "z"), ["a-z"]);
        writes.clear_range(b"d", b"f");
        writes.clear_range(b"k", b"m");
        assert_eq!(gaps(&writes, "a", "z"), ["a-d", "f-k", "m-z"]);
        assert_eq!(gaps(&writes, "e", "l"), ["f-k"]);
        assert_eq!(gaps(&writes, "f", "k"), ["f-k"]);
        assert!(gaps(&writes, "d", "f").is_empty());
        assert!(gaps(&writes, "z", "a").is_empty());
    }
}
