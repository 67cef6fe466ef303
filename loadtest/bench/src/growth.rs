//! What an event costs when there are many streams, and when a stream is long: ratios of the same path.
//!
//! Streams: two servers, one with few and one with many streams, the same number of events on their way,
//! spread over all streams; windows in turn. Length: one server; windows on fresh streams in turn with
//! windows on streams that have grown long. Author and reader are one session, with eight streams each.

use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::process::{Server, machine_load, median, pin_load};
use crate::traffic::{Shape, Traffic};
use crate::{Outcome, Problem};

const PORT: u16 = 7_820;
/// As many as a session keeps grants for: more would measure decisions.
const PER_SESSION: usize = 8;
/// Coprime to all numbers of streams here, and far from 1: neighbours are not written one after another.
const STRIDE: usize = 7_919;
/// Streams of each window of length.
const LONG_STREAMS: usize = 8;
/// Events of each stream in a window of length.
const WINDOW_EVENTS: u64 = 2_000;

#[derive(Args)]
pub(crate) struct Options {
    /// The few streams.
    #[arg(long, default_value_t = 1_000)]
    few: usize,
    /// The many.
    #[arg(long, default_value_t = 100_000)]
    many: usize,
    /// Events of a stream before a window on short ones.
    #[arg(long, default_value_t = 100)]
    short: u64,
    /// Events of a stream before the windows on long ones.
    #[arg(long, default_value_t = 100_000)]
    long: u64,
    /// Events on their way.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Length of a window on streams, milliseconds.
    #[arg(long, default_value_t = 1_500)]
    window_ms: u64,
    /// Pairs of windows.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    few: u64,
    many: u64,
    cpu_us_few: f64,
    cpu_us_many: f64,
    /// Median over the pairs.
    ratio: f64,
    ratios: Vec<f64>,
    /// Of each pair, the few and the many.
    cpu_us: Vec<(f64, f64)>,
    machine_load: String,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    streams(&options).await?;
    length(&options).await
}

async fn streams(options: &Options) -> Outcome {
    let (small, large) = (Server::regions(1, PORT).await?, Server::regions(1, PORT + 1).await?);
    let shape = |streams| Shape { streams, per_session: PER_SESSION, apart: false };
    let few = Traffic::open(PORT, shape(options.few), 0).await?;
    let many = Traffic::open(PORT + 1, shape(options.many), 0).await?;
    // The first event of a stream needs a decision and a grant, which then lasts for a minute.
    round(&few, options.in_flight).await?;
    round(&many, options.in_flight).await?;
    let mut pairs = Vec::new();
    for pair in 0..=options.pairs {
        let one = window(&small, &few, options).await?;
        let other = window(&large, &many, options).await?;
        // The first warms up.
        if pair > 0 {
            pairs.push((one, other));
        }
    }
    report("growth streams", options.few as u64, options.many as u64, &pairs)
}

/// One event, at least, to each stream.
async fn round(traffic: &Traffic, in_flight: usize) -> Outcome {
    let enough = traffic.delivered.get() + traffic.lanes() as u64;
    traffic.refill(STRIDE);
    for n in 0..in_flight {
        traffic.publish(n * STRIDE % traffic.lanes());
    }
    traffic.until("an event of each stream", |traffic| traffic.delivered.get() >= enough).await?;
    traffic.settle().await
}

/// CPU per event while events go round all streams.
async fn window(server: &Server, traffic: &Traffic, options: &Options) -> Result<f64, Problem> {
    let (cpu_ns, delivered) = (server.cpu_ns()?, traffic.delivered.get());
    traffic.refill(STRIDE);
    for n in 0..options.in_flight {
        traffic.publish(n * STRIDE % traffic.lanes());
    }
    tokio::time::sleep(Duration::from_millis(options.window_ms)).await;
    traffic.settle().await?;
    let events = traffic.delivered.get() - delivered;
    Ok((server.cpu_ns()? - cpu_ns) as f64 / 1_000.0 / events as f64)
}

async fn length(options: &Options) -> Outcome {
    let server = Server::regions(1, PORT + 2).await?;
    let shape = Shape { streams: LONG_STREAMS, per_session: 1, apart: false };
    let long = Traffic::open(PORT + 2, shape, 0).await?;
    let lanes = LONG_STREAMS as u64;
    grow(&server, &long, options.in_flight, options.long * lanes).await?;
    let mut pairs = Vec::new();
    for pair in 0..=options.pairs {
        let fresh = Traffic::open(PORT + 2, shape, (pair + 1) * LONG_STREAMS).await?;
        grow(&server, &fresh, options.in_flight, options.short * lanes).await?;
        let one = grow(&server, &fresh, options.in_flight, WINDOW_EVENTS * lanes).await?;
        let other = grow(&server, &long, options.in_flight, WINDOW_EVENTS * lanes).await?;
        if pair > 0 {
            pairs.push((one, other));
        }
    }
    report("growth length", options.short, options.long, &pairs)
}

/// Publishes so many events, and gives the CPU of each.
async fn grow(server: &Server, traffic: &Rc<Traffic>, in_flight: usize, events: u64) -> Result<f64, Problem> {
    let (cpu_ns, delivered) = (server.cpu_ns()?, traffic.delivered.get());
    let on_their_way = (in_flight as u64).min(events);
    traffic.refill(0);
    for n in 0..on_their_way {
        traffic.publish(n as usize % traffic.lanes());
    }
    let enough = delivered + events - on_their_way;
    traffic.until("the events", |traffic| traffic.delivered.get() >= enough).await?;
    traffic.settle().await?;
    let events = traffic.delivered.get() - delivered;
    traffic.delays.borrow_mut().clear();
    Ok((server.cpu_ns()? - cpu_ns) as f64 / 1_000.0 / events as f64)
}

fn report(what: &'static str, few: u64, many: u64, pairs: &[(f64, f64)]) -> Outcome {
    let ratios: Vec<f64> = pairs.iter().map(|(one, other)| other / one).collect();
    let summary = Summary {
        what,
        few,
        many,
        cpu_us_few: median(pairs.iter().map(|(one, _)| *one).collect()),
        cpu_us_many: median(pairs.iter().map(|(_, other)| *other).collect()),
        ratio: median(ratios.clone()),
        ratios,
        cpu_us: pairs.to_vec(),
        machine_load: machine_load(),
    };
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}
