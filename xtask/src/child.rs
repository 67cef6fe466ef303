//! Runs one program of a step: its output appears as it is written, and its test results are counted on the
//! way.
//!
//! Standard error goes straight through. Standard output is read line by line, printed, and searched for the
//! test harness's `test result:` lines. Colours are switched off unless a person watches.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Test results counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds what a line of output says, if it is a summary line of the test harness.
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result:") else { return };
        let plain = without_colours(counts);
        for part in plain.split([';', '.']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                _ => {}
            }
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// A cargo call: arguments, variables set for it, and perhaps a program that it built and that follows.
#[derive(Clone, Debug)]
pub(crate) struct Cargo {
    root: PathBuf,
    args: Vec<String>,
    vars: Vec<(&'static str, String)>,
    then: Option<(PathBuf, Vec<String>)>,
}

impl Cargo {
    /// `cargo` with `args`, a line split at its blanks, run in `root`.
    pub(crate) fn new(root: &Path, args: &str) -> Cargo {
        Cargo { root: root.to_owned(), args: words(args), vars: Vec::new(), then: None }
    }

    /// Followed by `program` with `args`: a path from `root`, where cargo builds it unless it says that it
    /// built it elsewhere.
    pub(crate) fn then(mut self, program: impl Into<PathBuf>, args: &str) -> Cargo {
        self.then = Some((program.into(), words(args)));
        self
    }

    pub(crate) fn var(mut self, name: &'static str, value: impl Into<String>) -> Cargo {
        self.vars.push((name, value.into()));
        self
    }

    /// With one more flag for the compiler, beside those that the caller's environment has.
    pub(crate) fn rustflag(self, flag: &str) -> Cargo {
        let given = std::env::var("RUSTFLAGS").unwrap_or_default();
        self.var("RUSTFLAGS", format!("{given} {flag}").trim())
    }

    /// What a person types to run the same.
    pub(crate) fn shown(&self) -> String {
        let mut words: Vec<String> =
            self.vars.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        words.push("cargo".to_owned());
        words.extend(self.args.iter().cloned());
        if let Some((program, args)) = &self.then {
            words.extend(["&&".to_owned(), program.display().to_string()]);
            words.extend(args.iter().cloned());
        }
        words.join(" ")
    }

    fn command(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.prepared(Command::new(cargo), &self.args)
    }

    fn prepared(&self, mut command: Command, args: &[String]) -> Command {
        command.args(args).current_dir(&self.root);
        // What `cargo run` set for this program is not meant for the one it starts.
        for (name, _) in std::env::vars_os() {
            // What is built here runs here, and is looked for where cargo builds for this machine.
            let name = name.as_os_str();
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_BUILD_TARGET" {
                command.env_remove(name);
            }
        }
        if std::env::var_os("CARGO_TERM_COLOR").is_none() {
            let colour = if std::io::stdout().is_terminal() { "always" } else { "never" };
            command.env("CARGO_TERM_COLOR", colour);
        }
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it, shows its output and counts its test results. The error says how it ended.
    pub(crate) fn run(&self) -> (Tally, Result<(), String>) {
        let mut tally = Tally::default();
        let ended = match &self.then {
            None => watch(self.command(), &mut tally, "cargo", "install it from rustup.rs"),
            Some((program, args)) => self.build(program).and_then(|built| {
                let command = self.prepared(Command::new(&built), args);
                let name = built.strip_prefix(&self.root).unwrap_or(&built).display().to_string();
                watch(command, &mut tally, &name, "was it built elsewhere?")
            }),
        };
        (tally, ended)
    }

    /// Builds `program` and says where it stands: a configuration of cargo's may name another folder, or a
    /// target, which has a folder of its own.
    fn build(&self, program: &Path) -> Result<PathBuf, String> {
        let mut command = self.command();
        if self.args.first().is_some_and(|first| first == "build") {
            command.arg("--message-format=json-render-diagnostics");
        }
        let done = command.stderr(Stdio::inherit()).output();
        let done =
            done.map_err(|error| format!("cannot start cargo ({error}); install it from rustup.rs"))?;
        if !done.status.success() {
            return Err(format!("ended with {}", done.status));
        }
        let said = String::from_utf8_lossy(&done.stdout);
        Ok(executable(&said, program).unwrap_or_else(|| self.root.join(program)))
    }

    /// Runs it as a command of its own.
    pub(crate) fn run_alone(&self) -> Result<(), String> {
        self.run().1.map_err(|ended| format!("{ended}: {}", self.shown()))
    }

