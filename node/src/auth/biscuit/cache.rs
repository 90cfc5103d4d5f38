//! Remembers tokens whose signatures were verified, so that a warm request verifies none.
//!
//! Bounded by the bytes of token text it stands for: a decoded token takes several times its text. There are
//! two generations; when the young one is full, it becomes the old one and what was old is forgotten, unless it was used
//! meanwhile. That is close to least-recently-used without a list to maintain under a lock.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use crate::auth::biscuit::verify::VerifiedBiscuit;
use crate::metrics::cache::BISCUITS;

/// Text of one generation: about 2 000 usual tokens, or 128 of the largest.
const GENERATION_BYTES: usize = 1024 * 1024;

/// The texts themselves are not kept: what is looked up is secret, its digest is not.
type Fingerprint = [u8; 32];

/// What a generation maps to: the token, and the bytes it counts for.
type Entry = (Arc<VerifiedBiscuit>, usize);

#[derive(Default)]
pub(super) struct Cache(RwLock<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Fingerprint, Entry>,
    young_bytes: usize,
    old: HashMap<Fingerprint, Entry>,
}

impl Cache {
    pub(super) fn get(&self, text: &str) -> Option<Arc<VerifiedBiscuit>> {
        let found = self.look_up(text);
        BISCUITS.count(found.is_some());
        found
    }

    fn look_up(&self, text: &str) -> Option<Arc<VerifiedBiscuit>> {
        let fingerprint = fingerprint(text);
        let (biscuit, bytes) = {
            let generations = self.0.read();
            if let Some((biscuit, _)) = generations.young.get(&fingerprint) {
                return Some(Arc::clone(biscuit));
            }
            generations.old.get(&fingerprint)?.clone()
        };
        self.0
            .write()
            .insert(fingerprint, Arc::clone(&biscuit), bytes);
        Some(biscuit)
    }

    pub(super) fn insert(&self, text: &str, biscuit: Arc<VerifiedBiscuit>) {
        self.0
            .write()
            .insert(fingerprint(text), biscuit, text.len());
    }
}

impl Generations {
    fn insert(&mut self, fingerprint: Fingerprint, biscuit: Arc<VerifiedBiscuit>, bytes: usize) {
        if self.young_bytes.saturating_add(bytes) > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(fingerprint, (biscuit, bytes)).is_none() {
            self.young_bytes = self.young_bytes.saturating_add(bytes);
        }
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::biscuit::Identity;

    /// Texts as long as the largest tokens, told apart by their number.
    fn text(number: usize) -> String {
        format!("{number:08192}")
    }

    fn cache_with(count: usize) -> Cache {
        let cache = Cache::default();
        for number in 0..count {
            let biscuit = VerifiedBiscuit::without_checks(Identity::Operator);
            cache.insert(&text(number), Arc::new(biscuit));
        }
        cache
    }

    fn len(cache: &Cache) -> usize {
        let generations = cache.0.read();
        generations.young.len() + generations.old.len()
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let cache = cache_with(2);
        let found = cache.get(&text(1)).unwrap();
        assert!(Arc::ptr_eq(&found, &cache.get(&text(1)).unwrap()));
        assert!(!Arc::ptr_eq(&found, &cache.get(&text(0)).unwrap()));
        assert!(cache.get(&text(2)).is_none());
    }

    #[test]
    fn it_stays_within_two_generations() {
        let cache = cache_with(1000);
        assert_eq!(2 * GENERATION_BYTES / 8192, 256);
        assert!((128..=256).contains(&len(&cache)), "{}", len(&cache));
        assert!(cache.get(&text(0)).is_none());
        assert!(cache.get(&text(999)).is_some());
    }

    #[test]
    fn what_is_used_stays() {
        let cache = cache_with(1);
        for number in 1..1000 {
            let biscuit = VerifiedBiscuit::without_checks(Identity::Operator);
            cache.insert(&text(number), Arc::new(biscuit));
            assert!(cache.get(&text(0)).is_some(), "forgotten after {number}");
        }
    }

    #[test]
    fn the_same_text_counts_once() {
        let cache = cache_with(1);
        for _ in 0..1000 {
            let biscuit = VerifiedBiscuit::without_checks(Identity::Operator);
            cache.insert(&text(0), Arc::new(biscuit));
        }
        let generations = cache.0.read();
        assert_eq!(generations.young_bytes, 8192);
        assert_eq!(generations.young.len(), 1);
    }
}
