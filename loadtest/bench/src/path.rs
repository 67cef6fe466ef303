//! The whole path, from publish to the event at one session: CPU of the server process per event.
//!
//! One region on one thread of a process of its own, memory backends, TCP, the real edge. `saturated` keeps
//! a number of events on their way; `paced` publishes at a fixed rate and takes off what the same server
//! costs while nothing is published; each of its runs is followed by one with the servers' core kept awake,
//! because on a virtual machine each waking of a core that slept has a price of its own. The load is another
//! process; its CPU counts nowhere.

use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::Outcome;
use crate::counted::Counts;
use crate::process::{Awake, Server, machine_load, median, pin_load, quantile};
use crate::session::counts;
use crate::traffic::{Shape, Traffic};

const PORT: u16 = 7_811;
/// Ticks of the pace that may wait for the load's thread.
const TICKS: usize = 4_096;

#[derive(Args)]
pub(crate) struct Options {
    /// Which of the two; both if none is named.
    which: Option<Which>,
    /// Streams, each with its author and reader.
    #[arg(long, default_value_t = 200)]
    streams: usize,
    /// Author and reader are one session instead of two.
    #[arg(long)]
    together: bool,
    /// Partitions of the region, each with a sequencer of its own, if not as many as a small plan has.
    #[arg(long)]
    partitions: Option<u16>,
    /// Saturated: events of each stream on their way.
    #[arg(long, default_value_t = 2)]
    in_flight: usize,
    /// Saturated: length of a run, seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Paced: events per second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Paced: length of a run, seconds.
    #[arg(long, default_value_t = 20)]
    paced_seconds: u64,
    /// Runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Saturated,
    Paced,
}

/// What one run showed.
struct Run {
    cpu_us: f64,
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    counts: Counts,
    events: u64,
}

#[derive(Serialize)]
struct Summary {
    what: &'static str,
    streams: usize,
    /// Where other than in a small plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<u16>,
    together: bool,
    /// Of each stream; 0 where the pace decides.
    in_flight: usize,
    runs: usize,
    /// Median over the runs.
    cpu_us_per_event: f64,
    /// Each run's.
    cpu_us: Vec<f64>,
    /// CPU of a second without events, taken off.
    idle_us_per_s: f64,
    events_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    events_per_segment: f64,
    append_rpcs_per_event: f64,
    read_rpcs_per_event: f64,
    log_records_per_event: f64,
    machine_load: String,
}

pub(crate) async fn run(options: Options) -> Outcome {
    pin_load()?;
    for which in [Which::Saturated, Which::Paced] {
        if options.which.is_none_or(|asked| asked == which) {
            measure(&options, which).await?;
        }
    }
    Ok(())
}

async fn measure(options: &Options, which: Which) -> Outcome {
    let partitions = options.partitions.map(|count| count.to_string());
    let words: Vec<&str> = partitions.iter().flat_map(|count| ["--partitions", count]).collect();
    let server = Server::regions_by(1, PORT, &words).await?;
    let shape = Shape { streams: options.streams, per_session: 1, apart: !options.together };
    let traffic = Traffic::open(PORT, shape, 0).await?;
    match which {
        Which::Saturated => {
            saturated(&server, &traffic, options).await?; // warms up
            let mut runs = Vec::new();
            for _ in 0..options.runs {
                runs.push(told(saturated(&server, &traffic, options).await?));
            }
            report(&summary(options, "path saturated", &runs, 0.0))
        }
        Which::Paced => {
            let idle = idle_us_per_s(&server, options).await?;
            let idle_awake = {
                let _awake = Awake::start()?;
                idle_us_per_s(&server, options).await?
            };
            let (mut runs, mut awake_runs) = (Vec::new(), Vec::new());
            for _ in 0..options.runs {
                runs.push(told(paced(&server, &traffic, options, idle).await?));
                let _awake = Awake::start()?;
                awake_runs.push(told(paced(&server, &traffic, options, idle_awake).await?));
            }
            report(&summary(options, "path paced", &runs, idle))?;
            report(&summary(options, "path paced awake", &awake_runs, idle_awake))
        }
    }
}

fn told(run: Run) -> Run {
    let Run { cpu_us, per_s, p50_ms, p99_ms, .. } = run;
    eprintln!("{cpu_us:.1} us CPU per event, {per_s:.0} events/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms");
    run
}

