//! One topic: its partitions, their records, and who follows them.
//!
//! A record is appended at once, with the instant at which the last replica will have it; until then no
//! reader sees it. Nothing runs in the background: readers reveal what is due, sleepers are given the instant
//! to wake at.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use smallvec::SmallVec;
use tokio::time::{Duration, Instant};

use super::Config;
use super::wake::{Wake, lock};
use crate::error::Error;
use crate::record::{Entry, Offset, Record, Topic};
use crate::seed::Seed;

#[cfg(test)]
mod tests;

/// Those to wake once the partition's lock is released.
pub(super) type Wakers = SmallVec<[Waker; 4]>;

/// A topic with its partitions. Making it anew happens in place, so that who follows it meets the new one.
pub(super) struct TopicState {
    pub(super) name: Topic,
    identity: AtomicU64,
    partitions: Vec<Mutex<Partition>>,
}

/// One partition.
pub(super) struct Partition {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many of `entries`, from the front, all replicas have.
    visible: usize,
    /// What will become of the others.
    hidden: VecDeque<Hidden>,
    earliest: Offset,
    next: Offset,
    random: Seed,
    followers: Vec<(Arc<Wake>, u32)>,
}

/// A record that not all replicas have yet.
struct Hidden {
    /// When they will; never falls from one record to the next.
    at: Instant,
    /// What its producer waits for.
    lost: Arc<AtomicBool>,
}

/// When all replicas will have a record, unless it is lost before.
pub(super) struct Durable {
    pub(super) at: Instant,
    lost: Arc<AtomicBool>,
}

/// What a reader asks for at most.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// The outcome of a fetch.
pub(super) struct Fetched {
    pub(super) entries: Vec<Entry>,
    pub(super) next: Offset,
    /// More can be read now.
    pub(super) more: bool,
    /// The instant at which more can be read, if that is known.
    pub(super) later: Option<Instant>,
}

// === impl TopicState ===

impl TopicState {
    pub(super) fn new(name: Topic, partitions: u16, identity: u64, seed: u64) -> Self {
        let partition = |p: u16| Mutex::new(Partition::new(Seed::named(seed, &format!("{name}/{p}"))));
        let partitions = (0..partitions).map(partition).collect();
        Self { name, identity: AtomicU64::new(identity), partitions }
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity.load(Ordering::Acquire)
    }

    pub(super) fn partitions(&self) -> u16 {
        self.partitions.len() as u16
    }

    /// Runs `change` on a partition under its lock, then wakes whom it names.
    pub(super) fn with<T>(
        &self,
        partition: u16,
        change: impl FnOnce(&mut Partition, &mut Wakers) -> T,
    ) -> Result<T, Error> {
        let Some(state) = self.partitions.get(usize::from(partition)) else {
            return Err(Error::MissingTopic(self.name.clone(), partition));
        };
        let mut wakers = Wakers::new();
        let answer = change(&mut lock(state), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        Ok(answer)
    }

    /// Empties the topic and gives it another identity, as deleting and creating it does.
    pub(super) fn recreate(&self, identity: u64) {
        self.identity.store(identity, Ordering::Release);
        for p in 0..self.partitions() {
            let _ = self.with(p, |partition, wakers| partition.truncate(0, wakers));
        }
    }

    pub(super) fn out_of_range(&self, partition: u16, asked: Offset, extent: (Offset, Offset)) -> Error {
        let (earliest, end) = extent;
        Error::OutOfRange { topic: self.name.clone(), partition, asked, earliest, end }
    }
}

// === impl Durable ===

impl Durable {
    /// Whether it was lost before all replicas had it, so that nothing is promised of it.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

// === impl Partition ===

impl Partition {
    fn new(random: Seed) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            visible: 0,
            hidden: VecDeque::new(),
            earliest: 0,
            next: 0,
            random,
            followers: Vec::new(),
        }
    }

    /// Appends behind everything appended before; gives the offset and, if that is not now, when it is
    /// durable.
    pub(super) fn append(
        &mut self,
        record: Record,
        config: &Config,
        wakers: &mut Wakers,
    ) -> Result<(Offset, Option<Durable>), Error> {
        self.reveal();
        let durable = self.durable_at(config);
        if durable.is_some() && self.hidden.len() >= config.unacked_records_max {
            return Err(Error::Unavailable("too many records are unacknowledged".into()));
        }
        let offset = self.next;
        self.next = offset + 1;
        if self.random.chance(config.hole_per_mille) {
            self.next += 1 + self.random.below(config.hole_offsets_max);
        }
        self.bytes += record.size();
        self.entries.push_back(Entry { offset, record });
        let durable = durable.map(|at| {
            let lost = Arc::default();
            self.hidden.push_back(Hidden { at, lost: Arc::clone(&lost) });
            Durable { at, lost }
        });
        self.visible += usize::from(durable.is_none());
        self.keep(config);
        self.wake(wakers);
        Ok((offset, durable))
    }

