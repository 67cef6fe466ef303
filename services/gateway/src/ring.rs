//! The ring of one stream: what its followers on this shard have yet to be sent, encoded once and shared.
//!
//! Guarantees: per origin, entries follow each other without a hole, but for what was lost with a life and is
//! told as such by the entry behind it, and nothing is entered twice (E16); index
//! `i` names the same entry for ever; frames of an entry never change. It is bounded in entries and bytes;
//! what is pushed out is gone, and whoever still needed it is behind [`Ring::base`]. While everybody is
//! current it holds no memory but itself.
//!
//! It knows members by number only; writing to them is [`crate::flush`]'s, joining them [`crate::join`]'s.

use std::cell::{Cell, OnceCell};
use std::collections::VecDeque;

use smallvec::SmallVec;
use sterna_protocol::frame::GapReason;
use sterna_stream::order::Place;
use sterna_stream::{Cursor, Segment, StreamId};

use crate::floor::Floors;
use crate::limits::{HELD_SEGMENTS, Limits, RETRY_S, RUN_BYTES, WAITING_TOLD_S};
use crate::seams::{Encode, Gap};
use crate::wire::{Encoding, Frames, Messages};

#[cfg(test)]
mod tests;

/// Members below which copying a run together does not pay.
const RUN_MEMBERS: usize = 4;

/// A segment with its frames, per encoding once somebody needs it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) segment: Segment,
    /// What was lost right below it with its origin's life: told before it.
    lost: Option<Box<Gap>>,
    frames: [OnceCell<Frames>; 2],
}

/// A follower: which session, and the place of this ring in its follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) session: u32,
    pub(crate) follow: u32,
}

/// Where the flush stands in this ring.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Something was pushed since the pass began: go round once more.
    pub(crate) again: bool,
    /// Next member.
    pub(crate) next: u32,
    /// Least index that a member visited in this pass still needs.
    pub(crate) low: u64,
    /// The end when the pass began.
    pub(crate) began: u64,
    /// Every member that is not slow is at least here.
    pub(crate) settled: u64,
}

/// Consecutive entries copied together, so that a current session costs one buffer however many entries it
/// gets.
#[derive(Debug)]
struct Run {
    from: u64,
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

/// What is known to exist above a hole, while it is pulled.
#[derive(Debug, Default)]
struct Gaps {
    wanted: Cursor,
    /// Up to here what is missing was lost with its origin's life: what comes next may stand behind that.
    lost: Cursor,
    held: Vec<Segment>,
    /// When an unanswered pull is repeated, shard seconds.
    due_s: u32,
    /// Since when something is missing, shard seconds.
    since_s: Option<u32>,
    told: bool,
}

#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) stream: StreamId,
    /// Highest contiguous seq entered, per origin.
    pub(crate) heads: Cursor,
    /// How far the logs are known to go where that is further than `heads` was (E18).
    pub(crate) known: Option<Box<Cursor>>,
    /// `state` has said where pushes begin.
    pub(crate) joined: bool,
    pub(crate) members: SmallVec<[Member; 2]>,
    pub(crate) pass: Pass,
    base: u64,
    entries: VecDeque<Entry>,
    /// Bytes of bodies and of encoded frames.
    pub(crate) held: Cell<usize>,
    runs: Option<Box<[Option<Run>; 2]>>,
    gaps: Option<Box<Gaps>>,
    /// Followers that do not see everything.
    pub(crate) floors: Option<Box<Floors>>,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Entered, perhaps with others that had waited for it; so many entries were pushed out.
    Entered { evicted: u32 },
    /// The ring has it already.
    Old,
    /// It stands above a hole; `pull` on the first sign of one.
    Gap { pull: bool },
}

// === impl Entry ===

impl Entry {
    /// What comes next where an origin stands at `head`; what is missing between was lost.
    fn new(segment: Segment, head: u64) -> Self {
        let at = |seq| [(segment.origin.clone(), seq)].into_iter().collect();
        let gap = || Gap { reason: GapReason::Lost, from: at(head), to: at(segment.first - 1) };
        let lost = (segment.first > head + 1).then(|| Box::new(gap()));
        Self { segment, lost, frames: Default::default() }
    }

    /// The seq below all that it tells of its origin.
    pub(crate) fn after(&self) -> u64 {
        let Segment { origin, first, .. } = &self.segment;
        self.lost.as_ref().map_or(first - 1, |gap| gap.from.get(origin))
    }

    /// The frames in `encoding`, encoded now if nobody needed them before; `held` counts what that adds.
    pub(crate) fn frames(&self, encoding: Encoding, encode: &dyn Encode, held: &Cell<usize>) -> &Frames {
        self.frames[encoding.index()].get_or_init(|| {
            let mut out = Messages::new(encoding);
            if let Some(gap) = &self.lost {
                encode.gap(&self.segment.stream, gap, &mut out);
            }
            encode.events(&self.segment, &mut out);
            let frames = out.finish();
            held.set(held.get() + frames.len());
            frames
        })
    }

