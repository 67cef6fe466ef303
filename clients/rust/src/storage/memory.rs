//! A storage that lives as long as its owner: for devices without a disk, for tests and the simulation.
//!
//! Clones share what is stored, so that a client can "crash" and another go on from what it left.

use std::sync::{Arc, Mutex, PoisonError};

use sterna_protocol::frame::Device;

use super::{Change, Error, Snapshot, Storage};

/// Remembers in memory.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    stored: Arc<Mutex<Snapshot>>,
    events_max: usize,
}

impl MemoryStorage {
    /// Events that are kept per stream unless told otherwise.
    pub const EVENTS: usize = 1_000;

    /// An empty storage of a new device.
    pub fn new(device: Device) -> Self {
        Self { stored: Arc::new(Mutex::new(Snapshot::new(device))), events_max: Self::EVENTS }
    }

    /// The same, keeping at most `events_max` events per stream.
    #[must_use]
    pub fn keeping(mut self, events_max: usize) -> Self {
        self.events_max = events_max;
        self
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> Result<Snapshot, Error> {
        Ok(self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            stored.apply(change, self.events_max);
        }
        Ok(())
    }
}