    /// When a record that is appended now is on all replicas: after the configured latency, and not before
    /// any record that was appended earlier.
    fn durable_at(&mut self, config: &Config) -> Option<Instant> {
        let (shortest, longest) = config.produce_latency;
        if longest.is_zero() && self.hidden.is_empty() {
            return None;
        }
        let spread = longest.saturating_sub(shortest).as_micros() as u64;
        let latency = shortest + Duration::from_micros(self.random.below(spread + 1));
        let at = Instant::now() + latency;
        Some(self.hidden.back().map_or(at, |last| last.at.max(at)))
    }

    fn keep(&mut self, config: &Config) {
        while self.visible > 1 && (self.entries.len() > config.keep_records || self.bytes > config.keep_bytes)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(first) = self.entries.pop_front() else { return };
        self.bytes -= first.record.size();
        self.visible -= 1;
        self.earliest = self.entries.front().map_or(self.next, |entry| entry.offset);
    }

    fn wake(&self, wakers: &mut Wakers) {
        wakers.extend(self.followers.iter().filter_map(|(follower, slot)| follower.ready(*slot)));
    }

    /// Counts as visible what all replicas have by now.
    fn reveal(&mut self) {
        if self.hidden.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.hidden.front().is_some_and(|first| first.at <= now) {
            self.hidden.pop_front();
            self.visible += 1;
        }
    }

    /// First offset, and the offset after the last visible record and its hole.
    pub(super) fn extent(&mut self) -> (Offset, Offset) {
        self.reveal();
        (self.earliest, self.entries.get(self.visible).map_or(self.next, |entry| entry.offset))
    }

    /// Reads at and after `from`; `Err` has the extent if `from` is outside it.
    pub(super) fn fetch(&mut self, from: Offset, budget: Budget) -> Result<Fetched, (Offset, Offset)> {
        let (earliest, end) = self.extent();
        if from < earliest || from > end {
            return Err((earliest, end));
        }
        let first = self.index_of(from);
        let mut until = first;
        let mut bytes = 0;
        while until < self.visible && until - first < budget.records {
            bytes += self.entries[until].record.size();
            if bytes > budget.bytes && until > first {
                break;
            }
            until += 1;
        }
        let entries = self.entries.range(first..until).cloned().collect();
        let more = until < self.visible;
        let next = if more { self.entries[until].offset } else { end };
        Ok(Fetched { entries, next, more, later: self.hidden.front().map(|first| first.at) })
    }

    /// Index of the first visible record at or after `from`: gallops from the end, where readers usually are.
    fn index_of(&self, from: Offset) -> usize {
        let (mut high, mut step) = (self.visible, 1);
        while high > 0 {
            let low = high.saturating_sub(step);
            if self.entries[low].offset < from {
                return low + 1 + self.first_at(low + 1, high, from);
            }
            (high, step) = (low, step * 2);
        }
        0
    }

    /// How many of the records `low..high` stand before `from`.
    fn first_at(&self, low: usize, high: usize, from: Offset) -> usize {
        let (mut left, mut right) = (low, high);
        while left < right {
            let middle = left + (right - left) / 2;
            if self.entries[middle].offset < from {
                left = middle + 1;
            } else {
                right = middle;
            }
        }
        left - low
    }

    /// The newest visible record.
    pub(super) fn last(&mut self) -> Option<Entry> {
        self.reveal();
        self.visible.checked_sub(1).map(|index| self.entries[index].clone())
    }

    /// Loses every record at and after `end`, whose offsets will be given again. Whoever produced one that
    /// not all replicas had is told nothing of it for certain.
    pub(super) fn truncate(&mut self, end: Offset, wakers: &mut Wakers) {
        self.reveal();
        while self.entries.back().is_some_and(|entry| entry.offset >= end) {
            let Some(lost) = self.entries.pop_back() else { break };
            self.bytes -= lost.record.size();
            match self.hidden.pop_back() {
                Some(hidden) => hidden.lost.store(true, Ordering::Release),
                None => self.visible -= 1,
            }
        }
        self.next = self.next.min(end);
        self.earliest = self.earliest.min(end);
        self.wake(wakers);
    }

    /// Expires every visible record before `earliest`.
    pub(super) fn expire(&mut self, earliest: Offset, wakers: &mut Wakers) {
        self.reveal();
        while self.visible > 0 && self.entries.front().is_some_and(|entry| entry.offset < earliest) {
            self.drop_first();
        }
        self.wake(wakers);
    }

    pub(super) fn follow(&mut self, follower: &Arc<Wake>, slot: u32) {
        if !self.followers.iter().any(|(known, at)| *at == slot && Arc::ptr_eq(known, follower)) {
            self.followers.push((follower.clone(), slot));
        }
    }

    pub(super) fn unfollow(&mut self, follower: &Arc<Wake>) {
        self.followers.retain(|(known, _)| !Arc::ptr_eq(known, follower));
    }
}
