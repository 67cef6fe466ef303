//! The role over a memory log and a memory table that can break, with persistence behind a direct link, in
//! paused time: what the cases share.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use prost::Message;
use sha2::Sha256;
use sterna_access::{Grant, GrantKey, Permission};
use sterna_log::{Faults as LogFaults, FaultyLog, Log, MemoryLog, Record, memory};
use sterna_persistence::Persistence;
use sterna_process::{Caller, CallerKeys, Clock, Link, ManualClock, Process, require_caller};
use sterna_proto::record::{Body, LogRecord, Stored};
use sterna_proto::{convert, v1};
use sterna_storage::faulty::{Chances, Faults, FaultyTable};
use sterna_storage::memory::MemoryTable;
use sterna_storage::{Name, Table};
use sterna_stream::kind::Kinds;
use sterna_stream::sequencer::invariants::{LogOrder, chain};
use sterna_stream::{ContentHash, EventId, Hlc, Policy, Segment, StreamId, partition};
use tokio::time::Instant;

use crate::{Config, Messaging, Parts, ingress};

mod alarms;
mod appends;
mod checkpoints;
mod drive;
mod missing;
mod publish;
mod takeover;

pub(crate) const NOW: u64 = 1_795_214_400_000;
const SECRET: &[u8] = b"this region's grants";
const PATIENCE: Duration = Duration::from_secs(120);

struct World {
    config: Config,
    log: MemoryLog,
    log_faults: LogFaults,
    faulty_log: FaultyLog,
    table: Arc<MemoryTable>,
    faults: Arc<Faults>,
    /// What breaks between the sequencer and its checkpoints.
    checkpoint_faults: Arc<Faults>,
    clock: ManualClock,
    persistence: Process,
    keys: CallerKeys,
    minted: u128,
    accepted: BTreeSet<EventId>,
}

/// One instance of the role.
struct Instance {
    process: Process,
    messaging: Messaging,
}

pub(crate) fn config() -> Config {
    let origin = "us-east-1".parse().unwrap();
    let secret = Bytes::from_static(b"a secret of all regions");
    Config { partitions: 2, ..Config::new(origin, secret, Bytes::from_static(SECRET)) }
}

impl World {
    fn new(config: Config) -> Self {
        let log = MemoryLog::new(1, memory::Config::default());
        log.create(&config.ingress, config.partitions);
        log.create(&config.log, config.partitions);
        let log_faults = LogFaults::new(1);
        let faulty_log = FaultyLog::new(Arc::new(log.clone()), log_faults.clone());
        let clock = ManualClock::new(NOW);
        let persistence = Process::new("persistence", 1, Arc::new(clock.clone()));
        let faults = Faults::new(Chances::default(), 1);
        let late = (faults.clone(), faulty_log.late());
        persistence.spawn("what lands late", sterna_process::End::Expected, async move {
            tokio::join!(late.0.run(), late.1);
        });
        Self {
            config,
            log,
            log_faults,
            faulty_log,
            table: Arc::new(MemoryTable::new()),
            faults,
            checkpoint_faults: Faults::new(Chances::default(), 1),
            clock,
            persistence,
            keys: CallerKeys::new(&[b"a secret of sixteen bytes"]).unwrap(),
            minted: 0,
            accepted: BTreeSet::new(),
        }
    }

    /// Starts an instance, whose puts of segments (not of checkpoints) meet the table's faults.
    fn start(&self, name: &str) -> Instance {
        self.start_calling(name, &self.persistence_by(&self.persistence))
    }

    /// Persistence as a role of `owner`, over a table that has the world's faults.
    fn persistence_by(&self, owner: &Process) -> Link {
        let table = FaultyTable::new(self.table.clone(), self.faults.clone());
        let routes = require_caller(Persistence::new(Arc::new(table)).routes(), &self.keys);
        Link::direct(owner, routes)
    }

    fn start_calling(&self, name: &str, persistence: &Link) -> Instance {
        let process = Process::new(name, 1, Arc::new(self.clock.clone()));
        let caller = Caller::new("messaging", "us-east-1").unwrap();
        let parts = Parts {
            process: process.clone(),
            log: Arc::new(self.faulty_log.clone()),
            table: Arc::new(FaultyTable::new(self.table.clone(), self.checkpoint_faults.clone())),
            persistence: persistence.called_by(&process, &caller, &self.keys),
            kinds: Kinds::standard(),
        };
        let messaging = Messaging::start(self.config.clone(), parts);
        Instance { process, messaging }
    }

    fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(self.clock.wall_ms(), self.minted)
    }

    /// Puts events into the ingress as Publish does once it has admitted them.
    async fn produce(&mut self, streams: &[StreamId], rounds: usize) {
        for _ in 0..rounds {
            for stream in streams {
                let id = self.id();
                self.accepted.insert(id);
                self.produce_event(stream, id, false).await;
            }
        }
    }

    async fn produce_event(&self, stream: &StreamId, id: EventId, resend: bool) {
        let grant = grant(Permission::Publish, stream, NOW + 3_600_000);
        let body = Body {
            id,
            author: grant.subject().clone(),
            kind: "message".parse().unwrap(),
            payload: Bytes::from_static(b"1"),
            content: ContentHash([7; 16]),
            resend,
            key: String::new(),
            deps: None,
        };
        let record = Record {
            topic: self.config.ingress.clone(),
            partition: partition::of(stream, self.config.partitions),
            key: Bytes::new(),
            value: ingress::encode(&grant, &body, Hlc::ZERO, false, ""),
            headers: Default::default(),
            timestamp_ms: self.clock.wall_ms(),
        };
        self.log.produce(record).await.unwrap();
    }

    /// Segments of the log topic, in the order of their partition.
    async fn logged(&self) -> Vec<Stored> {
        let mut segments = Vec::new();
        for partition in 0..self.config.partitions {
            for record in self.records(true, partition).await {
                if let LogRecord::Segment(stored) = LogRecord::decode(record.value).unwrap() {
                    segments.push(stored);
                }
            }
        }
        segments
    }

    /// All records of a partition of the log (or of the ingress).
    async fn records(&self, log: bool, partition: u16) -> Vec<Record> {
        let topic = if log { &self.config.log } else { &self.config.ingress };
        let page = self.log.read(topic, partition, 0, usize::MAX).await.unwrap();
        page.entries.into_iter().map(|entry| entry.record).collect()
    }

    /// The chains of the table, by stream.
    async fn stored(&self) -> BTreeMap<StreamId, Vec<Stored>> {
        let (mut chains, mut after) = (BTreeMap::<StreamId, Vec<Stored>>::new(), None);
        loop {
            let page = self.table.scan(Name::Events, after).await.unwrap();
            for item in page.items {
                let stored = Stored::decode(item.value).unwrap();
                chains.entry(stored.segment.stream.clone()).or_default().push(stored);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        chains.values_mut().for_each(|chain| chain.sort_by_key(|stored| stored.segment.first));
        chains
    }

    async fn ids(&self) -> Vec<EventId> {
        let chains = self.stored().await;
        let segments = chains.values().flatten().map(|stored| &stored.segment);
        segments.flat_map(ids_of).collect()
    }

    /// Waits until everything that was accepted is in table and log.
    async fn settled(&self) {
        until("all accepted events in table and log", async || {
            let ids: BTreeSet<EventId> = self.ids().await.into_iter().collect();
            let logged: BTreeSet<EventId> =
                self.logged().await.iter().flat_map(|stored| ids_of(&stored.segment)).collect();
            let missing = self.accepted.difference(&ids).chain(self.accepted.difference(&logged)).count();
            if missing == 0 { Ok(()) } else { Err(missing) }
        })
        .await;
    }

    /// What must be true however it came about: chains tile, events stand once, the log holds all that the
    /// table holds, byte for byte and in seq order.
    async fn judge(&self) {
        let (chains, logged) = (self.stored().await, self.logged().await);
        for stored in chains.values() {
            chain(stored.iter().map(|stored| &stored.segment)).unwrap();
        }
        let mut order = LogOrder::default();
        for stored in &logged {
            order.follow(&stored.segment).unwrap();
        }
        let logged: BTreeSet<&Bytes> = logged.iter().map(|stored| &stored.bytes).collect();
        let lacks = chains.values().flatten().filter(|stored| !logged.contains(&stored.bytes)).count();
        assert_eq!(lacks, 0, "segments of the table that the log lacks");
        let ids = self.ids().await;
        let once: BTreeSet<EventId> = ids.iter().copied().collect();
        assert_eq!(ids.len(), once.len(), "an event stands twice");
        assert_eq!(once, self.accepted);
    }

    async fn committed(&self, partition: u16) -> Option<u64> {
        let described = self.log.describe(&self.config.ingress, Some(&self.config.group)).await.unwrap();
        described.partitions[usize::from(partition)].committed
    }
}

fn ids_of(segment: &Segment) -> Vec<EventId> {
    segment.bodies.iter().map(|body| Body::decode(body).unwrap().id).collect()
}

/// Asks again until the answer is `Ok`; panics with the last state when patience ends.
async fn until<S: std::fmt::Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<(), S>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(state) = ask().await {
        assert!(Instant::now() < deadline, "waited for {what}; last seen: {state:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// A stream of this tenant in `partition` of two.
fn stream_in(partition: u16) -> StreamId {
    let named = |n: u32| format!("acme/chat/s{n}").parse::<StreamId>().unwrap();
    (0..).map(named).find(|stream| partition::of(stream, 2) == partition).unwrap()
}

fn streams(n: usize) -> Vec<StreamId> {
    (0..n).map(|n| format!("acme/chat/s{n}").parse().unwrap()).collect()
}

/// A grant of ana's under `secret`, as an authoriser of that region seals it.
pub(crate) fn sealed(secret: &[u8], what: Permission, on: &StreamId, expires_ms: u64, id: &str) -> Bytes {
    let policy = Policy { member: "us-east-1:4".parse().unwrap(), ..Policy::default() };
    let inner = v1::Grant {
        id: id.to_owned(),
        tenant: on.tenant().to_owned(),
        subject: "ana".to_owned(),
        permission: v1::Permission::from(what).into(),
        resource: on.to_string(),
        policy: convert::policy_field(&policy),
        expires_unix_ms: expires_ms,
    };
    let grant = Bytes::from(inner.encode_to_vec());
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&grant).finalize().into_bytes();
    v1::SealedGrant { grant, mac: Bytes::copy_from_slice(&mac) }.encode_to_vec().into()
}

pub(crate) fn grant(what: Permission, on: &StreamId, expires_ms: u64) -> Grant {
    GrantKey::new(SECRET).open(&sealed(SECRET, what, on, expires_ms, "g1"), NOW).unwrap()
}
