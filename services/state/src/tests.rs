//! The role over memory stores that can break, beside a persistence that can be stopped, attached to as a
//! shard does; in paused time.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sterna_log::faulty::{Faults as LogFaults, FaultyLog};
use sterna_log::memory::{Config as LogConfig, MemoryLog};
use sterna_log::{Log, Offset, Record, Topic};
use sterna_persistence::Persistence;
use sterna_process::{Caller, CallerKeys, Link, ManualClock, Process, require_caller};
use sterna_proto::record::{LOG_POS, Placed, Stored};
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;
use sterna_proto::v1::attach_up::What as Wish;
use sterna_proto::v1::state_client::StateClient;
use sterna_storage::faulty::{Chances, Faults, FaultyTable, FaultyTails};
use sterna_storage::memory::{MemorySessions, MemoryTable, MemoryTails};
use sterna_storage::{Consistency, Expect, Put, Table, layout, tails};
use sterna_stream::sequencer::invariants::End;
use sterna_stream::{Cursor, Hlc, LogPos, Origin, Policy, Position, Segment, StreamId, partition};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::express::Peer;
use crate::hub::tests::words;
use crate::wall::Wall;
use crate::{Config, Mirror, Parts, State};

mod access;
mod attach;
mod clocks;
mod express;
mod holes;
mod lives;
mod mirrors;
mod owners;
mod sessions;
mod tails_and_kinds;
mod watermarks;

const NOW: u64 = 1_795_214_400_000;
pub(crate) const US: &str = "us-east-1";
pub(crate) const EU: &str = "eu-west-1";
const STREAM: &str = "acme/chat/general";

/// A region's stores, its persistence and its state instances.
struct World {
    log: MemoryLog,
    log_faults: LogFaults,
    table: Arc<MemoryTable>,
    /// What breaks between persistence and the table.
    faults: Arc<Faults>,
    /// What breaks between state and the table.
    count_faults: Arc<Faults>,
    tails: Arc<MemoryTails>,
    sessions: Arc<MemorySessions>,
    tail_faults: Arc<Faults>,
    persistence: Process,
    keys: CallerKeys,
    config: Config,
    peers: Vec<Peer>,
    lives: usize,
}

