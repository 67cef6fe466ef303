//! How far the logs of owned partitions are consumed and covered, for whoever watches the role.

use std::sync::{Mutex, PoisonError};

use sterna_stream::map::Map;

/// A position in a log, as of the last second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: u16,
    /// What it is a position of.
    pub of: Of,
    /// The number of the record (E21), within its term.
    pub n: u64,
}

/// Of what a [`Position`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// The newest record of the own log that was consumed.
    Own,
    /// The furthest that any other region has the own log.
    Covered,
    /// This region's watermark of another's log, by its origin.
    Peer(String),
}

/// The positions of all owned partitions.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<Map<u16, Vec<Position>>>);

impl Positions {
    /// What holds of a partition from now on.
    pub(crate) fn are(&self, partition: u16, positions: Vec<Position>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, positions);
    }

    /// Nothing is known of a partition that is not owned any more.
    pub(crate) fn forget(&self, partition: u16) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    }

    /// All of them, in the order of partitions.
    pub(crate) fn all(&self) -> Vec<Position> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Position> = kept.values().flatten().cloned().collect();
        all.sort_by_key(|position| position.partition);
        all
    }
}
