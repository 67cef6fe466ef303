//! A random model of section 8 of docs/protocol.md on the real ring, join and flush: three origins, rings of
//! 3–30 entries, slow readers, lost and repeated pushes, late tables, cuts with bytes in flight.
//!
//! Goal: whatever happens, what a reader gets tiles from its cursor on (the reader asserts it), and after
//! everything heals, with no later event, every reader has everything. Method: one seed draws all choices;
//! time is paused. All in paused time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use sterna_protocol::frame::GapReason;
use sterna_stream::order::Place;
use sterna_stream::{Cursor, Hlc, Origin, StreamId};
use tokio::time::sleep;

use super::world::{Asked, Client, Heard, Pipes, connect, paused, segment, shard, stream};
use crate::limits::Limits;
use crate::seams::{Ask, Gap, Page};
use crate::shard::Start;

const SEEDS: u64 = 150;
const STEPS: usize = 600;
const ORIGINS: [&str; 3] = ["ap", "eu", "us"];

/// One origin's truth: its segments, how many of them `state` has consumed, how many are readable.
#[derive(Default)]
struct Chain {
    segments: Vec<(u64, u64)>,
    consumed: usize,
    readable: usize,
}

/// A device: its own cursor, and its socket while it has one.
struct Device {
    cursor: Cursor,
    client: Option<Client>,
    pipe: usize,
    /// Bytes that it reads at a time; the smaller, the slower.
    sip: usize,
    /// What stands below is hidden from it.
    floor: Option<Place>,
}

struct Model {
    random: Pcg64,
    shard: Pipes,
    asked: Rc<Asked>,
    stream: StreamId,
    chains: [Chain; 3],
    devices: Vec<Device>,
    late_asks: VecDeque<Ask>,
    seen: Rare,
}

/// How often rare paths were taken, over all seeds.
#[derive(Clone, Copy, Debug, Default)]
struct Rare {
    slow: u64,
    cuts: u64,
    skipped: u64,
    pulls: u64,
    repeats: u64,
    blocked: u64,
    hidden: u64,
}

