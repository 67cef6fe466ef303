//! The pure core: what a replicated stream is and every rule that decides about one.
//!
//! No I/O, no async, no clock, no randomness: functions of their arguments, so that property tests, the
//! simulation and production run the same code. Reading order: [`ids`], [`hlc`], [`cursor`], [`segment`],
//! [`digest`], [`order`], [`policy`], [`refusal`], [`limits`], then [`sequencer`].
//!
//! It does not encode anything for storage or wire: that is the `proto` crate's, with total conversions both
//! ways.

pub mod access;
pub mod clock_watch;
mod counted;
pub mod created;
pub mod cursor;
pub mod digest;
pub mod fixed;
pub mod hlc;
pub mod hole;
pub mod ids;
pub mod invariants;
pub mod kind;
pub mod limits;
pub mod map;
pub mod member;
pub mod mutant;
pub mod order;
pub mod partition;
pub mod policy;
pub mod refusal;
pub mod segment;
pub mod sequencer;
pub mod watermark;

pub use cursor::Cursor;
pub use digest::{ContentHash, Prefix};
pub use hlc::Hlc;
pub use ids::{EventId, Origin, Region, StreamId, UserId};
pub use policy::Policy;
pub use refusal::{Reason, Refusal, Retry};
pub use segment::{LogPos, Position, Segment};
