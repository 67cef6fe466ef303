//! Taking a partition over: where to go on, and whether its log is still the one that was written (E1, E10,
//! E21).
//!
//! The driver's steps, in this order: (1) be assigned the partition, which fences the last owner's
//! commits; (2) read the newest checkpoint, consistently; (3) read the log with [`Tail`], from that
//! checkpoint's record on; (4) [`open`]; (5) if the partition is still assigned, put
//! [`Opening::checkpoint`] if its key (partition, term, 0) is absent, which raises the term: losing means
//! that somebody else took over; (6) [`super::Partition::new`].
//!
//! Resume points are read *before* the log's end, so all that they claim is counted there. The opening is
//! itself the newest checkpoint: a late one of an older term is never used, and what an older term still
//! writes behind the position that the newest term continues does not count for the next either, whether or
//! not the newest has written anything yet.
//!
//! So a taker that is deposed between (5) and its first record leaves an opening behind that makes the
//! owner's records abandoned. The owner looks for such an opening and takes over again,
//! [`super::Action::ReadTerm`]. What was abandoned may have been committed to the group: so the
//! checkpoint's resume offset alone counts, from which all of it is produced again, and the group's is for
//! whoever watches how far behind a region is.

use std::ops::Range;

use super::exchange::Why;
use crate::digest::LogHash;
use crate::ids::{Origin, StreamId};
use crate::segment::{LogPos, Position};
use crate::watermark::Counted;

#[cfg(test)]
mod tests;

/// Which partition of which life of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who sequences.
    pub origin: Origin,
    /// The life that the ingress topic belongs to.
    pub incarnation: u32,
    /// The ingress partition.
    pub partition: u16,
}

/// What the log has acknowledged, and from where on the ingress must be read. One immutable item, its key
/// (partition, term, number), numbers dense from 0 in each term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose it is.
    pub term: u64,
    /// Its number within the term.
    pub number: u64,
    /// The first offset that may not be settled.
    pub resume: u64,
    /// The last position acknowledged, with all before it.
    pub log: LogEnd,
    /// Which segments were acknowledged since the checkpoint before; numbers not named are marks.
    pub index: Vec<Placed>,
}

/// Where a segment stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The record's dense number.
    pub n: u64,
    /// The segment's stream.
    pub stream: StreamId,
    /// The segment's first seq.
    pub first: u64,
}

/// A counted position and the running hash after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The position; n = 0 before the first record.
    pub at: LogPos,
    /// The hash of all counted records up to it.
    pub hash: LogHash,
    /// The log's own offset of that record.
    pub offset: u64,
}

/// What was found, in the order of the steps above.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What is taken over.
    pub place: Place,
    /// The newest checkpoint: highest term, highest number.
    pub checkpoint: Option<Checkpoint>,
    /// The offsets that the ingress holds: its earliest, and the one after its last.
    pub ingress: Range<u64>,
    /// What the log holds from the checkpoint on.
    pub log: Tail,
}

/// Reads a log forward from the newest checkpoint's record and finds the counted end: records of that
/// checkpoint's term, which continue it without hole (E21). No newer term can stand in the log: its opening
/// would be newer.
#[derive(Clone, Debug)]
pub struct Tail {
    term: u64,
    start: LogEnd,
    end: LogEnd,
    /// The highest number read, of any term.
    highest: u64,
    /// Whether the checkpoint's own record was read.
    stands: bool,
    differs: bool,
}

/// A takeover that may go ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What is taken over.
    pub place: Place,
    /// The raised term.
    pub term: u64,
    /// The first offset to read.
    pub resume: u64,
    /// What the first record of the term continues.
    pub log: LogEnd,
}

/// Judges the evidence.
///
/// # Errors
/// [`Why::LogShorter`], [`Why::LogDiffers`] or [`Why::IngressLost`]: the region's log or ingress was
/// not continuously its own; a new incarnation is due and nothing may be sequenced (E1).
pub fn open(found: Evidence) -> Result<Opening, Why> {
    let log = found.log.end()?;
    let (term, resume) = found.checkpoint.map_or((0, 0), |last| (last.term, last.resume));
    let Range { start: earliest, end } = found.ingress;
    if resume < earliest || resume > end {
        return Err(Why::IngressLost { resume, earliest, end });
    }
    Ok(Opening { place: found.place, term: term + 1, resume, log })
}

impl Tail {
    /// Begins at `checkpoint`'s record, [`LogEnd::offset`]; without a checkpoint at the log's start.
    pub fn from(checkpoint: Option<&Checkpoint>) -> Self {
        let (term, start) = checkpoint.map_or_else(Default::default, |last| (last.term, last.log));
        Self { term, start, end: start, highest: 0, stands: start.at.n == 0, differs: false }
    }

    /// Takes the log's next numbered record, which stands at the log's own `offset`.
    pub fn read(&mut self, record: &Counted, offset: u64) {
        self.highest = self.highest.max(record.pos.n);
        self.stands |= record.pos == self.start.at;
        let next = LogPos { term: self.term, n: self.end.at.n + 1 };
        if record.pos == next {
            self.differs |= record.before.is_some_and(|before| before != self.end.hash);
            let hash = self.end.hash.extend(next.n, &record.own);
            self.end = LogEnd { at: next, hash, offset };
        }
    }

    fn end(&self) -> Result<LogEnd, Why> {
        let claimed = self.start.at.n;
        match (self.stands, self.differs) {
            (true, false) => Ok(self.end),
            (true, true) => Err(Why::LogDiffers(claimed)),
            (false, _) if self.highest < claimed => Err(Why::LogShorter { claimed, found: self.highest }),
            (false, _) => Err(Why::LogDiffers(claimed)),
        }
    }
}

impl Place {
    /// The position of `offset` here.
    pub fn position(&self, offset: u64) -> Position {
        Position { incarnation: self.incarnation, partition: self.partition, offset }
    }

    /// The offset of a position that compares with offsets here; positions of another life or partition do
    /// not (E10).
    pub fn comparable(&self, position: Position) -> Option<u64> {
        let here = position.incarnation == self.incarnation && position.partition == self.partition;
        (here || crate::mutant!("bare_offsets")).then_some(position.offset)
    }
}

impl Opening {
    /// The first checkpoint of the term; putting it raises the term.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { term: self.term, number: 0, resume: self.resume, log: self.log, index: Vec::new() }
    }
}