/// E17, E18, E24: no hole, ever, nothing that is hidden from somebody, and nothing missing at the end.
#[test]
fn a_join_never_leaves_a_hole() {
    let mut all = Rare::default();
    for seed in 0..SEEDS {
        let seen = paused(async move { Model::new(seed).run().await });
        for (sum, one) in [
            (&mut all.slow, seen.slow),
            (&mut all.cuts, seen.cuts),
            (&mut all.skipped, seen.skipped),
            (&mut all.pulls, seen.pulls),
            (&mut all.repeats, seen.repeats),
            (&mut all.blocked, seen.blocked),
            (&mut all.hidden, seen.hidden),
        ] {
            *sum += one;
        }
    }
    for count in [all.slow, all.cuts, all.skipped, all.pulls, all.repeats, all.blocked, all.hidden] {
        assert!(count >= 50, "a rare path was not taken: {all:?}");
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Pcg64::seed_from_u64(seed);
        let limits = Limits { ring_entries: random.random_range(3..=30), ..Limits::default() };
        let (shard, asked) = shard(limits);
        let mut device = || Device {
            cursor: Cursor::new(),
            client: None,
            pipe: random.random_range(20..900),
            sip: random.random_range(5..400),
            floor: random.random_bool(0.4).then(|| Place {
                hlc: Hlc(random.random_range(0..100)),
                origin: ORIGINS[random.random_range(0..3)].parse().unwrap(),
                seq: 1,
            }),
        };
        let devices = (0..5).map(|_| device()).collect();
        let (chains, late_asks, seen) = Default::default();
        Self { random, shard, asked, stream: stream("model"), chains, devices, late_asks, seen }
    }

    async fn run(mut self) -> Rare {
        for _ in 0..STEPS {
            self.step().await;
        }
        self.heal().await;
        let counters = self.shard.counters();
        Rare { slow: counters.slow, pulls: counters.pulls, blocked: counters.blocked, ..self.seen }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..25 => self.produce(),
            25..45 => self.consume(),
            45..60 => self.readable(),
            60..66 => self.answer_interest(),
            66..72 => self.answer_page(),
            72..76 => self.answer_pull(),
            76..79 => self.come_or_go(),
            79..81 => sleep(Duration::from_millis(self.random.random_range(1..1_500))).await,
            _ => self.read_one(),
        }
        for _ in 0..self.random.random_range(0..4) {
            tokio::task::yield_now().await;
        }
        self.late_asks.extend(std::mem::take(&mut *self.asked.asks.borrow_mut()));
    }

    fn any_chain(&mut self) -> usize {
        self.random.random_range(0..3)
    }

    fn produce(&mut self) {
        let chain = self.any_chain();
        let count = self.random.random_range(1..4);
        let segments = &mut self.chains[chain].segments;
        let first = segments.last().map_or(1, |(_, last)| last + 1);
        segments.push((first, first + count - 1));
    }

    /// `state` consumes a segment and pushes it: mostly once, sometimes twice or not at all.
    fn consume(&mut self) {
        let origin = self.any_chain();
        let chain = &mut self.chains[origin];
        let Some(&(first, last)) = chain.segments.get(chain.consumed) else { return };
        chain.consumed += 1;
        for _ in 0..[1, 1, 1, 1, 1, 1, 2, 0][self.random.random_range(0..8)] {
            self.push(origin, first, last);
        }
    }

    fn push(&mut self, origin: usize, first: u64, last: u64) {
        let size = self.random.random_range(0..60);
        self.shard.push(segment(&self.stream, ORIGINS[origin], first, last, size));
    }

    fn readable(&mut self) {
        let origin = self.any_chain();
        let chain = &mut self.chains[origin];
        chain.readable = (chain.readable + 1).min(chain.segments.len());
    }

    fn head(&self) -> Cursor {
        let of = |chain: &Chain| chain.consumed.checked_sub(1).map_or(0, |at| chain.segments[at].1);
        ORIGINS.iter().zip(&self.chains).map(|(o, chain)| (o.parse().unwrap(), of(chain))).collect()
    }

    fn answer_interest(&mut self) {
        let interest = std::mem::take(&mut *self.asked.interest.borrow_mut());
        if interest.last().is_some_and(|(_, on)| *on) {
            let head = self.head();
            self.shard.joined(&self.stream, &head, &head);
        }
    }

    /// A page of what is readable, from where it is asked for, of any length.
    fn answer_page(&mut self) {
        let Some(ask) = self.late_asks.pop_front() else { return };
        let mut page = Page::default();
        let mut from = ask.from.clone();
        if let Some(tail) = ask.tail {
            let mut to = from.clone();
            for (origin, chain) in ORIGINS.iter().zip(&self.chains) {
                let end = chain.readable.checked_sub(1).map_or(0, |at| chain.segments[at].1);
                to.advance(&origin.parse().unwrap(), end.saturating_sub(u64::from(tail)));
            }
            if to != from {
                page.gap = Some(Gap { reason: GapReason::Skipped, from, to: to.clone() });
                self.seen.skipped += 1;
            }
            from = to;
        }
        for (name, chain) in ORIGINS.iter().zip(&self.chains) {
            let has = from.get(&name.parse().unwrap());
            let open = chain.segments[..chain.readable].iter().filter(|(_, last)| *last > has);
            for (first, last) in open.take(self.random.random_range(0..5)) {
                page.segments.push(segment(&self.stream, name, *first, *last, 20));
            }
        }
        self.seen.repeats += u64::from(ask.tail.is_none());
        self.shard.page(ask.session, &ask.stream, &page);
    }

    fn answer_pull(&mut self) {
        let Some((_, from)) = self.asked.pulls.borrow_mut().pop() else { return };
        for (origin, name) in ORIGINS.iter().enumerate() {
            let has = from.get(&name.parse().unwrap());
            let chain = &self.chains[origin];
            let open: Vec<_> =
                chain.segments[..chain.consumed].iter().filter(|(_, last)| *last > has).copied().collect();
            for (first, last) in open {
                self.push(origin, first, last);
            }
        }
    }

    fn come_or_go(&mut self) {
        let device = self.random.random_range(0..self.devices.len());
        if self.devices[device].client.take().is_some() {
            self.seen.cuts += 1;
            return;
        }
        self.connect(device);
    }

    fn connect(&mut self, device: usize) {
        let tail = self.random.random_bool(0.3).then(|| self.random.random_range(3..20));
        let device = &mut self.devices[device];
        let client = connect(&self.shard, device.pipe);
        let floor = device.floor.clone();
        let start = Start { cursor: device.cursor.clone(), tail, floor, ..Start::default() };
        self.shard.follow(client.id, &self.stream, start).unwrap();
        device.client = Some(client);
    }

    fn read_one(&mut self) {
        let device = self.random.random_range(0..self.devices.len());
        let most = self.devices[device].sip;
        self.devices[device].read(most, &mut self.seen.hidden);
    }

    /// All faults end: everything is readable and answered, heads are compared, devices come back.
    async fn heal(&mut self) {
        for _ in 0..60 {
            for chain in &mut self.chains {
                chain.readable = chain.segments.len();
                chain.consumed = chain.segments.len();
            }
            for device in 0..self.devices.len() {
                if self.devices[device].client.is_none() {
                    self.connect(device);
                }
            }
            sleep(Duration::from_millis(400)).await;
            self.answer_interest();
            let head = self.head();
            self.shard.joined(&self.stream, &head, &head);
            self.late_asks.extend(std::mem::take(&mut *self.asked.asks.borrow_mut()));
            for _ in 0..20 {
                self.answer_page();
                self.answer_pull();
            }
            for _ in 0..50 {
                tokio::task::yield_now().await;
                let hidden = &mut self.seen.hidden;
                self.devices.iter_mut().for_each(|device| device.read(1_000, hidden));
            }
        }
        for device in &self.devices {
            assert_eq!(device.cursor, self.head(), "a reader misses something, {:?}", self.shard.counters());
        }
    }
}

