//! One stream's cursor and holes: rules 7 to 9, and nothing else touches a cursor.
//!
//! For every origin, what arrived and what a `gap` told tile 1..=cursor: no seq is in both, none in neither.
//! Holes are kept until the application has fetched them; too many are joined, which asks for more than is
//! missing and never for less.

use sterna_protocol::frame::Gap;
use sterna_stream::{Cursor, Hlc, Origin, mutant};

use super::twins::Twins;
use crate::storage::Hole;

/// What an event is to a cursor (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Had before: dropped.
    Seen,
    /// The next one; the cursor has moved.
    Next,
    /// Beyond the next: must not happen.
    Ahead,
}

/// How a followed stream is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// At most so many events of the backlog (P5).
    pub tail: Option<u32>,
    /// Whether to be told who is there.
    pub presence: bool,
}

/// What is known of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) cursor: Cursor,
    pub(super) holes: Vec<Hole>,
    pub(super) twins: Twins,
    /// The newest stamp that was shown (P16).
    pub(super) seen: Hlc,
    /// `Some` while it is followed.
    pub(super) wish: Option<Wish>,
    /// When to subscribe again after a refusal (P25).
    pub(super) again_ms: Option<u64>,
}

impl Stream {
    pub(super) fn new(twins: Twins) -> Self {
        let (cursor, holes) = (Cursor::new(), Vec::new());
        Self { cursor, holes, twins, seen: Hlc::ZERO, wish: None, again_ms: None }
    }

    /// P7: an event arrives.
    pub(super) fn arrive(&mut self, origin: &Origin, seq: u64) -> Arrival {
        let have = self.cursor.get(origin);
        if seq <= have && !mutant!("seen_not_dropped") {
            return Arrival::Seen;
        }
        if seq > have + 1 {
            return Arrival::Ahead;
        }
        self.cursor.advance(origin, seq);
        Arrival::Next
    }

    /// P8: a gap that moves the cursor. Gives the holes it leaves; `None` if it starts beyond the cursor,
    /// which would leave seqs that nobody told of.
    pub(super) fn gap(&mut self, gap: &Gap, holes_max: usize) -> Option<Vec<Hole>> {
        if mutant!("gap_lowers_cursor") {
            let lower = |origin: &Origin, seq: u64| match gap.to.get(origin) {
                0 => seq,
                upto => seq.min(upto),
            };
            self.cursor = self.cursor.iter().map(|(o, seq)| (o.clone(), lower(o, seq))).collect();
        }
        let ends = gap.to.iter().filter(|(origin, upto)| *upto > self.cursor.get(origin));
        let mut told = Vec::new();
        for (origin, upto) in ends {
            let after = self.cursor.get(origin);
            if gap.from.get(origin) > after {
                return None;
            }
            told.push(Hole { origin: origin.clone(), after, upto, reason: gap.reason.clone() });
        }
        for hole in &told {
            self.cursor.advance(&hole.origin, hole.upto);
            if !mutant!("hole_not_remembered") {
                remember(&mut self.holes, hole.clone(), holes_max);
            }
        }
        Some(told)
    }
}

/// Adds a hole; one that continues another of its kind extends it, and beyond `most` the two oldest of one
/// origin become one.
fn remember(holes: &mut Vec<Hole>, hole: Hole, most: usize) {
    let continues =
        |one: &&mut Hole| one.origin == hole.origin && one.reason == hole.reason && one.upto == hole.after;
    if let Some(one) = holes.iter_mut().find(continues) {
        one.upto = hole.upto;
        return;
    }
    holes.push(hole);
    if holes.len() <= most {
        return;
    }
    let of_one_origin = |at: usize| {
        let later = holes[at + 1..].iter().position(|one| one.origin == holes[at].origin)?;
        Some((at, at + 1 + later))
    };
    // None only if every origin has one hole: then there are no more holes than origins, which is a bound
    // too.
    if let Some((first, second)) = (0..holes.len()).find_map(of_one_origin) {
        let joined = holes.remove(second);
        holes[first].after = holes[first].after.min(joined.after);
        holes[first].upto = holes[first].upto.max(joined.upto);
    }
}