    fn bytes(&self) -> usize {
        let bodies: usize = self.segment.bodies.iter().map(bytes::Bytes::len).sum();
        let frames: usize = self.frames.iter().filter_map(OnceCell::get).map(|frames| frames.len()).sum();
        bodies + frames
    }
}

// === impl Ring ===

impl Ring {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self {
            stream,
            heads: Cursor::new(),
            known: None,
            joined: false,
            members: SmallVec::new(),
            pass: Pass::default(),
            base: 0,
            entries: VecDeque::new(),
            held: Cell::new(0),
            runs: None,
            gaps: None,
            floors: None,
        }
    }

    /// Where a session's follow starts, if not at the beginning (E24).
    pub(crate) fn floor(&self, session: u32) -> Option<&Place> {
        self.floors.as_ref()?.get(session)
    }

    /// Sets it.
    pub(crate) fn set_floor(&mut self, session: u32, floor: Option<Place>) {
        if floor.is_none() && self.floors.is_none() {
            return;
        }
        self.floors.get_or_insert_default().set(session, floor);
        self.floors.take_if(|floors| floors.is_empty());
    }

    /// Index of the oldest entry that is still here.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Index of the next entry.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries from index `at` on; `at` must not be below the base.
    pub(crate) fn entries_from(&self, at: u64) -> impl Iterator<Item = &Entry> {
        debug_assert!(at >= self.base, "whoever fell out of the ring must be cut off");
        let skip = usize::try_from(at - self.base).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(skip..)
    }

    /// `state` says how far this region's copy goes: everything after comes as pushes. Says whether something
    /// between is missing, so that it must be pulled.
    pub(crate) fn join(&mut self, head: &Cursor, known: &Cursor) -> bool {
        let fresh = !self.joined;
        self.joined = true;
        if fresh {
            self.heads.clone_from(head);
        }
        self.known = (!self.heads.covers(known)).then(|| Box::new(known.clone()));
        if self.heads.covers(head) {
            return false;
        }
        let pull = self.gaps.is_none();
        self.gaps.get_or_insert_default().wanted.merge(head);
        pull
    }

    /// Up to where it is known to exist, above holes, too.
    pub(crate) fn wanted(&self) -> Cursor {
        let mut wanted = self.heads.clone();
        if let Some(gaps) = &self.gaps {
            wanted.merge(&gaps.wanted);
        }
        wanted
    }

    /// What is missing is being pulled; if it is not there by `due_s`, it is pulled again.
    pub(crate) fn pulled(&mut self, due_s: u32) {
        if let Some(gaps) = &mut self.gaps {
            gaps.due_s = due_s;
            gaps.since_s.get_or_insert(due_s - RETRY_S);
        }
    }

    /// Rule 9: what is missing, told once, when it has been for ten seconds.
    pub(crate) fn late(&mut self, now_s: u32) -> Option<Gap> {
        let gaps = self.gaps.as_mut().filter(|gaps| !gaps.told)?;
        gaps.told = gaps.since_s.is_some_and(|since_s| now_s - since_s >= WAITING_TOLD_S);
        let told = gaps.told;
        told.then(|| Gap { reason: GapReason::Waiting, from: self.heads.clone(), to: self.wanted() })
    }

    /// Whether something is missing that was pulled long enough ago.
    pub(crate) fn is_pull_due(&self, now_s: u32) -> bool {
        self.gaps.as_ref().is_some_and(|gaps| gaps.due_s <= now_s)
    }

    /// Of what is being pulled this was lost with its origins' lives, and is not waited for any more.
    pub(crate) fn lose(&mut self, upto: &Cursor) {
        if let Some(gaps) = &mut self.gaps {
            gaps.lost.merge(upto);
        }
    }

    /// Enters a segment, holds it back behind a hole, or drops it.
    pub(crate) fn offer(&mut self, segment: Segment, limits: &Limits) -> Offered {
        let head = self.heads.get(&segment.origin);
        if segment.last() <= head {
            return Offered::Old;
        }
        let lost = self.gaps.as_ref().map_or(0, |gaps| gaps.lost.get(&segment.origin));
        if segment.first > head.max(lost) + 1 {
            let pull = self.gaps.is_none();
            let gaps = self.gaps.get_or_insert_default();
            gaps.wanted.advance(&segment.origin, segment.last());
            if gaps.held.len() < HELD_SEGMENTS {
                gaps.held.push(segment);
            }
            return Offered::Gap { pull };
        }
        self.enter(segment);
        self.enter_held();
        Offered::Entered { evicted: self.evict(limits) }
    }

    fn enter(&mut self, segment: Segment) {
        let head = self.heads.get(&segment.origin);
        self.heads.advance(&segment.origin, segment.last());
        let entry = Entry::new(segment, head);
        self.held.set(self.held.get() + entry.bytes());
        if self.entries.is_empty() {
            // Most are sent before the next comes: one place, not the four that the deque would begin with.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(entry);
        if self.known.as_ref().is_some_and(|known| self.heads.covers(known)) {
            self.known = None;
        }
    }

    /// Enters what waited for the hole that was just filled; forgets the gap when nothing is missing any
    /// more.
    fn enter_held(&mut self) {
        let Some(mut gaps) = self.gaps.take() else { return };
        let comes_next = |ring: &Self, gaps: &Gaps| {
            let reach = |origin| ring.heads.get(origin).max(gaps.lost.get(origin));
            gaps.held.iter().position(|segment| segment.first <= reach(&segment.origin) + 1)
        };
        while let Some(at) = comes_next(self, &gaps) {
            let segment = gaps.held.swap_remove(at);
            if segment.last() > self.heads.get(&segment.origin) {
                self.enter(segment);
            }
        }
        if !self.heads.covers(&gaps.wanted) {
            self.gaps = Some(gaps);
        }
    }

    fn evict(&mut self, limits: &Limits) -> u32 {
        let mut evicted = 0;
        while self.entries.len() > limits.ring_entries.max(1)
            || (self.held.get() > limits.ring_bytes && self.entries.len() > 1)
        {
            self.drop_oldest();
            evicted += 1;
        }
        evicted
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.base += 1;
            self.held.set(self.held.get() - entry.bytes());
        }
    }

    /// Forgets what is below `low`, which nobody needs; when nothing is left, its memory too.
    pub(crate) fn trim(&mut self, low: u64) {
        while self.base < low && !self.entries.is_empty() {
            self.drop_oldest();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
            debug_assert_eq!(self.held.get(), 0, "what entries added went with them");
        }
        self.runs = None;
    }

    /// Encodes what current members have yet to get, and copies it together if more than one of them will use
    /// it.
    pub(crate) fn prepare(&mut self, encoding: Encoding, encode: &dyn Encode) {
        let from = self.pass.settled.max(self.base);
        if self.end() < from + 2 || self.members.len() < RUN_MEMBERS {
            return;
        }
        let runs = self.runs.get_or_insert_default();
        let to = self.base + self.entries.len() as u64;
        let run = &mut runs[encoding.index()];
        if run.as_ref().is_some_and(|run| run.from == from && run.to() == to) {
            return;
        }
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for entry in self.entries.range((from - self.base) as usize..) {
            bytes.extend_from_slice(entry.frames(encoding, encode, &self.held));
            if bytes.len() > RUN_BYTES {
                *run = None;
                return;
            }
            ends.push(bytes.len() as u32);
        }
        *run = Some(Run { from, ends, bytes });
    }

    /// All frames from `at` to the end as one slice, if they were copied together.
    pub(crate) fn run(&self, at: u64, encoding: Encoding) -> Option<&[u8]> {
        let run = self.runs.as_ref()?[encoding.index()].as_ref()?;
        if run.to() != self.end() || at < run.from || at >= run.to() {
            return None;
        }
        let skipped = (at - run.from) as usize;
        let begin = if skipped == 0 { 0 } else { run.ends[skipped - 1] as usize };
        Some(&run.bytes[begin..])
    }

    /// What somebody who has `sent` lacks of all that was ever entered: the indexes of entries that complete
    /// it, or `None` if a part of it is not here any more and must be read.
    pub(crate) fn completes(&self, sent: &Cursor) -> Option<Vec<u64>> {
        let mut has = sent.clone();
        let mut needed = Vec::new();
        for (index, entry) in (self.base..).zip(&self.entries) {
            let origin = &entry.segment.origin;
            let upto = has.get(origin);
            if entry.segment.last() <= upto {
                continue;
            }
            if entry.after() > upto {
                return None;
            }
            has.advance(origin, entry.segment.last());
            needed.push(index);
        }
        has.covers(&self.heads).then_some(needed)
    }

    /// The entry with this index.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.base)?).ok()?)
    }

    /// Adds a member; returns its place.
    pub(crate) fn add(&mut self, member: Member) -> u32 {
        self.members.push(member);
        self.members.len() as u32 - 1
    }

    /// Removes the member at `place`, keeping apart who was visited in this pass and who was not. Returns the
    /// members that moved, with their new places.
    pub(crate) fn remove(&mut self, place: u32) -> SmallVec<[(Member, u32); 2]> {
        let mut moved = SmallVec::new();
        let mut hole = place as usize;
        if place < self.pass.next {
            self.pass.next -= 1;
            let visited = self.pass.next as usize;
            self.members.swap(hole, visited);
            if visited != hole {
                moved.push((self.members[hole], hole as u32));
            }
            hole = visited;
        }
        self.members.swap_remove(hole);
        if let Some(&member) = self.members.get(hole) {
            moved.push((member, hole as u32));
        }
        moved
    }
}

impl Run {
    fn to(&self) -> u64 {
        self.from + self.ends.len() as u64
    }
}
