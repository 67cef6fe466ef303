//! The items of one hash key in order: a small vector while there are few, as most streams have, chunks
//! beyond.

use std::ops::Bound;
use std::sync::Arc;

use chunks::{Chunks, Run};

use crate::memory::rows::Slot;
use crate::table::Order;

mod chunks;
#[cfg(test)]
mod tests;

/// From this many items on chunks are kept, until there are none.
const MANY: usize = 16;

/// One item.
pub(super) struct Row {
    pub(super) sort: Arc<str>,
    pub(super) slot: Slot,
}

pub(super) enum Sorted {
    Few(Vec<Row>),
    Many(Chunks),
}

/// Items within bounds, from either end.
pub(super) enum Within<'a> {
    Few(std::slice::Iter<'a, Row>),
    Many(Run<'a>),
}

impl Sorted {
    pub(super) fn of(row: Row) -> Self {
        Self::Few(vec![row])
    }

    pub(super) fn get(&self, sort: &str) -> Option<&Slot> {
        match self {
            Self::Few(rows) => find(rows, sort).ok().map(|at| &rows[at].slot),
            Self::Many(rows) => rows.get(sort),
        }
    }

    pub(super) fn insert(&mut self, row: Row) {
        match self {
            Self::Few(rows) => match find(rows, &row.sort) {
                Ok(at) => rows[at].slot = row.slot,
                Err(at) => rows.insert(at, row),
            },
            Self::Many(rows) => rows.insert(row),
        }
        if let Self::Few(rows) = self
            && rows.len() >= MANY
        {
            *self = Self::Many(Chunks::of(std::mem::take(rows)));
        }
    }

    pub(super) fn remove(&mut self, sort: &str) {
        match self {
            Self::Few(rows) => {
                if let Ok(at) = find(rows, sort) {
                    rows.remove(at);
                }
            }
            Self::Many(rows) => rows.remove(sort),
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
            Self::Many(rows) => Within::Many(rows.within(from, to)),
        }
    }
}

impl<'a> Within<'a> {
    pub(super) fn next(&mut self, order: Order) -> Option<&'a Row> {
        match (self, order) {
            (Self::Few(rows), Order::Forward) => rows.next(),
            (Self::Few(rows), Order::Reverse) => rows.next_back(),
            (Self::Many(rows), Order::Forward) => rows.next(),
            (Self::Many(rows), Order::Reverse) => rows.next_back(),
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

fn empty(from: Bound<&str>, to: Bound<&str>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    }
}
