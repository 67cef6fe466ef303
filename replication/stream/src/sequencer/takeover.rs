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
use crate::limits;
use crate::segment::{LogPos, Position};
use crate::watermark::Counted;

#[cfg(test)]
mod tests;

/// What an entry of an index takes that names a segment, beside the stream's name, bytes.
const SEGMENT_BYTES: usize = 24;
/// What one takes that names another record, bytes.
const OTHER_BYTES: usize = 48;
/// The most that one takes.
pub(super) const PLACED_BYTES_MAX: usize = SEGMENT_BYTES + limits::STREAM_BYTES;

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
    /// What was acknowledged since the checkpoint before, by number; in an opening, what the term before it
    /// had acknowledged since its last one. So checkpoints name all that counts, without a gap.
    pub index: Vec<Placed>,
}

/// What stands at a number of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The record's dense number.
    pub n: u64,
    /// What it is.
    pub what: Logged,
}

/// A log record, named so that whoever lacks it can find it, or do without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A segment; the table has it.
    Segment {
        /// Its stream.
        stream: StreamId,
        /// Its first seq.
        first: u64,
    },
    /// A mark, or a kind from the future: nobody needs it but for the running hash.
    Other {
        /// Its own hash, [`LogHash::of_bytes`].
        own: [u8; 32],
    },
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
    /// What was counted behind the checkpoint's record.
    index: Vec<Placed>,
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
    /// What the term before acknowledged and named in no checkpoint.
    pub index: Vec<Placed>,
}

/// Judges the evidence.
///
/// # Errors
/// [`Why::LogShorter`], [`Why::LogDiffers`] or [`Why::IngressLost`]: the region's log or ingress was
/// not continuously its own; a new incarnation is due and nothing may be sequenced (E1).
pub fn open(found: Evidence) -> Result<Opening, Why> {
    let log = found.log.end()?;
    let index = found.log.index;
    let (term, resume) = found.checkpoint.map_or((0, 0), |last| (last.term, last.resume));
    let Range { start: earliest, end } = found.ingress;
    if resume < earliest || resume > end {
        return Err(Why::IngressLost { resume, earliest, end });
    }
    Ok(Opening { place: found.place, term: term + 1, resume, log, index })
}

impl Tail {
    /// Begins at `checkpoint`'s record, [`LogEnd::offset`]; without a checkpoint at the log's start.
    pub fn from(checkpoint: Option<&Checkpoint>) -> Self {
        let (term, start) = checkpoint.map_or_else(Default::default, |last| (last.term, last.log));
        Self {
            term,
            start,
            end: start,
            highest: 0,
            stands: start.at.n == 0,
            differs: false,
            index: Vec::new(),
        }
    }

    /// Takes the log's next numbered record, which stands at the log's own `offset`; `segment` names it, if
    /// it is one, by stream and first seq.
    pub fn read(&mut self, record: &Counted, segment: Option<(&StreamId, u64)>, offset: u64) {
        self.highest = self.highest.max(record.pos.n);
        self.stands |= record.pos == self.start.at;
        let next = LogPos { term: self.term, n: self.end.at.n + 1 };
        if record.pos == next {
            self.differs |= record.before.is_some_and(|before| before != self.end.hash);
            let hash = self.end.hash.extend(next.n, &record.own);
            self.end = LogEnd { at: next, hash, offset };
            self.index.push(Placed { n: next.n, what: Logged::of(segment, record.own) });
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
        let index = self.index.clone();
        Checkpoint { term: self.term, number: 0, resume: self.resume, log: self.log, index }
    }
}

impl Opening {
    /// Takes out of the index what its first checkpoint has no room for within so many bytes: items to be put
    /// before it, as further parts of `newest`, the checkpoint that was read. Whoever competes for the term
    /// may put others beside them; all are true.
    pub fn parts(&mut self, newest: &Checkpoint, bytes: usize) -> Vec<Checkpoint> {
        let (mut parts, mut part, mut taken) = (Vec::new(), Vec::new(), 0);
        for placed in std::mem::take(&mut self.index) {
            taken += placed.bytes();
            if taken > bytes && !part.is_empty() {
                taken = placed.bytes();
                parts.push(Checkpoint { index: std::mem::take(&mut part), ..newest.clone() });
            }
            part.push(placed);
        }
        self.index = part;
        parts
    }
}

impl Placed {
    /// What it takes in a checkpoint, bytes, rounded up.
    pub fn bytes(&self) -> usize {
        match &self.what {
            Logged::Segment { stream, .. } => SEGMENT_BYTES + stream.as_str().len(),
            Logged::Other { .. } => OTHER_BYTES,
        }
    }
}

impl Logged {
    /// The segment of this stream and first seq, or a record with this hash of its own.
    pub fn of(segment: Option<(&StreamId, u64)>, own: [u8; 32]) -> Self {
        match segment {
            Some((stream, first)) => Self::Segment { stream: stream.clone(), first },
            None => Self::Other { own },
        }
    }
}
