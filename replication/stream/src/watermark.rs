//! How far a region has another's log, one partition of it: the highest contiguous counted position (E21).
//!
//! Every numbered record has a place (term, n); n is dense along the chain of terms, and a term's first
//! record names the term that it continues. Whatever an older term still writes beyond that point is handed
//! on to readers, who drop it by seq, and not counted. The watermark never passes a hole. Records that are
//! fetched to fill one ([`crate::hole`]) are believed only when a later mark, received by mirror, or a
//! checkpoint carries the running hash that they lead to. Replays, old marks and repeats are recognised by
//! their place and change nothing. Only records of the log count, never express ones.

use std::collections::BTreeMap;

use crate::digest::LogHash;
use crate::limits;
use crate::segment::LogPos;
use chain::Chain;

mod chain;
#[cfg(test)]
mod tests;

/// A numbered log record, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its place, from the record's header.
    pub pos: LogPos,
    /// On a term's first record: the term that it continues; the place it continues is (that term, `pos.n -
    /// 1`).
    pub continues: Option<u64>,
    /// Its own hash: a segment's prefix after its last event, or [`LogHash::of_bytes`] of a mark.
    pub own: [u8; 32],
    /// On a mark: the running hash of all counted records before it.
    pub before: Option<LogHash>,
}

/// What a mirrored record was to the watermark. All but `Differs` are handed on to readers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Counted; the watermark may have moved over more than this record.
    Counted,
    /// Known: at or below the watermark, or waiting above a hole already.
    Repeat,
    /// Written by an older term after its successor began: never counted.
    Older,
    /// There is a hole before it; it waits, or, beyond [`limits::WATERMARK_AHEAD`], has to come again.
    Ahead,
    /// Alarm: the record's running hash, or its place, contradicts what was counted here.
    Differs,
}

/// What a fetched record was to the hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Not the record after [`Watermark::filled_to`], or there is no hole.
    NotNext,
    /// Taken in, until the records are complete and a later mark proves them.
    Kept,
    /// Proven by the equal running hash of a later mark or a checkpoint: the watermark has moved over all
    /// that was fetched.
    Closed,
    /// Alarm: the running hash of a later mark or a checkpoint differs; all that was fetched is forgotten.
    Wrong,
}

/// Records that are missing: all places strictly between these two along the chain of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The watermark.
    pub after: LogPos,
    /// The first mirrored record above it.
    pub before: LogPos,
}

/// The watermark of one (origin, partition).
#[derive(Clone, Debug)]
pub struct Watermark {
    proven: Chain,
    /// The proven chain continued by fetched records, while they wait for a mark that proves them.
    fetched: Option<Chain>,
    /// Mirrored records above the hole.
    ahead: BTreeMap<LogPos, Counted>,
}

impl Default for Watermark {
    fn default() -> Self {
        Self::at(LogPos::default(), LogHash::START)
    }
}

impl Counted {
    /// The place before a term's first record.
    fn continued(&self) -> Option<LogPos> {
        self.continues.map(|term| LogPos { term, n: self.pos.n.saturating_sub(1) })
    }

    fn well_formed(&self) -> bool {
        self.pos.n > 0 && self.continues.is_none_or(|term| term < self.pos.term)
    }
}

impl Watermark {
    /// Goes on from what a checkpoint says: everything up to `pos` is held and its running hash is `hash`.
    pub fn at(pos: LogPos, hash: LogHash) -> Self {
        Self { proven: Chain::at(pos, hash), fetched: None, ahead: BTreeMap::new() }
    }

    /// The watermark: everything up to here is held.
    pub fn pos(&self) -> LogPos {
        self.proven.pos()
    }

    /// The running hash at the watermark.
    pub fn hash(&self) -> LogHash {
        self.proven.hash()
    }

    /// Whether the record at `pos` is held. `false` also for what an older term wrote beyond its successor's
    /// start, and for terms too old to be remembered: not proven.
    pub fn covers(&self, pos: LogPos) -> bool {
        self.proven.covers(pos)
    }

    /// What is missing directly above the watermark; alarmed until it is closed.
    pub fn hole(&self) -> Option<Hole> {
        let before = *self.ahead.keys().next()?;
        Some(Hole { after: self.pos(), before })
    }

    /// The place after which the next fetched record has to come.
    pub fn filled_to(&self) -> LogPos {
        self.fetched.as_ref().unwrap_or(&self.proven).pos()
    }

