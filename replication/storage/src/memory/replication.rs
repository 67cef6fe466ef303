//! Global tables in memory: every write of a region reaches the others later, item by item, and the last
//! writer wins.
//!
//! Each ordered pair of regions has a queue with its own delay, which may be paused, held some items behind
//! or emptied. Writes take a random delay each, so they arrive in any order. [`Replication::run`] is a future
//! that the caller owns; without it, [`Replication::step`] applies what is due. Conditions are never looked
//! at here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use sterna_stream::Region;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::memory::rows::Change;
use crate::memory::{MemoryTable, lock};

/// Most writes on their way from one region to another; beyond, the region's puts are throttled.
pub const IN_FLIGHT_MAX: usize = 1 << 20;

/// How long a write takes to another region: uniformly between both.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    /// At least.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

/// The tables of several regions and what is on its way between them.
pub struct Replication {
    tables: Vec<Arc<MemoryTable>>,
    queues: Arc<Queues>,
}

/// What is on its way; shared with the tables, which put into it.
pub(crate) struct Queues {
    regions: Vec<Region>,
    start: Instant,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    rng: Pcg64Mcg,
    /// Row-major: from × to.
    links: Vec<Link>,
    limit: usize,
    /// The millisecond that `run` waits for; `None` until it is told of more.
    sleeps_until: Option<u64>,
}

struct Link {
    /// By the millisecond in which they are due, counted from `start`; inside one, in the order sent.
    queue: BTreeMap<u64, Vec<(u64, Arc<Change>)>>,
    in_flight: usize,
    sent: u64,
    delay: Delay,
    paused: bool,
    held_back: u64,
    /// How many had been sent when they began to be held back.
    held_since: u64,
}

impl Replication {
    /// Empty tables for these regions, joined both ways with this delay. `seed` decides every delay drawn.
    pub fn new(regions: &[Region], delay: Delay, seed: u64) -> Self {
        Self::with_limit(regions, delay, seed, IN_FLIGHT_MAX)
    }

    /// As [`Self::new`], with another bound than [`IN_FLIGHT_MAX`].
    pub fn with_limit(regions: &[Region], delay: Delay, seed: u64, limit: usize) -> Self {
        let link = || Link {
            queue: BTreeMap::new(),
            in_flight: 0,
            sent: 0,
            delay,
            paused: false,
            held_back: 0,
            held_since: 0,
        };
        let links = (0..regions.len() * regions.len()).map(|_| link()).collect();
        let state = State { rng: Pcg64Mcg::seed_from_u64(seed), links, limit, sleeps_until: None };
        let queues = Arc::new(Queues {
            regions: regions.to_vec(),
            start: Instant::now(),
            state: Mutex::new(state),
            wake: Notify::new(),
        });
        let table = |region| Arc::new(MemoryTable::replicated(region as u16, queues.clone()));
        Self { tables: (0..regions.len()).map(table).collect(), queues }
    }

    /// The table as `region` sees it; `None` for a region it does not know.
    pub fn table(&self, region: &Region) -> Option<Arc<MemoryTable>> {
        self.queues.index(region).map(|at| self.tables[at].clone())
    }

