//! What a new member does not see of a stream with `history: since_joined` (E24): all that stands below their
//! floor, which is the place of the event that added them.
//!
//! Stamps rise within an origin, so of each origin a prefix is hidden, however late it comes to light; it is
//! told by a `gap` `hidden`, and the rest as to everybody. Rings are shared and know nothing of it: a
//! follower with a floor is sent what it hides by its outbox, see [`crate::join`].

use std::collections::BTreeMap;

use sterna_protocol::frame::GapReason;
use sterna_stream::order::Place;
use sterna_stream::{Cursor, Segment};

use crate::seams::{Encode, Gap, Page};
use crate::wire::{Encoding, Frames, Messages};

#[cfg(test)]
mod tests;

/// The floors of one ring's followers that have one, by session.
#[derive(Debug, Default)]
pub(crate) struct Floors(BTreeMap<u32, Place>);

impl Floors {
    pub(crate) fn get(&self, slot: u32) -> Option<&Place> {
        self.0.get(&slot)
    }

    pub(crate) fn set(&mut self, slot: u32, floor: Option<Place>) {
        match floor {
            Some(floor) => drop(self.0.insert(slot, floor)),
            None => drop(self.0.remove(&slot)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sessions from which something of a segment is hidden.
    pub(crate) fn hiding(&self, segment: &Segment) -> impl Iterator<Item = u32> {
        self.0.iter().filter(|(_, floor)| below(segment, floor) > 0).map(|(slot, _)| *slot)
    }
}

/// How many of a segment's events, its first ones, stand below the floor.
pub(crate) fn below(segment: &Segment, floor: &Place) -> usize {
    let is_below = |seq, hlc| (hlc, &segment.origin, seq) < (floor.hlc, &floor.origin, floor.seq);
    segment.events().take_while(|(seq, hlc, _)| is_below(*seq, *hlc)).count()
}

/// The frames of a segment for whoever has this floor; `None`: all of it stands above. What was lost between
/// `after_seq` and a segment of which something is hidden is hidden, too.
pub(crate) fn frames(
    (after_seq, segment): (u64, &Segment),
    floor: &Place,
    encoding: Encoding,
    encode: &dyn Encode,
) -> Option<Frames> {
    let hidden = below(segment, floor);
    if hidden == 0 {
        return None;
    }
    let mut out = Messages::new(encoding);
    let at = |seq: u64| [(segment.origin.clone(), seq)].into_iter().collect::<Cursor>();
    let (from, to) = (at(after_seq), at(segment.first - 1 + hidden as u64));
    encode.gap(&segment.stream, &Gap { reason: GapReason::Hidden, from, to }, &mut out);
    if let Some(shown) = after(segment, hidden) {
        encode.events(&shown, &mut out);
    }
    Some(out.finish())
}

/// A page as whoever has this floor gets it, who had `from` before: what is hidden of it is told by one gap.
/// Of what it skips, that of an origin whose first event here is hidden is hidden, too.
pub(crate) fn page(page: &Page, from: &Cursor, floor: &Place) -> (Vec<Gap>, Vec<Segment>) {
    let mut hidden = Cursor::new();
    let mut segments = Vec::with_capacity(page.segments.len());
    for segment in &page.segments {
        let count = below(segment, floor);
        if count > 0 {
            hidden.advance(&segment.origin, segment.first - 1 + count as u64);
        }
        segments.extend(after(segment, count));
    }
    let mut gaps = Vec::new();
    let mut at = from.clone();
    if let Some(gap) = &page.gap {
        let skipped = gap.to.iter().filter(|(origin, _)| hidden.get(origin) == 0);
        let to: Cursor = skipped.map(|(origin, seq)| (origin.clone(), seq)).collect();
        if !at.covers(&to) {
            gaps.push(Gap { reason: gap.reason.clone(), from: at.clone(), to: joined(&at, &to) });
            at = joined(&at, &to);
        }
    }
    if !at.covers(&hidden) {
        gaps.push(Gap { reason: GapReason::Hidden, to: joined(&at, &hidden), from: at });
    }
    (gaps, segments)
}

fn joined(one: &Cursor, other: &Cursor) -> Cursor {
    let mut both = one.clone();
    both.merge(other);
    both
}

/// A segment without its first events; `None` if nothing is left.
fn after(segment: &Segment, count: usize) -> Option<Segment> {
    if count == 0 {
        return Some(segment.clone());
    }
    let (stamps, bodies) = (segment.stamps.get(count..)?, segment.bodies.get(count..)?);
    let first = segment.first + count as u64;
    (!bodies.is_empty()).then(|| Segment {
        first,
        stamps: stamps.into(),
        bodies: bodies.into(),
        ..segment.clone()
    })
}
