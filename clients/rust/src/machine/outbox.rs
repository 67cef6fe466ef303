//! What the user wrote and the service does not yet have for good (P12 to P17, P22).
//!
//! Bounded, in order per stream, at most `max_in_flight` without an ack. An event is minted when it is first
//! sent; every later send is marked. It stays until another region has it too (or one region, where so
//! chosen). A full outbox gives up its oldest events that a region has accepted, never one that nobody has.

use std::collections::BTreeMap;

use sterna_protocol::Limits;
use sterna_protocol::frame::{Durability, Event, Publish};
use sterna_protocol::limits::PUBLISH_BURST_S;
use sterna_stream::map::Map;
use sterna_stream::{Cursor, EventId, Hlc, Origin, Region, StreamId, UserId};

use super::ids::ServerClock;
use super::{Draft, Now, Outcome, Random};
use crate::config::{ACK_MS, KeepUntil};
use crate::storage::{Change, Key, Queued};

mod refusals;

/// An event in the outbox, with what is known of it on the present socket.
#[derive(Debug)]
struct Entry {
    queued: Queued,
    stage: Stage,
    /// How often it was sent, at least; a stored id counts as once.
    sends: u32,
    /// Its first id was refused for its time, and it has another one.
    anew: bool,
    /// Where it was sequenced, once it came back.
    place: Option<(Origin, u64)>,
}

/// Where an event is. Waiting → InFlight → Accepted → gone; a lost socket, silence or a refusal lead back to
/// Waiting; an outcome that can no longer be found by sending leads to Asking, which only the application
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be sent, or sent again.
    Waiting,
    /// Sent, no ack yet.
    InFlight { since_ms: u64 },
    /// A region has it; waits for the second ack.
    Accepted,
    /// Too old to be sent again with an unknown outcome: to be looked up (P17).
    Asking,
}

/// The outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: BTreeMap<Key, Entry>,
    by_id: Map<EventId, Key>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
    /// Streams that wait after a refusal, and until when (P22).
    stopped: BTreeMap<StreamId, u64>,
    /// Until when nothing is sent, because the region is leaving.
    leaving_ms: u64,
    limits: Limits,
    /// Publishes that may be sent now, in thousandths.
    allowance: u64,
    allowed_ms: u64,
    /// Events given up in favour of later ones.
    released: u64,
}

/// What came of something: what to store, what to tell.
pub(super) type Effects = (Vec<Change>, Vec<(Key, Option<EventId>, Outcome)>);

