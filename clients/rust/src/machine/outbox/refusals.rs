//! Publishes that were refused, or can no longer be retried (section 6, P12, P17, P22).
//!
//! An id that a region refuses for its time, when it was first sent, was taken by nobody: the event is sent
//! once more, under an id from the time that the refusal tells. One that was sent before may have been taken
//! then: that is for the application to find out, as with all that is too old.

use sterna_protocol::frame::Error;
use sterna_stream::{EventId, Reason};

use super::{Effects, Outbox, Outcome, Stage};
use crate::config::{LEAVING_MS, REFUSED_MS};
use crate::machine::Now;
use crate::machine::ids::ServerClock;
use crate::storage::{Change, Key};

impl Outbox {
    /// An `error` names an event of ours.
    pub(in crate::machine) fn refused(&mut self, id: EventId, error: &Error, now_ms: u64) -> Effects {
        let Some(entry) = self.by_id.get(&id).and_then(|key| self.entries.get_mut(key)) else {
            return Effects::default();
        };
        let key = entry.queued.key;
        let reason = error.code.reason();
        let after = match (error.retry_after_ms, reason) {
            (_, Some(Reason::RegionLeaving)) => {
                // Nothing more goes to this region; a `move` or a close comes.
                self.leaving_ms = now_ms + error.retry_after_ms.map_or(LEAVING_MS, u64::from);
                Some(0)
            }
            (Some(after), _) => Some(u64::from(after)),
            // Our window is the server's: it has not seen our last acks yet.
            (None, Some(Reason::LimitExceeded)) => Some(REFUSED_MS),
            (None, _) => None,
        };
        if let Some(after) = after {
            if entry.stage != Stage::Asking {
                entry.stage = Stage::Waiting;
            }
            if after > 0 {
                self.stopped.insert(entry.queued.stream.clone(), now_ms + after);
            }
            return Effects::default();
        }
        let untimely = matches!(reason, Some(Reason::IdTooOld | Reason::BadEventId));
        if untimely && !entry.queued.accepted && entry.sends > 1 {
            entry.stage = Stage::Asking;
            return (Vec::new(), vec![(key, Some(id), Outcome::Unknown)]);
        }
        let asked = entry.stage == Stage::Asking;
        if untimely && !asked && !entry.queued.accepted && error.time_unix_ms.is_some() && !entry.anew {
            (entry.anew, entry.sends, entry.stage) = (true, 0, Stage::Waiting);
            entry.queued.event_id = None;
            self.by_id.remove(&id);
            return (vec![Change::Queued(entry.queued.clone())], Vec::new());
        }
        // What a region has accepted already is no less accepted because another refuses to have it again.
        let accepted = entry.queued.accepted;
        self.remove(key);
        let refused = Outcome::Refused { code: error.code.clone(), detail: error.detail.clone() };
        let outcome = if accepted { Outcome::GivenUp } else { refused };
        (vec![Change::Released(key)], vec![(key, Some(id), outcome)])
    }

    /// Ids older than the dedupe window are not sent again: the outcome is known, or to be looked up (P17).
    /// What is under way has its answer still to come.
    pub(in crate::machine) fn expire(&mut self, now: Now, clock: &ServerClock) -> Effects {
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        let oldest = clock.time_ms(now).saturating_sub(self.limits.dedupe_window_ms);
        let too_old = |id: &EventId| id.time_ms() < oldest;
        let mut known = Vec::new();
        for entry in self.entries.values_mut() {
            let Some(id) = entry.queued.event_id.filter(too_old) else { continue };
            if entry.queued.accepted {
                known.push((entry.queued.key, id));
            } else if entry.stage == Stage::Waiting {
                entry.stage = Stage::Asking;
                told.push((entry.queued.key, Some(id), Outcome::Unknown));
            }
        }
        for (key, id) in known {
            self.remove(key);
            changes.push(Change::Released(key));
            told.push((key, Some(id), Outcome::GivenUp));
        }
        (changes, told)
    }

    /// The application looked an unknown outcome up (P17).
    pub(in crate::machine) fn resolve(&mut self, key: Key, found: bool) -> Effects {
        if self.entries.get(&key).is_none_or(|entry| entry.stage != Stage::Asking) {
            return Effects::default();
        }
        let id = self.remove(key).and_then(|entry| entry.queued.event_id);
        let outcome = if found { Outcome::Safe } else { Outcome::Lost };
        (vec![Change::Released(key)], vec![(key, id, outcome)])
    }
}
