//! What can be asked of `cargo xtask`, read once from the arguments.
//!
//! An argument that nobody knows is an error that names what is known; nothing is guessed and nothing
//! ignored.

use crate::stack::Action;

/// The names of all commands; tidy checks that the documents mention no others.
pub(crate) const NAMES: [&str; 10] =
    ["test", "tidy", "proto", "python", "sim", "bench", "dist", "mutants", "stack", "help"];

/// Seeds that `sim` runs when the caller names no number.
pub(crate) const SEEDS: u32 = 200;

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
The project's own commands.

    cargo xtask test [--fast]            everything that must be green before a commit lands:
                                         format, tidy, clippy, documentation, all tests, simulation, mutants,
                                         the contracts of the real backends; needs Python 3 with venv,
                                         Java 17, Maven and npm. The last line is `N passed, N failed`.
                                         --fast: format, tidy, clippy and tests, without documentation,
                                         its examples, Python, simulation seeds, mutants and real backends
    cargo xtask tidy                     sizes, names, dependency arrows, banned calls, licences, and whether
                                         the documents still tell the truth; takes seconds
    cargo xtask proto                    writes the code that is generated from proto/ anew; a test says when
    cargo xtask python                   the client in Python: its unit tests, then against three regions
    cargo xtask sim [--seeds N] [--seed S] [--regions R] [--show hash|trace]
                                         N simulated runs (200), one for each seed from S (1) upwards, of R
                                         regions (as many as each seed draws); --show prints of green ones,
                                         too. A red run prints the command that runs it again
    cargo xtask mutants                  builds the known mistakes in, one at a time;
                                         the simulation must find each
    cargo xtask dist                     the program as servers run it, to target/dist/sterna: optimised as a
                                         whole and by a record of itself at work: two long builds;
                                         needs `rustup component add llvm-tools`
    cargo xtask bench [WHAT [OPTION ..]] measures what is built in the same way; WHAT is one of path, resume,
                                         sequencer, growth, regions, fanout, memory, fairness, or all of
                                         them; fanout is measured beside its peer, fetched from npm
    cargo xtask stack up|down|status     one Kafka broker and one DynamoDB Local on loopback, kept running;
                                         prints what to export for tests and programs
    cargo xtask stack test               the contracts of the real backends, on servers that end with it
    cargo xtask help                     this page";

/// One command with its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Test {
        fast: bool,
    },
    Tidy,
    Proto,
    Python,
    Sim(Seeds),
    Dist,
    /// What `sterna-bench` is told.
    Bench(Vec<String>),
    Mutants,
    Stack(Action),
    Help,
}

/// What `sim` runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    /// How many.
    pub(crate) seeds: u32,
    /// The first one.
    pub(crate) seed: u64,
    /// How many regions; else as many as each seed draws.
    pub(crate) regions: Option<u8>,
    /// What to print of green runs, too: `hash` or `trace`.
    pub(crate) show: Option<String>,
}

impl Default for Seeds {
    fn default() -> Self {
        Seeds { seeds: SEEDS, seed: 1, regions: None, show: None }
    }
}

