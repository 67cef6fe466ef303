//! Delivery of what a member has started: a client outside the group, one queue per topic and partition.
//!
//! Starting, stopping and pausing concern one queue and never disturb the others. A started position is
//! handed to the cluster as it is; if it is not in the log, that is told once and the queue falls silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};

use super::context::{Reporting, Wake, marks};
use super::reader::Reader;
use super::settings::Config;
use super::{convert, errors};
use crate::error::Error;
use crate::log::Batch;
use crate::record::{Offset, Topic};

/// A batch ends with the record that reaches either.
const BATCH_RECORDS: usize = 512;
const BATCH_BYTES: usize = 1024 * 1024;

/// See the file's head.
pub(super) struct Follower {
    client: Arc<BaseConsumer<Reporting>>,
    reader: Reader,
    wake: Arc<Wake>,
    topics: Vec<Topic>,
    slots: BTreeMap<u64, Slot>,
    /// The next slot's number; numbers are not given twice, so an old queue's signal concerns nobody.
    fresh: u64,
    /// The slot served last, so that all have their turn.
    served: u64,
    /// Extents that are being asked for, to say how a position is outside the log.
    lost: FuturesUnordered<BoxFuture<'static, (u64, Error)>>,
}

/// One topic of one partition that was started.
struct Slot {
    topic: usize,
    partition: u16,
    generation: u32,
    /// None once the position was lost.
    queue: Option<PartitionQueue<Reporting>>,
    /// Where delivery goes on.
    next: Offset,
    paused: bool,
    /// Met behind records that went first.
    failed: Option<KafkaError>,
}

impl Follower {
    pub(super) fn new(
        config: &Config,
        reader: Reader,
        topics: Vec<Topic>,
        wake: Arc<Wake>,
    ) -> Result<Self, Error> {
        let client = config.follower().create_with_context(Reporting);
        let mut client: BaseConsumer<Reporting> =
            client.map_err(|error| Error::Unavailable(errors::said(&error)))?;
        let rung = wake.clone();
        client.set_nonempty_callback(move || rung.ring());
        Ok(Self {
            client: Arc::new(client),
            reader,
            wake,
            topics,
            slots: BTreeMap::new(),
            fresh: 1,
            served: 0,
            lost: FuturesUnordered::new(),
        })
    }

    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Delivers the topics named, from there, and nothing else of the partition.
    pub(super) fn start(&mut self, partition: u16, generation: u32, at: &[(Topic, Offset)], paused: bool) {
        self.stop(partition);
        for topic in 0..self.topics.len() {
            let named = at.iter().find(|(name, _)| *name == self.topics[topic]);
            if let Some(&(_, next)) = named {
                let slot = Slot { topic, partition, generation, queue: None, next, paused, failed: None };
                self.add(slot);
            }
        }
    }

    /// Delivers nothing more of a partition.
    pub(super) fn stop(&mut self, partition: u16) {
        let of = |(&id, slot): (&u64, &Slot)| (slot.partition == partition).then_some(id);
        let ids: Vec<u64> = self.slots.iter().filter_map(of).collect();
        for id in ids {
            self.silence(id);
            self.slots.remove(&id);
        }
    }

    /// Stops or resumes what was started of a partition.
    pub(super) fn pause(&mut self, partition: u16, on: bool) {
        for (&id, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.partition == partition) {
            slot.paused = on;
            if !on {
                self.wake.ready(id);
            }
        }
    }

    fn add(&mut self, mut slot: Slot) {
        let id = self.fresh;
        self.fresh += 1;
        let name = self.topics[slot.topic].as_str();
        let partition = i32::from(slot.partition);
        // The queue is there before anything is fetched, so nothing goes by it.
        let queue = self.client.split_partition_queue(name, partition);
        slot.queue = queue.map(|mut queue| {
            queue.set_nonempty_callback(marks(&self.wake, id));
            queue
        });
        let mut at = TopicPartitionList::new();
        let position = i64::try_from(slot.next).unwrap_or(i64::MAX);
        let assigned = at
            .add_partition_offset(name, partition, At::Offset(position))
            .and_then(|()| self.client.incremental_assign(&at));
        if let Err(error) = assigned {
            slot.failed = Some(error);
        }
        self.slots.insert(id, slot);
        self.wake.ready(id);
    }

