//! A segment in the making: which records still fit, their stamps, and whether one repeats another of them.

use std::sync::Arc;

use bytes::Bytes;
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
    stamps: SmallVec<[Hlc; 1]>,
    bodies: SmallVec<[Bytes; 1]>,
    members: Vec<u32>,
    policy: Policy,
    /// Of the last event's record.
    offset: u64,
    hlc: Hlc,
    bytes: usize,
    few: SmallVec<[(EventId, ContentHash); 4]>,
    many: Set<(EventId, ContentHash)>,
}

impl Draft {
    /// What will be stamped above `last`, of a stream of which `waiting` records wait.
    pub(super) fn new(last: Hlc, waiting: usize) -> Self {
        Self {
            stamps: SmallVec::with_capacity(waiting.min(ROOM)),
            bodies: SmallVec::with_capacity(waiting.min(ROOM)),
            members: Vec::new(),
            policy: Policy::default(),
            offset: 0,
            hlc: last,
            bytes: 0,
            few: SmallVec::new(),
            many: Set::default(),
        }
    }

    /// Whether an event of the draft is the same (E4).
    pub(super) fn repeats(&self, record: &Record) -> bool {
        let key = (record.id, record.content);
        self.few.contains(&key) || (!self.many.is_empty() && self.many.contains(&key))
    }

    /// Whether `record` must go into a later segment. The first always fits.
    pub(super) fn is_full(&self, record: &Record, limits: &Limits) -> bool {
        let events = self.stamps.len();
        let bytes = self.bytes + record.body.len() + SEGMENT_EVENT_BYTES;
        (events >= limits.segment_events || bytes > limits.segment_bytes) && events > 0
    }

    /// Takes it as the next event, stamped (E14), and its body out of it.
    pub(super) fn add(&mut self, record: &mut Record, wall_ms: u64) {
        self.hlc = Hlc::next(self.hlc, record.seen, wall_ms);
        if record.member {
            self.members.push(self.stamps.len() as u32);
        }
        if self.policy != record.policy {
            self.policy.merge(&record.policy);
        }
        self.stamps.push(self.hlc);
        self.bytes += record.body.len() + SEGMENT_EVENT_BYTES;
        self.bodies.push(std::mem::take(&mut record.body));
        self.offset = record.offset;
        if self.few.len() == FEW {
            self.many.extend(self.few.drain(..));
        }
        self.few.push((record.id, record.content));
    }

    /// The segment that follows `end` in this stream, if an event was added.
    pub(super) fn finish(self, stream: &StreamId, end: &End, place: &Place) -> Option<Arc<Segment>> {
        if self.stamps.is_empty() {
            return None;
        }
        Some(Arc::new(Segment {
            stream: stream.clone(),
            origin: place.origin.clone(),
            first: end.seq + 1,
            stamps: self.stamps,
            bodies: self.bodies,
            from: place.position(self.offset),
            policy: self.policy,
            prefix: end.prefix,
            members: self.members,
            member_before: end.member,
        }))
    }
}
