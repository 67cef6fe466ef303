//! One region's log in memory: a product mode for demo, tests and simulation, not a mock.
//!
//! It keeps the contract of [`crate::Log`] and nothing beyond it, so that what works here works with Kafka:
//! seeded holes between offsets, acknowledgements that take time, sessions that end, former owners with
//! prefetched records. What an operator or a disaster can do to a cluster (recreate, truncate, expire, forget
//! offsets, lose replicas) are methods of [`MemoryLog`]. It has no tasks of its own and knows no wall clock
//! but one it is given.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, ready};
use sterna_stream::limits;
use sterna_stream::map::Map;
use tokio::time::{Duration, sleep_until};

use crate::error::Error;
use crate::log::{Consumer, Description, Extent, Identity, Log, Page};
use crate::record::{Entry, Group, Offset, Record, Topic};
use crate::seed::Seed;
use consumer::{MemoryConsumer, Settings};
use group::GroupState;
use topic::{Budget, Durable, TopicState};
use wake::lock;

mod consumer;
mod follow;
mod group;
mod mirror;
mod topic;
mod wake;

pub use mirror::{Mirror, MirrorConfig};

#[cfg(test)]
mod tests;

/// How a [`MemoryLog`] behaves. May be changed while it runs with [`MemoryLog::tune`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Shortest and longest time from a produce to its acknowledgement; drawn per record, order is kept.
    pub produce_latency: (Duration, Duration),
    /// Records of a partition that may be unacknowledged before `produce` answers `Unavailable`.
    pub unacked_records_max: usize,
    /// Largest record, key, value and headers, bytes.
    pub message_bytes_max: usize,
    /// How long a member may stay away from `next`. Applies to members that join later.
    pub session_timeout: Duration,
    /// Records that a member fetches ahead. Applies to members that join later.
    pub prefetch_records_max: usize,
    /// Bytes that a member fetches ahead; one record is fetched however large. Applies to members that join
    /// later.
    pub prefetch_bytes_max: usize,
    /// Whether a dropped consumer says goodbye; a crashed one would not, and its session must time out.
    /// Applies to members that join later.
    pub leave_on_drop: bool,
    /// How many of a thousand records are followed by a hole.
    pub hole_per_mille: u32,
    /// Longest hole, offsets.
    pub hole_offsets_max: u64,
    /// Records that a partition keeps.
    pub keep_records: usize,
    /// Bytes that a partition keeps.
    pub keep_bytes: usize,
    /// Replicas that a partition should have.
    pub replicas: u16,
    /// Replicas that must be in sync for a produce; 1 allows single copies.
    pub in_sync_min: u16,
}

/// A cluster of topics and groups. Cheap to clone; clones are the same cluster.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<RwLock<Cluster>>,
    seed: u64,
}

/// A broker refuses a record whose time is further ahead of its own clock, ms: Kafka's default.
pub const AHEAD_MS_MAX: u64 = 3_600_000;

/// It was appended, and lost before every replica in sync had it.
const LOST: Error = Error::Unknown(Cow::Borrowed("lost before every replica in sync had it"));

struct Cluster {
    config: Config,
    wall_ms: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
    in_sync: u16,
    topics: Map<Topic, Arc<TopicState>>,
    groups: Map<Group, Arc<Mutex<GroupState>>>,
    identities: Seed,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            produce_latency: (Duration::ZERO, Duration::ZERO),
            unacked_records_max: limits::UNACKED_RECORDS,
            message_bytes_max: limits::FRAME_BYTES,
            session_timeout: Duration::from_secs(10),
            prefetch_records_max: 512,
            prefetch_bytes_max: 1024 * 1024,
            leave_on_drop: true,
            hole_per_mille: 10,
            hole_offsets_max: 3,
            keep_records: 1 << 20,
            keep_bytes: 64 * 1024 * 1024,
            replicas: 3,
            in_sync_min: 2,
        }
    }
}

// === impl MemoryLog ===

impl MemoryLog {
    /// An empty cluster. Holes, latencies and identities follow from `seed`.
    pub fn new(seed: u64, config: Config) -> Self {
        let cluster = Cluster {
            in_sync: config.replicas,
            config,
            wall_ms: None,
            topics: Map::default(),
            groups: Map::default(),
            identities: Seed::named(seed, "identities"),
        };
        Self { shared: Arc::new(RwLock::new(cluster)), seed }
    }

    /// Makes a topic; one that exists stays as it is.
    pub fn create(&self, topic: &Topic, partitions: u16) {
        let mut cluster = self.write();
        if !cluster.topics.contains_key(topic) {
            let identity = cluster.identities.next();
            let state = TopicState::new(topic.clone(), partitions, identity, self.seed);
            cluster.topics.insert(topic.clone(), Arc::new(state));
        }
    }

