//! Where a window's entries stand, found by the ids' times and then by hash.
//!
//! Ids of one moment come together and go together. So moments have tables of their own, and a look, an
//! insertion or a removal touches those few that the present is busy with, which stay in the processor's
//! cache; in one table of all each would wait for memory two to three times. Which table an id stands
//! in is a matter of speed alone: if all shared one, it would be the one table of all.

use hashbrown::HashTable;

/// How long a moment is, as a power of two of milliseconds: 16 ms.
const MOMENT_BITS: u32 = 4;
/// Tables: after so many moments, 16 s, they are used again.
pub(super) const TABLES: usize = 1 << 10;
/// A table with room for about so many times what it holds gives it back.
const SPARSE: usize = 8;
/// Room that a table may keep: what 128 places hold.
pub(super) const ROOM_KEPT: usize = 112;

/// Where in the index an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The time of its id.
    pub(super) time_ms: u64,
    pub(super) hash: u64,
}

/// Numbers of entries.
#[derive(Debug)]
pub(super) struct Index {
    tables: Box<[HashTable<u32>]>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { tables: (0..TABLES).map(|_| HashTable::new()).collect() }
    }

    /// The sought number at `spot`.
    pub(super) fn find(&self, spot: Spot, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.tables[table(spot)].find(spot.hash, |&number| is_it(number)).copied()
    }

    /// Adds a number that is not there; `hash_of` tells the hashes of those that are.
    pub(super) fn insert(&mut self, spot: Spot, number: u32, hash_of: impl Fn(u32) -> u64) {
        self.tables[table(spot)].insert_unique(spot.hash, number, |&number| hash_of(number));
    }

    /// Takes the sought number at `spot` away. Whether it was there.
    pub(super) fn remove(
        &mut self,
        spot: Spot,
        mut is_it: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> bool {
        let table = &mut self.tables[table(spot)];
        let Ok(found) = table.find_entry(spot.hash, |&number| is_it(number)) else { return false };
        found.remove();
        if table.capacity() > ROOM_KEPT.max(SPARSE * table.len()) {
            table.shrink_to(ROOM_KEPT.max(2 * table.len()), |&number| hash_of(number));
        }
        true
    }

    #[cfg(test)]
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.tables.iter().flat_map(|table| table.iter().copied())
    }

    /// For how many numbers there is room.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.tables.iter().map(HashTable::capacity).sum()
    }
}

fn table(spot: Spot) -> usize {
    (spot.time_ms >> MOMENT_BITS) as usize % TABLES
}
