//! How fast the pure sequencer is: one partition, one core, stores that answer at once.
//!
//! `cargo run --profile dist -p sterna-stream --example sequence` prints events per second, SHA-256 of every
//! body included. What counts is the thread's own processor time, as Linux tells it, so a busy machine does
//! not falsify it; making the records is measured apart and taken off. With two numbers behind it,
//! `1 100000`, it measures one row alone, batches of 1 and 100,000 events in all: for a profiler.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use sterna_stream::sequencer::takeover::{self, Evidence, Tail};
use sterna_stream::sequencer::{Action, Input, Known, Limits, Partition, Place, PutAnswer, Record};
use sterna_stream::{ContentHash, EventId, Hlc, Policy, StreamId};

const STREAMS: u64 = 200;
const BODY_BYTES: usize = 250;
const EVENTS: u64 = 3_000_000;
const WALL_MS: u64 = 1_800_000_000_000;

fn peek(_body: &Bytes) -> Option<Known> {
    None
}

/// The machine, and the offset that the log gave last.
struct Bench {
    machine: Partition,
    log: u64,
    out: Vec<Action>,
}

impl Bench {
    fn new() -> Self {
        let place = Place { origin: "us-east-1".parse().unwrap(), incarnation: 1, partition: 0 };
        let ingress = 0..u64::MAX;
        let found = Evidence { place, checkpoint: None, ingress, log: Tail::from(None) };
        let machine = Partition::new(takeover::open(found).unwrap(), Limits::default(), peek, 7);
        Self { machine, log: 0, out: Vec::new() }
    }

    /// Feeds a batch and answers until nothing is asked any more.
    fn run(&mut self, records: Vec<Record>, wall_ms: u64) {
        let mut work = std::mem::take(&mut self.out);
        self.machine.handle(Input::Records(records), wall_ms, &mut work);
        let mut next = Vec::new();
        while !work.is_empty() {
            for action in work.drain(..) {
                if let Some(answer) = self.answer(action) {
                    self.machine.handle(answer, wall_ms, &mut next);
                }
            }
            std::mem::swap(&mut work, &mut next);
        }
        self.out = work;
    }

    fn answer(&mut self, action: Action) -> Option<Input> {
        Some(match action {
            Action::ReadHead { stream, .. } => Input::Head { stream, chain: Vec::new() },
            Action::ReadRange { stream, .. } => Input::Range { stream, segments: Vec::new(), complete: true },
            Action::Put(segment) => Input::Put { stream: segment.stream.clone(), answer: PutAnswer::Stored },
            Action::Produce { pos, .. } => {
                self.log += 1;
                Input::Produced { pos, offset: Some(self.log) }
            }
            _ => return None,
        })
    }
}

fn records(from: u64, count: u64, streams: &[StreamId], body: &Bytes) -> Vec<Record> {
    let record = |offset: u64| Record {
        offset,
        stream: streams[(offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % streams.len()].clone(),
        id: EventId::mint(WALL_MS + offset / 1_000, u128::from(offset) << 7),
        content: ContentHash(u128::from(offset).to_be_bytes()),
        resend: offset.is_multiple_of(50),
        member: false,
        seen: Hlc::ZERO,
        policy: Policy::default(),
        body: body.slice(..BODY_BYTES),
    };
    (from..from + count).map(record).collect()
}

/// Processor time of this thread.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time");
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("its first field"))
}

fn measure(batch: u64, events: u64) {
    let streams: Vec<StreamId> =
        (0..STREAMS).map(|n| format!("acme/chat/room-{n}").parse().unwrap()).collect();
    let body = Bytes::from(vec![7; BODY_BYTES]);
    let start = busy();
    for round in 0..events / batch {
        std::hint::black_box(records(round * batch, batch, &streams, &body));
    }
    let making = busy() - start;
    let mut bench = Bench::new();
    let start = busy();
    for round in 0..events / batch {
        let offset = round * batch;
        bench.run(records(offset, batch, &streams, &body), WALL_MS + offset / 1_000);
    }
    let spent = (busy() - start).saturating_sub(making);
    let counters = bench.machine.counters();
    assert_eq!(bench.machine.committed(), events / batch * batch, "everything was sequenced");
    let rate = counters.events as f64 / spent.as_secs_f64();
    let per_segment = counters.events as f64 / counters.segments as f64;
    println!(
        "batches of {batch:>5}: {rate:>10.0} events/s, {:>5.0} ns each, {per_segment:.1} events a segment",
        1e9 / rate
    );
}

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).map(|number| number.parse().expect("a number")).collect();
    if let [batch, events] = asked[..] {
        return measure(batch, events);
    }
    println!("{EVENTS} events of {BODY_BYTES} bytes, {STREAMS} streams, one core");
    for batch in [1, 50, 500, 5_000] {
        measure(batch, EVENTS);
    }
}
