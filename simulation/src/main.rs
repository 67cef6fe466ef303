//! `cargo xtask sim`: runs seeds, or the known mistakes. Prints each failure with its seed and trace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use sterna_simulation::faults::WAITING;
use sterna_simulation::mutants::{CHOSEN, MUTANTS, SEEDS};
use sterna_simulation::paths::{self, Path};
use sterna_simulation::run::{self, Outcome};
use sterna_simulation::setting::Asked;

/// Seeds from which on the rare paths are counted on: fewer show single runs only.
const SEEDS_THAT_COUNT: u32 = 20;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs seeds.
    Run {
        /// How many.
        #[arg(long, default_value_t = 200)]
        seeds: u32,
        /// The first one.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many regions; else as many as each seed draws.
        #[arg(long)]
        regions: Option<usize>,
        /// No region loses its stores, its log or its ingress, and none is rebuilt.
        #[arg(long)]
        no_lives: bool,
        /// What to print of green ones, too.
        #[arg(long, default_value = "nothing")]
        show: Show,
        /// Stop at the first red one.
        #[arg(long)]
        until_red: bool,
    },
    /// Switches on one known mistake after the other; each must turn a seed red.
    Mutants,
}

/// What is printed of a run, whatever became of it.
#[derive(Clone, Copy, ValueEnum)]
enum Show {
    Nothing,
    /// The trace's hash.
    Hash,
    /// The whole trace.
    Trace,
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Run { seeds, seed, regions, no_lives, show, until_red } => {
            run_seeds((seed, seeds), Asked { regions, lives: !no_lives }, show, until_red)
        }
        What::Mutants => run_mutants(),
    }
}

/// What all runs gave so far.
#[derive(Default)]
struct Sum {
    passed: u32,
    failed: Vec<u64>,
    paths: BTreeMap<Path, u64>,
    faults: BTreeMap<&'static str, u64>,
    runs: BTreeMap<usize, u32>,
    events: usize,
    simulated_ms: u64,
}

fn run_seeds((first, seeds): (u64, u32), asked: Asked, show: Show, until_red: bool) -> ExitCode {
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    let end = first + u64::from(seeds);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let stop = until_red
                        && !sum.lock().expect("no run panics while it holds this").failed.is_empty();
                    if seed >= end || stop {
                        return;
                    }
                    let outcome = run::seed_or_panic(seed, asked);
                    report(&outcome, asked, show);
                    sum.lock().expect("no run panics while it holds this").add(&outcome);
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no run panics while it holds this");
    sum.print(seeds >= SEEDS_THAT_COUNT && !until_red, asked.lives)
}

fn report(outcome: &Outcome, asked: Asked, show: Show) {
    match show {
        Show::Nothing => {}
        Show::Hash => println!("seed {}: {}", outcome.seed, outcome.hash),
        Show::Trace => println!("{}", outcome.lines.join("\n")),
    }
    if outcome.problem.is_none() {
        return;
    }
    println!("{}", run::story(outcome));
    let file = PathBuf::from("target").join(format!("simulation-{}.trace", outcome.seed));
    match std::fs::write(&file, outcome.lines.join("\n")) {
        Ok(()) => println!("the whole trace: {}", file.display()),
        Err(error) => println!("the trace could not be written to {}: {error}", file.display()),
    }
    let (seed, regions) = (outcome.seed, outcome.regions);
    match asked.lives {
        true => println!("again: cargo xtask sim --seeds 1 --seed {seed} --regions {regions} --show trace\n"),
        false => println!(
            "again: {} run --seeds 1 --seed {seed} --regions {regions} --no-lives --show trace\n",
            std::env::args().next().unwrap_or_default()
        ),
    }
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        match outcome.problem {
            None => self.passed += 1,
            Some(_) => self.failed.push(outcome.seed),
        }
        for (path, times) in &outcome.paths {
            *self.paths.entry(*path).or_default() += times;
        }
        for (fault, times) in &outcome.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        *self.runs.entry(outcome.regions).or_default() += 1;
        self.events += outcome.events;
        self.simulated_ms += outcome.ms;
    }

    fn print(&self, paths_count: bool, lives: bool) -> ExitCode {
        for (regions, runs) in &self.runs {
            println!("{runs} runs of {regions} regions");
        }
        println!("faults injected:");
        self.faults.iter().for_each(|(fault, times)| println!("  {times:>6} {fault}"));
        WAITING.iter().for_each(|(fault, what)| println!("  waits: {fault}: for {what}"));
        let (table, rare) = paths::table(&self.paths, self.runs.keys().any(|regions| *regions > 1), lives);
        println!("rare paths taken:\n{table}");
        let simulated = Duration::from_millis(self.simulated_ms);
        println!("{} events in {simulated:?} of simulated time", self.events);
        let rare = if paths_count { rare } else { Vec::new() };
        rare.iter().for_each(|path| println!("taken less than {} times: {path:?}", paths::LEAST));
        if !self.failed.is_empty() {
            println!("red seeds: {:?}", self.failed);
        }
        let failed = self.failed.len() + rare.len();
        result(self.passed, failed)
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a mistake lives is real time, outside the product")]
fn run_mutants() -> ExitCode {
    if !cfg!(sterna_mutants) {
        println!("the known mistakes are not built in: cargo xtask mutants builds with --cfg sterna_mutants");
        return result(0, 1);
    }
    let (mut passed, mut failed) = (0, 0);
    let mut count = |right: bool| if right { passed += 1 } else { failed += 1 };
    let mut met: BTreeMap<usize, u32> = BTreeMap::new();
    for (mutant, regions) in MUTANTS {
        let began = Instant::now();
        let tried = tried(Some(mutant), (SEEDS, regions));
        let found = tried.is_some_and(|(_, red)| red > 0);
        let seeds = tried.map_or(0, |(green, red)| green + red);
        let (word, took) = (if found { "found" } else { "SURVIVED" }, began.elapsed());
        println!("{mutant}: {word} within {seeds} seeds of {regions} regions, {:.1} s", took.as_secs_f64());
        count(found);
        met.entry(regions).and_modify(|most| *most = seeds.max(*most)).or_insert(seeds);
    }
    // What is red without a mistake as well shows nothing of it.
    for (regions, seeds) in met {
        let tried = tried(None, (seeds, regions));
        let green = tried == Some((seeds, 0));
        let word = if green { "green" } else { "NOT GREEN" };
        println!("none of them: {word} within {seeds} seeds of {regions} regions");
        count(green);
    }
    result(passed, failed)
}

/// Runs seeds with a mistake, or without, until one is red: how many were green and how many red. `None` if
/// that cannot be said.
fn tried(mutant: Option<&str>, (seeds, regions): (u32, usize)) -> Option<(u32, u32)> {
    let mut run = Command::new(std::env::current_exe().ok()?);
    run.args(["run", "--until-red", "--seeds", &seeds.to_string(), "--regions", &regions.to_string()]);
    run.env_remove(CHOSEN).envs(mutant.map(|mutant| (CHOSEN, mutant)));
    let told = String::from_utf8(run.stderr(Stdio::null()).output().ok()?.stdout).ok()?;
    let words: Vec<&str> = told.lines().next_back()?.split([' ', ';']).collect();
    let before = |word: &str| {
        let at = words.iter().position(|other| *other == word)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    Some((before("passed")?, before("failed")?))
}

/// The line that is counted.
fn result(passed: u32, failed: usize) -> ExitCode {
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
