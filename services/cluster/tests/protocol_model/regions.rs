//! The regions of the model: one shard each, an own log, mirrors of the others' that lag, history that lags
//! more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use sterna_gateway::SessionId;
use sterna_gateway::encode::Subprotocols;
use sterna_gateway::limits::Limits;
use sterna_gateway::reader::Flow;
use sterna_gateway::seams::{Ask, Gap, Page, Upstream};
use sterna_gateway::shard::{Shard, Start};
use sterna_gateway::wire::Encoding;
use sterna_protocol::frame::GapReason;
use sterna_stream::segment::Position;
use sterna_stream::{Cursor, Hlc, Origin, Policy, Prefix, Segment, StreamId};
use tokio::io::DuplexStream;

pub(crate) const ORIGINS: [&str; 3] = ["ap-south-1", "eu-west-1", "us-east-1"];

/// What a shard asks for; the model answers when it likes.
#[derive(Default)]
struct Asked {
    interest: RefCell<Option<bool>>,
    pulls: RefCell<Vec<Cursor>>,
    asks: RefCell<Vec<Ask>>,
}

impl Upstream for Asked {
    fn interest(&self, _: &StreamId, on: bool) {
        *self.interest.borrow_mut() = Some(on);
    }

    fn pull(&self, _: &StreamId, from: &Cursor, _: &Cursor) {
        self.pulls.borrow_mut().push(from.clone());
    }

    fn backlog(&self, ask: Ask) {
        self.asks.borrow_mut().push(ask);
    }
}

/// One region: how many segments of each origin its `state` has consumed, and how many its table holds.
struct Region {
    shard: Shard<DuplexStream>,
    asked: Rc<Asked>,
    asks: VecDeque<Ask>,
    consumed: [usize; 3],
    readable: [usize; 3],
}

pub(crate) struct Regions {
    pub(crate) stream: StreamId,
    /// Each origin's truth: its segments, first and last seq.
    chains: [Vec<(u64, u64)>; 3],
    regions: Vec<Region>,
}

#[allow(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(tokio::task::spawn_local(task));
}

impl Regions {
    pub(crate) fn new(random: &mut StdRng) -> Self {
        let mut region = || {
            let limits = Limits { ring_entries: random.random_range(3..=30), ..Limits::default() };
            let asked = Rc::new(Asked::default());
            let shard = Shard::new(limits, Rc::new(Subprotocols), asked.clone());
            spawn(shard.clone().run());
            Region { shard, asked, asks: VecDeque::new(), consumed: [0; 3], readable: [0; 3] }
        };
        let regions = (0..3).map(|_| region()).collect();
        Self { stream: "acme/chat/model".parse().unwrap(), chains: Default::default(), regions }
    }

    // === what happens ===

    pub(crate) fn produce(&mut self, random: &mut StdRng) {
        let segments = &mut self.chains[random.random_range(0..3)];
        let first = segments.last().map_or(1, |(_, last)| last + 1);
        segments.push((first, first + random.random_range(0..3)));
    }

    /// A region's state consumes a segment and pushes it: mostly once, sometimes twice or not at all. What is
    /// mirrored comes less often than what is its own.
    pub(crate) fn consume(&mut self, random: &mut StdRng) {
        let (at, origin) = (random.random_range(0..3), random.random_range(0..3));
        if at != origin && random.random_bool(0.5) {
            return;
        }
        let region = &mut self.regions[at];
        let Some(&(first, last)) = self.chains[origin].get(region.consumed[origin]) else { return };
        region.consumed[origin] += 1;
        for _ in 0..[1, 1, 1, 1, 1, 1, 2, 0][random.random_range(0..8)] {
            self.push(at, origin, first, last);
        }
    }

    fn push(&self, at: usize, origin: usize, first: u64, last: u64) {
        self.regions[at].shard.push(self.segment(origin, first, last));
    }

    pub(crate) fn readable(&mut self, random: &mut StdRng) {
        let (at, origin) = (random.random_range(0..3), random.random_range(0..3));
        let held = &mut self.regions[at].readable[origin];
        *held = (*held + 1).min(self.chains[origin].len());
    }

    pub(crate) fn heal(&mut self) {
        for region in &mut self.regions {
            for (origin, chain) in self.chains.iter().enumerate() {
                (region.consumed[origin], region.readable[origin]) = (chain.len(), chain.len());
            }
        }
    }

    // === what is asked ===

    pub(crate) fn collect(&mut self) {
        for region in &mut self.regions {
            region.asks.extend(std::mem::take(&mut *region.asked.asks.borrow_mut()));
        }
    }