impl Device {
    /// Stamps are seqs.
    fn hides(&self, origin: &Origin, seq: u64) -> bool {
        let place = Place { hlc: Hlc(seq), origin: origin.clone(), seq };
        self.floor.as_ref().is_some_and(|floor| place < *floor)
    }

    /// Reads at most so many bytes, if there are any, and takes in what they complete (rules 7 and 8).
    fn read(&mut self, most: usize, hidden: &mut u64) {
        let Some(client) = &mut self.client else { return };
        for heard in client.sip(most) {
            let Heard::Text(text) = heard else {
                self.client = None;
                return;
            };
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                ["e", origin, first, last, ..] => {
                    let (origin, has) = (origin.parse().unwrap(), self.cursor.get(&origin.parse().unwrap()));
                    let first = first.parse().unwrap();
                    assert!(first <= has + 1, "a hole after {}: {text}", self.cursor);
                    assert!(!self.hides(&origin, first), "hidden from it: {text}");
                    self.cursor.advance(&origin, last.parse().unwrap());
                }
                ["g", "hidden", to] => {
                    for (origin, seq) in to.parse::<Cursor>().unwrap().iter() {
                        let new = seq > self.cursor.get(origin);
                        assert!(!new || self.hides(origin, seq), "not to be hidden: {text}");
                    }
                    self.cursor.merge(&to.parse().unwrap());
                    *hidden += 1;
                }
                ["g", "skipped", to] => self.cursor.merge(&to.parse().unwrap()),
                ["s" | "g", ..] | ["p"] => {}
                _ => panic!("unexpected {text}"),
            }
        }
    }
}
