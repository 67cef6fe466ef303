//! Hash maps and sets whose iteration order and cost depend on their contents alone.
//!
//! The standard hasher draws a random key per process, which would make two runs of one seed differ (E35).
//! The key here is fixed; do not key these maps by text that a stranger chooses unless their size is bounded.

#![expect(clippy::disallowed_types, reason = "this is the place that gives them a fixed hasher")]

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

pub mod recent;

/// A hash map with a fixed hasher. Make one with `Map::default()`.
pub type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// A hash set with a fixed hasher. Make one with `Set::default()`.
pub type Set<K> = std::collections::HashSet<K, FixedState>;

/// What these maps and sets find `key` by.
pub fn hash_of(key: &impl Hash) -> u64 {
    FixedState::default().hash_one(key)
}
