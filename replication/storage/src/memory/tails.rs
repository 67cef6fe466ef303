//! Tails in memory, wipeable and forgetful as Redis may be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use sterna_stream::map::Map;
use sterna_stream::{Cursor, Origin, StreamId};

use crate::error::Error;
use crate::memory::{LOSABLE_WRITES, lock};
use crate::tails::{Appended, Entry, HEADS_STREAMS_MAX, Limits, Part, Tails, check_entry};

/// Candidates looked at when a tail must vanish for a new one.
const VANISH_TRIES: usize = 16;

/// The tails of one region.
pub struct MemoryTails {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tails: Map<StreamId, BTreeMap<Origin, Tail>>,
    /// By last use, oldest first.
    used: BTreeMap<u64, (StreamId, Origin)>,
    clock: u64,
    /// The last appends, newest last.
    journal: VecDeque<(StreamId, Origin, u64)>,
}

#[derive(Default)]
struct Tail {
    /// Dense, ascending, never empty in a tail that is kept.
    entries: VecDeque<Entry>,
    bytes: usize,
    ensured: u64,
    used: u64,
}

impl MemoryTails {
    /// Empty tails with these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Loses everything.
    pub fn wipe(&self) {
        *lock(&self.state) = State::default();
    }

    /// Loses the last `writes` appends, at most [`LOSABLE_WRITES`], as a failover of Redis does.
    pub fn lose_last(&self, writes: usize) {
        let mut state = lock(&self.state);
        for _ in 0..writes {
            let Some((stream, origin, last)) = state.journal.pop_back() else { return };
            state.undo(&stream, &origin, last);
        }
    }

    /// How many (stream, origin) pairs have a tail.
    pub fn len(&self) -> usize {
        lock(&self.state).used.len()
    }

    /// Whether there is no tail.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl Tails for MemoryTails {
    async fn append(
        &self,
        stream: &StreamId,
        origin: &Origin,
        entry: Entry,
        ensured: u64,
    ) -> Result<Appended, Error> {
        check_entry(&entry, &self.limits)?;
        let mut state = lock(&self.state);
        let last = entry.last;
        let appended = state.append(stream, origin, entry, ensured, &self.limits);
        if appended == Appended::Done {
            state.journal.push_back((stream.clone(), origin.clone(), last));
            if state.journal.len() > LOSABLE_WRITES {
                state.journal.pop_front();
            }
        }
        Ok(appended)
    }

    async fn read(&self, stream: &StreamId, after: &Cursor, max_bytes: usize) -> Result<Vec<Part>, Error> {
        let state = lock(&self.state);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for (origin, tail) in state.tails.get(stream).into_iter().flatten() {
            let after = after.get(origin);
            let from = tail.entries.partition_point(|entry| entry.last <= after);
            let mut entries = Vec::new();
            for entry in tail.entries.range(from..) {
                if bytes > 0 && bytes + entry.bytes.len() > max_bytes {
                    break;
                }
                bytes += entry.bytes.len().max(1);
                entries.push(entry.clone());
            }
            parts.push(Part { origin: origin.clone(), floor: tail.floor(), head: tail.head(), entries });
        }
        Ok(parts)
    }

    async fn heads(&self, streams: &[StreamId]) -> Result<Vec<Cursor>, Error> {
        if streams.len() > HEADS_STREAMS_MAX {
            return Err(Error::Limit { what: "streams of one heads", limit: HEADS_STREAMS_MAX });
        }
        let state = lock(&self.state);
        let heads = |stream| {
            let tails = state.tails.get(stream).into_iter().flatten();
            tails.map(|(origin, tail)| (origin.clone(), tail.head())).collect()
        };
        Ok(streams.iter().map(heads).collect())
    }

    async fn trim(&self, stream: &StreamId, origin: &Origin, ensured: u64) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(tail) = state.tail(stream, origin) {
            tail.ensured = tail.ensured.max(ensured);
            tail.trim(&self.limits);
        }
        Ok(())
    }

    async fn forget(&self, stream: &StreamId, origin: &Origin) -> Result<(), Error> {
        lock(&self.state).remove(stream, origin);
        Ok(())
    }
}

