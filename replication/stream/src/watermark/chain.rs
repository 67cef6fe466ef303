//! The counted records as a chain of terms: which n belong to which term, and the running hash.

use std::collections::{BTreeMap, VecDeque};

use super::Counted;
use crate::digest::LogHash;
use crate::limits;
use crate::segment::LogPos;

/// Contiguous from the beginning, or from a checkpoint, up to `pos()`.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Oldest first, never empty; the oldest are forgotten beyond a bound.
    stretches: VecDeque<Stretch>,
    /// (n, running hash after it) of the newest records, never empty.
    hashes: VecDeque<(u64, LogHash)>,
}

/// Records `after + 1 ..= last` of one term.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    term: u64,
    after: u64,
    last: u64,
}

/// What a walk over waiting records met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    /// A mark whose running hash is equal.
    pub(super) proven: bool,
    /// A mark whose running hash differs; the walk ended before it.
    pub(super) contradicted: bool,
}

impl Chain {
    pub(super) fn at(pos: LogPos, hash: LogHash) -> Self {
        let stretch = Stretch { term: pos.term, after: 0, last: pos.n };
        Self { stretches: [stretch].into(), hashes: [(pos.n, hash)].into() }
    }

    pub(super) fn pos(&self) -> LogPos {
        self.stretches.back().map(|s| LogPos { term: s.term, n: s.last }).unwrap_or_default()
    }

    pub(super) fn hash(&self) -> LogHash {
        self.hashes.back().map(|(_, hash)| *hash).unwrap_or_default()
    }

    pub(super) fn covers(&self, pos: LogPos) -> bool {
        pos.n == 0 || self.stretches.iter().any(|s| s.term == pos.term && s.after < pos.n && pos.n <= s.last)
    }

    /// Whether a newer term of the chain went on from below `pos`.
    pub(super) fn abandons(&self, pos: LogPos) -> bool {
        self.stretches.iter().any(|s| s.term > pos.term && s.after < pos.n)
    }

    /// Whether `record` is the one right after the end.
    pub(super) fn follows(&self, record: &Counted) -> bool {
        let at = self.pos();
        match record.continued() {
            Some(continued) => continued == at || (continued.n, at.n) == (0, 0),
            None => record.pos.n == at.n + 1 && (record.pos.term == at.term || at.n == 0),
        }
    }

    /// Whether `record`, a mark, says another running hash than this chain has.
    pub(super) fn contradicts(&self, record: &Counted) -> bool {
        record.before.is_some_and(|before| before != self.hash())
    }

    /// Counts `record`, which follows.
    pub(super) fn extend(&mut self, record: &Counted) {
        let LogPos { term, n } = record.pos;
        let hash = self.hash().extend(n, &record.own);
        self.hashes.push_back((n, hash));
        if self.hashes.len() > limits::WATERMARK_BEHIND {
            self.hashes.pop_front();
        }
        match self.stretches.back_mut() {
            Some(newest) if newest.term == term => newest.last = n,
            _ => self.stretches.push_back(Stretch { term, after: n - 1, last: n }),
        }
        if self.stretches.len() > limits::WATERMARK_TERMS {
            self.stretches.pop_front();
        }
    }

    /// Goes back to `pos`, which it covers. `false`, and unchanged, if the hash there is not remembered any
    /// more.
    pub(super) fn cut(&mut self, pos: LogPos) -> bool {
        if !self.hashes.iter().any(|(n, _)| *n == pos.n) {
            return false;
        }
        self.hashes.retain(|(n, _)| *n <= pos.n);
        self.stretches.retain(|s| s.after < pos.n);
        match self.stretches.back_mut() {
            Some(newest) => newest.last = pos.n,
            None => self.stretches.push_back(Stretch { term: pos.term, after: 0, last: pos.n }),
        }
        true
    }

    /// The record of `waiting` that follows.
    pub(super) fn next_of<'a>(&self, waiting: &'a BTreeMap<LogPos, Counted>) -> Option<&'a Counted> {
        let LogPos { term, n } = self.pos();
        let newer = newer_terms(waiting, term);
        let same = waiting.get(&LogPos { term, n: n + 1 });
        same.into_iter().chain(newer).find(|record| self.follows(record))
    }

    /// Counts what follows in `waiting`, all mirrored, up to the first missing or contradicting record.
    pub(super) fn walk(&mut self, waiting: &BTreeMap<LogPos, Counted>) -> Walk {
        let mut walk = Walk::default();
        while let Some(record) = self.next_of(waiting) {
            if self.contradicts(record) {
                walk.contradicted = true;
                break;
            }
            walk.proven |= record.before.is_some();
            self.extend(record);
        }
        walk
    }
}

/// The lowest waiting record of each term above `term`, in order of terms.
pub(super) fn newer_terms(
    waiting: &BTreeMap<LogPos, Counted>,
    mut term: u64,
) -> impl Iterator<Item = &Counted> {
    std::iter::from_fn(move || {
        let (pos, lowest) = waiting.range(LogPos { term: term.checked_add(1)?, n: 0 }..).next()?;
        term = pos.term;
        Some(lowest)
    })
}