fn report(summary: &Summary) -> Outcome {
    println!("{}", serde_json::to_string(summary)?);
    Ok(())
}

/// CPU of a second in which nothing is published.
async fn idle_us_per_s(server: &Server, options: &Options) -> Result<f64, crate::Problem> {
    let before = server.cpu_ns()?;
    tokio::time::sleep(Duration::from_secs(options.paced_seconds)).await;
    Ok((server.cpu_ns()? - before) as f64 / 1_000.0 / options.paced_seconds as f64)
}

fn summary(options: &Options, what: &'static str, runs: &[Run], idle_us_per_s: f64) -> Summary {
    let of = |value: &dyn Fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let per_event =
        |count: fn(&Counts) -> u64| of(&|run: &Run| count(&run.counts) as f64 / run.events as f64);
    Summary {
        what,
        streams: options.streams,
        partitions: options.partitions,
        together: options.together,
        in_flight: if what == "path saturated" { options.in_flight } else { 0 },
        runs: runs.len(),
        cpu_us_per_event: of(&|run| run.cpu_us),
        cpu_us: runs.iter().map(|run| run.cpu_us).collect(),
        idle_us_per_s,
        events_per_s: of(&|run| run.per_s),
        p50_ms: of(&|run| run.p50_ms),
        p99_ms: of(&|run| run.p99_ms),
        events_per_segment: of(&|run| run.events as f64 / run.counts.segments as f64),
        append_rpcs_per_event: per_event(|counts| counts.put_calls),
        read_rpcs_per_event: per_event(|counts| counts.read_calls),
        log_records_per_event: per_event(|counts| counts.records),
        machine_load: machine_load(),
    }
}

async fn saturated(server: &Server, traffic: &Rc<Traffic>, options: &Options) -> Result<Run, crate::Problem> {
    let watch = Watch::start(server, traffic).await?;
    traffic.refill(0);
    for lane in 0..options.streams * options.in_flight {
        traffic.publish(lane % options.streams);
    }
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    traffic.settle().await?;
    watch.end(server, traffic, 0.0).await
}

async fn paced(
    server: &Server,
    traffic: &Rc<Traffic>,
    options: &Options,
    idle_us_per_s: f64,
) -> Result<Run, crate::Problem> {
    let watch = Watch::start(server, traffic).await?;
    let mut ticks = metronome(options.rate, options.rate * options.paced_seconds);
    let mut lane = 0;
    while ticks.recv().await.is_some() {
        traffic.publish(lane);
        lane = (lane + 1) % options.streams;
    }
    traffic.settle().await?;
    watch.end(server, traffic, idle_us_per_s).await
}

/// Ticks `count` times, `rate` times a second, from a thread of its own: tokio's timer has milliseconds only.
fn metronome(rate: u64, count: u64) -> mpsc::Receiver<()> {
    let (tick, ticks) = mpsc::channel(TICKS);
    std::thread::spawn(move || {
        let began = std::time::Instant::now();
        for n in 0..count {
            let due = Duration::from_nanos(n * 1_000_000_000 / rate);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            if tick.blocking_send(()).is_err() {
                return;
            }
        }
    });
    ticks
}

/// What was there before a run.
struct Watch {
    began: std::time::Instant,
    cpu_ns: u64,
    counts: Counts,
    delivered: u64,
}

impl Watch {
    async fn start(server: &Server, traffic: &Traffic) -> Result<Self, crate::Problem> {
        let counts = counts(PORT).await?;
        traffic.delays.borrow_mut().clear();
        let (cpu_ns, delivered) = (server.cpu_ns()?, traffic.delivered.get());
        Ok(Self { began: std::time::Instant::now(), cpu_ns, counts, delivered })
    }

    async fn end(self, server: &Server, traffic: &Traffic, idle: f64) -> Result<Run, crate::Problem> {
        let (took, cpu_ns) = (self.began.elapsed().as_secs_f64(), server.cpu_ns()? - self.cpu_ns);
        let events = traffic.delivered.get() - self.delivered;
        let mut delays = traffic.delays.take();
        Ok(Run {
            cpu_us: (cpu_ns as f64 / 1_000.0 - idle * took) / events as f64,
            per_s: events as f64 / took,
            p50_ms: quantile(&mut delays, 0.50),
            p99_ms: quantile(&mut delays, 0.99),
            counts: counts(PORT).await?.since(self.counts),
            events,
        })
    }
}
