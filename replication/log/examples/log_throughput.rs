//! What one record costs: produced to and consumed from a memory log, on one thread.
//!
//! `cargo run --profile dist -p sterna-log --example log_throughput [records]` prints µs per record, produce
//! and consume together, for streaming (the member finds batches), for ping-pong (each record is waited for
//! and so wakes its member), and for streaming through a mirror.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;
use sterna_log::record::Headers;
use sterna_log::{Config, Consumer, Log, MemoryLog, Mirror, MirrorConfig, Polled, Record, Topic};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Duration, Instant};

const PARTITIONS: u16 = 16;

fn main() {
    let records: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let topic: Topic = "sterna-log".parse().unwrap();
    for (name, run) in [("streaming", true), ("ping-pong", false)] {
        let took = runtime.block_on(on_a_task(local(topic.clone(), records, run)));
        report(name, took, records);
    }
    let took = runtime.block_on(on_a_task(mirrored(topic, records)));
    report("mirrored", took, records);
}

fn report(name: &str, took: Duration, records: u64) {
    println!("{name:<10} {:.2} µs per record, {records} records", took.as_secs_f64() * 1e6 / records as f64);
}

/// The root future of `block_on` pays a system call per wake; a task does not.
async fn on_a_task<T: 'static>(work: impl Future<Output = T> + 'static) -> T {
    let tasks = LocalSet::new();
    let mut set = JoinSet::new();
    set.spawn_local_on(work, &tasks);
    tasks.run_until(set.join_next()).await.unwrap().unwrap()
}

fn cluster(topic: &Topic) -> MemoryLog {
    let log = MemoryLog::new(1, Config { keep_records: 100_000, ..Config::default() });
    log.create(topic, PARTITIONS);
    log
}

fn record(topic: &Topic, n: u64) -> Record {
    let mut headers = Headers::new();
    headers.push(("log_pos".into(), Bytes::from_static(b"0123456789abcdef")));
    Record {
        topic: topic.clone(),
        partition: (n % u64::from(PARTITIONS)) as u16,
        key: Bytes::from_static(b"acme/chat/general"),
        value: Bytes::from_static(&[7; 250]),
        headers,
        timestamp_ms: n,
    }
}

async fn member(log: &dyn Log, topic: &Topic) -> Box<dyn Consumer> {
    let mut member = log.join(&"bench".parse().unwrap(), std::slice::from_ref(topic)).await.unwrap();
    for _ in 0..PARTITIONS {
        let Polled::Assigned { partition, .. } = member.next().await.unwrap() else { unreachable!() };
        member.start(partition, &[(topic.clone(), 0)]);
    }
    member
}

async fn consume(member: &mut dyn Consumer, records: u64, each: impl AsyncFn()) {
    let mut seen = 0;
    while seen < records {
        if let Polled::Records(batch) = member.next().await.unwrap() {
            seen += batch.entries.len() as u64;
            let upto = [(batch.topic.clone(), batch.next)];
            member.commit(batch.partition, batch.generation, &upto).await.unwrap();
            each().await;
        }
    }
}

async fn local(topic: Topic, records: u64, streaming: bool) -> Duration {
    let log: Arc<dyn Log> = Arc::new(cluster(&topic));
    let mut member = member(&*log, &topic).await;
    let (handled, mut wait) = mpsc::channel(1);
    let began = Instant::now();
    let producing = async {
        for n in 0..records {
            log.produce(record(&topic, n)).await.unwrap();
            if !streaming {
                let _ = wait.recv().await;
            } else if n % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let consuming = consume(&mut *member, records, async || {
        if !streaming {
            let _ = handled.send(()).await;
        }
    });
    join(producing, consuming).await;
    began.elapsed()
}

async fn mirrored(topic: Topic, records: u64) -> Duration {
    let (source, target) = (cluster(&topic), MemoryLog::new(2, Config::default()));
    let region = "us-east-1".parse().unwrap();
    let config = MirrorConfig { one_way: Duration::ZERO, ..MirrorConfig::default() };
    let mirror = Mirror::new((&region, &source), &target, std::slice::from_ref(&topic), config).unwrap();
    let remote = topic.mirrored_from(&region);
    let mut member = member(&target, &remote).await;
    let began = Instant::now();
    let producing = async {
        for n in 0..records {
            source.produce(record(&topic, n)).await.unwrap();
            if n % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        biased;
        _ = join(producing, consume(&mut *member, records, async || {})) => {}
        result = mirror.run() => panic!("{result:?}"),
    }
    began.elapsed()
}
