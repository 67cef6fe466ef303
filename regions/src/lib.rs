//! Which regions there are, who watches over whom, how to reach them, and how far apart they are.
//!
//! Reading order: [`topology`] (one file, read once and validated whole), [`round_trips`] (measured distances
//! and what is nearest). Pure data: no I/O, no clock; nobody else parses the file.

pub mod round_trips;
pub mod topology;

pub use round_trips::RoundTrips;
pub use topology::{Endpoints, Invalid, RegionPlan, Topology};