    /// Applies writes as they become due, for ever. Whoever runs it may drop it at any time.
    pub async fn run(&self) {
        loop {
            let next = self.step(Instant::now());
            let Some(next) = next else {
                self.queues.wake.notified().await;
                continue;
            };
            tokio::select! {
                biased;
                () = self.queues.wake.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Applies what is due at `now`; says when the next write is.
    pub fn step(&self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        let next = {
            let mut state = lock(&self.queues.state);
            let (width, now_ms) = (self.tables.len(), self.queues.micros(now) / 1_000);
            let nexts = state.links.iter_mut().enumerate().map(|(at, link)| {
                let (changes, next) = link.take_due(now_ms);
                due.extend(changes.into_iter().map(|change| (at % width, change)));
                next
            });
            let next = nexts.flatten().min();
            state.sleeps_until = next;
            next.map(|ms| self.queues.start + Duration::from_millis(ms))
        };
        for (to, change) in due {
            self.tables[to].merge(&change);
        }
        next
    }

    /// Writes that have not arrived, over all pairs.
    pub fn in_flight(&self) -> usize {
        lock(&self.queues.state).links.iter().map(|link| link.in_flight).sum()
    }

    /// Writes of `from` that have not arrived in `to`.
    pub fn in_flight_between(&self, from: &Region, to: &Region) -> usize {
        let mut in_flight = 0;
        self.link(from, to, |link| in_flight = link.in_flight);
        in_flight
    }

    /// Stops (or resumes) one direction; nothing is lost.
    pub fn pause(&self, from: &Region, to: &Region, paused: bool) {
        self.link(from, to, |link| link.paused = paused);
    }

    /// Sets the delay of writes from now on, in one direction.
    pub fn set_delay(&self, from: &Region, to: &Region, delay: Delay) {
        self.link(from, to, |link| link.delay = delay);
    }

    /// Keeps the newest `items` writes of one direction from arriving; 0 lets all arrive.
    pub fn hold_back(&self, from: &Region, to: &Region, items: u64) {
        self.link(from, to, |link| {
            (link.held_back, link.held_since) = (items, link.sent);
        });
    }

    /// The region is destroyed: its tables are empty and what was on its way out of it is lost. Says how many
    /// writes those were, over all pairs.
    pub fn destroy(&self, region: &Region) -> usize {
        let mut lost = 0;
        for to in &self.queues.regions {
            self.link(region, to, |link| {
                link.queue.clear();
                lost += std::mem::take(&mut link.in_flight);
            });
        }
        if let Some(table) = self.table(region) {
            table.wipe();
        }
        lost
    }

    /// The region is destroyed while the others are behind it: its tables are empty, and what is held back
    /// from another region since [`Self::hold_back`] never arrives there; all before it had been sent, and
    /// is there.
    pub fn destroy_behind(&self, region: &Region) {
        for to in &self.queues.regions {
            let mut sent = Vec::new();
            self.link(region, to, |link| sent = link.break_off());
            if let Some(table) = self.table(to) {
                sent.iter().for_each(|change| {
                    table.merge(change);
                });
            }
        }
        if let Some(table) = self.table(region) {
            table.wipe();
        }
    }

    /// Copies what `from` holds into `region`, as adding a replica does; what is on its way there still
    /// arrives.
    pub fn copy(&self, from: &Region, region: &Region) {
        let (Some(source), Some(target)) = (self.table(from), self.table(region)) else { return };
        for change in source.changes() {
            target.merge(&change);
        }
    }

    fn link(&self, from: &Region, to: &Region, change: impl FnOnce(&mut Link)) {
        let (Some(from), Some(to)) = (self.queues.index(from), self.queues.index(to)) else { return };
        change(&mut lock(&self.queues.state).links[from * self.tables.len() + to]);
        self.queues.wake.notify_one();
    }
}

// === impl Queues ===

impl Queues {
    pub(crate) fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_micros() as u64
    }

    /// Queues a change of region `from` for every other, or for none.
    pub(crate) fn offer(&self, from: u16, now_us: u64, change: Change) -> Result<(), Error> {
        let width = self.regions.len();
        let (from, change, mut earliest) = (usize::from(from), Arc::new(change), u64::MAX);
        let mut state = lock(&self.state);
        let State { rng, links, limit, sleeps_until } = &mut *state;
        let links = &mut links[from * width..(from + 1) * width];
        if links.iter().any(|link| link.in_flight >= *limit) {
            return Err(Error::Throttled);
        }
        for (to, link) in links.iter_mut().enumerate() {
            if to == from {
                continue;
            }
            let delay = rng.random_range(link.delay.min_us()..=link.delay.max_us());
            let due_ms = (now_us + delay).div_ceil(1_000);
            link.send(due_ms, change.clone());
            earliest = earliest.min(due_ms);
        }
        if sleeps_until.is_none_or(|until| earliest < until) {
            *sleeps_until = Some(earliest);
            drop(state);
            self.wake.notify_one();
        }
        Ok(())
    }

    fn index(&self, region: &Region) -> Option<usize> {
        self.regions.iter().position(|known| known == region)
    }
}

// === impl Delay ===

impl Delay {
    fn min_us(self) -> u64 {
        self.min.as_micros() as u64
    }

    fn max_us(self) -> u64 {
        self.max.max(self.min).as_micros() as u64
    }
}

// === impl Link ===

impl Link {
    fn send(&mut self, due_ms: u64, change: Arc<Change>) {
        self.sent += 1;
        self.in_flight += 1;
        self.queue.entry(due_ms).or_default().push((self.sent, change));
    }

    /// Nothing is sent any more: what had been sent, in order. What is held back is lost.
    fn break_off(&mut self) -> Vec<Arc<Change>> {
        let newest = self.sent.saturating_sub(self.held_back).max(self.held_since);
        let mut left: Vec<_> = std::mem::take(&mut self.queue).into_values().flatten().collect();
        self.in_flight = 0;
        left.retain(|(n, _)| *n <= newest);
        left.sort_unstable_by_key(|(n, _)| *n);
        left.into_iter().map(|(_, change)| change).collect()
    }

    /// What arrives by `now_ms`, and the millisecond of what arrives next.
    fn take_due(&mut self, now_ms: u64) -> (Vec<Arc<Change>>, Option<u64>) {
        if self.paused {
            return (Vec::new(), None);
        }
        let newest = self.sent.saturating_sub(self.held_back);
        let (mut due, mut next) = (Vec::new(), None);
        for (&at, changes) in &mut self.queue {
            if at <= now_ms {
                due.extend(changes.extract_if(.., |(n, _)| *n <= newest).map(|(_, change)| change));
            } else if changes.iter().any(|(n, _)| *n <= newest) {
                next = Some(at);
                break;
            }
        }
        self.in_flight -= due.len();
        while self.queue.first_key_value().is_some_and(|(_, changes)| changes.is_empty()) {
            self.queue.pop_first();
        }
        (due, next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
