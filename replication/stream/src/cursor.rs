//! A reader's place: for each origin the highest seq up to which nothing is missing.
//!
//! Cursors are version vectors: merging is a join (idempotent, commutative, associative), a missing origin
//! means 0. Where a cursor may move is the reader's rule (docs/protocol.md, rules 7 and 8), not this file's.

use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;

use crate::ids::{Invalid, Origin};
use crate::limits;

#[cfg(test)]
mod tests;

/// {origin → highest contiguous seq seen}, sorted by origin, without zeros.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Cursor(SmallVec<[(Origin, u64); 2]>);

impl Cursor {
    /// Before everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The seq for `origin`; 0 if it has none.
    pub fn get(&self, origin: &Origin) -> u64 {
        self.find(origin).map_or(0, |at| self.0[at].1)
    }

    /// Raises `origin` to `seq`; a lower or equal one changes nothing. Says whether it moved.
    pub fn advance(&mut self, origin: &Origin, seq: u64) -> bool {
        match self.find(origin) {
            Ok(at) if self.0[at].1 < seq => self.0[at].1 = seq,
            Err(at) if seq > 0 => self.0.insert(at, (origin.clone(), seq)),
            _ => return false,
        }
        true
    }

    /// The join: per origin the higher of both.
    pub fn merge(&mut self, other: &Self) {
        for (origin, seq) in other.iter() {
            self.advance(origin, seq);
        }
    }

    /// Per origin the lower of both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        self.iter().map(|(origin, seq)| (origin.clone(), seq.min(other.get(origin)))).collect()
    }

    /// Whether this is at least as far as `other` in every origin.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(origin, seq)| self.get(origin) >= seq)
    }

    /// Whether it is before everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many origins it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Origins in byte order with their seq (never 0).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Origin, u64)> {
        self.0.iter().map(|(origin, seq)| (origin, *seq))
    }

    fn find(&self, origin: &Origin) -> Result<usize, usize> {
        self.0.binary_search_by(|(o, _)| o.cmp(origin))
    }
}

impl FromIterator<(Origin, u64)> for Cursor {
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(pairs: I) -> Self {
        let mut cursor = Self::new();
        for (origin, seq) in pairs {
            cursor.advance(&origin, seq);
        }
        cursor
    }
}

/// `eu-west-1:77,us-east-1:1204`, as in URLs; empty for the empty cursor.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (origin, seq)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{origin}:{seq}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const FORM: Invalid = Invalid::Form("<origin>:<seq>, comma separated, each origin once");
        let mut cursor = Self::new();
        if text.is_empty() {
            return Ok(cursor);
        }
        for (count, pair) in text.split(',').enumerate() {
            if count == limits::CURSOR_ORIGINS {
                return Err(Invalid::Form("at most 32 origins"));
            }
            let (origin, seq) = pair.split_once(':').ok_or(FORM)?;
            let origin: Origin = origin.parse()?;
            let digits = seq.bytes().all(|b| b.is_ascii_digit());
            let seq = seq.parse().ok().filter(|&seq: &u64| digits && seq <= limits::SEQ_MAX).ok_or(FORM)?;
            if cursor.get(&origin) > 0 {
                return Err(FORM);
            }
            cursor.advance(&origin, seq);
        }
        Ok(cursor)
    }
}
