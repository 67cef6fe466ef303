//! A segment in the making: which records still fit, their stamps, and whether one repeats another of them.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::{EventId, StreamId};
use crate::limits::SEGMENT_EVENT_BYTES;
use crate::map::Set;
use crate::policy::Policy;
use crate::segment::Segment;
use crate::sequencer::exchange::{Limits, Record};
use crate::sequencer::invariants::End;
use crate::sequencer::takeover::Place;

/// Up to this many events are compared one by one; beyond, a set is worth its making.
const FEW: usize = 16;
/// Room that is made for at once, if as many records wait.
const ROOM: usize = 32;

pub(super) struct Draft {
    segment: Segment,
    hlc: Hlc,
    bytes: usize,
    few: SmallVec<[(EventId, ContentHash); 4]>,
    many: Set<(EventId, ContentHash)>,
}

impl Draft {
    /// What will follow `end` in this stream, of which `waiting` records wait.
    pub(super) fn new(stream: &StreamId, end: &End, place: &Place, waiting: usize) -> Self {
        let segment = Segment {
            stream: stream.clone(),
            origin: place.origin.clone(),
            first: end.seq + 1,
            stamps: SmallVec::with_capacity(waiting.min(ROOM)),
            bodies: SmallVec::with_capacity(waiting.min(ROOM)),
            from: place.position(0),
            policy: Policy::default(),
            prefix: end.prefix,
            members: Vec::new(),
            member_before: end.member,
        };
        Self { segment, hlc: end.hlc, bytes: 0, few: SmallVec::new(), many: Set::default() }
    }

    /// Whether an event of the draft is the same (E4).
    pub(super) fn repeats(&self, record: &Record) -> bool {
        let key = (record.id, record.content);
        self.few.contains(&key) || (!self.many.is_empty() && self.many.contains(&key))
    }

    /// Whether `record` must go into a later segment. The first always fits.
    pub(super) fn is_full(&self, record: &Record, limits: &Limits) -> bool {
        let events = self.segment.stamps.len();
        let bytes = self.bytes + record.body.len() + SEGMENT_EVENT_BYTES;
        (events >= limits.segment_events || bytes > limits.segment_bytes) && events > 0
    }

    /// Takes it as the next event, stamped (E14), and its body out of it.
    pub(super) fn add(&mut self, record: &mut Record, wall_ms: u64) {
        let segment = &mut self.segment;
        self.hlc = Hlc::next(self.hlc, record.seen, wall_ms);
        if record.member {
            segment.members.push(segment.stamps.len() as u32);
        }
        if segment.policy != record.policy {
            segment.policy.merge(&record.policy);
        }
        segment.stamps.push(self.hlc);
        self.bytes += record.body.len() + SEGMENT_EVENT_BYTES;
        segment.bodies.push(std::mem::take(&mut record.body));
        segment.from.offset = record.offset;
        if self.few.len() == FEW {
            self.many.extend(self.few.drain(..));
        }
        self.few.push((record.id, record.content));
    }

    /// The segment, if an event was added.
    #[inline]
    pub(super) fn finish(self) -> Option<Arc<Segment>> {
        if self.segment.stamps.is_empty() {
            return None;
        }
        Some(Arc::new(self.segment))
    }
}
