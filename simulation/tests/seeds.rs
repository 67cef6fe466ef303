//! What `cargo test` runs: the seeds that once found something, the first twenty, and one seed twice.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use sterna_simulation::paths::{self, Path};
use sterna_simulation::run;

/// Runs a seed and returns how often it took which path.
fn green(seed: u64) -> BTreeMap<Path, u64> {
    let outcome = run::seed(seed);
    assert_eq!(outcome.problem, None, "{}", run::story(&outcome));
    outcome.paths
}

/// E11, E12, E13, E15, E21, E34: what once was wrong stays right.
#[test]
fn seeds_that_once_found_something_are_green() {
    let seeds = include_str!("../seeds.txt");
    let seeds = seeds.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok());
    let count = seeds.map(green).count();
    assert!(count > 0, "seeds.txt names no seed");
}

/// G1 to G5: acked events are shown once, in one order, to every member, whatever happened in between; and
/// the rare paths were taken on the way.
#[test]
fn twenty_seeds_are_green_and_take_the_rare_paths() {
    let mut counts: BTreeMap<Path, u64> = BTreeMap::new();
    for seed in 1..=20 {
        for (path, times) in green(seed) {
            *counts.entry(path).or_default() += times;
        }
    }
    let (table, _) = paths::table(&counts);
    let never: Vec<Path> = paths::REQUIRED.into_iter().filter(|path| !counts.contains_key(path)).collect();
    assert_eq!(never, [], "{table}");
}

/// E35: one seed, one trace, in one process and in another; another seed, another trace.
#[test]
fn one_seed_gives_one_trace_hash_in_every_process() {
    let here = run::seed(7);
    assert_eq!(run::seed(7).hash, here.hash);
    assert_ne!(run::seed(8).hash, here.hash);
    let program = env!("CARGO_BIN_EXE_sterna-simulation");
    let there = Command::new(program).args("run --seeds 1 --seed 7 --show hash".split(' ')).output().unwrap();
    let printed = String::from_utf8(there.stdout).unwrap();
    assert!(printed.contains(&here.hash), "{} is not in {printed}", here.hash);
}
