//! A mirror between two memory clusters, with MirrorMaker 2's habits.
//!
//! One fetch is in flight, as a long poll over the WAN; partition, key, headers and timestamp are kept,
//! offsets are the target's own; a restart goes back to the last flushed offset and copies again what came
//! after it; a record that the target refuses ends the mirror for all its topics until somebody restarts it.
//! Topics are explicit, and the remote ones are made up front. A source topic that was made anew is not
//! noticed: the mirror goes on at its old offset, or at the earliest if there is no such offset.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use sterna_stream::Region;
use sterna_stream::map::Map;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep};

use super::MemoryLog;
use super::follow::{Follower, Item};
use super::topic::Budget;
use super::wake::lock;
use crate::error::Error;
use crate::log::Log;
use crate::record::{Entry, Offset, Topic};

#[cfg(test)]
mod tests;

/// How long the mirror waits after a failure of the target before it starts again.
const BACKOFF: Duration = Duration::from_secs(1);

/// How a [`Mirror`] behaves.
#[derive(Clone, Debug)]
pub struct MirrorConfig {
    /// From one region to the other, one way. The mirror runs in the target's region.
    pub one_way: Duration,
    /// Time between two flushes of the offsets reached.
    pub flush_interval: Duration,
    /// Records in one fetch.
    pub fetch_records_max: usize,
    /// Bytes in one fetch; one record is fetched however large.
    pub fetch_bytes_max: usize,
    /// Records produced to the target and not acknowledged; more wait.
    pub unacked_records_max: usize,
}

/// Copies topics of one region's log into another's. Cheap to clone; clones are the same mirror.
#[derive(Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

struct Inner {
    source: MemoryLog,
    target: MemoryLog,
    /// Each topic here and its name there.
    topics: Vec<(Topic, Topic)>,
    partitions: u16,
    config: MirrorConfig,
    control: watch::Sender<Control>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct Control {
    one_way: Duration,
    cut: bool,
    stopped: bool,
    /// Raised to make it start again from the flushed offsets.
    run: u64,
}

#[derive(Default)]
struct State {
    /// Where each (topic, partition) is read next after a restart.
    flushed: Map<(usize, u16), Offset>,
    /// Where it would be if all were flushed.
    reached: Map<(usize, u16), Offset>,
    skip: u64,
    copied: u64,
}

/// A record on its way into the target.
struct Copying {
    place: (usize, u16),
    next: Offset,
    acked: BoxFuture<'static, Result<Offset, Error>>,
}

// === impl MirrorConfig ===

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            one_way: Duration::from_millis(40),
            flush_interval: Duration::from_secs(2),
            fetch_records_max: 4_096,
            fetch_bytes_max: 4 * 1024 * 1024,
            unacked_records_max: 1_024,
        }
    }
}

// === impl Mirror ===