/// A running instance.
struct Instance {
    process: Process,
    state: State,
    link: Link,
    wall: Arc<Wall>,
    /// The machine's clock behind the wall.
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self::with(1, tails::Limits::default())
    }

    fn with(partitions: u16, limits: tails::Limits) -> Self {
        let log = MemoryLog::new(1, LogConfig { leave_on_drop: false, ..LogConfig::default() });
        let mirror = Mirror { origin: EU.parse().unwrap(), topic: "eu-west-1.sterna-log".parse().unwrap() };
        let config = Config { partitions, mirrors: vec![mirror.clone()], ..Config::new(US.parse().unwrap()) };
        log.create(&config.log, partitions);
        log.create(&mirror.topic, partitions);
        let faults = || Faults::new(Chances::default(), 1);
        Self {
            log,
            log_faults: LogFaults::new(1),
            table: Arc::new(MemoryTable::new()),
            faults: faults(),
            count_faults: faults(),
            tails: Arc::new(MemoryTails::new(limits)),
            sessions: Arc::default(),
            tail_faults: faults(),
            persistence: Process::new("persistence", 1, Arc::new(ManualClock::new(NOW))),
            keys: CallerKeys::new(&[b"a secret of sixteen bytes"]).unwrap(),
            config,
            peers: Vec::new(),
            lives: 0,
        }
    }

    fn start(&mut self) -> Instance {
        self.lives += 1;
        let clock = ManualClock::new(NOW);
        let wall = Wall::new(Arc::new(clock.clone()));
        let process = Process::new(&format!("state#{}", self.lives), 1, wall.clone());
        let table = FaultyTable::new(self.table.clone(), self.faults.clone());
        let routes = require_caller(Persistence::new(Arc::new(table)).routes(), &self.keys);
        let caller = Caller::new("state", US).unwrap();
        let persistence = Link::direct(&self.persistence, routes).called_by(&process, &caller, &self.keys);
        let parts = Parts {
            process: process.clone(),
            log: Arc::new(FaultyLog::new(Arc::new(self.log.clone()), self.log_faults.clone())),
            table: Arc::new(FaultyTable::new(self.table.clone(), self.count_faults.clone())),
            tails: Arc::new(FaultyTails::new(self.tails.clone(), self.tail_faults.clone())),
            sessions: self.sessions.clone(),
            persistence,
            peers: self.peers.clone(),
            wall: wall.clone(),
        };
        let state = State::start(self.config.clone(), parts);
        let link = Link::direct(&process, require_caller(state.routes(), &self.keys));
        Instance { process, state, link, wall, clock }
    }

    /// A shard that follows `stream`, once the instance owns its partition.
    async fn shard(&self, instance: &Instance, stream: &str) -> Shard {
        let stream: StreamId = stream.parse().unwrap();
        let at = partition::of(&stream, self.config.partitions);
        until("owner of the partition", async || instance.state.0.hub.lock().owns(at)).await;
        let mut shard = Shard::attach(instance, &self.keys, "gateway").await.unwrap();
        shard.wish(Wish::Follow(v1::Streams { streams: vec![stream.to_string()] })).await;
        shard
    }

    fn mirror(&self) -> Topic {
        self.config.mirrors[0].topic.clone()
    }

    async fn produce(&self, topic: &Topic, partition: u16, value: Bytes, placed: Option<Placed>) -> Offset {
        let headers = placed.map(|placed| (LOG_POS.into(), placed.encode())).into_iter().collect();
        let (topic, key) = (topic.clone(), Bytes::new());
        let record = Record { topic, partition, key, value, headers, timestamp_ms: NOW };
        self.log.produce(record).await.unwrap()
    }

    /// A segment comes by mirror, at the log position of its first seq.
    async fn mirrored(&self, stored: &Stored) -> Offset {
        let at = partition::of(&stored.segment.stream, self.config.partitions);
        self.produce(&self.mirror(), at, stored.bytes.clone(), Some(placed(1, stored.segment.first))).await
    }

    /// The region's own sequencer: the table first, then the log.
    async fn sequenced(&self, stored: &Stored) -> Offset {
        self.put(stored, stored.bytes.clone()).await;
        let at = partition::of(&stored.segment.stream, self.config.partitions);
        self.produce(&self.config.log, at, stored.bytes.clone(), Some(placed(1, stored.segment.first))).await
    }

    async fn put(&self, like: &Stored, bytes: Bytes) {
        let key = layout::segment(&like.segment.stream, &like.segment.origin, like.segment.first);
        assert_eq!(self.table.put(key, bytes, Expect::Absent).await.unwrap(), Put::Done(1));
    }

    async fn in_table(&self, stored: &Stored) -> Option<Bytes> {
        let segment = &stored.segment;
        let key = layout::segment(&segment.stream, &segment.origin, segment.first);
        let found = self.table.get(&[key], Consistency::Consistent).await.unwrap();
        found.into_iter().next().unwrap().map(|item| item.value)
    }

    /// Whether the group has committed the record at `offset`.
    async fn committed(&self, topic: &Topic, offset: Offset) -> bool {
        let described = self.log.describe(topic, Some(&self.config.group)).await.unwrap();
        described.partitions[0].committed.is_some_and(|committed| committed > offset)
    }

    /// Every mark of the first partition that the region's state wrote, oldest first.
    async fn marks(&self) -> Vec<v1::Mark> {
        let page = self.log.read(&self.config.log, 0, 0, usize::MAX).await.unwrap();
        let mark = |bytes: Bytes| match sterna_proto::record::LogRecord::decode(bytes) {
            Ok(sterna_proto::record::LogRecord::Mark(mark)) => Some(mark),
            _ => None,
        };
        page.entries.into_iter().filter_map(|entry| mark(entry.record.value)).collect()
    }
}

