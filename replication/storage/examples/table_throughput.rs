//! Microseconds per operation of the memory table, uncontended: `cargo run --profile dist -p sterna-storage
//! --example table_throughput`. Goal: a put and a get each ≤ 1 µs, and no more with many streams or many
//! segments in one.

use std::time::Duration;

use bytes::Bytes;
use sterna_storage::memory::{Delay, MemoryTable, MemoryTails, Replication};
use sterna_storage::tails::{Entry, Limits};
use sterna_storage::{Consistency, Expect, Key, Put, Table, Tails, Write, layout};
use sterna_stream::{Origin, Region, StreamId};
use tokio::time::Instant;

const COUNT: u64 = 100_000;

type Failure = Box<dyn std::error::Error>;

/// When a measurement began, by the processor time of this thread (Linux) and by the clock.
struct Begun {
    ran: Option<u64>,
    at: Instant,
}

/// Nanoseconds that this thread has run; other loads on the machine do not count.
fn ran() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn begin() -> Begun {
    Begun { ran: ran(), at: Instant::now() }
}

fn report(what: &str, count: u64, begun: Begun) {
    let per = |ns: f64| ns / 1e3 / count as f64;
    let clock = per(begun.at.elapsed().as_nanos() as f64);
    let cpu = ran().zip(begun.ran).map_or(clock, |(now, then)| per((now - then) as f64));
    println!("{what:<58} {cpu:>7.3} µs of CPU, {clock:>7.3} by the clock");
}

fn shuffled(n: u64) -> u64 {
    n * 48_271 % COUNT
}

async fn measure(name: &str, table: &dyn Table, keys: &[Key]) -> Result<(), Failure> {
    let value = Bytes::from(vec![7; 300]);
    let begun = begin();
    for key in keys {
        let put = table.put(key.clone(), value.clone(), Expect::Absent).await?;
        assert_eq!(put, Put::Done(1));
    }
    report(&format!("{name}: put absent"), COUNT, begun);
    let begun = begin();
    for n in 0..COUNT {
        let key = &keys[shuffled(n) as usize];
        let items = table.get(std::slice::from_ref(key), Consistency::Consistent).await?;
        assert!(items[0].is_some());
    }
    report(&format!("{name}: get one, random"), COUNT, begun);
    let begun = begin();
    for n in 0..COUNT {
        let key = &keys[shuffled(n) as usize];
        table.put(key.clone(), value.clone(), Expect::Version(1)).await?;
    }
    report(&format!("{name}: compare-and-set, random"), COUNT, begun);
    Ok(())
}

async fn tables(streams: &[StreamId], origin: &Origin) -> Result<(), Failure> {
    let table = MemoryTable::new();
    let wide: Vec<Key> = streams.iter().map(|stream| layout::segment(stream, origin, 1)).collect();
    measure("10^5 streams", &table, &wide).await?;
    let deep: Vec<Key> = (1..=COUNT).map(|n| layout::segment(&streams[0], origin, 10 * n)).collect();
    measure("one stream of 10^5 segments", &table, &deep).await?;

    let begun = begin();
    for _ in 0..COUNT {
        table.query(layout::segment_at(&streams[0], origin, u64::MAX)).await?;
    }
    report("newest segment, reverse query", COUNT, begun);
    let begun = begin();
    for n in 0..COUNT {
        let page =
            table.query(layout::segments_from(&streams[0], origin, 10 * shuffled(n)).limit(20)).await?;
        assert!(!page.items.is_empty());
    }
    report("page of 20 segments, random", COUNT, begun);

    let value = Bytes::from(vec![7; 300]);
    let keys = (0..COUNT).map(|n| layout::segment(&streams[n as usize % 100], origin, n + 2_000_000));
    let writes: Vec<Write> =
        keys.map(|key| Write { key, value: value.clone(), expect: Expect::Absent }).collect();
    let begun = begin();
    for batch in writes.chunks(64) {
        table.put_many(batch.to_vec()).await;
    }
    report("put_many of 64, per item", COUNT, begun);

    let begun = begin();
    for n in 0..COUNT {
        std::hint::black_box(layout::segment(&streams[0], origin, n));
    }
    report("making a segment's key", COUNT, begun);
    Ok(())
}

async fn replicated(streams: &[StreamId], origin: &Origin) -> Result<(), Failure> {
    let regions: Vec<Region> = ["us-east-1", "eu-west-1", "ap-northeast-1"]
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    let delay = Delay { min: Duration::from_millis(50), max: Duration::from_millis(500) };
    let replication = Replication::new(&regions, delay, 1);
    let table = replication.table(&regions[0]).ok_or("unknown region")?;
    let wide: Vec<Key> = streams.iter().map(|stream| layout::segment(stream, origin, 1)).collect();
    measure("10^5 streams, replicated to two regions", &*table, &wide).await?;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (begun, in_flight) = (begin(), replication.in_flight() as u64);
    replication.step(Instant::now());
    report("applying a replicated write", in_flight, begun);
    Ok(())
}

async fn tails(streams: &[StreamId], origin: &Origin) -> Result<(), Failure> {
    let tails = MemoryTails::new(Limits::default());
    let bytes = Bytes::from(vec![7; 300]);
    let begun = begin();
    for stream in streams {
        let entry = Entry { first: 1, last: 1, bytes: bytes.clone() };
        tails.append(stream, origin, entry, 1).await?;
    }
    report("10^5 tails: first append", COUNT, begun);
    let begun = begin();
    for seq in 2..COUNT + 2 {
        let entry = Entry { first: seq, last: seq, bytes: bytes.clone() };
        tails.append(&streams[0], origin, entry, seq).await?;
    }
    report("one tail: append and trim", COUNT, begun);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let origin: Origin = "us-east-1".parse()?;
    let streams: Vec<StreamId> =
        (0..COUNT).map(|n| StreamId::new("acme", "chat", &format!("room-{n}"))).collect::<Result<_, _>>()?;
    tables(&streams, &origin).await?;
    replicated(&streams, &origin).await?;
    tails(&streams, &origin).await
}