impl Mirror {
    /// A mirror of `topics` of `region`, whose log is `source`, into `target`. Makes the remote topics.
    ///
    /// # Errors
    /// `MissingTopic` and `Refused` if the topics do not exist at the source with equal partition
    /// counts, or exist at the target with another.
    pub fn new(
        (region, source): (&Region, &MemoryLog),
        target: &MemoryLog,
        topics: &[Topic],
        config: MirrorConfig,
    ) -> Result<Self, Error> {
        let (_, partitions) = source.equal_topics(topics)?;
        let topics: Vec<(Topic, Topic)> =
            topics.iter().map(|topic| (topic.clone(), topic.mirrored_from(region))).collect();
        for (_, remote) in &topics {
            target.create(remote, partitions);
            if target.topic(remote, 0)?.partitions() != partitions {
                return Err(Error::Refused(format!("{remote} has another partition count").into()));
            }
        }
        let control = Control { one_way: config.one_way, cut: false, stopped: false, run: 0 };
        let inner = Inner {
            source: source.clone(),
            target: target.clone(),
            topics,
            partitions,
            config,
            control: watch::Sender::new(control),
            state: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Copies for as long as it is polled. Dropping it is a crash of the mirror; run it once at a time.
    ///
    /// # Errors
    /// `Refused` when the target refuses a record: the mirror is dead until it is run again.
    pub async fn run(&self) -> Result<(), Error> {
        let mut control = self.inner.control.subscribe();
        loop {
            // The sender lives as long as `self`.
            let _ = control.wait_for(|control| !control.stopped).await;
            let run = control.borrow().run;
            let mut ended = self.inner.control.subscribe();
            let outcome = tokio::select! {
                biased;
                _ = ended.wait_for(|control| control.stopped || control.run != run) => continue,
                outcome = self.inner.session() => outcome,
            };
            match outcome {
                Err(error @ (Error::Refused(_) | Error::MissingTopic(..))) => return Err(error),
                _ => sleep(BACKOFF).await,
            }
        }
    }

    /// Stops it, losing what is not flushed, or starts it again.
    pub fn stop(&self, on: bool) {
        self.inner.control.send_modify(|control| control.stopped = on);
    }

    /// Cuts the WAN: a fetch in flight is lost and repeated when the cut heals.
    pub fn cut(&self, on: bool) {
        self.inner.control.send_modify(|control| control.cut = on);
    }

    /// Restarts it: everything after the last flush is copied again.
    pub fn replay(&self) {
        self.inner.control.send_modify(|control| control.run += 1);
    }

    /// Restarts it from the beginning of the source: everything that is still there is copied again, and
    /// nothing is left out any more.
    pub fn replay_all(&self) {
        let mut state = lock(&self.inner.state);
        state.skip = 0;
        state.flushed.clear();
        state.reached.clear();
        drop(state);
        self.replay();
    }

    /// Leaves the next `records` out, as a mirror does whose offsets were moved by hand.
    pub fn skip(&self, records: u64) {
        lock(&self.inner.state).skip += records;
    }

    /// Changes the delay from one region to the other.
    pub fn delay(&self, one_way: Duration) {
        self.inner.control.send_modify(|control| control.one_way = one_way);
    }

    /// Records copied so far, repetitions included.
    pub fn copied(&self) -> u64 {
        lock(&self.inner.state).copied
    }
}

impl Inner {
    /// From the flushed offsets until something fails.
    async fn session(&self) -> Result<(), Error> {
        let (acks, mut acking) = mpsc::channel::<Copying>(self.config.unacked_records_max.max(1));
        tokio::select! {
            biased;
            result = self.acknowledge(&mut acking) => result,
            result = self.copy(acks) => result,
            () = self.flush() => Ok(()),
        }
    }

    async fn copy(&self, acks: mpsc::Sender<Copying>) -> Result<(), Error> {
        let mut follower = self.follower().await?;
        let budget = Budget { records: self.config.fetch_records_max, bytes: self.config.fetch_bytes_max };
        let mut items = VecDeque::new();
        loop {
            self.travel().await;
            while items.is_empty() {
                follower.fetch(budget, &mut items);
                if items.is_empty() {
                    std::future::poll_fn(|cx| follower.poll_wait(cx, None)).await;
                }
            }
            if !self.travel().await {
                for item in items.drain(..).rev() {
                    if let Item::Batch { topic, partition, from, .. } = item {
                        follower.rewind(topic, partition, from);
                    }
                }
                continue;
            }
            for item in items.drain(..) {
                match item {
                    Item::Batch { topic, partition, entries, next, .. } => {
                        self.produce((topic, partition), entries, next, &acks).await;
                    }
                    Item::Gone(Error::OutOfRange { topic, partition, earliest, .. }) => {
                        let topic =
                            self.topics.iter().position(|(name, _)| *name == topic).unwrap_or_default();
                        follower.seek(topic, partition, Some(earliest));
                    }
                    Item::Gone(error) => return Err(error),
                }
            }
        }
    }

    async fn follower(&self) -> Result<Follower, Error> {
        let names: Vec<Topic> = self.topics.iter().map(|(name, _)| name.clone()).collect();
        let (states, partitions) = self.source.equal_topics(&names)?;
        let mut follower = Follower::new(states, partitions);
        for (topic, name) in names.iter().enumerate() {
            let description = self.source.describe(name, None).await?;
            for partition in 0..self.partitions {
                let earliest = description.partitions.get(usize::from(partition)).map_or(0, |p| p.earliest);
                let flushed = lock(&self.state).flushed.get(&(topic, partition)).copied();
                follower.seek(topic, partition, Some(flushed.unwrap_or(earliest)));
            }
        }
        Ok(follower)
    }

    /// One way over the WAN; false if it was cut meanwhile, once the cut is healed.
    async fn travel(&self) -> bool {
        let mut control = self.control.subscribe();
        let Control { one_way, cut, .. } = *control.borrow_and_update();
        let arrived = !cut
            && tokio::select! {
                biased;
                _ = control.wait_for(|control| control.cut) => false,
                () = sleep(one_way) => true,
            };
        if !arrived {
            let _ = control.wait_for(|control| !control.cut).await;
        }
        arrived
    }

    async fn produce(
        &self,
        place: (usize, u16),
        entries: Vec<Entry>,
        end: Offset,
        acks: &mpsc::Sender<Copying>,
    ) {
        let count = entries.len();
        let nexts: Vec<Offset> = entries[1..].iter().map(|entry| entry.offset).chain([end]).collect();
        debug_assert_eq!(nexts.len(), count, "each record has one after it");
        for (entry, next) in entries.into_iter().zip(nexts) {
            let acked: BoxFuture<'static, _> = if self.skips() {
                Box::pin(std::future::ready(Ok(0)))
            } else {
                let mut record = entry.record;
                record.topic = self.topics[place.0].1.clone();
                self.target.produce(record)
            };
            // Closed only when the session ends, which drops this future too.
            let _ = acks.send(Copying { place, next, acked }).await;
        }
    }

    fn skips(&self) -> bool {
        let mut state = lock(&self.state);
        match state.skip.checked_sub(1) {
            Some(left) => {
                state.skip = left;
                true
            }
            None => {
                state.copied += 1;
                false
            }
        }
    }

    async fn acknowledge(&self, acking: &mut mpsc::Receiver<Copying>) -> Result<(), Error> {
        while let Some(Copying { place, next, acked }) = acking.recv().await {
            acked.await?;
            lock(&self.state).reached.insert(place, next);
        }
        Ok(())
    }

    async fn flush(&self) {
        loop {
            sleep(self.config.flush_interval).await;
            let mut state = lock(&self.state);
            state.flushed = state.reached.clone();
        }
    }
}
