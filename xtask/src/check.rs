//! `cargo xtask test`: the steps, in order, each with its heading and time, and one line that sums everything
//! up.
//!
//! A failed step does not stop the later ones: one run shows everything that is wrong. At the end every
//! failed step stands with the command that repeats it. The very last line is `N passed, N failed` over all
//! test programs; a step that failed without any failed test (format, say) counts as one failure, so a red
//! run never says `0 failed`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::child::{Cargo, Tally};
use crate::{command, python, simulation, stack, tidy};

/// What a step does.
enum Work {
    Cargo(Cargo),
    Tidy,
    Python,
    /// Contract suites against servers that are started for them.
    RealPorts,
    /// Listed, not run: it does not exist yet. The text says what is missing.
    NotBuilt(String),
}

struct Step {
    name: &'static str,
    /// Left out by `--fast`.
    slow: bool,
    work: Work,
}

/// How a step ended.
struct Ended {
    name: &'static str,
    time: Duration,
    result: Result<(), String>,
    /// Set when the step is not built yet.
    missing: Option<String>,
    repeat: String,
}

/// Runs every step (those that are quick, if `fast`) and prints the sum.
pub(crate) fn run(root: &Path, fast: bool) -> ExitCode {
    let steps = steps(root, fast);
    let total = steps.len();
    let mut tally = Tally::default();
    let mut ended = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n=== {}/{total} {}", index + 1, step.name);
        let (counted, end) = step.run(root);
        tally.add(counted_at_least(counted, &end));
        println!("=== {}: {} in {:.1} s", end.name, end.word(), end.time.as_secs_f64());
        ended.push(end);
    }
    println!("\n{}", summary(&ended));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    // A closed pipe at the end changes nothing about the result.
    let _ = std::io::stdout().flush();
    if ended.iter().all(|end| end.result.is_ok()) && tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn steps(root: &Path, fast: bool) -> Vec<Step> {
    let cargo = |args: &str| Work::Cargo(Cargo::new(root, args));
    let tests = if fast { "--lib --bins --tests" } else { "" };
    let docs = Cargo::new(root, "doc --no-deps --workspace").var("RUSTDOCFLAGS", "-D warnings");
    let simulated = |call: Cargo| match simulation::built(root) {
        Ok(()) => Work::Cargo(call),
        Err(missing) => Work::NotBuilt(missing),
    };
    let step = |name, slow, work| Step { name, slow, work };
    let mut steps = vec![
        step("format", false, cargo("fmt --all -- --check")),
        step("tidy", false, Work::Tidy),
        step("clippy", false, cargo("clippy --workspace --all-targets -- -D warnings")),
        step("documentation", true, Work::Cargo(docs)),
        step("tests", false, cargo(&format!("test --workspace --no-fail-fast {tests}"))),
        step("client in Python", true, Work::Python),
        step("simulation", true, simulated(simulation::seeds(root, &command::Seeds::default()))),
        step("mutants of the model", true, Work::Cargo(simulation::model_mutants(root))),
        step("mutants of the protocol", true, Work::Cargo(simulation::protocol_mutants(root))),
        step("mutants", true, simulated(simulation::mutants(root))),
        step("clippy, real ports", true, Work::Cargo(stack::clippy(root))),
        step("contract, real ports", true, Work::RealPorts),
    ];
    steps.retain(|step| !(fast && step.slow));
    steps
}

impl Step {
    #[allow(
        clippy::disallowed_methods,
        reason = "how long a person waited is real time, outside the product"
    )]
    fn run(self, root: &Path) -> (Tally, Ended) {
        let started = std::time::Instant::now();
        let (tally, result, missing, repeat) = match self.work {
            Work::Cargo(call) => {
                println!("{}", call.shown());
                let (tally, result) = call.run();
                (tally, result, None, call.shown())
            }
            Work::Tidy => {
                let result = tidy::run(root).inspect_err(|problem| println!("{problem}"));
                (Tally::default(), result, None, "cargo xtask tidy".to_owned())
            }
            Work::Python => {
                let (tally, result) = python::run(root);
                let result = result.inspect_err(|problem| println!("{problem}"));
                (tally, result, None, "cargo xtask python".to_owned())
            }
            Work::RealPorts => {
                let (tally, result) = stack::contract(root);
                (tally, result, None, "cargo xtask stack test".to_owned())
            }
            Work::NotBuilt(missing) => (Tally::default(), Ok(()), Some(missing), String::new()),
        };
        (tally, Ended { name: self.name, time: started.elapsed(), result, missing, repeat })
    }
}

impl Ended {
    fn word(&self) -> &'static str {
        match (&self.result, &self.missing) {
            (Err(_), _) => "FAILED",
            (Ok(()), Some(_)) => "not built yet",
            (Ok(()), None) => "ok",
        }
    }
}

/// A failed step counts at least one failure, also if it never came to run a test.
fn counted_at_least(mut counted: Tally, end: &Ended) -> Tally {
    if end.result.is_err() {
        counted.failed = counted.failed.max(1);
    }
    counted
}

/// One line per step, and under a failed one the command that repeats it.
fn summary(ended: &[Ended]) -> String {
    let mut lines = Vec::new();
    for end in ended {
        let word = end.word();
        match (&end.result, &end.missing) {
            (Err(problem), _) => {
                let first = problem.lines().last().unwrap_or_default();
                lines.push(format!("{word:<14} {}: {first}\n{:15}again: {}", end.name, "", end.repeat));
            }
            (Ok(()), Some(missing)) => lines.push(format!("{word:<14} {}: {missing}", end.name)),
            (Ok(()), None) => {
                lines.push(format!("{word:<14} {} ({:.1} s)", end.name, end.time.as_secs_f64()))
            }
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(result: Result<(), String>, missing: Option<&str>) -> Ended {
        Ended {
            name: "format",
            time: Duration::from_millis(1_500),
            result,
            missing: missing.map(str::to_owned),
            repeat: "cargo fmt --all -- --check".to_owned(),
        }
    }

    #[test]
    fn a_failed_step_stands_with_the_command_that_repeats_it() {
        let text = summary(&[ended(Ok(()), None), ended(Err("exit status: 1".to_owned()), None)]);
        assert!(text.contains("ok             format (1.5 s)"), "{text}");
        assert!(text.contains("FAILED         format: exit status: 1"), "{text}");
        assert!(text.contains("again: cargo fmt --all -- --check"), "{text}");
    }

    #[test]
    fn what_is_not_built_is_listed_by_name() {
        let text = summary(&[ended(Ok(()), Some("simulation/src/main.rs does not exist"))]);
        assert!(text.contains("not built yet  format: simulation/src/main.rs"), "{text}");
    }

    #[test]
    fn a_step_that_fails_without_a_test_counts_as_one_failure() {
        let red = ended(Err("exit status: 1".to_owned()), None);
        assert_eq!(counted_at_least(Tally::default(), &red).failed, 1);
        assert_eq!(counted_at_least(Tally { passed: 7, failed: 3 }, &red), Tally { passed: 7, failed: 3 });
        assert_eq!(counted_at_least(Tally::default(), &ended(Ok(()), None)).failed, 0);
    }

    #[test]
    fn fast_leaves_out_documentation_python_and_simulation() {
        let names: Vec<_> = steps(Path::new("."), true).into_iter().map(|step| step.name).collect();
        assert_eq!(names, ["format", "tidy", "clippy", "tests"]);
    }
}
