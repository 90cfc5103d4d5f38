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

#[cfg(test)]
mod tests {
    use super::*;

    fn point(key: &[u8]) -> ReadSet {
        let mut reads = ReadSet::default();
        reads.point(key);
        reads
    }

    fn range(begin: &[u8], end: &[u8]) -> ReadSet {
        let mut reads = ReadSet::default();
        reads.range(begin, end);
        reads
    }

    #[test]
    fn only_later_writes_to_what_was_read_conflict() {
        let mut log = ConflictLog::starting_at(10);
        log.record_point(11, b"m");
        log.record_range(12, b"p", b"s");
        for (reads, conflicts_at_10, conflicts_at_11) in [
            (point(b"m"), true, false),
            (point(b"n"), false, false),
            (point(b"p"), true, true),
            (point(b"r"), true, true),
            (point(b"s"), false, false),
            (range(b"a", b"m"), false, false),
            (range(b"a", b"n"), true, false),
            (range(b"s", b"z"), false, false),
            (range(b"n", b"p"), false, false),
            (range(b"n", b"q"), true, true),
            (range(b"q", b"r"), true, true),
        ] {
            assert_eq!(log.conflicts(&reads, 10), conflicts_at_10);
            assert_eq!(log.conflicts(&reads, 11), conflicts_at_11);
            assert!(!log.conflicts(&reads, 12));
        }
    }

    #[test]
    fn who_is_older_than_the_log_conflicts_unless_it_read_nothing() {
        let mut log = ConflictLog::with_limit(0, 3);
        for version in 1..=5 {
            log.record_point(version, b"hot");
            log.record_point(version, &version.to_be_bytes());
        }
        assert!(log.point_order.len() == 3 && log.points.len() == 3);
        // Version 4's write to "hot" is still known, its other one as well; everything before is not.
        assert!(log.conflicts(&point(b"never written"), 3));
        assert!(!log.conflicts(&point(b"never written"), 4));
        assert!(log.conflicts(&point(b"hot"), 4));
        assert!(!log.conflicts(&ReadSet::default(), 0));
        for version in 6..=20 {
            log.record_range(version, b"a", b"b");
        }
        assert_eq!(log.ranges.len(), 3);
        assert!(log.conflicts(&point(b"never written"), 16));
        assert!(!log.conflicts(&point(b"never written"), 17));
    }
}