// === impl State ===

impl State {
    fn tail(&mut self, stream: &StreamId, origin: &Origin) -> Option<&mut Tail> {
        self.tails.get_mut(stream)?.get_mut(origin)
    }

    fn append(
        &mut self,
        stream: &StreamId,
        origin: &Origin,
        entry: Entry,
        ensured: u64,
        limits: &Limits,
    ) -> Appended {
        self.clock += 1;
        let Some(tail) = self.tails.get_mut(stream).and_then(|tails| tails.get_mut(origin)) else {
            return self.start(stream, origin, entry, ensured, limits.tails);
        };
        let appended = tail.append(entry, ensured, limits);
        if appended == Appended::Done {
            let before = std::mem::replace(&mut tail.used, self.clock);
            let place = self.used.remove(&before).unwrap_or_else(|| (stream.clone(), origin.clone()));
            self.used.insert(self.clock, place);
        }
        appended
    }

    fn start(
        &mut self,
        stream: &StreamId,
        origin: &Origin,
        entry: Entry,
        ensured: u64,
        most: usize,
    ) -> Appended {
        if self.used.len() >= most && !self.vanish() {
            return Appended::Full;
        }
        let bytes = entry.bytes.len();
        let tail = Tail { entries: VecDeque::from([entry]), bytes, ensured, used: self.clock };
        self.tails.entry(stream.clone()).or_default().insert(origin.clone(), tail);
        self.used.insert(self.clock, (stream.clone(), origin.clone()));
        Appended::Done
    }

    /// Drops the longest unused tail that the table holds wholly.
    fn vanish(&mut self) -> bool {
        let ensured = |(stream, origin): &(StreamId, Origin)| {
            let tail = self.tails.get(stream).and_then(|tails| tails.get(origin));
            tail.is_some_and(|tail| tail.ensured >= tail.head())
        };
        let found = self.used.values().take(VANISH_TRIES).find(|place| ensured(place)).cloned();
        found.is_some_and(|(stream, origin)| {
            self.remove(&stream, &origin);
            true
        })
    }

    fn remove(&mut self, stream: &StreamId, origin: &Origin) {
        let Some(tails) = self.tails.get_mut(stream) else { return };
        if let Some(tail) = tails.remove(origin) {
            self.used.remove(&tail.used);
        }
        if tails.is_empty() {
            self.tails.remove(stream);
        }
    }

    fn undo(&mut self, stream: &StreamId, origin: &Origin, last: u64) {
        let Some(tail) = self.tail(stream, origin) else { return };
        if tail.head() != last {
            return;
        }
        if let Some(entry) = tail.entries.pop_back() {
            tail.bytes -= entry.bytes.len();
        }
        if tail.entries.is_empty() {
            self.remove(stream, origin);
        }
    }
}

// === impl Tail ===

impl Tail {
    fn floor(&self) -> u64 {
        self.entries.front().map_or(0, |entry| entry.first)
    }

    fn head(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.last)
    }

    fn append(&mut self, entry: Entry, ensured: u64, limits: &Limits) -> Appended {
        let head = self.head();
        if entry.last <= head {
            return Appended::Known(head);
        }
        if entry.first != head + 1 {
            return Appended::Gap(head);
        }
        self.ensured = self.ensured.max(ensured);
        self.entries.push_back(entry);
        let bytes = self.entries.back().map_or(0, |entry| entry.bytes.len());
        self.bytes += bytes;
        self.trim(limits);
        if !self.over(limits) {
            return Appended::Done;
        }
        self.entries.pop_back();
        self.bytes -= bytes;
        Appended::Full
    }

    /// Drops what is over the limits, oldest first, as far as the table has it; never the newest.
    fn trim(&mut self, limits: &Limits) {
        while self.over(limits) && self.entries.len() > 1 {
            let ensured = self.entries.front().is_some_and(|entry| entry.last <= self.ensured);
            let Some(entry) = ensured.then(|| self.entries.pop_front()).flatten() else { return };
            self.bytes -= entry.bytes.len();
        }
    }

    fn over(&self, limits: &Limits) -> bool {
        self.entries.len() > limits.entries.max(1) || self.bytes > limits.bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