    /// Takes a slot's queue away and what is in it.
    fn silence(&mut self, id: u64) {
        self.wake.forget(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.queue.take().is_none() {
            return;
        }
        let mut gone = TopicPartitionList::new();
        gone.add_partition(self.topics[slot.topic].as_str(), i32::from(slot.partition));
        if let Err(error) = self.client.incremental_unassign(&gone) {
            tracing::warn!(%error, topic = %self.topics[slot.topic], slot.partition, "was not assigned");
        }
    }

    /// The next batch or error, in turn; none if nothing is there now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Result<Batch, Error>> {
        // Nothing is delivered here; the client serves its own errors.
        while self.client.poll(std::time::Duration::ZERO).is_some() {}
        while let Poll::Ready(Some((id, error))) = self.lost.poll_next_unpin(cx) {
            if self.slots.contains_key(&id) {
                return Some(Err(error));
            }
        }
        while let Some(id) = self.wake.next_ready(self.served) {
            self.served = id;
            let Some(slot) = self.slots.get_mut(&id).filter(|slot| !slot.paused) else { continue };
            if let Some(batch) = slot.take(&self.topics[slot.topic]) {
                self.wake.ready(id);
                return Some(Ok(batch));
            }
            if let Some(error) = slot.failed.take()
                && let Some(told) = self.fail(id, &error)
            {
                return Some(Err(told));
            }
        }
        // A look for what `fail` has just asked.
        match self.lost.poll_next_unpin(cx) {
            Poll::Ready(Some((id, error))) if self.slots.contains_key(&id) => Some(Err(error)),
            _ => None,
        }
    }

    /// What a failed fetch means. A lost position is told once its partition's extent is known.
    fn fail(&mut self, id: u64, error: &KafkaError) -> Option<Error> {
        let slot = self.slots.get(&id)?;
        let (topic, partition, asked) = (self.topics[slot.topic].clone(), slot.partition, slot.next);
        if errors::is_missing(error) {
            self.silence(id);
            return Some(Error::MissingTopic(topic, partition));
        }
        if !errors::is_out_of_range(error) {
            self.wake.ready(id);
            return Some(Error::Unavailable(errors::said(error)));
        }
        self.silence(id);
        let reader = self.reader.clone();
        let told = async move {
            let (earliest, end) = match reader.extent(topic.clone(), partition).await {
                Ok(extent) => extent,
                Err(missing @ Error::MissingTopic(..)) => return (id, missing),
                // The position is lost whatever the extent is now.
                Err(_) => (0, 0),
            };
            (id, Error::OutOfRange { topic, partition, asked, earliest, end })
        };
        self.lost.push(told.boxed());
        None
    }
}

impl Slot {
    /// What is in the queue, up to a batch.
    fn take(&mut self, topic: &Topic) -> Option<Batch> {
        let queue = self.queue.as_ref()?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        while self.failed.is_none() && entries.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            match queue.poll(std::time::Duration::ZERO) {
                Some(Ok(message)) => {
                    let entry = convert::entry(topic, self.partition, &message);
                    debug_assert!(entry.offset >= self.next, "{} before {}", entry.offset, self.next);
                    if entry.offset < self.next {
                        continue;
                    }
                    bytes += entry.record.size();
                    self.next = entry.offset + 1;
                    entries.push(entry);
                }
                Some(Err(error)) => self.failed = Some(error),
                None => break,
            }
        }
        (!entries.is_empty()).then(|| Batch {
            topic: topic.clone(),
            partition: self.partition,
            generation: self.generation,
            entries,
            next: self.next,
        })
    }
}
