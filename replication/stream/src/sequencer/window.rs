//! What a partition remembers of ids, to tell duplicates (E4, E13).
//!
//! One memory for all loaded streams, in two first-in-first-out lists: ordinary ids and resend-marked ones.
//! Per stream two floors say what it is good for: every id (every resend-marked id) that the chain holds with
//! a stamp at or above the floor is remembered. Forgetting one raises the floor; so the window never guesses,
//! it says [`Verdict::Unclear`]. A stream's entries are keyed by its load number, which is never used twice:
//! what a dropped stream leaves behind is dead.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::exchange::Known;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::EventId;
use crate::limits::{CLOCK_BOUND_MS, ID_LEAD_MS};
use crate::map::Map;

#[cfg(test)]
mod tests;

/// What the window can say of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The chain has it.
    Duplicate,
    /// The chain does not have it.
    New,
    /// It may stand where the window does not reach.
    Unclear,
}

/// Per stream, from which stamp on the window is complete.
#[derive(Clone, Copy, Debug)]
struct Floors {
    all: Hlc,
    resends: Hlc,
    /// How far eviction alone has raised them since a range began to be taken in.
    evicted_all: Hlc,
    evicted_resends: Hlc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    load: u64,
    id: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    key: Key,
    content: ContentHash,
    hlc: Hlc,
}

#[derive(Debug)]
pub(super) struct Window {
    known: Map<Key, SmallVec<[ContentHash; 1]>>,
    ordinary: VecDeque<Remembered>,
    resends: VecDeque<Remembered>,
    floors: Map<u64, Floors>,
    ids: usize,
    resend_ids: usize,
}

/// The oldest stamp under which an event with this id can stand: its id was not further ahead of the wall
/// than E5 allows when it was accepted, and stamps are not further behind than the clocks' bound.
pub(super) fn oldest(id: EventId) -> Hlc {
    Hlc::at(id.time_ms().saturating_sub(CLOCK_BOUND_MS + ID_LEAD_MS))
}

impl Window {
    /// A window for this many ordinary and resend-marked ids.
    pub(super) fn new(ids: usize, resend_ids: usize) -> Self {
        Self {
            known: Map::default(),
            ordinary: VecDeque::new(),
            resends: VecDeque::new(),
            floors: Map::default(),
            ids,
            resend_ids,
        }
    }

    /// Begins to remember for `load`, whose chain has nothing at or above `floor` yet that was not
    /// remembered.
    pub(super) fn open(&mut self, load: u64, floor: Hlc) {
        let floors =
            Floors { all: floor, resends: floor, evicted_all: Hlc::ZERO, evicted_resends: Hlc::ZERO };
        self.floors.insert(load, floors);
    }

    /// Forgets that `load` exists; its ids go as others come.
    pub(super) fn close(&mut self, load: u64) {
        self.floors.remove(&load);
    }

    /// From which stamp on a record with this mark can be judged.
    pub(super) fn floor(&self, load: u64, resend: bool) -> Hlc {
        let floors = self.floors.get(&load);
        floors.map_or(Hlc(u64::MAX), |floors| if resend { floors.all } else { floors.resends })
    }

    /// Judges a record that is known not to stand below `clear`.
    pub(super) fn judge(&self, load: u64, record: Known, clear: Hlc) -> Verdict {
        if self.holds(load, record) {
            Verdict::Duplicate
        } else if self.floor(load, record.resend) <= oldest(record.id).max(clear) {
            Verdict::New
        } else {
            Verdict::Unclear
        }
    }

    fn holds(&self, load: u64, event: Known) -> bool {
        self.known.get(&Key::of(load, event.id)).is_some_and(|contents| contents.contains(&event.content))
    }

    /// Remembers an event of the chain. Says whether its id stands there with other content.
    pub(super) fn remember(&mut self, load: u64, event: Known, hlc: Hlc) -> bool {
        let key = Key::of(load, event.id);
        let contents = self.known.entry(key).or_default();
        if contents.contains(&event.content) {
            return false;
        }
        let reused = !contents.is_empty();
        contents.push(event.content);
        let remembered = Remembered { key, content: event.content, hlc };
        let (list, room) = match event.resend {
            true => (&mut self.resends, self.resend_ids),
            false => (&mut self.ordinary, self.ids),
        };
        list.push_back(remembered);
        if list.len() > room {
            let oldest = list.pop_front();
            oldest.into_iter().for_each(|old| self.forget(old, event.resend));
        }
        reused
    }

    fn forget(&mut self, old: Remembered, resend: bool) {
        if let Some(contents) = self.known.get_mut(&old.key) {
            contents.retain(|content| *content != old.content);
            if contents.is_empty() {
                self.known.remove(&old.key);
            }
        }
        let Some(floors) = self.floors.get_mut(&old.key.load) else { return };
        let above = old.hlc.successor();
        floors.all = floors.all.max(above);
        floors.evicted_all = floors.evicted_all.max(above);
        if resend {
            floors.resends = floors.resends.max(above);
            floors.evicted_resends = floors.evicted_resends.max(above);
        }
    }

    /// Before a range of `load` is remembered that ends where its floors are.
    pub(super) fn begin_range(&mut self, load: u64) {
        if let Some(floors) = self.floors.get_mut(&load) {
            (floors.evicted_all, floors.evicted_resends) = (Hlc::ZERO, Hlc::ZERO);
        }
    }

    /// All of the range from `since` on was remembered, as far as `all` (`resends`) says: floors come down to
    /// it, or to what was forgotten meanwhile.
    pub(super) fn end_range(&mut self, load: u64, since: Hlc, all: bool, resends: bool) {
        let Some(floors) = self.floors.get_mut(&load) else { return };
        if resends {
            floors.resends = floors.resends.min(since.max(floors.evicted_resends));
        }
        if all && resends {
            floors.all = floors.all.min(since.max(floors.evicted_all));
        }
    }
}

impl Key {
    fn of(load: u64, id: EventId) -> Self {
        Self { load, id: [(id.bits() >> 64) as u64, id.bits() as u64] }
    }
}
