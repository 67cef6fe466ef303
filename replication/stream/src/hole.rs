//! What leads over a hole of a mirror: checkpoints name each counted record of a log, one after the other
//! (E21).
//!
//! Whoever lacks records of another region's log reads that region's checkpoints, which the table brings,
//! lets [`steps`] say which records are missing and takes each step with the
//! [`Watermark`](crate::watermark::Watermark): it believes them only once a hash proves where they lead. A
//! newer term's opening says where it goes on, so what an older one wrote beyond that is no step. Pure; who
//! fetches, and how much at once, is the caller's.

use std::collections::BTreeMap;

use crate::segment::LogPos;
use crate::sequencer::takeover::{Checkpoint, LogEnd, Logged};

#[cfg(test)]
mod tests;

/// What comes next behind a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A newer term goes on from here, below the place: what was counted beyond does not count.
    Back(LogEnd),
    /// The next record.
    Record {
        /// Its place.
        pos: LogPos,
        /// On a term's first record: the term that it continues.
        continues: Option<u64>,
        /// What it is.
        what: Logged,
    },
    /// The running hash up to the record before this step.
    Proof(LogEnd),
}

/// The steps from `from` on, as far as these checkpoints name them without a gap: those of one partition,
/// each with its part's number, ascending by term, number and part, from the newest on that ends at or below
/// `from`.
pub fn steps(from: LogPos, checkpoints: impl IntoIterator<Item = (u16, Checkpoint)>) -> Vec<Step> {
    let mut trail = Trail { from, ..Trail::default() };
    checkpoints.into_iter().for_each(|(part, checkpoint)| trail.take(part, checkpoint));
    trail.steps()
}

#[derive(Debug, Default)]
struct Trail {
    from: LogPos,
    back: Option<LogEnd>,
    /// By number: the term, and what the record is.
    records: BTreeMap<u64, (u64, Logged)>,
    /// By the number of a term's first record: the term that it continues.
    begins: BTreeMap<u64, u64>,
    proofs: BTreeMap<u64, LogEnd>,
}

impl Trail {
    fn take(&mut self, part: u16, checkpoint: Checkpoint) {
        let Checkpoint { term, number, log, index, .. } = checkpoint;
        let opens = (number, part) == (0, 0);
        // An opening names what the term before left unnamed.
        let of = if opens { log.at.term } else { term };
        self.records.extend(index.into_iter().map(|placed| (placed.n, (of, placed.what))));
        if opens {
            self.open(term, log);
        }
        if part == 0 {
            self.proofs.insert(log.at.n, log);
        }
    }

    /// `term` continues `log`.
    fn open(&mut self, term: u64, log: LogEnd) {
        let next = log.at.n + 1;
        self.records.split_off(&next);
        self.begins.split_off(&next);
        self.proofs.split_off(&next);
        self.begins.insert(next, log.at.term);
        if term > self.from.term && log.at.term <= self.from.term && log.at.n < self.start().n {
            self.back = Some(log);
        }
    }

    fn start(&self) -> LogPos {
        self.back.map_or(self.from, |back| back.at)
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = self.back.map(Step::Back).into_iter().collect();
        let mut at = self.start();
        while let Some((term, what)) = self.records.get(&(at.n + 1)) {
            let pos = LogPos { term: *term, n: at.n + 1 };
            let continues = self.begins.get(&pos.n).copied();
            if continues.is_some() != (pos.term != at.term) {
                return steps; // whose opening is not known yet
            }
            steps.push(Step::Record { pos, continues, what: what.clone() });
            at = pos;
            steps.extend(self.proofs.get(&pos.n).filter(|proof| proof.at == pos).copied().map(Step::Proof));
        }
        steps
    }
}