impl Outbox {
    /// The outbox as it was stored: what has an id may have been sent.
    pub(super) fn new(stored: BTreeMap<Key, Queued>, events_max: usize, bytes_max: usize) -> Self {
        let limits = Limits::default();
        let mut outbox = Self {
            entries: BTreeMap::new(),
            by_id: Map::default(),
            bytes: 0,
            events_max,
            bytes_max,
            stopped: BTreeMap::new(),
            leaving_ms: 0,
            limits,
            allowance: burst(&limits),
            allowed_ms: 0,
            released: 0,
        };
        for (_, queued) in stored {
            outbox.insert(queued);
        }
        outbox
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Events given up so far in favour of later ones.
    pub(super) fn released(&self) -> u64 {
        self.released
    }

    /// The terms of the session.
    pub(super) fn agree(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// An event is offered. The outcome is told only if there is no room for it.
    pub(super) fn offer(&mut self, key: Key, draft: Draft, seen: Option<Hlc>) -> Effects {
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        let size = draft.payload.as_bytes().len();
        while self.entries.len() >= self.events_max || self.bytes + size > self.bytes_max {
            let oldest = self.entries.iter().find(|(_, entry)| entry.queued.accepted).map(|(key, _)| *key);
            let Some(entry) = oldest.and_then(|oldest| self.remove(oldest)) else {
                told.push((key, None, Outcome::Full));
                return (changes, told);
            };
            self.released += 1;
            changes.push(Change::Released(entry.queued.key));
            told.push((entry.queued.key, entry.queued.event_id, Outcome::GivenUp));
        }
        let Draft { stream, kind, payload } = draft;
        let queued = Queued { key, stream, kind, payload, seen, event_id: None, accepted: false };
        changes.push(Change::Queued(queued.clone()));
        self.insert(queued);
        (changes, told)
    }

    /// A new socket is live: everything that is left is sent again, in order (P13).
    pub(super) fn restart(&mut self) {
        for entry in self.entries.values_mut().filter(|entry| entry.stage != Stage::Asking) {
            entry.stage = Stage::Waiting;
        }
        self.stopped.clear();
        (self.leaving_ms, self.allowance) = (0, burst(&self.limits));
    }

    /// The next event to send now, and what to store before it is sent.
    pub(super) fn next(
        &mut self,
        now: Now,
        clock: &ServerClock,
        random: &mut dyn Random,
    ) -> Option<(Option<Change>, Publish)> {
        self.earn(now.mono_ms);
        let in_flight = self.entries.values().filter(|entry| entry.in_flight()).count();
        if now.mono_ms < self.leaving_ms || self.allowance < 1_000 {
            return None;
        }
        if in_flight >= self.limits.max_in_flight as usize {
            return None;
        }
        self.stopped.retain(|_, until| *until > now.mono_ms);
        let sendable = |entry: &&mut Entry| {
            entry.stage == Stage::Waiting && !self.stopped.contains_key(&entry.queued.stream)
        };
        let entry = self.entries.values_mut().find(sendable)?;
        self.allowance -= 1_000;
        entry.stage = Stage::InFlight { since_ms: now.mono_ms };
        entry.sends += 1;
        let resend = entry.queued.event_id.is_some();
        let event_id = *entry.queued.event_id.get_or_insert_with(|| clock.mint(now, random));
        let Queued { key, stream, kind, payload, seen, .. } = entry.queued.clone();
        let stored = (!resend).then(|| Change::Queued(entry.queued.clone()));
        self.by_id.insert(event_id, key);
        Some((stored, Publish { stream, event_id, kind, payload, seen, resend, policy: Cursor::new() }))
    }

    /// What has waited too long for its ack is sent again (P13).
    pub(super) fn tick(&mut self, now_ms: u64) {
        for entry in self.entries.values_mut() {
            if matches!(entry.stage, Stage::InFlight { since_ms } if now_ms >= since_ms + ACK_MS) {
                entry.stage = Stage::Waiting;
            }
        }
    }

    /// When to look again; `sending` if there is a socket to send on.
    pub(super) fn deadline(&self, sending: bool) -> Option<u64> {
        if !sending {
            return None;
        }
        let mut earliest = None;
        for entry in self.entries.values() {
            let at = match entry.stage {
                Stage::InFlight { since_ms } => since_ms + ACK_MS,
                // A full window opens by an ack, not by time.
                Stage::Waiting if self.window_is_full() => continue,
                Stage::Waiting => {
                    let stopped = self.stopped.get(&entry.queued.stream).copied().unwrap_or(0);
                    stopped.max(self.leaving_ms).max(self.allowed_again_ms())
                }
                Stage::Accepted | Stage::Asking => continue,
            };
            earliest = Some(earliest.map_or(at, |earliest: u64| earliest.min(at)));
        }
        earliest
    }

    /// `ack` came: the first or the second (P14).
    pub(super) fn acked(
        &mut self,
        ids: &[EventId],
        region: &Region,
        durability: &Durability,
        keep: KeepUntil,
    ) -> Effects {
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(entry) = self.by_id.get(id).and_then(|key| self.entries.get_mut(key)) else { continue };
            let key = entry.queued.key;
            if *durability == Durability::Global {
                changes.push(Change::Released(key));
                told.push((key, Some(*id), Outcome::Safe));
                self.remove(key);
                continue;
            }
            if entry.stage != Stage::Asking {
                entry.stage = Stage::Accepted;
            }
            let (region, durability) = (region.clone(), durability.clone());
            told.push((key, Some(*id), Outcome::Accepted { region, durability }));
            let first = !std::mem::replace(&mut entry.queued.accepted, true);
            if keep == KeepUntil::Region {
                changes.push(Change::Released(key));
                told.push((key, Some(*id), Outcome::Safe));
                self.remove(key);
            } else if first {
                changes.push(Change::Queued(entry.queued.clone()));
            }
        }
        (changes, told)
    }

    /// An event of `me` arrived in a session whose region is `here` now: if it is one of ours, it is
    /// sequenced; from another origin, two regions have it.
    pub(super) fn came_back(
        &mut self,
        stream: &StreamId,
        event: &Event,
        me: &UserId,
        here: Option<&Origin>,
        keep: KeepUntil,
    ) -> Effects {
        let ours = self.by_id.get(&event.event_id).copied().filter(|_| event.author == *me);
        let Some(entry) = ours.and_then(|key| self.entries.get_mut(&key)) else { return Effects::default() };
        let queued = &entry.queued;
        // E4: other content under our id is another event.
        if queued.stream != *stream || queued.kind != event.kind || queued.payload != event.payload {
            return Effects::default();
        }
        let (key, id) = (queued.key, queued.event_id);
        entry.place = Some((event.origin.clone(), event.seq));
        let mut told = vec![(key, id, Outcome::Placed { origin: event.origin.clone(), seq: event.seq })];
        let elsewhere = here.is_some_and(|here| *here != event.origin);
        if elsewhere || keep == KeepUntil::Region {
            told.push((key, id, Outcome::Safe));
            self.remove(key);
            return (vec![Change::Released(key)], told);
        }
        let first = !std::mem::replace(&mut entry.queued.accepted, true);
        let changes = first.then(|| Change::Queued(entry.queued.clone())).into_iter().collect();
        (changes, told)
    }

    /// A region other than those of the events' origins says how far it has `stream`: what came back from
    /// there and lies within is in two regions.
    pub(super) fn covered(&mut self, stream: &StreamId, head: &Cursor, here: Option<&Origin>) -> Effects {
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        let held = |entry: &Entry| {
            let (origin, seq) = entry.place.as_ref()?;
            let safe = entry.queued.stream == *stream && here.is_some_and(|here| here != origin);
            (safe && head.get(origin) >= *seq).then_some(entry.queued.key)
        };
        let keys: Vec<Key> = self.entries.values().filter_map(held).collect();
        for key in keys {
            let id = self.remove(key).and_then(|entry| entry.queued.event_id);
            changes.push(Change::Released(key));
            told.push((key, id, Outcome::Safe));
        }
        (changes, told)
    }

    // === within ===

    fn insert(&mut self, queued: Queued) {
        self.bytes += queued.payload.as_bytes().len();
        if let Some(id) = queued.event_id {
            self.by_id.insert(id, queued.key);
        }
        let sends = u32::from(queued.event_id.is_some());
        let entry = Entry { queued, stage: Stage::Waiting, sends, anew: false, place: None };
        self.entries.insert(entry.queued.key, entry);
    }

    fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.bytes -= entry.queued.payload.as_bytes().len();
        if let Some(id) = entry.queued.event_id {
            self.by_id.remove(&id);
        }
        Some(entry)
    }

    fn window_is_full(&self) -> bool {
        let in_flight = self.entries.values().filter(|entry| entry.in_flight()).count();
        in_flight >= self.limits.max_in_flight as usize
    }

    /// The session's rate, so that pipelined events are not refused out of order (P22).
    fn earn(&mut self, now_ms: u64) {
        let since = now_ms.saturating_sub(self.allowed_ms);
        let earned = since.saturating_mul(u64::from(self.limits.publishes_per_s));
        self.allowance = self.allowance.saturating_add(earned).min(burst(&self.limits));
        self.allowed_ms = now_ms;
    }

    fn allowed_again_ms(&self) -> u64 {
        let missing = 1_000u64.saturating_sub(self.allowance);
        self.allowed_ms + missing.div_ceil(u64::from(self.limits.publishes_per_s).max(1))
    }
}

/// What may be sent at once, in thousandths of a publish.
fn burst(limits: &Limits) -> u64 {
    u64::from(limits.publishes_per_s) * u64::from(PUBLISH_BURST_S) * 1_000
}

impl Entry {
    fn in_flight(&self) -> bool {
        matches!(self.stage, Stage::InFlight { .. })
    }
}
