//! Many items in order, cut into chunks.
//!
//! Segments come with rising keys, of each origin: what is greater than all is put behind the last item after
//! one comparison, and what comes behind a full chunk begins another. Anywhere else a chunk makes room, or is
//! cut in two. Keys lie beside their items, so that a search follows no pointer per comparison. Chunks are
//! not joined again: what is removed leaves its room until the chunk is empty.

use std::ops::Bound;

use smallvec::SmallVec;

use super::Row;
use crate::memory::rows::Slot;

/// Items in a chunk at most.
const CHUNK: usize = 64;
/// Bytes of a sort key that lie beside their item: an origin with its incarnation and 20 digits.
const INLINE_BYTES: usize = 40;

type Key = SmallVec<[u8; INLINE_BYTES]>;

/// Chunks in order, none of them empty.
pub(in crate::memory::rows) struct Chunks {
    chunks: Vec<Vec<Keyed>>,
    len: usize,
}

struct Keyed {
    key: Key,
    row: Row,
}

/// Chunk and index in it. The place behind a chunk's last item is the beginning of the next.
type Place = (usize, usize);

/// The items of some places, from either end.
pub(in crate::memory::rows) struct Run<'a> {
    chunks: &'a [Vec<Keyed>],
    from: Place,
    to: Place,
}

impl Chunks {
    /// Of rows in order.
    pub(super) fn of(rows: Vec<Row>) -> Self {
        let mut all = Self { chunks: Vec::new(), len: 0 };
        rows.into_iter().for_each(|row| all.insert(row));
        all
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, sort: &str) -> Option<&Slot> {
        let (chunk, at) = self.find(sort.as_bytes());
        at.ok().map(|at| &self.chunks[chunk][at].row.slot)
    }

    pub(super) fn insert(&mut self, row: Row) {
        let key = Key::from_slice(row.sort.as_bytes());
        let (mut chunk, found) = self.find(&key);
        let mut at = match found {
            Ok(at) => {
                self.chunks[chunk][at].row.slot = row.slot;
                return;
            }
            Err(at) => at,
        };
        if self.is_full(chunk) {
            if at == self.chunks.get(chunk).map_or(0, Vec::len) && self.is_full(chunk + 1) {
                chunk = (chunk + 1).min(self.chunks.len());
                self.chunks.insert(chunk, Vec::new());
                at = 0;
            } else {
                let upper = self.chunks[chunk].split_off(CHUNK / 2);
                self.chunks.insert(chunk + 1, upper);
                if at > CHUNK / 2 {
                    (chunk, at) = (chunk + 1, at - CHUNK / 2);
                }
            }
        }
        self.chunks[chunk].insert(at, Keyed { key, row });
        self.len += 1;
    }

    pub(super) fn remove(&mut self, sort: &str) {
        let (chunk, Ok(at)) = self.find(sort.as_bytes()) else { return };
        self.chunks[chunk].remove(at);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
        }
        self.len -= 1;
    }

    /// The items within bounds that do not end before they begin.
    pub(super) fn within(&self, from: Bound<&str>, to: Bound<&str>) -> Run<'_> {
        let from = match from {
            Bound::Unbounded => (0, 0),
            Bound::Included(sort) => self.place(sort, false),
            Bound::Excluded(sort) => self.place(sort, true),
        };
        let to = match to {
            Bound::Unbounded => (self.chunks.len(), 0),
            Bound::Included(sort) => self.place(sort, true),
            Bound::Excluded(sort) => self.place(sort, false),
        };
        Run { chunks: &self.chunks, from, to }
    }

    /// Whether a chunk takes no more; one that is not there takes nothing.
    fn is_full(&self, chunk: usize) -> bool {
        self.chunks.get(chunk).is_none_or(|rows| rows.len() == CHUNK)
    }

    /// The chunk that has or would have a key, and where.
    fn find(&self, key: &[u8]) -> (usize, Result<usize, usize>) {
        let Some((last, before)) = self.chunks.split_last() else { return (0, Err(0)) };
        if last.last().is_some_and(|greatest| &*greatest.key < key) {
            return (before.len(), Err(last.len()));
        }
        let chunk = self.chunks.partition_point(|rows| &*rows[0].key <= key).saturating_sub(1);
        (chunk, self.chunks[chunk].binary_search_by(|keyed| (*keyed.key).cmp(key)))
    }

    /// The place of the first item that is not below `sort`, or, `behind` it, not below what follows it.
    fn place(&self, sort: &str, behind: bool) -> Place {
        let (chunk, found) = self.find(sort.as_bytes());
        let at = match found {
            Ok(at) => at + usize::from(behind),
            Err(at) => at,
        };
        if self.chunks.get(chunk).is_some_and(|rows| at == rows.len()) { (chunk + 1, 0) } else { (chunk, at) }
    }
}

impl<'a> Run<'a> {
    pub(super) fn next(&mut self) -> Option<&'a Row> {
        if self.from >= self.to {
            return None;
        }
        let (chunk, at) = self.from;
        let rows = &self.chunks[chunk];
        self.from = if at + 1 == rows.len() { (chunk + 1, 0) } else { (chunk, at + 1) };
        Some(&rows[at].row)
    }

    pub(super) fn next_back(&mut self) -> Option<&'a Row> {
        if self.from >= self.to {
            return None;
        }
        if self.to.1 == 0 {
            self.to = (self.to.0 - 1, self.chunks[self.to.0 - 1].len());
        }
        self.to.1 -= 1;
        Some(&self.chunks[self.to.0][self.to.1].row)
    }
}
