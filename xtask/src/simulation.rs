//! Calls of the programs that run for long: simulated seeds and mutants.
//!
//! The simulation is a program of its own (`simulation/src/main.rs`). While that file does not exist, `cargo
//! xtask test` says so by name and goes on; from the day it exists, every failure of it is a failure of
//! `test`.

use std::path::{Path, PathBuf};

use crate::child::Cargo;
use crate::command::Seeds;

/// Set when the known mistakes are compiled in; which of them acts is chosen at run time.
const MUTANTS_FLAG: &str = "--cfg sterna_mutants";
/// Where they are built.
const MUTANTS_FOLDER: &str = "target/mutants";
/// Builds the simulation. `--workspace`, of which only this program and what it needs is built: cargo gives
/// dependencies the features that the packages of a call want, so with another selection than the tests' it
/// would build nearly everything a second time.
const PROGRAM: &str = "build --workspace --bin sterna-simulation";
/// Where in its folder it then stands, unless cargo is configured to build for a target.
const BUILT: &str = "debug/sterna-simulation";

/// Whether the simulation's program exists; the error says what is missing.
pub(crate) fn built(root: &Path) -> Result<(), String> {
    let program = "simulation/src/main.rs";
    if root.join(program).is_file() { Ok(()) } else { Err(format!("{program} does not exist")) }
}

/// The simulated runs that were asked for.
pub(crate) fn seeds(root: &Path, asked: &Seeds) -> Cargo {
    let Seeds { seeds, seed, regions, show } = asked;
    let mut args = format!("run --seeds {seeds} --seed {seed}");
    args.extend(regions.map(|regions| format!(" --regions {regions}")));
    args.extend(show.as_ref().map(|show| format!(" --show {show}")));
    // Where cargo builds by itself.
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Cargo::new(root, PROGRAM).then(folder.join(BUILT), &args)
}

/// Every known mistake in turn; each must be found. They are compiled into a target folder of their own, so
/// that the two builds do not throw each other away.
pub(crate) fn mutants(root: &Path) -> Cargo {
    Cargo::new(root, &format!("{PROGRAM} --target-dir {MUTANTS_FOLDER}"))
        .then(Path::new(MUTANTS_FOLDER).join(BUILT), "mutants")
        .rustflag(MUTANTS_FLAG)
}

/// The known mistakes of the sequencer's core, each of which its model must find. That crate alone: with the
/// tests' selection every library's own tests would be built.
pub(crate) fn model_mutants(root: &Path) -> Cargo {
    let test = "test --package sterna-stream --lib each_known_mistake";
    Cargo::new(root, &format!("{test} --target-dir {MUTANTS_FOLDER}")).rustflag(MUTANTS_FLAG)
}

/// The known mistakes of the client protocol, each of which its model must find.
pub(crate) fn protocol_mutants(root: &Path) -> Cargo {
    let test = "test --workspace --test protocol_model each_known_mistake";
    Cargo::new(root, &format!("{test} --target-dir {MUTANTS_FOLDER}")).rustflag(MUTANTS_FLAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let problem = built(Path::new("no/such/checkout")).unwrap_err();
        assert!(problem.contains("simulation/src/main.rs"));
    }

    #[test]
    fn what_was_asked_of_a_run_is_passed_on() {
        let asked = Seeds { seeds: 1, seed: 9, regions: Some(2), show: Some("trace".to_owned()) };
        let shown = seeds(Path::new("."), &asked).shown();
        assert!(
            shown.ends_with("sterna-simulation run --seeds 1 --seed 9 --regions 2 --show trace"),
            "{shown}"
        );
    }

    #[test]
    fn mutants_are_built_apart_under_their_switch() {
        for call in [mutants, model_mutants, protocol_mutants] {
            let shown = call(Path::new(".")).shown();
            assert!(shown.contains(MUTANTS_FLAG) && shown.contains("target/mutants"), "{shown}");
        }
    }
}
