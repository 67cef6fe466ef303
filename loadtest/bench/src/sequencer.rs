//! The sequencer with Append: messaging's driver, persistence, a memory table and a memory log, on one
//! thread.
//!
//! All records wait in the ingress before messaging starts; nothing publishes and nothing delivers. CPU is
//! that of the thread, from the start until the ingress is committed. The pure core alone is
//! `cargo run --profile dist -p sterna-stream --example sequence`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use prost::Message;
use serde::Serialize;
use sterna_cluster::{MemoryStores, Plan, Region};
use sterna_log::{Group, Log, Record, Topic};
use sterna_process::{Clock, SystemClock};
use sterna_proto::record::Body;
use sterna_proto::v1;
use sterna_stream::{ContentHash, EventId};
use tokio::net::TcpStream;

use crate::counted::Counter;
use crate::process::{machine_load, median, thread_cpu_ns};
use crate::{Outcome, Problem};

/// Bytes of a payload.
const TEXT_BYTES: usize = 200;
/// How often the log is asked whether all is done.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(crate) struct Options {
    /// Events of a run.
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// Runs of each row.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// One row: `run` events of one stream after another, over `streams` streams.
#[derive(Clone, Copy)]
struct Row {
    streams: u64,
    run: u64,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    events: u64,
    streams: u64,
    events_per_segment: f64,
    runs: usize,
    events_per_cpu_s: f64,
    cpu_us_per_event: f64,
    each: Vec<f64>,
    wall_s: f64,
    append_rpcs_per_event: f64,
    machine_load: String,
}

pub(crate) async fn run(options: Options) -> Outcome {
    for row in [Row { streams: 200, run: 50 }, Row { streams: 20_000, run: 1 }] {
        let (mut rates, mut walls) = (Vec::new(), Vec::new());
        let mut last = None;
        for _ in 0..options.runs {
            let (cpu_s, wall_s, counts) = once(row, options.events).await?;
            let rate = options.events as f64 / cpu_s;
            eprintln!("{rate:.0} events per CPU second, {wall_s:.2} s");
            rates.push(rate);
            walls.push(wall_s);
            last = Some(counts);
        }
        let counts = last.ok_or("no run")?;
        let rate = median(rates.clone());
        let summary = Summary {
            what: "sequencer",
            events: options.events,
            streams: row.streams,
            events_per_segment: options.events as f64 / counts.segments as f64,
            runs: options.runs,
            events_per_cpu_s: rate,
            cpu_us_per_event: 1e6 / rate,
            each: rates,
            wall_s: median(walls),
            append_rpcs_per_event: counts.put_calls as f64 / options.events as f64,
            machine_load: machine_load(),
        };
        println!("{}", serde_json::to_string(&summary)?);
    }
    Ok(())
}

async fn once(row: Row, events: u64) -> Result<(f64, f64, crate::counted::Counts), Problem> {
    let plan = Plan { partitions: 1, state: 0, shards: 0, ..Plan::small("us-east-1".parse()?, 1) };
    let stores = MemoryStores::new(&plan);
    stores.log.tune(|config| config.keep_bytes = 1 << 30);
    let (ingress, group): (Topic, Group) = ("sterna-ingress".parse()?, "sterna-sequencers".parse()?);
    preload(&*stores.log, &ingress, row, events).await?;
    let end = stores.log.describe(&ingress, None).await?.partitions[0].end;
    let counter = Arc::new(Counter::default());
    let (counted, clock) = (counter.clone(), Arc::new(SystemClock));
    let (began, cpu_ns) = (Instant::now(), thread_cpu_ns());
    let lens = Arc::new(move |_: &sterna_process::Process, stores: &_| counted.around(stores));
    let mut region: Region<TcpStream> = Region::start_behind(plan, stores.stores(), clock, lens);
    loop {
        tokio::time::sleep(LOOK).await;
        let described = stores.log.describe(&ingress, Some(&group)).await?;
        // Offsets have holes, also at the end: the last commit stands behind the last record.
        if described.partitions[0].committed.is_some_and(|committed| committed + 8 >= end) {
            break;
        }
    }
    let spent = (thread_cpu_ns() - cpu_ns, began.elapsed());
    region.drain().await;
    Ok((spent.0 as f64 / 1e9, spent.1.as_secs_f64(), counter.now()))
}

async fn preload(log: &dyn Log, ingress: &Topic, row: Row, events: u64) -> Outcome {
    let payload = Bytes::from(format!(r#"{{"text":"{}"}}"#, "x".repeat(TEXT_BYTES - 11)));
    let wall_ms = SystemClock.wall_ms();
    for n in 0..events {
        let stream = format!("acme/chat/room-{}", n / row.run % row.streams);
        let body = Body {
            id: EventId::mint(wall_ms, u128::from(n)),
            author: "ana".parse()?,
            kind: "message".parse()?,
            payload: payload.clone(),
            content: ContentHash(u128::from(n).to_be_bytes()),
            resend: false,
            key: String::new(),
            deps: None,
        };
        let record = v1::IngressRecord {
            stream: stream.clone(),
            body: body.encode(),
            actor: "ana".into(),
            ..v1::IngressRecord::default()
        };
        log.produce(Record {
            topic: ingress.clone(),
            partition: 0,
            key: stream.into(),
            value: record.encode_to_vec().into(),
            headers: Default::default(),
            timestamp_ms: wall_ms,
        })
        .await?;
    }
    Ok(())
}
