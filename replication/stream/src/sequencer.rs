//! The sequencer: turns one ingress partition into segments, as a machine without I/O (E10 – E14, E21).
//!
//! [`Partition::handle`] takes one [`Input`] and appends [`Action`]s; a driver carries them out and hands the
//! answers back, in any order between streams. A takeover makes a new machine: [`takeover::open`] judges what
//! was found, then [`Partition::new`]. Answers to an older machine's actions are never handed to a newer one.
//!
//! It guarantees, whatever the driver's stores do late, twice or not at all: segments of a stream tile 1 … n,
//! stamps rise, each record becomes one event or is a proven duplicate, all that is in the table reaches the
//! log in seq order, and no commit passes a record whose segment the log has not acknowledged.
//!
//! The invariant that carries it: **every writer takes a stream's records in offset order and skips none**,
//! so a segment that says `from.offset = p` proves that each of the stream's records up to p is an event of
//! the chain or a proven duplicate of one. That is why anybody's segment can be adopted (E12) and a replay
//! settled by it (E10).
//!
//! It does not decode bodies (a [`Peek`] does), read clocks, retry reads, or pace puts: those are the
//! driver's. Seals (E22, E25) will enter as one more input at an ingress marker; nothing here has to stop for
//! them.
//!
//! Reading order: `exchange` (what goes in and out), [`takeover`], `partition`, `streams` (where they are
//! found), `stream`, then `window` (duplicates), `tickets` (commit), `journal` (the log's numbers), `hot` (a
//! stream that stands alone), [`invariants`].

mod exchange;
mod hot;
pub mod invariants;
mod journal;
mod partition;
mod stream;
mod streams;
pub mod takeover;
mod tickets;
mod window;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use exchange::{Action, Counters, Input, Known, Limits, Peek, PutAnswer, Record, What, Why};
pub use partition::Partition;
pub use takeover::{Checkpoint, Logged, Opening, Place, Placed};
