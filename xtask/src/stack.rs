//! The real servers behind the ports: one Kafka broker and one DynamoDB Local, on loopback, without Docker.
//!
//! `cargo xtask test` starts them for the contract suites and stops them, whatever happens to it; `cargo
//! xtask stack up` leaves them running for a person, until `stack down`. What they need is fetched once
//! ([`fetch`]) into `.stack/`; how each is run stands in [`servers`]; starting, waiting and stopping in
//! [`server`].

mod fetch;
mod server;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};

use crate::child::{Cargo, Tally};
use server::{Running, Server};

/// Everything that is fetched, stored or logged; git ignores it.
const FOLDER: &str = ".stack";
/// What is tested against them, with the features that it stands behind. Each call names all of it: with
/// another selection of packages cargo gives dependencies other features, and builds nearly everything again.
const SELECTION: &str = concat!(
    "--package sterna-log --package sterna-storage --package sterna-cluster --package sterna ",
    "--features sterna-log/kafka,sterna-storage/dynamodb,sterna-cluster/real-ports,",
    "sterna/kafka,sterna/dynamodb,sterna/mimalloc"
);

/// What `cargo xtask stack` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Up,
    Down,
    Status,
    /// The contract suites against servers of their own.
    Test,
}

/// Does what a person asked for.
pub(crate) fn act(root: &Path, action: Action) -> Result<(), String> {
    let kept = Kept { file: root.join(FOLDER).join("up.txt") };
    match action {
        Action::Up => kept.up(root),
        Action::Down => kept.down(),
        Action::Status => kept.status(),
        Action::Test => contract(root).1,
    }
}

/// Runs the contract suites, then one region and the binary's own start of one, against servers of their own,
/// which end with them.
pub(crate) fn contract(root: &Path) -> (Tally, Result<(), String>) {
    let mut calls = [
        Cargo::new(root, &format!("test {SELECTION} --no-fail-fast --lib -- kafka:: dynamodb::")),
        Cargo::new(root, &format!("test {SELECTION} --no-fail-fast --test real_ports")),
    ];
    let mut running = Vec::new();
    let started = servers::all(root, "test").and_then(|servers| {
        for server in servers {
            println!("starting {}, log in {}", server.name, server.log().display());
            running.push(Running::start(&server)?);
            calls = calls.clone().map(|call| call.var(server.variable, server.address.clone()));
        }
        Ok(())
    });
    if let Err(problem) = started {
        println!("{problem}");
        return (Tally::default(), Err(problem));
    }
    let mut tally = Tally::default();
    let mut result = Ok(());
    for call in calls {
        println!("{}", call.shown());
        let (counted, ended) = call.run();
        tally.add(counted);
        result = result.and(ended);
    }
    (tally, result)
}

/// Clippy over what the default features leave out, with the binary as an operator builds it: without what
/// only the test of a region on real servers needs.
pub(crate) fn clippy(root: &Path) -> Cargo {
    let packages = "--package sterna-log --package sterna-storage --package sterna";
    let features = "sterna-log/kafka,sterna-storage/dynamodb,sterna/kafka,sterna/dynamodb,sterna/mimalloc";
    Cargo::new(root, &format!("clippy --all-targets {packages} --features {features} -- -D warnings"))
}

/// Servers that were left running: one line each, `name pid variable address`.
struct Kept {
    file: PathBuf,
}

struct Line {
    name: String,
    pid: u32,
    export: String,
}

impl Kept {
    fn up(&self, root: &Path) -> Result<(), String> {
        if self.lines().iter().any(Line::alive) {
            println!("already running:");
            return self.status();
        }
        let mut lines = String::new();
        for server in servers::all(root, "up")? {
            let pid = server.start_detached().inspect_err(|_| {
                // What was started before it is in the file, and ends with it.
                let _ = self.down();
            })?;
            let Server { name, variable, address, .. } = &server;
            lines.push_str(&format!("{name} {pid} {variable} {address}\n"));
            fs::write(&self.file, &lines)
                .map_err(|error| format!("cannot write {}: {error}", self.file.display()))?;
        }
        self.status()
    }

    fn down(&self) -> Result<(), String> {
        for line in self.lines() {
            if line.alive() {
                server::end(line.pid)?;
                println!("{} stopped", line.name);
            } else {
                println!("{} was not running", line.name);
            }
        }
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("cannot remove {}: {error}", self.file.display()))
            }
            _ => Ok(()),
        }
    }

    fn status(&self) -> Result<(), String> {
        let lines = self.lines();
        if lines.is_empty() {
            println!("nothing is running; `cargo xtask stack up` starts it");
        }
        for line in lines {
            match line.alive() {
                true => println!("export {}   # {}, process {}", line.export, line.name, line.pid),
                false => println!("# {} has ended; its log is in {FOLDER}/up", line.name),
            }
        }
        Ok(())
    }

    fn lines(&self) -> Vec<Line> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter_map(Line::parse).collect()
    }
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let mut words = line.split(' ');
        let (name, pid) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(Line { name, pid, export: format!("{}={}", words.next()?, words.next()?) })
    }

    /// Whether the process is there and is one of ours: numbers are given again.
    fn alive(&self) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(FOLDER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_line_is_read_and_a_foreign_process_is_not_ours() {
        let own = std::process::id();
        let line = Line::parse(&format!("kafka {own} STERNA_KAFKA 127.0.0.1:9")).unwrap();
        assert_eq!((line.name.as_str(), line.pid), ("kafka", own));
        assert_eq!(line.export, "STERNA_KAFKA=127.0.0.1:9");
        assert!(!line.alive(), "this test is no server of the stack");
        assert!(Line::parse("kafka").is_none() && Line::parse("").is_none());
    }
}
