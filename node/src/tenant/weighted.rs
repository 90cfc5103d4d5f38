//! [`Weighted`]: a map that holds so many bytes and no more. What does not fit any more empties it: its entries are
//! copies of what can be read again, and one that was just made is worth more than the old ones.

use std::collections::HashMap;
use std::hash::Hash;

/// A map with a limit on the weight of its entries.
pub struct Weighted<K, V> {
    limit_bytes: usize,
    bytes: usize,
    entries: HashMap<K, (V, usize)>,
}

impl<K: Eq + Hash, V> Weighted<K, V> {
    /// An empty map for so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            bytes: 0,
            entries: HashMap::new(),
        }
    }

    /// What stands at `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Puts `value`, which takes about `bytes`, at `key`. Says whether something else had to go for it.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) -> bool {
        let replaced = self.remove(&key);
        let is_full = self.bytes.saturating_add(bytes) > self.limit_bytes;
        if is_full {
            self.clear();
        }
        if bytes <= self.limit_bytes {
            self.bytes += bytes;
            self.entries.insert(key, (value, bytes));
        }
        replaced || is_full
    }

    /// Drops what stands at `key`; says whether anything did.
    pub fn remove(&mut self, key: &K) -> bool {
        match self.entries.remove(key) {
            Some((_, bytes)) => {
                self.bytes -= bytes;
                true
            }
            None => false,
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.bytes = 0;
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_empties_it() {
        let mut map = Weighted::new(10);
        assert!(!map.insert("a", 1, 5));
        assert!(!map.insert("b", 2, 5));
        assert!(map.insert("b", 3, 4), "something stood there");
        assert_eq!((map.get("a"), map.get("b")), (Some(&1), Some(&3)));
        assert!(map.insert("c", 4, 2));
        assert_eq!((map.get("a"), map.get("c")), (None, Some(&4)));
        assert!(map.insert("d", 5, 11));
        assert_eq!((map.get("c"), map.get("d")), (None, None));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_limit(
            changes in prop::collection::vec((0_u8..6, prop::option::of(0_usize..60)), 0..60),
        ) {
            let mut map = Weighted::new(100);
            for (key, bytes) in changes {
                match bytes {
                    Some(bytes) => {
                        map.insert(key, (), bytes);
                        prop_assert!(map.get(&key).is_some());
                    }
                    None => {
                        map.remove(&key);
                        prop_assert!(map.get(&key).is_none());
                    }
                }
                let weights: BTreeMap<_, _> =
                    map.entries.iter().map(|(key, (_, bytes))| (*key, *bytes)).collect();
                prop_assert_eq!(map.bytes, weights.values().sum::<usize>());
                prop_assert!(map.bytes <= 100);
            }
        }
    }
}