impl Command {
    /// Reads the arguments after the program's name. The error says what would have been right.
    pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
        let Some((name, rest)) = args.split_first() else { return Ok(Command::Help) };
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        match (name.as_str(), rest.as_slice()) {
            ("help" | "--help" | "-h", _) | (_, ["--help" | "-h"]) => Ok(Command::Help),
            ("test", []) => Ok(Command::Test { fast: false }),
            ("test", ["--fast"]) => Ok(Command::Test { fast: true }),
            ("tidy", []) => Ok(Command::Tidy),
            ("proto", []) => Ok(Command::Proto),
            ("python", []) => Ok(Command::Python),
            ("mutants", []) => Ok(Command::Mutants),
            ("sim", options) => Command::sim(options),
            ("stack", ["up"]) => Ok(Command::Stack(Action::Up)),
            ("stack", ["down"]) => Ok(Command::Stack(Action::Down)),
            ("stack", ["status"]) => Ok(Command::Stack(Action::Status)),
            ("stack", ["test"]) => Ok(Command::Stack(Action::Test)),
            ("stack", _) => Err("`stack` takes one of up, down, status, test".to_owned()),
            ("dist", []) => Ok(Command::Dist),
            ("bench", []) => Ok(Command::Bench(Vec::new())),
            ("bench", [what, ..]) if !what.starts_with('-') => {
                Ok(Command::Bench(rest.iter().map(|word| (*word).to_owned()).collect()))
            }
            (known, extra) if NAMES.contains(&known) => Err(format!(
                "`{known}` does not take `{}`; `cargo xtask help` lists what it takes",
                extra.join(" ")
            )),
            (unknown, _) => Err(format!(
                "there is no command `{unknown}`; there are {} (`cargo xtask help`)",
                NAMES.join(", ")
            )),
        }
    }

    fn sim(mut options: &[&str]) -> Result<Command, String> {
        let mut asked = Seeds::default();
        while let [option, rest @ ..] = options {
            let [value, rest @ ..] = rest else {
                return Err(format!(
                    "`{option}` needs a value, as in `cargo xtask sim --seeds 20 --seed 1 --show hash`"
                ));
            };
            match *option {
                "--seeds" => asked.seeds = number(option, value)?,
                "--seed" => asked.seed = number(option, value)?,
                "--regions" => asked.regions = Some(number(option, value)?),
                "--show" if ["hash", "trace"].contains(value) => asked.show = Some((*value).to_owned()),
                "--show" => return Err(format!("`--show` takes hash or trace, not `{value}`")),
                _ => {
                    let takes = "--seeds N, --seed S, --regions R and --show hash|trace";
                    return Err(format!("`sim` does not take `{option}`; it takes {takes}"));
                }
            }
            options = rest;
        }
        if asked.seeds == 0 {
            return Err("`--seeds 0` would check nothing; ask for at least 1".to_owned());
        }
        Ok(Command::Sim(asked))
    }
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{option} {value}`: `{value}` is not a whole number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_command_is_read_with_its_options() {
        assert_eq!(parse("test"), Ok(Command::Test { fast: false }));
        assert_eq!(parse("test --fast"), Ok(Command::Test { fast: true }));
        assert_eq!(parse("sim"), Ok(Command::Sim(Seeds::default())));
        let asked = Seeds { seeds: 3, seed: 9, ..Seeds::default() };
        assert_eq!(parse("sim --seed 9 --seeds 3"), Ok(Command::Sim(asked)));
        let again = Seeds { seeds: 1, seed: 9, regions: Some(3), show: Some("trace".to_owned()) };
        assert_eq!(parse("sim --seeds 1 --seed 9 --regions 3 --show trace"), Ok(Command::Sim(again)));
        assert_eq!(parse("stack down"), Ok(Command::Stack(Action::Down)));
        let path = ["path", "paced", "--runs", "1"].map(str::to_owned).to_vec();
        assert_eq!(parse("bench path paced --runs 1"), Ok(Command::Bench(path)));
        assert_eq!(parse("dist"), Ok(Command::Dist));
        assert_eq!(parse(""), Ok(Command::Help));
        assert_eq!(parse("sim --help"), Ok(Command::Help));
    }

    #[test]
    fn a_wrong_argument_is_named_together_with_what_is_right() {
        assert!(parse("tset").unwrap_err().contains("test, tidy, proto, python, sim"));
        assert!(parse("test --quick").unwrap_err().contains("--quick"));
        assert!(parse("sim --seeds").unwrap_err().contains("needs a value"));
        assert!(parse("sim --show all").unwrap_err().contains("hash or trace"));
        assert!(parse("sim --seeds many").unwrap_err().contains("many"));
        assert!(parse("sim --seeds 0").unwrap_err().contains("at least 1"));
        assert!(parse("stack sideways").unwrap_err().contains("up, down, status"));
        assert!(parse("sim --speed 3").unwrap_err().contains("--seeds N"));
    }

    #[test]
    fn the_help_page_shows_every_command() {
        for name in NAMES {
            assert!(HELP.contains(&format!("cargo xtask {name}")), "{name} is missing on the help page");
            assert!(!parse(name).is_err_and(|problem| problem.contains("no command")), "{name} is not read");
        }
    }
}
