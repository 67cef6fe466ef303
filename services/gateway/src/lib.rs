//! The gateway: the only thing clients touch.
//!
//! Reading order: [`seams`] (what a shard asks of others), [`shard`] (the handle), `contents` (what it
//! consists of, and how a slow session is cut off), `ring` and `session` (the two structures whose size and
//! layout the figures depend on), `tick` and `flush` (writing), `join` (following), [`reader`] (listening),
//! `beat` (time), [`wire`] (frames), [`limits`]. Then what is built on it: [`gateway`] (the service),
//! `conversation` (what a session says), [`held`] (what waits for a decision), `tenant` and `standing` (who
//! may do nothing any more), `floor` (what is hidden from a new member), [`second_ack`], [`mine`], [`stored`]
//! (cursors that devices stored), [`presence`], [`registered`] (the registry of sessions), [`leaving`]
//! (sending sessions elsewhere), [`outward`] (the other roles), [`encode`]; `rest` (requests without a
//! session); in front of it all [`edge`] (HTTP and the
//! upgrade).
//!
//! Events take one path: `Shard::push` → ring entry → tick → one vectored write per session. Nothing here
//! queues, copies or allocates per session and event.

mod beat;
mod contents;
mod conversation;
pub mod edge;
pub mod encode;
mod floor;
mod flush;
pub mod gateway;
pub mod held;
mod join;
pub mod leaving;
pub mod limits;
pub mod mine;
pub mod outward;
pub mod presence;
pub mod reader;
pub mod registered;
mod rest;
mod ring;
pub mod seams;
pub mod second_ack;
mod session;
pub mod shard;
mod standing;
pub mod stored;
mod tenant;
mod tick;
mod wheel;
pub mod wire;

pub use crate::contents::Counters;
pub use session::{Ended, SessionId};
