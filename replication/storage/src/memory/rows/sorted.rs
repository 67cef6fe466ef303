//! The items of one hash key in order: a small vector while there are few, as most streams have, a tree
//! beyond.
//!
//! The tree's keys lie in its nodes, so that a search among 10^5 segments follows no pointer per comparison.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::memory::rows::Slot;
use crate::table::Order;

/// From this many items on a tree is kept; it stays one until it is empty.
const MANY: usize = 16;
/// Bytes of a sort key that lie in a tree's node: an origin with its incarnation and 20 digits.
const INLINE_BYTES: usize = 40;

#[cfg(test)]
mod tests;

type Inline = SmallVec<[u8; INLINE_BYTES]>;

/// One item.
pub(super) struct Row {
    pub(super) sort: Arc<str>,
    pub(super) slot: Slot,
}

pub(super) enum Sorted {
    Few(Vec<Row>),
    Many(BTreeMap<Inline, Row>),
}

/// Items within bounds, from either end.
pub(super) enum Within<'a> {
    Few(std::slice::Iter<'a, Row>),
    Many(btree_map::Range<'a, Inline, Row>),
}

impl Sorted {
    pub(super) fn of(row: Row) -> Self {
        Self::Few(vec![row])
    }

    pub(super) fn get(&self, sort: &str) -> Option<&Slot> {
        match self {
            Self::Few(rows) => find(rows, sort).ok().map(|at| &rows[at].slot),
            Self::Many(rows) => rows.get(sort.as_bytes()).map(|row| &row.slot),
        }
    }

    pub(super) fn insert(&mut self, row: Row) {
        match self {
            Self::Few(rows) => match find(rows, &row.sort) {
                Ok(at) => rows[at].slot = row.slot,
                Err(at) => rows.insert(at, row),
            },
            Self::Many(rows) => {
                rows.insert(Inline::from_slice(row.sort.as_bytes()), row);
            }
        }
        if let Self::Few(rows) = self
            && rows.len() >= MANY
        {
            let keyed = |row: Row| (Inline::from_slice(row.sort.as_bytes()), row);
            *self = Self::Many(std::mem::take(rows).into_iter().map(keyed).collect());
        }
    }

    pub(super) fn remove(&mut self, sort: &str) {
        match self {
            Self::Few(rows) => {
                if let Ok(at) = find(rows, sort) {
                    rows.remove(at);
                }
            }
            Self::Many(rows) => {
                rows.remove(sort.as_bytes());
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(rows) => rows.len(),
            Self::Many(rows) => rows.len(),
        }
    }

    /// The items within the bounds; none if they end before they begin.
    pub(super) fn within(&self, from: Bound<&str>, to: Bound<&str>) -> Within<'_> {
        if empty(from, to) {
            return Within::Few([].iter());
        }
        match self {
            Self::Few(rows) => {
                let start = rows.partition_point(|row| below(&row.sort, from));
                let end = rows.partition_point(|row| !above(&row.sort, to));
                Within::Few(rows[start..end].iter())
            }
            Self::Many(rows) => {
                Within::Many(rows.range::<[u8], _>((from.map(str::as_bytes), to.map(str::as_bytes))))
            }
        }
    }
}

impl<'a> Within<'a> {
    pub(super) fn next(&mut self, order: Order) -> Option<&'a Row> {
        match (self, order) {
            (Self::Few(rows), Order::Forward) => rows.next(),
            (Self::Few(rows), Order::Reverse) => rows.next_back(),
            (Self::Many(rows), Order::Forward) => rows.next().map(|(_, row)| row),
            (Self::Many(rows), Order::Reverse) => rows.next_back().map(|(_, row)| row),
        }
    }
}

fn find(rows: &[Row], sort: &str) -> Result<usize, usize> {
    rows.binary_search_by(|row| (*row.sort).cmp(sort))
}

pub(super) fn below(sort: &str, from: Bound<&str>) -> bool {
    match from {
        Bound::Unbounded => false,
        Bound::Included(from) => sort < from,
        Bound::Excluded(from) => sort <= from,
    }
}

pub(super) fn above(sort: &str, to: Bound<&str>) -> bool {
    match to {
        Bound::Unbounded => false,
        Bound::Included(to) => sort > to,
        Bound::Excluded(to) => sort >= to,
    }
}

// Ordered maps panic on ranges that end before they begin.
fn empty(from: Bound<&str>, to: Bound<&str>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    }
}
