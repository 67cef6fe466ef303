//! The log: partitioned, ordered, durable topics that regions mirror from each other.
//!
//! [`Log`] and [`Consumer`] are the port; their docs are the contract, in numbered sentences, and
//! `contract` is the suite that every backend passes. [`MemoryLog`] is one region's cluster in memory, with
//! the traps of a real one (holes between offsets, unknown outcomes, sessions that end, prefetched records of
//! a former owner); `kafka`, behind a feature of that name, is a real one; [`Mirror`] copies topics to
//! another region as MirrorMaker 2 does; [`FaultyLog`] makes calls of any backend go wrong.
//!
//! This crate moves bytes and decides nothing about them: the encoding of records is the `proto` crate's.
//!
//! Reading order: [`record`], [`log`], [`error`], [`memory`], [`faulty`], `contract`.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod error;
pub mod faulty;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
pub mod memory;
pub mod record;
mod seed;

pub use error::Error;
pub use faulty::{Faults, FaultyLog};
pub use log::{Batch, Consumer, Description, Extent, Identity, Log, Page, Polled};
pub use memory::{Config, MemoryLog, Mirror, MirrorConfig};
pub use record::{Entry, Group, Header, Headers, Offset, Record, Topic};
