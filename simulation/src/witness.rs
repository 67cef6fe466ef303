//! What is seen between roles and stores: who called, what came of it, and whether they should have been
//! able to.
//!
//! The witness stands outside the faults, so that it sees what a role is told and not what really happened.
//! It counts the rare paths from there, without asking the roles, and holds every caller to E34: who is dead
//! does not call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sterna_process::{Process, State};
use sterna_stream::Origin;

use crate::paths::{Path, Paths};
use crate::trace::Trace;

mod consumer;
mod log;
mod table;

pub use log::WitnessLog;
pub use table::WitnessTable;

/// The eye of one process. Clones are the same one.
#[derive(Clone)]
pub struct Witness {
    process: Process,
    trace: Trace,
    paths: Paths,
    seen: Arc<Mutex<Seen>>,
}

/// What all witnesses of a run know together.
#[derive(Default)]
pub struct Seen {
    /// The first thing that a dead process did.
    pub undead: Option<String>,
    /// Per (group, partition): how often it was assigned.
    assigned: BTreeMap<(String, u16), u64>,
    /// Per partition: the highest ingress offset that was delivered to any sequencer.
    delivered: BTreeMap<u16, u64>,
}

impl Witness {
    /// The eye of `process`.
    pub fn new(process: &Process, trace: &Trace, paths: &Paths, seen: &Arc<Mutex<Seen>>) -> Self {
        let (trace, paths, seen) = (trace.clone(), paths.clone(), seen.clone());
        Self { process: process.clone(), trace, paths, seen }
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
