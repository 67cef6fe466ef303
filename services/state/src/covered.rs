//! Which publishes of this region another region has, one partition of its ingress: what second acks go by
//! (E9).
//!
//! The sequencer's numbered marks say `ingress_done`: every record of the ingress below that offset is
//! settled by what its log holds before the mark. So if another region's watermark covers the place of such a
//! mark, that region has every publish below the offset, proven duplicates included: what they repeat is
//! there. Nobody has to see the event pass by. Each step, and what makes it hold:
//!
//! 1. *The offset.* Publish answers with the offset that the ingress gave the record. Every record draws a
//!    ticket in offset order, and the commit stands at the first ticket that is not done
//!    (`sterna_stream::sequencer`). A hot stream's skipped records hold it: it stays below the first of them
//!    until they were read again, and below theirs while they are settled.
//! 2. *Settled means logged before.* A ticket is done when the record that holds its event, or what proves it
//!    a duplicate, is acknowledged by the log with every number before it. A mark is numbered behind all that
//!    was acknowledged when its `ingress_done` was read. A taker begins with the resume offset of the newest
//!    checkpoint, below which all is settled by positions that its own first record continues.
//! 3. *Covered means held.* A watermark is the highest contiguous position of what the mirror brought,
//!    repaired holes included, never of express; it passes no hole (E21).
//! 4. *The mark stands in the chain that the watermark counts.* Numbers alone do not say so: what an owner
//!    wrote behind the place that a newer term continues is abandoned, and the newer term uses its numbers
//!    again. So a mark behind that place is forgotten when the newer term's first record is met in the own
//!    log, as is all that is older if that record does not continue what was read here; marks of an older
//!    term that come later are none; and a watermark of a term that has not been met here waits. A watermark
//!    of the mark's own term covers it whether or not it is abandoned later: that region has those records.
//! 5. *Old news does no harm.* A watermark only ever was true; of several the furthest counts, so a mark of
//!    another region that is replayed changes nothing. A mark of the own log that is read again, after a
//!    restart, is the same mark.
//! 6. *Incarnations.* Topics are of one incarnation, others' watermarks name the origin whose log they
//!    count, and what shards are told names it too: offsets of two lives are never compared (E1).
//!
//! No I/O: `marks` reads and tells.

use std::collections::BTreeMap;

use sterna_proto::record::Placed;
use sterna_stream::LogPos;
use sterna_stream::limits::COVERED_MARKS;

#[cfg(test)]
mod tests;

/// What of one ingress partition another region has.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    /// The newest record of the own log that was consumed: its term is the newest that was met.
    consumed: LogPos,
    /// Below which ingress offset everything is in the log before a mark; of marks that are not covered yet.
    /// At [`COVERED_MARKS`] the newest is forgotten for the next: a second ack may come later, after a cut.
    marks: BTreeMap<LogPos, u64>,
    /// The furthest that any other region has the own log.
    furthest: LogPos,
    below: u64,
    told: u64,
}

impl Covered {
    /// A numbered record of the own log was consumed; `done` is what it says if it is a mark.
    pub(crate) fn logged(&mut self, record: Placed, done: Option<u64>) {
        let pos = record.pos;
        let term = self.consumed.term;
        if pos.term < term {
            return;
        }
        if pos.term > term {
            let continues = record.continues.filter(|before| before.term == term);
            self.marks.retain(|mark, _| continues.is_some_and(|before| *mark <= before));
        }
        self.consumed = self.consumed.max(pos);
        let news = done.filter(|done| *done > self.newest());
        if let Some(done) = news {
            if self.marks.len() >= COVERED_MARKS {
                self.marks.pop_last();
            }
            self.marks.insert(pos, done);
        }
        self.settle();
    }

    /// Another region says that it has the own log up to here.
    pub(crate) fn heard(&mut self, upto: LogPos) {
        self.furthest = self.furthest.max(upto);
        self.settle();
    }

    /// The first offset that is not covered, if that moved since it was asked last.
    pub(crate) fn news(&mut self) -> Option<u64> {
        (self.below > std::mem::replace(&mut self.told, self.below)).then_some(self.below)
    }

    /// The newest record of the own log that was consumed.
    pub(crate) fn consumed(&self) -> LogPos {
        self.consumed
    }

    /// The furthest that any other region has the own log.
    pub(crate) fn furthest(&self) -> LogPos {
        self.furthest
    }

    /// What the newest mark says.
    fn newest(&self) -> u64 {
        self.marks.last_key_value().map_or(self.below, |(_, done)| *done)
    }

    fn settle(&mut self) {
        if self.furthest.term > self.consumed.term {
            return;
        }
        while let Some(mark) = self.marks.first_entry().filter(|mark| *mark.key() <= self.furthest) {
            self.below = self.below.max(mark.remove());
        }
    }
}
