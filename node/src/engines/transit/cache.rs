//! The keys in memory: an immutable snapshot that requests read without a lock, replaced whole when something changes.
//!
//! It holds keys that exist, never the absence of one. A load from the store takes a [`Ticket`] before it begins; if
//! anything was changed or forgotten since, what it found may be old and is not kept (the request that loaded it may
//! still use it: it is no older than the request).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::loaded::LoadedKey;
use super::settings::DEFAULT_CACHE_KEYS;
use crate::store::key::Pseudonym;

/// How many versions, over all keys of a mount, are kept in memory. A version with its expanded cipher takes up to
/// 1.5 kB, so a mount stays below about 50 MB however long its keys' histories are.
const MAX_CACHED_VERSIONS: usize = 32 * 1024;

/// The moment when a load began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

#[derive(Clone, Default)]
struct Snapshot {
    /// By name, so that a warm request computes no pseudonym.
    keys: HashMap<Box<str>, Arc<LoadedKey>>,
    /// How often something was changed or forgotten.
    generation: u64,
}

/// The keys of one mount that are in memory.
pub struct Cache {
    snapshot: ArcSwap<Snapshot>,
    /// Held while a new snapshot is made from the old one.
    writing: Mutex<()>,
    max_keys: AtomicUsize,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self {
            snapshot: ArcSwap::default(),
            writing: Mutex::new(()),
            max_keys: AtomicUsize::new(DEFAULT_CACHE_KEYS),
        }
    }

    /// The key, if it is in memory.
    pub fn get(&self, name: &str) -> Option<Arc<LoadedKey>> {
        let snapshot = self.snapshot.load();
        let key = snapshot.keys.get(name)?;
        key.note_use();
        Some(Arc::clone(key))
    }

    /// Taken before a load begins.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.snapshot.load().generation)
    }

    /// Keeps what a load found, unless something changed since it began. Says whether it did.
    pub fn insert(&self, ticket: Ticket, key: Arc<LoadedKey>) -> bool {
        let max_keys = self.max_keys.load(Ordering::Relaxed);
        self.update(|snapshot| {
            let current = snapshot.generation == ticket.0;
            if current {
                snapshot.put(key, max_keys);
            }
            current
        })
    }

    /// Keeps what a change, begun at `ticket` and now committed, made of a key. Loads that began earlier are void. If
    /// something else was changed meanwhile, perhaps this key by another node, it is dropped instead, to be loaded anew.
    pub fn replace(&self, ticket: Ticket, key: Arc<LoadedKey>) {
        let max_keys = self.max_keys.load(Ordering::Relaxed);
        self.update(|snapshot| {
            if snapshot.generation == ticket.0 {
                snapshot.put(key, max_keys);
            } else {
                snapshot.keys.remove(key.policy().name.as_str());
            }
            snapshot.generation += 1;
        });
    }

    /// Drops a key.
    pub fn forget(&self, pseudonym: Pseudonym) {
        self.update(|snapshot| {
            snapshot.generation += 1;
            snapshot.keys.retain(|_, key| key.pseudonym() != pseudonym);
        });
    }

    /// Sets how many keys are kept.
    pub fn set_max_keys(&self, max_keys: usize) {
        if self.max_keys.swap(max_keys, Ordering::Relaxed) > max_keys {
            self.update(|snapshot| snapshot.evict(None, max_keys));
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        let _guard = self.writing.lock();
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        let result = change(&mut snapshot);
        self.snapshot.store(Arc::new(snapshot));
        result
    }
}

impl Snapshot {
    fn put(&mut self, key: Arc<LoadedKey>, max_keys: usize) {
        let name: Box<str> = key.policy().name.as_str().into();
        self.keys.insert(name.clone(), key);
        self.evict(Some(&name), max_keys);
    }

    /// Makes room, not at the expense of `keep`: first go keys that were not used since they were last passed over.
    fn evict(&mut self, keep: Option<&str>, max_keys: usize) {
        let mut versions: usize = self.keys.values().map(|key| weight(key)).sum();
        while self.keys.len() > max_keys || versions > MAX_CACHED_VERSIONS {
            let mut others = self.keys.iter().filter(|(name, _)| Some(&***name) != keep);
            let idle = others.clone().find(|(_, key)| !key.take_recently_used());
            let Some((name, key)) = idle.or_else(|| others.next()) else {
                return;
            };
            versions -= weight(key);
            let name = name.clone();
            self.keys.remove(&name);
        }
    }
}

fn weight(key: &LoadedKey) -> usize {
    key.policy().versions().len()
}

#[cfg(test)]
mod tests {
    use super::super::key::{KeyPolicy, KeySettings};
    use super::*;
    use crate::clock::Timestamp;
    use crate::rng::OsRandom;

    fn key(name: &str) -> Arc<LoadedKey> {
        let policy = KeyPolicy::create(name, &KeySettings::default(), &OsRandom, Timestamp(0));
        let mut pseudonym = [0; 16];
        pseudonym[..name.len()].copy_from_slice(name.as_bytes());
        Arc::new(LoadedKey::new(Pseudonym(pseudonym), policy))
    }

    fn len(cache: &Cache) -> usize {
        cache.snapshot.load().keys.len()
    }

    #[test]
    fn a_load_overtaken_by_a_change_is_not_kept() {
        let cache = Cache::new();
        let before = cache.ticket();
        cache.forget(key("a").pseudonym());
        assert!(!cache.insert(before, key("a")));
        assert!(cache.get("a").is_none());
        assert!(cache.insert(cache.ticket(), key("a")));
        let before = cache.ticket();
        let newer = key("a");
        cache.replace(before, Arc::clone(&newer));
        assert!(!cache.insert(before, key("a")));
        assert!(Arc::ptr_eq(&cache.get("a").unwrap(), &newer));
        cache.replace(before, key("a"));
        assert!(
            cache.get("a").is_none(),
            "kept a change that another overtook"
        );
    }

    #[test]
    fn forgetting_drops_that_key_only() {
        let cache = Cache::new();
        cache.replace(cache.ticket(), key("a"));
        cache.replace(cache.ticket(), key("b"));
        cache.forget(key("a").pseudonym());
        assert!(cache.get("a").is_none());
        assert!(cache.get("b").is_some());
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_the_used_ones_stay() {
        let cache = Cache::new();
        cache.set_max_keys(10);
        for number in 0..100 {
            cache.replace(cache.ticket(), key(&number.to_string()));
            assert!(cache.get("0").is_some(), "the key in use left at {number}");
            assert!(len(&cache) <= 10);
        }
        assert_eq!(len(&cache), 10);
        cache.set_max_keys(3);
        assert_eq!(len(&cache), 3);
    }

    #[test]
    fn the_number_of_versions_is_bounded() {
        let cache = Cache::new();
        let per_key = MAX_CACHED_VERSIONS / 8;
        for number in 0..12 {
            let settings = KeySettings::default();
            let mut policy =
                KeyPolicy::create(&number.to_string(), &settings, &OsRandom, Timestamp(0));
            for _ in 1..per_key {
                policy.rotate(&OsRandom, Timestamp(0)).unwrap();
            }
            cache.replace(
                cache.ticket(),
                Arc::new(LoadedKey::new(Pseudonym([number; 16]), policy)),
            );
        }
        assert_eq!(len(&cache), 8);
    }
}