/// An attached shard.
struct Shard {
    wishes: mpsc::Sender<v1::AttachUp>,
    pushes: tonic::Streaming<v1::AttachDown>,
    n: u64,
}

impl Shard {
    async fn attach(instance: &Instance, keys: &CallerKeys, role: &str) -> Result<Self, Status> {
        Self::of(instance, keys, role, US).await
    }

    async fn of(instance: &Instance, keys: &CallerKeys, role: &str, region: &str) -> Result<Self, Status> {
        let (wishes, queue) = mpsc::channel(16);
        let up = futures_util::stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
        let gateway = Process::new("gateway", 1, Arc::new(ManualClock::new(NOW)));
        let link = instance.link.called_by(&gateway, &Caller::new(role, region).unwrap(), keys);
        let pushes = StateClient::new(link).attach(up).await?.into_inner();
        Ok(Self { wishes, pushes, n: 0 })
    }

    async fn wish(&mut self, what: Wish) {
        self.wishes.send(v1::AttachUp { what: Some(what) }).await.unwrap();
    }

    /// What comes next, but for notices of changed members; `None`: the stream has ended.
    async fn next(&mut self) -> Option<What> {
        loop {
            match self.next_of_all().await? {
                What::Members(_) => {}
                other => return Some(other),
            }
        }
    }

    async fn next_of_all(&mut self) -> Option<What> {
        let down = self.pushes.message().await.ok().flatten()?;
        self.n += 1;
        assert_eq!(down.n, self.n, "E15: a hole in the numbers");
        down.what
    }

    /// The next `count` things, in words, without positions that are told.
    async fn told(&mut self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        while told.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(120), self.next()).await;
            match next.unwrap_or_else(|_| panic!("only {told:?} came")) {
                Some(What::Covered(_)) => {}
                Some(what) => told.push(words(&what)),
                None => panic!("ended after {told:?}"),
            }
        }
        told
    }

    /// What comes within `time`.
    async fn told_within(&mut self, time: Duration) -> Vec<String> {
        let end = Instant::now() + time;
        let mut told = Vec::new();
        while let Ok(Some(what)) = tokio::time::timeout_at(end, self.next()).await {
            told.push(words(&what));
        }
        told
    }
}

/// One origin's chain as its sequencer would make it.
pub(crate) struct Chain {
    stream: StreamId,
    origin: Origin,
    end: End,
}

impl Chain {
    pub(crate) fn of(origin: &str) -> Self {
        Self::in_stream(origin, STREAM)
    }

    pub(crate) fn in_stream(origin: &str, stream: &str) -> Self {
        Self { stream: stream.parse().unwrap(), origin: origin.parse().unwrap(), end: End::default() }
    }

    pub(crate) fn next(&mut self) -> Stored {
        self.resting(&[], "")
    }

    pub(crate) fn member(&mut self) -> Stored {
        self.resting(&[0], "")
    }

    /// The next segment, of one event.
    fn resting(&mut self, members: &[u32], on: &str) -> Stored {
        let segment = Segment {
            stream: self.stream.clone(),
            origin: self.origin.clone(),
            first: self.end.seq + 1,
            stamps: vec![Hlc::at(NOW + self.end.seq)].into(),
            bodies: vec![Bytes::from(format!("event {}", self.end.seq + 1))].into(),
            from: Position { incarnation: 1, partition: 0, offset: self.end.seq },
            policy: Policy { member: on.parse().unwrap(), access: Cursor::new() },
            prefix: self.end.prefix,
            members: members.to_vec(),
            member_before: self.end.member,
        };
        self.end.admits(&segment).unwrap();
        self.end = End::of(&segment);
        Stored::new(segment)
    }
}

fn placed(term: u64, n: u64) -> Placed {
    Placed { pos: LogPos { term, n }, continues: None }
}

/// Waits, for at most two minutes.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition().await {
        assert!(Instant::now() < end, "{what}: not within two minutes");
        sleep(Duration::from_millis(10)).await;
    }
}
