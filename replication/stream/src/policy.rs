//! What an event was authorised against, and whether a region knows enough to show it (E24).
//!
//! Pure comparison of cursors: folding the events those cursors count is [`crate::member`]'s work.

use crate::cursor::Cursor;
use crate::fixed;
use crate::segment::Segment;

/// Cursors of the tenant's access stream and of the stream's own member events at the moment of
/// authorisation.
///
/// The member cursor counts seqs of the stream itself: it names the newest member event per origin that was
/// folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How far the tenant's access stream had been folded.
    pub access: Cursor,
    /// The newest member event of the stream itself that had been folded, per origin.
    pub member: Cursor,
}

impl Policy {
    /// Takes in what another event was authorised against.
    pub fn merge(&mut self, other: &Self) {
        self.access.merge(&other.access);
        self.member.merge(&other.member);
    }

    /// Whether whoever has folded `held` may deliver what was authorised against `self`.
    pub fn ready(&self, held: &Self) -> bool {
        held.access.covers(&self.access) && held.member.covers(&self.member)
    }
}

/// The access events that a segment rests on, for whoever shows it. In the access stream itself they are its
/// own member events, and named as such.
pub fn access_of(segment: &Segment) -> Option<&Cursor> {
    let cursor = &segment.policy.access;
    (!cursor.is_empty() && !fixed::is_access(&segment.stream)).then_some(cursor)
}
