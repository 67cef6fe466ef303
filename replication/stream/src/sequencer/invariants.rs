//! What must be true of chains and logs, as functions that the machine, tests and the auditor all use.

use crate::digest::Prefix;
use crate::hlc::Hlc;
use crate::ids::{Origin, StreamId};
use crate::map::Map;
use crate::segment::Segment;

/// How a chain or log is not what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// No events, or not as many stamps as bodies.
    #[error("a segment has no events, or not as many stamps as bodies")]
    Shape,
    /// A segment of another stream or origin.
    #[error("a segment of another stream or origin")]
    Foreign,
    /// Seqs do not tile.
    #[error("expected seq {expected}, found {found}")]
    Gap {
        /// The seq that had to follow.
        expected: u64,
        /// The first seq that did.
        found: u64,
    },
    /// A stamp that is not above the one before it.
    #[error("the stamp of seq {0} does not rise")]
    Stamp(u64),
    /// Bytes before this seq are not those that were hashed.
    #[error("the prefix hash before seq {0} differs")]
    Fork(u64),
    /// The newest member event before this seq is not the one that is named.
    #[error("the chain of member events before seq {0} differs")]
    Members(u64),
}

/// The end of a chain: what the next segment must follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The last seq; 0 before the first.
    pub seq: u64,
    /// The last stamp.
    pub hlc: Hlc,
    /// The prefix hash after it.
    pub prefix: Prefix,
    /// The newest member event's seq; 0 for none.
    pub member: u64,
}

impl End {
    /// What a chain ends with that ends with `segment`. Hashes its bodies.
    pub fn of(segment: &Segment) -> Self {
        let (seq, hlc, member) = (segment.last(), segment.max_hlc(), segment.member_last());
        Self { seq, hlc, prefix: segment.prefix_after(), member }
    }

    /// Whether `segment` may come next: it tiles, its stamps rise, and it was hashed over the same bytes.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn admits(&self, segment: &Segment) -> Result<(), Broken> {
        shape(segment, self.hlc)?;
        if segment.first != self.seq + 1 {
            return Err(Broken::Gap { expected: self.seq + 1, found: segment.first });
        }
        if segment.prefix != self.prefix {
            return Err(Broken::Fork(segment.first));
        }
        if segment.member_before != self.member {
            return Err(Broken::Members(segment.first));
        }
        Ok(())
    }
}

/// Whether `segment` has events whose stamps rise from above `last`.
///
/// # Errors
/// [`Broken::Shape`] or [`Broken::Stamp`].
pub fn shape(segment: &Segment, last: Hlc) -> Result<(), Broken> {
    if segment.stamps.is_empty() || segment.stamps.len() != segment.bodies.len() {
        return Err(Broken::Shape);
    }
    let mut last = last;
    for (seq, stamp, _) in segment.events() {
        if stamp <= last && last > Hlc::ZERO {
            return Err(Broken::Stamp(seq));
        }
        last = stamp;
    }
    Ok(())
}

/// Whether `chain` is all there is of (stream, origin): it tiles 1 … n.
///
/// # Errors
/// The first thing that is wrong.
pub fn chain<'a>(chain: impl IntoIterator<Item = &'a Segment>) -> Result<End, Broken> {
    let mut end = End::default();
    for segment in chain {
        end.admits(segment)?;
        end = End::of(segment);
    }
    Ok(end)
}

/// Follows a log, whose segments may repeat but must, repeats dropped, be in seq order without gap.
#[derive(Debug, Default)]
pub struct LogOrder {
    ends: Map<(StreamId, Origin), End>,
}

impl LogOrder {
    /// Takes the next segment of the log; says whether it was new.
    ///
    /// # Errors
    /// [`Broken::Gap`] if events are missing before it, [`Broken::Fork`] if a repeat is not one.
    pub fn follow(&mut self, segment: &Segment) -> Result<bool, Broken> {
        let end = self.ends.entry((segment.stream.clone(), segment.origin.clone())).or_default();
        if segment.last() <= end.seq {
            let forked = segment.last() == end.seq && End::of(segment) != *end;
            return if forked { Err(Broken::Fork(segment.first)) } else { Ok(false) };
        }
        end.admits(segment)?;
        *end = End::of(segment);
        Ok(true)
    }
}
