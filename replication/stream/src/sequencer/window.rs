//! What a partition remembers of ids, to tell duplicates (E4, E13).
//!
//! One memory for all loaded streams, in two first-in-first-out lists: ordinary ids and resend-marked ones.
//! Per stream two floors say what it is good for: every id (every resend-marked id) that the chain holds with
//! a stamp at or above the floor is remembered. Forgetting one raises the floor; so the window never guesses,
//! it says [`Verdict::Unclear`]. A stream's entries are keyed by its load number, which is never used twice:
//! what a dropped stream leaves behind is dead.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::exchange::Known;
use crate::counted::steps;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::EventId;
use crate::limits::{CLOCK_BOUND_MS, ID_LEAD_MS};
use crate::map::Map;

use index::{Index, Spot};

mod index;
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

/// An event that is remembered.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    id: EventId,
    content: ContentHash,
    load: u64,
    hlc: Hlc,
}

/// A first-in-first-out list, whose entries keep their number while they are in it.
#[derive(Debug)]
struct List {
    entries: VecDeque<Remembered>,
    /// The first one's number; numbers wrap at [`NUMBERS`].
    first: u32,
    room: usize,
}

/// Marks, in the index, the number of an entry of the resend-marked list.
const RESEND: u32 = 1 << 31;
/// Marks, in the index, an entry whose id stood there before with other content: it is found by both. So an
/// id that is used again and again makes no look longer.
const AGAIN: u32 = 1 << 30;
/// Of so many entries one is forgotten beside the oldest, where another needs room.
const AT_ONCE_OF: usize = 1 << 14;
/// Numbers of entries are below this.
const NUMBERS: u32 = 1 << 30;

#[derive(Debug)]
pub(super) struct Window {
    /// By stream and id, and by content if the id stood there before: which entries. Numbers alone, so that a
    /// look at an id that is not there touches little memory (an entry takes ten times as much).
    index: Index,
    /// How many are found by content.
    again: usize,
    ordinary: List,
    resends: List,
    floors: Map<u64, Floors>,
    hasher: FixedState,
}

/// The oldest stamp under which an event with this id can stand: its id was not further ahead of the wall
/// than E5 allows when it was accepted, and stamps are not further behind than the clocks' bound.
pub(super) fn oldest(id: EventId) -> Hlc {
    Hlc::at(id.time_ms().saturating_sub(CLOCK_BOUND_MS + ID_LEAD_MS))
}

