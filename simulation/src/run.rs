//! One seed, from nothing to its verdict; and many of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::judge;
use crate::logs;
use crate::paths::{Path, Paths};
use crate::setting::Asked;
use crate::site::Site;
use crate::trace::Trace;
use crate::world::World;

/// Longest that a healed world may take to come to rest, simulated.
pub const REST_MAX: Duration = Duration::from_secs(150);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A run shows something only from this many events, faults and milliseconds on.
pub const LEAST: (usize, u64, u64) = (1_000, 5, 60_000);

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub problem: Option<String>,
    /// The trace's hash.
    pub hash: String,
    /// The trace.
    pub lines: Vec<String>,
    /// How often each rare path was taken.
    pub paths: BTreeMap<Path, u64>,
    /// How often each fault happened.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many regions there were.
    pub regions: usize,
    /// Events in the table.
    pub events: usize,
    /// Simulated milliseconds.
    pub ms: u64,
}

/// Runs a seed on this thread, as it is asked for.
///
/// # Panics
/// If no runtime can be built, or the simulation itself is wrong.
pub fn seed(seed: u64, asked: impl Into<Asked>) -> Outcome {
    sterna_process::paused(simulated(seed, asked.into()))
}

/// Runs a seed on this thread; a panic is a problem like any other, with its seed.
pub fn seed_or_panic(number: u64, asked: Asked) -> Outcome {
    std::panic::catch_unwind(|| seed(number, asked)).unwrap_or_else(|_| Outcome {
        seed: number,
        problem: Some("the simulation panicked".to_owned()),
        hash: String::new(),
        lines: Vec::new(),
        paths: BTreeMap::new(),
        faults: BTreeMap::new(),
        regions: 0,
        events: 0,
        ms: 0,
    })
}

async fn simulated(seed: u64, asked: Asked) -> Outcome {
    let (trace, paths) = (Trace::new(), Paths::default());
    logs::listen(&trace);
    let mut world = World::new(seed, asked, &trace, &paths);
    world.run(seed).await;
    world.heal();
    let gathered = world.gather().await;
    let rested = gathered.and(rest(&world).await);
    let faults = world.happened.values().sum::<u64>();
    world.look_at_all();
    world.sites.iter().for_each(Site::count_express);
    paths.add(Path::LateLanding, world.sites.iter().map(Site::landed_late).sum());
    let events = judge::Chains::read(&world.sites[0]).await.map_or(0, |chains| chains.count());
    let ms = trace.elapsed_ms();
    let verdict = judge::verdict(&world).await;
    // A wrong thing explains why nothing comes to rest, not the other way round.
    let mut problem = match (verdict, rested) {
        (Ok(()), Ok(())) => None,
        (Err(wrong), _) | (Ok(()), Err(wrong)) => Some(wrong),
    };
    if problem.is_none() && (events < LEAST.0 || faults < LEAST.1 || ms < LEAST.2) {
        problem = Some(format!("a run of {events} events, {faults} faults and {ms} ms shows too little"));
    }
    trace.line("world", "ends", format_args!("{events} events, {problem:?}"));
    let (hash, lines) = (trace.hash(), trace.lines());
    let (paths, faults, regions) = (paths.counts(), world.happened, world.sites.len());
    Outcome { seed, problem, hash, lines, paths, faults, regions, events, ms }
}

/// Waits until nothing is missing any more.
async fn rest(world: &World) -> Result<(), String> {
    let until = Instant::now() + REST_MAX;
    loop {
        let Some(missing) = judge::unfinished(world).await else { return Ok(()) };
        if world.people.iter().any(|person| person.ledger.borrow().fault.is_some()) {
            return Err(missing);
        }
        if Instant::now() >= until {
            return Err(format!("no rest after {REST_MAX:?}: {missing}"));
        }
        sleep(LOOK).await;
    }
}

/// A failed run as a person wants to read it: what it was, which faults there were, how it ended.
pub fn story(outcome: &Outcome) -> String {
    let mut story = Vec::new();
    story.extend(outcome.lines.first().cloned());
    let told = |line: &&String| {
        line.contains(" fault ") || line.contains("must not happen") || line.contains(" world ")
    };
    story.extend(outcome.lines.iter().filter(told).cloned());
    story.push("  the last lines:".to_owned());
    let from = outcome.lines.len().saturating_sub(30);
    story.extend(outcome.lines[from..].iter().cloned());
    let problem = outcome.problem.as_deref().unwrap_or("nothing is wrong");
    story.push(format!("seed {}: {problem}", outcome.seed));
    story.join("\n")
}