    /// Runs it and returns what it printed.
    pub(crate) fn output(&self) -> Result<String, String> {
        debug_assert!(self.then.is_none(), "what a following program prints is not returned");
        let done = self.command().stderr(Stdio::inherit()).output();
        let done =
            done.map_err(|error| format!("cannot start cargo ({error}); install it from rustup.rs"))?;
        if !done.status.success() {
            return Err(format!("{} ended with {}", self.shown(), done.status));
        }
        String::from_utf8(done.stdout).map_err(|_| format!("{} printed no text", self.shown()))
    }
}

/// Runs a command, shows its output and counts its test results; `remedy` is for one that is not there.
fn watch(mut command: Command, tally: &mut Tally, name: &str, remedy: &str) -> Result<(), String> {
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("cannot start {name} ({error}); {remedy}"))?;
    let mut lines = BufReader::new(child.stdout.take().expect("stdout was asked for as a pipe"));
    let mut line = Vec::new();
    let mut out = std::io::stdout();
    while lines.read_until(b'\n', &mut line).map_err(|error| format!("reading its output: {error}"))? > 0 {
        tally.read(&String::from_utf8_lossy(&line));
        out.write_all(&line).and_then(|()| out.flush()).map_err(|error| format!("printing: {error}"))?;
        line.clear();
    }
    let status = child.wait().map_err(|error| format!("waiting for it: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("ended with {status}")) }
}

/// Where cargo's messages, one a line, say that it put the program of this name.
fn executable(messages: &str, program: &Path) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut built = messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    built.find(|path| path.file_stem() == program.file_stem())
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Runs a program that talks to whoever watches; the error says how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// The line without terminal colour sequences (`ESC [ … m`).
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        rest = rest[at..].split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str]) -> (u64, u64) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        (tally.passed, tally.failed)
    }

    #[test]
    fn results_of_several_test_programs_are_summed() {
        let ok = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; in 0.01s\n";
        let red = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count(&["running 12 tests", ok, red, "5 passed; 1 failed"]), (15, 2));
    }

    #[test]
    fn colours_do_not_hide_a_result() {
        let line =
            "test result: \u{1b}[31mFAILED\u{1b}(B\u{1b}[m. 3 passed; \u{1b}[31m2 failed\u{1b}[m; 0 ignored";
        assert_eq!(count(&[line]), (3, 2));
    }

    #[test]
    fn a_call_is_shown_as_a_person_would_type_it() {
        let call = Cargo::new(Path::new("."), "doc --no-deps").var("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(call.shown(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }

    #[test]
    fn what_was_built_follows_only_a_build_that_succeeded() {
        let call = |args| Cargo::new(Path::new("."), args).then("/bin/false", "lesson");
        assert_eq!(call("--version").shown(), "cargo --version && /bin/false lesson");
        assert_eq!(call("--version").run().1.unwrap_err(), "ended with exit status: 1");
        assert_eq!(call("no-such-command").run().1.unwrap_err(), "ended with exit status: 101");
        let nowhere = Cargo::new(Path::new("."), "--version").then("no/such/program", "").run();
        assert!(nowhere.1.unwrap_err().contains("cannot start no/such/program"));
    }

    #[test]
    fn a_program_is_started_where_cargo_put_it() {
        let root = std::env::temp_dir().join(format!("xtask-child-{}", std::process::id()));
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::create_dir_all(root.join(".cargo")).unwrap();
        let asked = Command::new("rustc").arg("-vV").output().unwrap();
        let asked = String::from_utf8(asked.stdout).unwrap();
        let host = asked.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        for (file, text) in [
            ("Cargo.toml", "[package]\nname = \"lesson\"\nedition = \"2024\"\n[workspace]\n"),
            (".cargo/config.toml", &format!("[build]\ntarget = \"{host}\"\n")),
            ("src/main.rs", "fn main() { println!(\"test result: ok. 7 passed; 0 failed\") }"),
        ] {
            std::fs::write(root.join(file), text).unwrap();
        }
        let call = Cargo::new(&root, "build --offline").then("target/debug/lesson", "");
        let (tally, ended) = call.var("CARGO_TARGET_DIR", root.join("target").display().to_string()).run();
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((ended, tally.passed), (Ok(()), 7));
    }

    #[test]
    fn a_program_that_fails_is_an_error_that_names_it() {
        let problem = run(Command::new("false").arg("lesson")).unwrap_err();
        assert!(problem.contains("lesson") && problem.contains("exit status"), "{problem}");
        let problem = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(problem.contains("cannot start"), "{problem}");
    }

    #[test]
    fn a_call_that_fails_is_an_error() {
        let (tally, ended) = Cargo::new(Path::new("."), "no-such-command").run();
        assert_eq!(tally, Tally::default());
        assert!(ended.unwrap_err().contains("exit status"));
    }
}
