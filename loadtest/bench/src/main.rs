//! Benchmarks against peers and against our own targets. Figures count only as ratios of one run on one
//! machine.
//!
//! Of the gateway alone: `fanout` measures CPU per delivery beside Bun's `publish`; `memory` what idle
//! sessions, subscriptions and rings cost; `fairness` how long others wait beside a huge active room. Each
//! starts `sterna-bench serve` (the real gateway shard, events injected where `state` pushes) on one core and
//! loads it from the other.
//!
//! Of whole regions: `path`, `resume`, `growth` and `regions` load `sterna-bench region` the same way;
//! `sequencer` runs in this process. Results are printed as JSON lines; `all` runs everything unattended and
//! prints a table; loadtest/RESULTS.md keeps what is worth keeping.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and owns its tasks")]

mod all;
mod counted;
mod fairness;
mod fanout;
mod growth;
mod injected;
mod load;
mod memory;
mod path;
mod process;
mod region;
mod regions;
mod resume;
mod sequencer;
mod server;
mod session;
mod traffic;

use clap::{Parser, Subcommand};
use tokio::runtime::LocalRuntime;

/// As in the program that servers run.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Command {
    /// `all` if none is named.
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Every benchmark unattended; then one Markdown table.
    All(all::Options),
    /// The gateway shard on this port of 127.0.0.1.
    Serve {
        /// The port.
        port: u16,
    },
    /// Whole regions on this port of 127.0.0.1 and those after it.
    Region(region::Options),
    /// CPU per event of the whole path, saturated and paced.
    Path(path::Options),
    /// CPU per event that devices missed and now catch up on.
    Resume(resume::Options),
    /// Events per CPU second of the sequencer with Append.
    Sequencer(sequencer::Options),
    /// CPU per event with many streams, and with long ones.
    Growth(growth::Options),
    /// Delays within and between three regions.
    Regions(regions::Options),
    /// CPU per delivery, beside Bun in interleaved pairs.
    Fanout(fanout::Options),
    /// Resident memory per idle session, per further subscription, per idle ring.
    Memory(memory::Options),
    /// The huge room of `fairness`; started by it.
    #[command(hide = true)]
    Crowd {
        /// Its sessions.
        sessions: usize,
        /// Its messages in flight.
        in_flight: usize,
    },
    /// What keeps the servers' core awake; started by `path`.
    #[command(hide = true)]
    Awake,
    /// Delay of small streams while a huge room is active.
    Fairness(fairness::Options),
}

type Problem = Box<dyn std::error::Error>;
type Outcome = Result<(), Problem>;

fn main() -> Outcome {
    let what = Command::parse()
        .what
        .unwrap_or_else(|| Command::parse_from(["sterna-bench", "all"]).what.expect("it was named"));
    match what {
        What::All(options) => all::run(&options),
        What::Serve { port } => as_server(server::serve(port)),
        What::Region(options) => as_server(region::serve(options)),
        What::Path(options) => on_one_thread(path::run(options)),
        What::Resume(options) => on_one_thread(resume::run(options)),
        What::Sequencer(options) => on_one_thread(sequencer::run(options)),
        What::Growth(options) => on_one_thread(growth::run(options)),
        What::Regions(options) => on_one_thread(regions::run(options)),
        What::Fanout(options) => on_one_thread(fanout::run(options)),
        What::Memory(options) => on_one_thread(memory::run(options)),
        What::Crowd { sessions, in_flight } => on_one_thread(fairness::crowd(sessions, in_flight)),
        What::Awake => process::awake(),
        What::Fairness(options) => on_one_thread(fairness::run(options)),
    }
}

/// Runs the load of a benchmark: its thread looks for news whenever it can, so that it measures no waiting of
/// its own.
fn on_one_thread(work: impl Future<Output = Outcome> + 'static) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    run_on(&builder.enable_all().build_local(tokio::runtime::LocalOptions::default())?, work)
}

/// Runs a server as the product's threads do.
fn as_server(work: impl Future<Output = Outcome> + 'static) -> Outcome {
    run_on(&sterna_process::runtime()?, work)
}

/// Runs `work` as a task: the root of `block_on` is woken by a system call each time.
fn run_on(runtime: &LocalRuntime, work: impl Future<Output = Outcome> + 'static) -> Outcome {
    runtime.block_on(async { tokio::task::spawn_local(work).await })?
}
