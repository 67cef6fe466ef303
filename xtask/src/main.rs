//! The project's own commands: `cargo xtask <command>`; `cargo xtask help` lists them.
//!
//! Everything that a person or a machine runs on this repository goes through here, so that both see the same
//! steps. It depends on no product crate, and so builds in seconds and works while the product does not
//! compile. Reading order: [`command`] (what can be asked), [`check`] (the steps of `test`), [`tidy`] (what
//! is checked about the sources themselves), [`python`] (the client in Python), [`simulation`] (seeds,
//! mutants), [`dist`] (the program as servers run it), [`mod@bench`] (how quick it is), [`stack`] (the real
//! servers behind the ports), [`child`] (how a program is run).

mod bench;
mod check;
mod child;
mod command;
mod dist;
mod python;
mod simulation;
mod stack;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use child::Cargo;
use command::Command;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = root();
    let done = match Command::parse(&args) {
        Ok(Command::Help) => {
            println!("{}", command::HELP);
            Ok(())
        }
        Ok(Command::Test { fast }) => return check::run(&root, fast),
        Ok(Command::Tidy) => tidy::run(&root),
        Ok(Command::Proto) => Cargo::new(&root, "run --quiet --package sterna-generate").run_alone(),
        Ok(Command::Python) => python::run(&root).1,
        Ok(Command::Sim(seeds)) => simulation::seeds(&root, &seeds).run_alone(),
        Ok(Command::Mutants) => simulation::mutants(&root).run_alone(),
        Ok(Command::Stack(action)) => stack::act(&root, action),
        Ok(Command::Dist) => dist::build(&root, &dist::STERNA).map(|built| println!("{}", built.display())),
        Ok(Command::Bench(words)) => bench::run(&root, &words),
        Err(problem) => Err(problem),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the folder above this crate, wherever the checkout stands now.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here).join("..").canonicalize().expect("xtask is run from a checkout, which has a root")
}
