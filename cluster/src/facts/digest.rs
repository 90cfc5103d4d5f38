//! What two tables are compared by. Facts are spread over [`BUCKETS`] buckets by their key; a bucket is the exclusive or
//! of the hashes of its facts. Adding and taking away is the same cheap operation, and which buckets differ tells which
//! facts to send.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::{FactKey, FactValue};
use crate::roster::first_8_bytes;

/// How many buckets. All of them, 8 bytes each, fit into one packet.
pub(crate) const BUCKETS: u8 = 128;

/// Where a fact stands in a digest, and as what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The hash of its key alone; see the table's bounds.
    pub rank: u64,
    pub bucket: u8,
    hash: u64,
}

impl Place {
    /// SHA-256, cut short: it is the same in every build, and nobody finds two facts that hide each other.
    pub fn of(key: &FactKey, version: u64, value: &FactValue) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.tenant.0);
        hash.update([u8::try_from(key.name.as_bytes().len()).unwrap_or(u8::MAX)]);
        hash.update(key.name.as_bytes());
        let of_key = hash.clone().finalize();
        hash.update(version.to_be_bytes());
        hash.update(value.as_bytes());
        Self {
            rank: first_8_bytes(&of_key),
            bucket: of_key.last().copied().unwrap_or(0) % BUCKETS,
            hash: first_8_bytes(&hash.finalize()),
        }
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Digest(Box<[u64; BUCKETS as usize]>);

impl Default for Digest {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS as usize]))
    }
}

impl Digest {
    /// The digest with these buckets.
    pub fn from_buckets(buckets: [u64; BUCKETS as usize]) -> Self {
        Self(Box::new(buckets))
    }

    /// Its buckets.
    pub fn buckets(&self) -> &[u64; BUCKETS as usize] {
        &self.0
    }

    /// Adds a fact, or takes it away again.
    pub(super) fn toggle(&mut self, place: Place) {
        if let Some(bucket) = self.0.get_mut(usize::from(place.bucket)) {
            *bucket ^= place.hash;
        }
    }

    /// All of it in one number.
    pub fn root(&self) -> u64 {
        // Each bucket is turned by its place: facts cannot cancel each other out across buckets.
        self.0
            .iter()
            .zip(0u32..)
            .fold(0, |root, (bucket, place)| root ^ bucket.rotate_left(place))
    }

    /// The buckets in which they differ.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<u8> {
        (0..BUCKETS)
            .zip(self.0.iter().zip(other.0.iter()))
            .filter(|(_, (ours, theirs))| ours != theirs)
            .map(|(bucket, _)| bucket)
            .collect()
    }
}