    /// Changes how the cluster behaves from now on.
    pub fn tune(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.write().config);
    }

    /// Gives the brokers a clock: from now on they refuse records more than [`AHEAD_MS_MAX`] ahead of it, as
    /// real ones do.
    pub fn set_clock(&self, wall_ms: impl Fn() -> u64 + Send + Sync + 'static) {
        self.write().wall_ms = Some(Arc::new(wall_ms));
    }

    /// How many replicas are in sync; below [`Config::in_sync_min`] every produce is `Unavailable`.
    pub fn set_in_sync(&self, replicas: u16) {
        self.write().in_sync = replicas;
    }

    /// Deletes a topic and makes it again: empty, offsets from 0, another identity. Committed offsets stay,
    /// and followers go on at their positions.
    ///
    /// # Errors
    /// `MissingTopic`.
    pub fn recreate(&self, topic: &Topic) -> Result<(), Error> {
        let state = self.topic(topic, 0)?;
        let identity = self.write().identities.next();
        state.recreate(identity);
        Ok(())
    }

    /// Destroys the cluster: no topic and no group is left. Who follows one meets an empty one.
    pub fn wipe(&self) {
        let topics = {
            let mut cluster = self.write();
            cluster.groups.clear();
            std::mem::take(&mut cluster.topics)
        };
        topics.values().for_each(|topic| topic.recreate(0));
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// `MissingTopic`.
    pub fn partitions(&self, topic: &Topic) -> Result<u16, Error> {
        Ok(self.topic(topic, 0)?.partitions())
    }

    /// Whether there is such a topic.
    pub fn has(&self, topic: &Topic) -> bool {
        self.read_lock().topics.contains_key(topic)
    }

    /// Loses the records at and after `end`, as an unclean election does; their offsets will be given again.
    ///
    /// # Errors
    /// `MissingTopic`.
    pub fn truncate(&self, topic: &Topic, partition: u16, end: Offset) -> Result<(), Error> {
        self.topic(topic, partition)?.with(partition, |log, wakers| log.truncate(end, wakers))
    }

    /// Loses the records before `earliest`, as retention does.
    ///
    /// # Errors
    /// `MissingTopic`.
    pub fn expire(&self, topic: &Topic, partition: u16, earliest: Offset) -> Result<(), Error> {
        self.topic(topic, partition)?.with(partition, |log, wakers| log.expire(earliest, wakers))
    }

    /// Forgets all that a group has committed.
    pub fn forget_offsets(&self, group: &Group) {
        let state = self.read_lock().groups.get(group).cloned();
        if let Some(state) = state {
            lock(&state).forget();
        }
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Cluster> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn topic(&self, topic: &Topic, partition: u16) -> Result<Arc<TopicState>, Error> {
        let state = self.read_lock().topics.get(topic).cloned();
        state.ok_or_else(|| Error::MissingTopic(topic.clone(), partition))
    }

    /// Topics with the partition count that they share.
    fn equal_topics(&self, topics: &[Topic]) -> Result<(Vec<Arc<TopicState>>, u16), Error> {
        let mut states: Vec<Arc<TopicState>> = Vec::with_capacity(topics.len());
        for topic in topics {
            let state = self.topic(topic, 0)?;
            if !states.iter().any(|known| known.name == state.name) {
                states.push(state);
            }
        }
        let Some(partitions) = states.first().map(|first| first.partitions()) else {
            return Err(Error::Refused("no topic".into()));
        };
        if states.iter().any(|state| state.partitions() != partitions) {
            return Err(Error::Refused("topics have different partition counts".into()));
        }
        Ok((states, partitions))
    }

    fn append(&self, record: Record) -> Result<(Offset, Option<Durable>), Error> {
        let cluster = self.read_lock();
        let config = &cluster.config;
        let Some(topic) = cluster.topics.get(&record.topic) else {
            return Err(Error::MissingTopic(record.topic, record.partition));
        };
        if record.size() > config.message_bytes_max {
            return Err(Error::Refused("record too large".into()));
        }
        let latest =
            cluster.wall_ms.as_ref().map_or(u64::MAX, |wall_ms| wall_ms().saturating_add(AHEAD_MS_MAX));
        if record.timestamp_ms > latest {
            return Err(Error::Refused("timestamp too far ahead of the broker's clock".into()));
        }
        if cluster.in_sync < config.in_sync_min {
            return Err(Error::Unavailable("too few replicas in sync".into()));
        }
        topic.with(record.partition, |log, wakers| log.append(record, config, wakers))?
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        match self.append(record) {
            Ok((offset, Some(durable))) => async move {
                sleep_until(durable.at).await;
                if durable.is_lost() { Err(LOST) } else { Ok(offset) }
            }
            .boxed(),
            Ok((offset, None)) => ready(Ok(offset)).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error> {
        let (topics, partitions) = self.equal_topics(topics)?;
        let mut cluster = self.write();
        let fresh = || Arc::new(Mutex::new(GroupState::new(partitions)));
        let state = cluster.groups.entry(group.clone()).or_insert_with(fresh).clone();
        let config = &cluster.config;
        let settings = Settings {
            session: config.session_timeout,
            prefetch: Budget { records: config.prefetch_records_max, bytes: config.prefetch_bytes_max },
            leave_on_drop: config.leave_on_drop,
        };
        drop(cluster);
        if lock(&state).partitions() != partitions {
            return Err(Error::Refused("the group has another partition count".into()));
        }
        Ok(Box::new(MemoryConsumer::join(state, topics, partitions, settings)))
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let state = self.topic(topic, partition)?;
        let budget = Budget { records: usize::MAX, bytes: max_bytes };
        match state.with(partition, |log, _| log.fetch(from, budget))? {
            Ok(fetched) => Ok(Page { entries: fetched.entries, next: fetched.next }),
            Err(extent) => Err(state.out_of_range(partition, from, extent)),
        }
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error> {
        self.topic(topic, partition)?.with(partition, |log, _| log.last())
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error> {
        let state = self.topic(topic, 0)?;
        let (group, in_sync, replicas) = {
            let cluster = self.read_lock();
            let group = group.and_then(|group| cluster.groups.get(group).cloned());
            (group, cluster.in_sync, cluster.config.replicas)
        };
        let mut partitions = Vec::with_capacity(usize::from(state.partitions()));
        for partition in 0..state.partitions() {
            let (earliest, end) = state.with(partition, |log, _| log.extent())?;
            let committed = group.as_ref().and_then(|group| lock(group).committed(topic, partition));
            partitions.push(Extent { earliest, end, committed, in_sync });
        }
        Ok(Description { identity: Identity(u128::from(state.identity())), replicas, partitions })
    }
}
