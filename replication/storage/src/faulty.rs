//! Decorators that break a store on purpose: what the simulation injects into tables, tails and sessions.
//!
//! One [`Faults`] is the seeded will of one store; the decorators ask it before each call. They never make a
//! store break its contract: each fault is an error that the port names, and an `Unknown` may have been
//! applied, may be applied seconds later, or never.

mod faults;
mod sessions;
mod table;
mod tails;

pub use faults::{Chances, Fault, Faults, LATE_MAX, SCRIPT_MAX, Taken};
pub use sessions::FaultySessions;
pub use table::FaultyTable;
pub use tails::FaultyTails;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
