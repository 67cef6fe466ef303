//! A segment: consecutive events of one (stream, origin), the unit that is stored, logged, mirrored and
//! pushed (E2).
//!
//! Its bodies are opaque: encoded once by Publish, hashed as stored, never re-encoded. What differs per copy
//! (the log position) is not part of it.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::digest::Prefix;
use crate::hlc::Hlc;
use crate::ids::{Origin, StreamId};
use crate::policy::Policy;

/// Where in the origin's ingress a segment comes from: the highest offset of this stream's records in it.
/// Compared within one incarnation and partition only (E10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the region whose ingress topic it was.
    pub incarnation: u32,
    /// The ingress partition.
    pub partition: u16,
    /// The highest offset.
    pub offset: u64,
}

/// A record's place in its partition's log: the sequencer's term and a dense number (E21). Travels in a
/// header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPos {
    /// Raised at each takeover.
    pub term: u64,
    /// 1, 2, 3 … through all terms; 0 is before the first.
    pub n: u64,
}

/// Events `first ..= last()` of one (stream, origin). Never empty. Most have one event, whose stamp and body
/// need no memory of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The stream.
    pub stream: StreamId,
    /// Who sequenced it.
    pub origin: Origin,
    /// Seq of its first event, from 1.
    pub first: u64,
    /// One stamp per event, strictly increasing.
    pub stamps: SmallVec<[Hlc; 1]>,
    /// One encoded body per event.
    pub bodies: SmallVec<[Bytes; 1]>,
    /// Where its events came from.
    pub from: Position,
    /// The join of what its events were authorised against.
    pub policy: Policy,
    /// Hash of everything of this (stream, origin) before `first`.
    pub prefix: Prefix,
    /// Which of its events are member events, as indexes into `bodies`, rising; mostly none.
    pub members: Vec<u32>,
    /// Seq of the newest member event of this (stream, origin) before `first`; 0: none. With `members` it
    /// chains all member events of an origin backwards from its head, so that a fold reads them and nothing
    /// else (E24).
    pub member_before: u64,
}

impl Segment {
    /// Seq of its last event.
    pub fn last(&self) -> u64 {
        self.first + self.stamps.len() as u64 - 1
    }

    /// Seq of the newest member event of this (stream, origin) up to its last event; 0: none.
    pub fn member_last(&self) -> u64 {
        self.members.last().map_or(self.member_before, |&index| self.first + u64::from(index))
    }

    /// The newest stamp.
    pub fn max_hlc(&self) -> Hlc {
        self.stamps.last().copied().unwrap_or_default()
    }

    /// The prefix hash after its last event; hashes every body.
    pub fn prefix_after(&self) -> Prefix {
        self.events().fold(self.prefix, |prefix, (_, stamp, body)| prefix.extend(stamp, body))
    }

    /// (seq, stamp, body) of each event, in seq order.
    pub fn events(&self) -> impl Iterator<Item = (u64, Hlc, &Bytes)> {
        (self.first..).zip(&self.stamps).zip(&self.bodies).map(|((seq, stamp), body)| (seq, *stamp, body))
    }
}
