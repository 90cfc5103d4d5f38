//! Who wrote what lately, and whether a transaction read something older: FoundationDB's resolver in small. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What a transaction read from the store.
#[derive(Default)]
pub(super) struct ReadSet {
    points: Vec<Vec<u8>>,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl ReadSet {
    pub(super) fn point(&mut self, key: &[u8]) {
        self.bytes = self.bytes.saturating_add(key.len());
        self.points.push(key.to_vec());
    }

    pub(super) fn range(&mut self, begin: &[u8], end: &[u8]) {
        self.bytes = self.bytes.saturating_add(begin.len() + end.len());
        self.ranges.push((begin.to_vec(), end.to_vec()));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How many written rows are remembered. A transaction that is older than the oldest of them conflicts by rule; at
/// 10 000 rows per second that is one that ran for ten seconds, twice what FoundationDB allows.
const REMEMBERED_WRITES: usize = 100_000;

/// The recent writes of all transactions.
pub(super) struct ConflictLog {
    /// The version of the last write to each remembered row.
    points: BTreeMap<Arc<[u8]>, u64>,
    /// Each write to a row, oldest first.
    point_order: VecDeque<(u64, Arc<[u8]>)>,
    /// Each removal of a range, oldest first.
    ranges: VecDeque<(u64, Vec<u8>, Vec<u8>)>,
    /// Everything written after this version is remembered.
    complete_after: u64,
    remembered: usize,
}

impl ConflictLog {
    /// A log that knows of nothing before `version`.
    pub(super) fn starting_at(version: u64) -> Self {
        Self::with_limit(version, REMEMBERED_WRITES)
    }

    fn with_limit(version: u64, remembered: usize) -> Self {
        Self {
            points: BTreeMap::new(),
            point_order: VecDeque::new(),
            ranges: VecDeque::new(),
            complete_after: version,
            remembered,
        }
    }

    /// Whether something in `reads`, read as of `read_version`, has been written since.
    pub(super) fn conflicts(&self, reads: &ReadSet, read_version: u64) -> bool {
        let read_anything = !(reads.points.is_empty() && reads.ranges.is_empty());
        if read_anything && read_version < self.complete_after {
            return true;
        }
        let newer_ranges = || {
            let newer = self.ranges.iter().rev();
            newer.take_while(|(version, _, _)| *version > read_version)
        };
        let point_changed = |key: &Vec<u8>| {
            self.points
                .get(key.as_slice())
                .is_some_and(|version| *version > read_version)
                || newer_ranges().any(|(_, begin, end)| begin <= key && key < end)
        };
        let range_changed = |(begin, end): &(Vec<u8>, Vec<u8>)| {
            let bounds = (
                Bound::Included(begin.as_slice()),
                Bound::Excluded(end.as_slice()),
            );
            self.points
                .range::<[u8], _>(bounds)
                .any(|(_, version)| *version > read_version)
                || newer_ranges().any(|(_, cleared, until)| cleared < end && begin < until)
        };
        reads.points.iter().any(point_changed) || reads.ranges.iter().any(range_changed)
    }

    /// Remembers that a row was written at `version`, which is not below any earlier one.
    pub(super) fn record_point(&mut self, version: u64, key: &[u8]) {
        let key: Arc<[u8]> = key.into();
        self.points.insert(Arc::clone(&key), version);
        self.point_order.push_back((version, key));
        while self.point_order.len() > self.remembered {
            let Some((version, key)) = self.point_order.pop_front() else {
                break;
            };
            if self.points.get(&key) == Some(&version) {
                self.points.remove(&key);
            }
            self.complete_after = self.complete_after.max(version);
        }
    }

    /// Remembers that a range was emptied at `version`.
    pub(super) fn record_range(&mut self, version: u64, begin: &[u8], end: &[u8]) {
        self.ranges
            .push_back((version, begin.to_vec(), end.to_vec()));
        while self.ranges.len() > self.remembered {
            let Some((version, _, _)) = self.ranges.pop_front() else {
                break;
            };
            self.complete_after = self.complete_after.max(version);
        }
    }
}
