//! What is seen between roles and stores: who called, what came of it, and whether they should have been
//! able to.
//!
//! The witness stands outside the faults, so that it sees what a role is told and not what really happened.
//! It counts the rare paths from there, without asking the roles, and holds every caller to E34: who is dead
//! does not call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sterna_log::{Offset, Topic};
use sterna_process::{Process, State};
use sterna_stream::Origin;

use crate::paths::{Path, Paths};
use crate::trace::Trace;

mod commits;
mod consumer;
mod log;
mod table;

pub use commits::Commits;
pub use log::WitnessLog;
pub use table::WitnessTable;

/// The eye of one process. Clones are the same one.
#[derive(Clone)]
pub struct Witness {
    process: Process,
    trace: Trace,
    paths: Paths,
    seen: Arc<Mutex<Seen>>,
    commits: Commits,
}

/// What all witnesses of a run know together.
#[derive(Default)]
pub struct Seen {
    /// The first thing that a dead process did.
    pub undead: Option<String>,
    /// The first commit that passed what the region's table does not hold.
    pub hasty: Option<String>,
    /// Terms that sequencers opened.
    pub openings: u64,
    /// Per (group, partition): how often it was assigned.
    assigned: BTreeMap<(String, u16), u64>,
    /// Per partition: the highest ingress offset that was delivered to any sequencer.
    delivered: BTreeMap<u16, u64>,
}

impl Seen {
    /// The region's next life begins, with an ingress of its own.
    pub fn new_life(&mut self) {
        self.delivered.clear();
    }
}

impl Witness {
    /// The eye of `process`.
    pub fn new(
        process: &Process,
        (trace, paths): (&Trace, &Paths),
        (seen, commits): (&Arc<Mutex<Seen>>, &Commits),
    ) -> Self {
        let (trace, paths) = (trace.clone(), paths.clone());
        Self { process: process.clone(), trace, paths, seen: seen.clone(), commits: commits.clone() }
    }

    /// A call begins.
    fn calls(&self, verb: &str) {
        if self.process.state() == State::Dead {
            let name = self.process.name();
            let first = || format!("E34: {name} is dead and called {verb}");
            self.seen().undead.get_or_insert_with(first);
            self.line("runs after its death", format_args!("{verb}"));
        }
    }

    /// Whether `origin` is the region's that the process belongs to.
    fn is_home(&self, origin: &Origin) -> bool {
        self.process.name().split('/').next() == Some(origin.region().as_str())
    }

    /// State is about to commit: whatever that passes must be in the region's table (E20).
    async fn commits(&self, partition: u16, upto: &[(Topic, Offset)]) {
        if let Some(lacks) = self.commits.lacks(partition, upto).await {
            let first = || format!("E20: {} commits {lacks}", self.process.name());
            self.seen().hasty.get_or_insert_with(first);
            self.line("must not commit", format_args!("{lacks}"));
        }
    }

    fn line(&self, verb: &str, numbers: std::fmt::Arguments<'_>) {
        self.trace.line(self.process.name(), verb, numbers);
    }

    fn took(&self, path: Path) {
        self.paths.took(path);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
