//! The role over memory tails and a memory table behind persistence, called as a shard calls it: one stream
//! of asks through a direct link, in paused time.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use sterna_persistence::Persistence;
use sterna_process::{Caller, CallerKeys, Link, ManualClock, Process, require_caller};
use sterna_proto::record::Stored;
use sterna_proto::v1::notification_client::NotificationClient;
use sterna_proto::{convert, v1};
use sterna_storage::faulty::{Chances, Faults, FaultyTable};
use sterna_storage::memory::{MemoryTable, MemoryTails};
use sterna_storage::tails::{Appended, Entry, Limits};
use sterna_storage::{Expect, Put, Table, Tails, layout};
use sterna_stream::sequencer::invariants::End;
use sterna_stream::{Cursor, Hlc, Origin, Policy, Position, Segment, StreamId};

use crate::Notification;

mod asks;
mod history;
mod mine;
mod pages;

const NOW: u64 = 1_795_214_400_000;
const STREAM: &str = "acme/chat/general";
/// More pages than any backlog here has.
const MANY: usize = 1_000;

struct World {
    table: Arc<MemoryTable>,
    faults: Arc<Faults>,
    tails: Arc<MemoryTails>,
    persistence: Process,
    notification: Process,
    keys: CallerKeys,
}

impl World {
    fn new() -> Self {
        Self::with_tails(Limits::default())
    }

    fn with_tails(limits: Limits) -> Self {
        let process = |name| Process::new(name, 1, Arc::new(ManualClock::new(NOW)));
        Self {
            table: Arc::new(MemoryTable::new()),
            faults: Faults::new(Chances::default(), 1),
            tails: Arc::new(MemoryTails::new(limits)),
            persistence: process("persistence"),
            notification: process("notification"),
            keys: CallerKeys::new(&[b"a secret of sixteen bytes"]).unwrap(),
        }
    }

    fn called_by(&self, role: &str) -> NotificationClient<Link> {
        let caller = |role| Caller::new(role, "us-east-1").unwrap();
        let table = FaultyTable::new(self.table.clone(), self.faults.clone());
        let routes = require_caller(Persistence::new(Arc::new(table)).routes(), &self.keys);
        let link = Link::direct(&self.persistence, routes);
        let link = link.called_by(&self.notification, &caller("notification"), &self.keys);
        let routes = require_caller(Notification::new(self.tails.clone(), link).routes(), &self.keys);
        let link = Link::direct(&self.notification, routes);
        NotificationClient::new(link.called_by(&self.notification, &caller(role), &self.keys))
    }

    /// The pages that answer these asks of one call, in the order of their tags.
    async fn ask(&self, asks: Vec<v1::Ask>) -> Vec<v1::Page> {
        let mut stream = self.called_by("gateway").backlog(stream::iter(asks)).await.unwrap().into_inner();
        let mut pages = Vec::new();
        while let Some(page) = stream.message().await.unwrap() {
            pages.push(page);
        }
        pages.sort_by_key(|page| page.tag);
        pages
    }

    async fn page(&self, ask: v1::Ask) -> v1::Page {
        self.ask(vec![ask]).await.remove(0)
    }

    /// Asks until a page says that it is the last; runs `between` after each.
    async fn backlog(&self, mut ask: v1::Ask, mut between: impl AsyncFnMut()) -> Backlog {
        let mut backlog = Backlog::default();
        loop {
            let page = self.page(ask.clone()).await;
            assert_eq!(page.refused, "");
            let segments = page.records.into_iter().map(|bytes| Stored::decode(bytes).unwrap());
            backlog.segments.extend(segments);
            backlog.skipped.merge(&convert::cursor(page.skipped_to.as_ref()).unwrap());
            backlog.lost.merge(&convert::cursor(page.lost_to.as_ref()).unwrap());
            backlog.pages += 1;
            assert!(backlog.pages < MANY, "no page says that it is the last: {backlog:?}");
            // What is cut is cut once: later asks go on from the page.
            ask = v1::Ask { after: page.upto, tail: 0, ..ask };
            if page.complete {
                backlog.upto = convert::cursor(ask.after.as_ref()).unwrap();
                return backlog;
            }
            between().await;
        }
    }

