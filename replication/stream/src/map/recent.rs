//! A bounded map that forgets what was not used for longest, at no cost for the rest.
//!
//! Two halves: what is used is in the recent one or moves there; when that is full it becomes the older half,
//! and what was left in the older half is forgotten. So each use costs a look-up or two however many entries
//! there are, where finding the one entry that is oldest would visit all of them.

use std::borrow::Borrow;
use std::hash::Hash;

use super::Map;

/// At most so many entries. Of the entries used, the last half of that many distinct ones are there.
#[derive(Debug)]
pub struct Recent<K, V> {
    recent: Map<K, V>,
    older: Map<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// At most `bound` entries, which is at least two.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { recent: Map::default(), older: Map::default(), half: (bound / 2).max(1) }
    }

    /// What is known of `key`, which is so used.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if let Some((key, value)) = self.older.remove_entry(key) {
            self.insert(key, value);
        }
        self.recent.get_mut(key)
    }

    /// What is known of `key`, which is so used; if nothing is, what `make` says.
    pub fn get_or_insert_with<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if !self.recent.contains_key(key) {
            let value = self.older.remove(key).unwrap_or_else(make);
            self.insert(key.to_owned(), value);
        }
        self.recent.get_mut(key).expect("it was there or was inserted")
    }

    /// `value` is what is known of `key` from now on, which is so used.
    pub fn insert(&mut self, key: K, value: V) {
        if self.recent.len() >= self.half && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.older.remove(&key);
        self.recent.insert(key, value);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is used: the bound holds, nothing is made up, and the last half of the bound is known.
        #[test]
        fn what_was_used_lately_is_known(
            bound in 2_usize..20,
            uses in prop::collection::vec((0_u8..30, 0..3), 0..200),
        ) {
            let mut kept = Recent::new(bound);
            let mut used: Vec<u8> = Vec::new();
            for (n, (key, way)) in uses.into_iter().enumerate() {
                let lately = used.iter().rev().take(bound / 2).any(|other| *other == key);
                let known = match way {
                    0 => kept.get(&key).copied(),
                    _ => Some(*kept.get_or_insert_with(&key, || (key, n))).filter(|known| known.1 < n),
                };
                prop_assert!(!lately || known.is_some());
                prop_assert!(known.is_none_or(|known: (u8, usize)| known.0 == key && known.1 < n));
                if way != 0 || known.is_some() {
                    if way == 2 {
                        kept.insert(key, (key, n));
                    }
                    used.retain(|other| *other != key);
                    used.push(key);
                }
                prop_assert!(kept.len() <= bound);
            }
        }
    }
}