    /// Takes a record in as it comes from the mirror: in the log's order, with replays and perhaps skipped
    /// ones.
    pub fn seen(&mut self, record: &Counted) -> Seen {
        if !record.well_formed() {
            return Seen::Differs;
        }
        if self.covers(record.pos) || self.ahead.contains_key(&record.pos) {
            return Seen::Repeat;
        }
        if self.abandoned(record.pos) {
            return Seen::Older;
        }
        if !self.begin_term(record) {
            return Seen::Differs;
        }
        if !self.proven.follows(record) && !crate::mutant!("watermark_over_hole") {
            return self.wait(record);
        }
        if self.proven.contradicts(record) {
            return Seen::Differs;
        }
        self.proven.extend(record);
        self.fetched = None;
        let walk = self.proven.walk(&self.ahead);
        self.prune();
        if walk.contradicted { Seen::Differs } else { Seen::Counted }
    }

    /// Takes in the record after [`Self::filled_to`], fetched from a table.
    pub fn fill(&mut self, record: &Counted) -> Filled {
        if self.ahead.is_empty() || !record.well_formed() {
            return Filled::NotNext;
        }
        let chain = self.fetched.get_or_insert_with(|| self.proven.clone());
        if !chain.follows(record) {
            return Filled::NotNext;
        }
        chain.extend(record);
        self.close()
    }

    /// Takes in the running hash up to [`Self::filled_to`], as a checkpoint in the table has it.
    pub fn prove(&mut self, at: LogPos, hash: LogHash) -> Filled {
        let Some(chain) = self.fetched.take_if(|chain| chain.pos() == at) else {
            return Filled::NotNext;
        };
        if chain.hash() != hash {
            return Filled::Wrong;
        }
        self.proven = chain;
        let walk = self.proven.walk(&self.ahead);
        self.prune();
        if walk.contradicted { Filled::Wrong } else { Filled::Closed }
    }

    /// A newer term whose first record is missing goes on from `at`, below the watermark, as its opening in
    /// the table says: what is fetched next comes behind that. Nothing is taken back before it is proven.
    /// `false`: there is no hole, or `at` is not below the watermark.
    ///
    /// The opening's word suffices for what an older term counted up to there: nobody opens a term from a
    /// place of another than the newest one (E21), so all chains are one up to it.
    pub fn go_back(&mut self, at: LogPos, hash: LogHash) -> bool {
        if self.ahead.is_empty() || at.n >= self.pos().n {
            return false;
        }
        let mut chain = self.proven.clone();
        let remembered = chain.covers(at) && chain.cut(at) && chain.hash() == hash;
        self.fetched = Some(if remembered { chain } else { Chain::at(at, hash) });
        true
    }

    // === terms ===

    /// Whether `pos` lies beyond the point from which a newer term went on.
    fn abandoned(&self, pos: LogPos) -> bool {
        let mut lowest_of_terms = chain::newer_terms(&self.ahead, pos.term);
        let waits = lowest_of_terms.any(|lowest| lowest.continued().is_some_and(|continued| continued < pos));
        waits || self.proven.abandons(pos)
    }

    /// At a new term's first record: what older terms wrote beyond its start does not count, even if it did
    /// until now. `false`: it goes back further than any sequencer may have unacknowledged.
    fn begin_term(&mut self, record: &Counted) -> bool {
        let Some(continued) = record.continued() else {
            return true;
        };
        self.ahead.retain(|pos, _| *pos <= continued || pos.term >= record.pos.term);
        self.fetched = None;
        let goes_back = continued < self.pos() && self.covers(continued);
        !goes_back || self.proven.cut(continued)
    }

    // === closing a hole ===

    /// Keeps a mirrored record that has a hole before it.
    fn wait(&mut self, record: &Counted) -> Seen {
        if self.ahead.len() >= limits::WATERMARK_AHEAD {
            return Seen::Ahead;
        }
        self.ahead.insert(record.pos, *record);
        match record.before.map(|_| self.close()) {
            Some(Filled::Closed) => Seen::Counted,
            Some(Filled::Wrong) => Seen::Differs,
            _ => Seen::Ahead,
        }
    }

    /// Joins what was fetched with what waits, if a mirrored mark proves the fetched part.
    fn close(&mut self) -> Filled {
        let Some(fetched) = self.fetched.as_ref().filter(|chain| chain.next_of(&self.ahead).is_some()) else {
            return Filled::Kept;
        };
        let mut chain = fetched.clone();
        let walk = chain.walk(&self.ahead);
        if walk.proven {
            self.proven = chain;
            self.fetched = None;
            self.prune();
            return Filled::Closed;
        }
        if walk.contradicted {
            self.fetched = None;
            return Filled::Wrong;
        }
        Filled::Kept
    }

    /// Forgets what is not above the watermark any more.
    fn prune(&mut self) {
        let at = self.pos();
        while self.ahead.first_key_value().is_some_and(|(pos, _)| *pos <= at) {
            self.ahead.pop_first();
        }
    }
}