    pub(crate) fn answer_interest(&mut self) {
        for at in 0..3 {
            if self.regions[at].asked.interest.take() == Some(true) {
                let head = self.head(at);
                self.regions[at].shard.joined(&self.stream, &head, &head);
            }
        }
    }

    pub(crate) fn compare_heads(&self) {
        for (at, region) in self.regions.iter().enumerate() {
            region.shard.joined(&self.stream, &self.head(at), &self.head(at));
        }
    }

    fn head(&self, at: usize) -> Cursor {
        let consumed = self.regions[at].consumed;
        let of = |origin: usize| consumed[origin].checked_sub(1).map_or(0, |n| self.chains[origin][n].1);
        (0..3).map(|origin| (name(origin), of(origin))).collect()
    }

    /// A page of what is readable, from where it is asked for, of any length.
    pub(crate) fn answer_page(&mut self, random: &mut StdRng) {
        let at = random.random_range(0..3);
        let Some(ask) = self.regions[at].asks.pop_front() else { return };
        let mut page = Page::default();
        let mut from = ask.from.clone();
        let readable = self.regions[at].readable;
        if let Some(tail) = ask.tail {
            let mut to = from.clone();
            for (origin, held) in readable.into_iter().enumerate() {
                let end = held.checked_sub(1).map_or(0, |n| self.chains[origin][n].1);
                to.advance(&name(origin), end.saturating_sub(u64::from(tail)));
            }
            if to != from {
                page.gap = Some(Gap { reason: GapReason::Skipped, from, to: to.clone() });
            }
            from = to;
        }
        for (origin, held) in readable.into_iter().enumerate() {
            let has = from.get(&name(origin));
            let open = self.chains[origin][..held].iter().filter(|(_, last)| *last > has);
            for (first, last) in open.take(random.random_range(0..5)) {
                page.segments.push(self.segment(origin, *first, *last));
            }
        }
        self.regions[at].shard.page(ask.session, &ask.stream, &page);
    }

    pub(crate) fn answer_pull(&mut self, random: &mut StdRng) {
        let at = random.random_range(0..3);
        let Some(from) = self.regions[at].asked.pulls.borrow_mut().pop() else { return };
        for origin in 0..3 {
            let has = from.get(&name(origin));
            let held = &self.chains[origin][..self.regions[at].consumed[origin]];
            for &(first, last) in held.iter().filter(|(_, last)| *last > has) {
                self.push(at, origin, first, last);
            }
        }
    }

    // === what devices do ===

    /// A socket to a region that holds `pipe` bytes, and its session.
    pub(crate) fn connect(&self, at: usize, pipe: usize) -> (DuplexStream, SessionId) {
        let (socket, ours) = tokio::io::duplex(pipe);
        let reader = self.regions[at].shard.open(ours, Encoding::Json).unwrap();
        let id = reader.id();
        spawn(async move {
            let _ = reader.run(|_, _| Flow::Continue).await;
        });
        (socket, id)
    }

    pub(crate) fn follow(&self, at: usize, session: SessionId, cursor: Cursor, tail: Option<u32>) {
        let start = Start { cursor, tail, ..Start::default() };
        // A session that has ended meanwhile is told so by its socket.
        let _ = self.regions[at].shard.follow(session, &self.stream, start);
    }

    /// The newest or the oldest of a hole that a region's table holds, at most so many.
    pub(crate) fn fetch(&self, at: usize, origin: &Origin, after: u64, upto: u64, most: usize) -> Vec<u64> {
        let origin = ORIGINS.iter().position(|name| *name == origin.as_str()).unwrap();
        let held = self.regions[at].readable[origin].checked_sub(1).map_or(0, |n| self.chains[origin][n].1);
        (after + 1..=upto.min(held)).take(most).collect()
    }

    /// Every origin's last seq.
    pub(crate) fn heads(&self) -> [u64; 3] {
        [0, 1, 2].map(|origin| self.chains[origin].last().map_or(0, |(_, last)| *last))
    }

    fn segment(&self, origin: usize, first: u64, last: u64) -> Segment {
        Segment {
            stream: self.stream.clone(),
            origin: name(origin),
            first,
            stamps: (first..=last).map(|seq| Hlc(3 * seq + origin as u64)).collect(),
            bodies: (first..=last)
                .map(|_| Bytes::from_static(b"no body: told as one that is gone"))
                .collect(),
            from: Position { incarnation: 1, partition: 0, offset: 0 },
            policy: Policy::default(),
            prefix: Prefix::START,
            members: Vec::new(),
            member_before: 0,
        }
    }
}

pub(crate) fn name(origin: usize) -> Origin {
    ORIGINS[origin].parse().unwrap()
}
