//! What of a consumed topic may be committed: everything before the first record that is not handled (E20).
//!
//! Pure. Records are taken in offset order and are handled in any order; a commit never passes one that is
//! not.

use std::collections::VecDeque;

use sterna_log::Offset;

#[cfg(test)]
mod tests;

/// The records of one (topic, partition) since the last commit point.
#[derive(Debug)]
pub struct Handled {
    /// Number of the first record in `open`.
    first: u64,
    /// Of each record in order: where delivery goes on behind it, and whether it is handled.
    open: VecDeque<(Offset, bool)>,
    upto: Offset,
}

impl Handled {
    /// Begins at the first offset that is not handled.
    pub fn from(at: Offset) -> Self {
        Self { first: 0, open: VecDeque::new(), upto: at }
    }

    /// A record was taken; `next` is the offset behind it. Returns its number.
    pub fn take(&mut self, next: Offset) -> u64 {
        self.open.push_back((next, false));
        self.first + self.open.len() as u64 - 1
    }

    /// The record with this number is handled.
    pub fn done(&mut self, number: u64) {
        let open = number.checked_sub(self.first).and_then(|at| self.open.get_mut(usize::try_from(at).ok()?));
        if let Some(record) = open {
            record.1 = true;
        }
        while let Some((next, true)) = self.open.front() {
            self.upto = *next;
            self.first += 1;
            self.open.pop_front();
        }
    }

    /// The first offset that is not handled.
    pub fn upto(&self) -> Offset {
        self.upto
    }

    /// Where delivery goes on behind the last record that was taken.
    pub fn next(&self) -> Offset {
        self.open.back().map_or(self.upto, |(next, _)| *next)
    }

    /// How many records are taken and not handled, or behind one that is not.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}
