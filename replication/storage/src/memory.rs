//! The backends of demo, tests and simulation: a product mode, held to the same suites as the real ones.
//!
//! [`MemoryTable`]s of several regions are joined by a [`Replication`] with the semantics of global tables;
//! [`MemoryTails`] and [`MemorySessions`] can be wiped and can lose their last writes, as Redis may.
//! Values are shared, never copied. Nothing here spawns: replication is a future that the caller runs.

mod blobs;
mod replication;
mod rows;
mod sessions;
mod table;
mod tails;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use blobs::MemoryBlobs;
pub use replication::{Delay, IN_FLIGHT_MAX, Replication};
pub use sessions::MemorySessions;
pub use table::MemoryTable;
pub use tails::MemoryTails;

/// Most recent writes that a memory Redis can be told to lose.
pub const LOSABLE_WRITES: usize = 4_096;

// Every section under these locks leaves its data whole, so a panic elsewhere does not spoil them.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