    async fn put(&self, chain: &[Stored]) {
        for Stored { segment, bytes } in chain {
            let key = layout::segment(&segment.stream, &segment.origin, segment.first);
            assert_eq!(self.table.put(key, bytes.clone(), Expect::Absent).await.unwrap(), Put::Done(1));
        }
    }

    async fn append(&self, chain: &[Stored]) {
        for Stored { segment, bytes } in chain {
            let last = segment.last();
            let entry = Entry { first: segment.first, last, bytes: bytes.clone() };
            let appended = self.tails.append(&segment.stream, &segment.origin, entry, last).await;
            assert_eq!(appended.unwrap(), Appended::Done);
        }
    }
}

#[derive(Debug, Default)]
struct Backlog {
    segments: Vec<Stored>,
    skipped: Cursor,
    lost: Cursor,
    upto: Cursor,
    pages: usize,
}

impl Backlog {
    /// (origin, first seq) of each segment.
    fn places(&self) -> Vec<(String, u64)> {
        self.segments.iter().map(|s| (s.segment.origin.to_string(), s.segment.first)).collect()
    }

    /// The events of `origin` after `after`, which must be dense.
    fn seqs(&self, origin: &str, after: u64) -> Vec<u64> {
        let mut seqs: Vec<u64> = Vec::new();
        for Stored { segment, .. } in self.segments.iter().filter(|s| s.segment.origin.as_str() == origin) {
            let next = seqs.last().map_or(segment.first, |last| last + 1);
            assert_eq!(segment.first, next, "{origin} has a hole or a repeat");
            seqs.extend(segment.first..=segment.last());
        }
        seqs.retain(|seq| *seq > after);
        seqs
    }
}

/// Segments of `origin`, one for each list of stamps (ms after `NOW`), with bodies of so many bytes.
fn chain(origin: &str, body: usize, stamps: &[&[u64]]) -> Vec<Stored> {
    let (stream, origin): (StreamId, Origin) = (STREAM.parse().unwrap(), origin.parse().unwrap());
    let mut end = End::default();
    let mut segments = Vec::new();
    for stamps in stamps {
        let segment = Segment {
            stream: stream.clone(),
            origin: origin.clone(),
            first: end.seq + 1,
            stamps: stamps.iter().map(|ms| Hlc::at(NOW + ms)).collect(),
            bodies: stamps.iter().map(|_| Bytes::from(vec![b'x'; body])).collect(),
            from: Position { incarnation: 1, partition: 0, offset: end.seq },
            policy: Policy::default(),
            prefix: end.prefix,
            members: Vec::new(),
            member_before: 0,
        };
        end.admits(&segment).unwrap();
        end = End::of(&segment);
        segments.push(Stored::new(segment));
    }
    segments
}

/// A chain of `segments` segments of two events each, `step` ms apart.
fn pairs(origin: &str, body: usize, segments: u64, step: u64) -> Vec<Stored> {
    let stamps: Vec<[u64; 2]> = (0..segments).map(|n| [(2 * n + 1) * step, (2 * n + 2) * step]).collect();
    let stamps: Vec<&[u64]> = stamps.iter().map(|pair| &pair[..]).collect();
    chain(origin, body, &stamps)
}

fn ask(after: &str, head: &str, tail: u32) -> v1::Ask {
    let field = |text: &str| {
        let cursor: Cursor = if text.is_empty() { Cursor::new() } else { text.parse().unwrap() };
        convert::cursor_field(&cursor)
    };
    v1::Ask { tag: 1, stream: STREAM.into(), after: field(after), tail, head: field(head) }
}
