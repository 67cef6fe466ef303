//! The role over a memory table that can break, called through a direct link, in paused time.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use sterna_process::{Caller, CallerKeys, Link, ManualClock, Process, require_caller};
use sterna_proto::record::{Body, Stored};
use sterna_proto::v1;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_storage::faulty::{Chances, Faults, FaultyTable};
use sterna_storage::memory::MemoryTable;
use sterna_storage::{Expect, Put, Table, layout};
use sterna_stream::sequencer::invariants::End;
use sterna_stream::{ContentHash, EventId, Hlc, Origin, Policy, Position, Segment, StreamId};
use tokio::time::Instant;
use tonic::Status;

use crate::Persistence;

mod append;
mod cursors;
mod ensure;
mod heads;
mod lookup;
mod read;
mod tiling;
mod touched;

const NOW: u64 = 1_795_214_400_000;
const STREAM: &str = "acme/chat/general";

struct World {
    inner: Arc<MemoryTable>,
    table: FaultyTable,
    faults: Arc<Faults>,
    process: Process,
    keys: CallerKeys,
}

impl World {
    fn new() -> Self {
        let inner = Arc::new(MemoryTable::new());
        let faults = Faults::new(Chances::default(), 1);
        let table = FaultyTable::new(inner.clone(), faults.clone());
        let process = Process::new("persistence", 1, Arc::new(ManualClock::new(NOW)));
        let keys = CallerKeys::new(&[b"a secret of sixteen bytes"]).unwrap();
        Self { inner, table, faults, process, keys }
    }

    /// The role as `role` calls it.
    fn called_by(&self, role: &str) -> PersistenceClient<Link> {
        let routes = Persistence::new(Arc::new(self.table.clone())).routes();
        let link = Link::direct(&self.process, require_caller(routes, &self.keys));
        let caller = Caller::new(role, "us-east-1").unwrap();
        PersistenceClient::new(link.called_by(&self.process, &caller, &self.keys))
    }

    /// One request of one call of Append.
    async fn append(&self, items: Vec<v1::Item>) -> Result<v1::AppendAnswer, Status> {
        let requests = stream::iter([v1::AppendRequest { items, tag: 7 }]);
        let mut answers = self.called_by("messaging").append(requests).await?.into_inner();
        let answer = answers.message().await?.unwrap();
        assert_eq!(answer.tag, 7);
        Ok(answer)
    }

    async fn put(&self, chain: &[Stored]) {
        for stored in chain {
            let segment = &stored.segment;
            self.put_at(segment.first, stored, stored.bytes.clone()).await;
        }
    }

    async fn put_at(&self, first: u64, like: &Stored, bytes: Bytes) {
        let key = layout::segment(&like.segment.stream, &like.segment.origin, first);
        assert_eq!(self.inner.put(key, bytes, Expect::Absent).await.unwrap(), Put::Done(1));
    }

    async fn read(&self, request: v1::ReadRequest) -> v1::ReadAnswer {
        self.called_by("state").read(request).await.unwrap().into_inner()
    }

    /// How many calls of the table `call` makes: each takes a second, one after another.
    async fn calls<T>(&self, call: impl Future<Output = T>) -> (u64, T) {
        let second = Duration::from_secs(1);
        self.faults.set_chances(Chances { delay_min: second, delay_max: second, ..Chances::default() });
        let began = Instant::now();
        let result = call.await;
        self.faults.set_chances(Chances::default());
        (began.elapsed().as_secs(), result)
    }
}

/// One origin's chain as its sequencer would make it.
struct Chain {
    stream: StreamId,
    origin: Origin,
    end: End,
}

impl Chain {
    fn of(origin: &str) -> Self {
        Self { stream: STREAM.parse().unwrap(), origin: origin.parse().unwrap(), end: End::default() }
    }

    /// The next segment: one event for each (stamp in ms after `NOW`, body).
    fn next(&mut self, events: &[(u64, Bytes)], members: &[u32]) -> Stored {
        let segment = Segment {
            stream: self.stream.clone(),
            origin: self.origin.clone(),
            first: self.end.seq + 1,
            stamps: events.iter().map(|(ms, _)| Hlc::at(NOW + ms)).collect(),
            bodies: events.iter().map(|(_, body)| body.clone()).collect(),
            from: Position { incarnation: 1, partition: 0, offset: self.end.seq },
            policy: Policy::default(),
            prefix: self.end.prefix,
            members: members.to_vec(),
            member_before: self.end.member,
        };
        self.end.admits(&segment).unwrap();
        self.end = End::of(&segment);
        Stored::new(segment)
    }

    /// Segments of so many events each, a millisecond apart.
    fn sized(&mut self, sizes: &[usize]) -> Vec<Stored> {
        let mut segments = Vec::new();
        for &size in sizes {
            let from = self.end.seq;
            let events: Vec<_> = (0..size as u64).map(|n| (from + n + 1, Bytes::from_static(b"x"))).collect();
            segments.push(self.next(&events, &[]));
        }
        segments
    }
}

fn body(id: EventId, author: &str, resend: bool) -> Bytes {
    let (author, kind) = (author.parse().unwrap(), "message".parse().unwrap());
    let (payload, content) = (Bytes::from_static(b"1"), ContentHash([1; 16]));
    Body { id, author, kind, payload, content, resend, key: String::new(), deps: None }.encode()
}

fn span(origin: &str, after: u64, upto: u64) -> v1::Span {
    v1::Span { origin: origin.into(), after, upto }
}

fn request(spans: &[v1::Span]) -> v1::ReadRequest {
    v1::ReadRequest {
        stream: STREAM.into(),
        spans: spans.to_vec(),
        consistent: true,
        ..v1::ReadRequest::default()
    }
}

fn items(chain: &[Stored]) -> Vec<v1::Item> {
    let item = |stored: &Stored| v1::Item {
        stream: stored.segment.stream.to_string(),
        origin: stored.segment.origin.to_string(),
        first: stored.segment.first,
        record: stored.bytes.clone(),
    };
    chain.iter().map(item).collect()
}

/// (origin, first seq) of each record.
fn places(records: &[Bytes]) -> Vec<(String, u64)> {
    let place = |bytes: &Bytes| {
        let segment = Stored::decode(bytes.clone()).unwrap().segment;
        (segment.origin.to_string(), segment.first)
    };
    records.iter().map(place).collect()
}

/// First seqs of the records of one origin.
fn firsts(answer: &v1::ReadAnswer) -> Vec<u64> {
    places(&answer.records).into_iter().map(|(_, first)| first).collect()
}