impl Window {
    /// A window for this many ordinary and resend-marked ids, whose places in the index depend on `salt`.
    pub(super) fn new(ids: usize, resend_ids: usize, salt: u64) -> Self {
        Self {
            index: Index::new(),
            again: 0,
            ordinary: List::new(ids),
            resends: List::new(resend_ids),
            floors: Map::default(),
            hasher: FixedState::with_seed(salt),
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

    /// The numbers in the index, in the order of where they stand.
    #[cfg(test)]
    pub(super) fn places(&self) -> Vec<u32> {
        self.index.numbers().collect()
    }

    fn holds(&self, load: u64, event: Known) -> bool {
        let content = self.first_content(by_id(&self.hasher, load, event.id), load, event.id);
        content == Some(event.content) || self.holds_again(load, event)
    }

    /// The content with which the id of this spot came first, of what is remembered.
    fn first_content(&self, spot: Spot, load: u64, id: EventId) -> Option<ContentHash> {
        let is_first = |number| {
            steps(1);
            number & AGAIN == 0 && self.entry(number).is_some_and(|entry| entry.is_of(load, id))
        };
        let number = self.index.find(spot, is_first)?;
        self.entry(number).map(|entry| entry.content)
    }

    /// Whether the event is there, and its id was there before.
    fn holds_again(&self, load: u64, event: Known) -> bool {
        let same = |number| {
            steps(1);
            let is_same = |entry: &Remembered| entry.is_of(load, event.id) && entry.content == event.content;
            number & AGAIN != 0 && self.entry(number).is_some_and(is_same)
        };
        let spot = || by_content(&self.hasher, load, event.id, event.content);
        self.again > 0 && self.index.find(spot(), same).is_some()
    }

    fn entry(&self, number: u32) -> Option<&Remembered> {
        entry(&self.ordinary, &self.resends, number)
    }

    /// Remembers an event of the chain. Says whether its id stands there with other content, as far as the
    /// first event with it is remembered.
    pub(super) fn remember(&mut self, load: u64, event: Known, hlc: Hlc) -> bool {
        let id_spot = by_id(&self.hasher, load, event.id);
        let first = self.first_content(id_spot, load, event.id);
        if first == Some(event.content) || self.holds_again(load, event) {
            return false;
        }
        let reused = first.is_some();
        self.make_room(event.resend);
        let remembered = Remembered { id: event.id, content: event.content, load, hlc };
        let number = match event.resend {
            true => RESEND | self.resends.push(remembered),
            false => self.ordinary.push(remembered),
        };
        let number = if reused { number | AGAIN } else { number };
        self.again += usize::from(reused);
        let own_spot = if reused { spot(&self.hasher, number, &remembered) } else { id_spot };
        let (ordinary, resends, hasher) = (&self.ordinary, &self.resends, &self.hasher);
        self.index.insert(own_spot, number, |number| hash(hasher, number, entry(ordinary, resends, number)));
        reused
    }

    /// Forgets the oldest of a list that is full: before another comes, so that the memory for 2^n entries is
    /// not doubled for one more, and in a large list several, whose memory is waited for together.
    fn make_room(&mut self, resend: bool) {
        let list = if resend { &self.resends } else { &self.ordinary };
        if list.entries.len() < list.room {
            return;
        }
        for _ in 0..list.room / AT_ONCE_OF + 1 {
            let list = if resend { &mut self.resends } else { &mut self.ordinary };
            if let Some((number, oldest)) = list.pop() {
                self.forget(number, oldest, resend);
            }
        }
    }

    fn forget(&mut self, number: u32, old: Remembered, resend: bool) {
        let number = if resend { RESEND | number } else { number };
        for number in [number, number | AGAIN] {
            let is_it = |indexed| {
                steps(1);
                indexed == number
            };
            let (ordinary, resends, hasher) = (&self.ordinary, &self.resends, &self.hasher);
            let hash_of = |number| hash(hasher, number, entry(ordinary, resends, number));
            if self.index.remove(spot(hasher, number, &old), is_it, hash_of) {
                self.again -= usize::from(number & AGAIN != 0);
                break;
            }
        }
        let Some(floors) = self.floors.get_mut(&old.load) else { return };
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

impl List {
    fn new(room: usize) -> Self {
        debug_assert!(room < NUMBERS as usize, "numbers of entries differ");
        Self { entries: VecDeque::new(), first: 0, room }
    }

    /// Its number.
    fn push(&mut self, entry: Remembered) -> u32 {
        self.entries.push_back(entry);
        self.first.wrapping_add(self.entries.len() as u32 - 1) % NUMBERS
    }

    fn get(&self, number: u32) -> Option<&Remembered> {
        self.entries.get((number.wrapping_sub(self.first) % NUMBERS) as usize)
    }

    /// The oldest, with its number.
    fn pop(&mut self) -> Option<(u32, Remembered)> {
        let (number, oldest) = (self.first, self.entries.pop_front()?);
        self.first = (number + 1) % NUMBERS;
        Some((number, oldest))
    }
}

impl Remembered {
    fn is_of(&self, load: u64, id: EventId) -> bool {
        (self.load, self.id) == (load, id)
    }
}

fn entry<'a>(ordinary: &'a List, resends: &'a List, number: u32) -> Option<&'a Remembered> {
    let list = if number & RESEND == 0 { ordinary } else { resends };
    list.get(number % NUMBERS)
}

/// Where an entry with this number stands in the index.
fn spot(hasher: &FixedState, number: u32, entry: &Remembered) -> Spot {
    match number & AGAIN {
        0 => by_id(hasher, entry.load, entry.id),
        _ => by_content(hasher, entry.load, entry.id, entry.content),
    }
}

fn hash(hasher: &FixedState, number: u32, entry: Option<&Remembered>) -> u64 {
    steps(1);
    debug_assert!(entry.is_some(), "the index holds numbers of entries that are there");
    entry.map_or(0, |entry| spot(hasher, number, entry).hash)
}

fn by_id(hasher: &FixedState, load: u64, id: EventId) -> Spot {
    Spot { time_ms: id.time_ms(), hash: hasher.hash_one((load, id.bits())) }
}

fn by_content(hasher: &FixedState, load: u64, id: EventId, content: ContentHash) -> Spot {
    Spot { time_ms: id.time_ms(), hash: hasher.hash_one((load, id.bits(), content.0)) }
}
