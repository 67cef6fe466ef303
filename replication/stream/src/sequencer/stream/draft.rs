//! A segment in the making: which records still fit, their stamps, and whether one repeats another of them.

use bytes::Bytes;

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

pub(super) struct Draft {
    end: End,
    hlc: Hlc,
    stamps: Vec<Hlc>,
    bodies: Vec<Bytes>,
    members: Vec<u32>,
    policy: Policy,
    offset: u64,
    bytes: usize,
    few: Vec<(EventId, ContentHash)>,
    many: Set<(EventId, ContentHash)>,
}

impl Draft {
    /// What will follow `end`.
    pub(super) fn new(end: End) -> Self {
        Self {
            end,
            hlc: end.hlc,
            stamps: Vec::new(),
            bodies: Vec::new(),
            members: Vec::new(),
            policy: Policy::default(),
            offset: 0,
            bytes: 0,
            few: Vec::new(),
            many: Set::default(),
        }
    }

    /// Whether an event of the draft is the same (E4).
    pub(super) fn repeats(&self, record: &Record) -> bool {
        let key = (record.id, record.content);
        self.few.contains(&key) || self.many.contains(&key)
    }

    /// Whether `record` must go into a later segment. The first always fits.
    pub(super) fn is_full(&self, record: &Record, limits: &Limits) -> bool {
        let bytes = self.bytes + record.body.len() + SEGMENT_EVENT_BYTES;
        let full = self.stamps.len() >= limits.segment_events || bytes > limits.segment_bytes;
        full && !self.stamps.is_empty()
    }

    /// Takes it as the next event, stamped (E14).
    pub(super) fn add(&mut self, record: &Record, wall_ms: u64) {
        self.hlc = Hlc::next(self.hlc, record.seen, wall_ms);
        if record.member {
            self.members.push(self.stamps.len() as u32);
        }
        if self.policy != record.policy {
            self.policy.merge(&record.policy);
        }
        self.stamps.push(self.hlc);
        self.bodies.push(record.body.clone());
        self.bytes += record.body.len() + SEGMENT_EVENT_BYTES;
        self.offset = record.offset;
        self.few.push((record.id, record.content));
        if self.few.len() > FEW {
            self.many.extend(self.few.drain(..));
        }
    }

    /// The segment; `None` if no event was added.
    pub(super) fn finish(self, stream: &StreamId, place: &Place) -> Option<Segment> {
        let segment = Segment {
            stream: stream.clone(),
            origin: place.origin.clone(),
            first: self.end.seq + 1,
            stamps: self.stamps,
            bodies: self.bodies,
            from: place.position(self.offset),
            policy: self.policy,
            prefix: self.end.prefix,
            members: self.members,
            member_before: self.end.member,
        };
        (!segment.stamps.is_empty()).then_some(segment)
    }
}
