//! What a transaction read, and in which version, to be looked at again at its commit. Pure.

use std::collections::BTreeMap;

/// Which transaction wrote a row: PostgreSQL's `xmin`. A row that was written again, or removed and made anew, has
/// another one.
pub(super) type Version = i64;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct ReadSet {
    points: BTreeMap<Vec<u8>, Option<Version>>,
    ranges: Vec<SeenRange>,
    bytes: usize,
}

/// All rows that there were between two keys.
struct SeenRange {
    begin: Vec<u8>,
    end: Vec<u8>,
    rows: Vec<(Vec<u8>, Version)>,
}

/// What a commit looks at again, as the arrays that it is called with.
#[derive(Default)]
pub(super) struct Checks<'r> {
    pub(super) keys: Vec<&'r [u8]>,
    pub(super) versions: Vec<Option<Version>>,
    pub(super) range_begins: Vec<&'r [u8]>,
    pub(super) range_ends: Vec<&'r [u8]>,
    pub(super) range_counts: Vec<i64>,
}

impl ReadSet {
    /// Notes that `key` was looked up. All reads are of one moment, so a second look finds the same version.
    pub(super) fn point(&mut self, key: &[u8], version: Option<Version>) {
        self.bytes = self.bytes.saturating_add(key.len());
        self.points.insert(key.to_vec(), version);
    }

    /// Notes that `rows` are all that there was from `begin` up to but not including `end`.
    pub(super) fn range(&mut self, begin: &[u8], end: &[u8], rows: Vec<(Vec<u8>, Version)>) {
        let keys: usize = rows.iter().map(|(key, _)| key.len()).sum();
        self.bytes = self.bytes.saturating_add(begin.len() + end.len() + keys);
        self.ranges.push(SeenRange {
            begin: begin.to_vec(),
            end: end.to_vec(),
            rows,
        });
    }

    /// How much memory this takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys that were looked up.
    pub(super) fn points(&self) -> impl Iterator<Item = &[u8]> {
        self.points.keys().map(Vec::as_slice)
    }

    /// The ranges that were read.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.ranges
            .iter()
            .map(|range| (range.begin.as_slice(), range.end.as_slice()))
    }

    /// What must still be so. A range is as it was when the rows that were in it are, and there are no others.
    pub(super) fn checks(&self) -> Checks<'_> {
        let mut checks = Checks::default();
        for (key, version) in &self.points {
            checks.keys.push(key);
            checks.versions.push(*version);
        }
        for range in &self.ranges {
            checks.range_begins.push(&range.begin);
            checks.range_ends.push(&range.end);
            checks
                .range_counts
                .push(i64::try_from(range.rows.len()).unwrap_or(i64::MAX));
            for (key, version) in &range.rows {
                checks.keys.push(key);
                checks.versions.push(Some(*version));
            }
        }
        checks
    }
}
