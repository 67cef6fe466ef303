//! The client protocol v1: the frames that gateways and clients share, in both encodings (docs/protocol.md).
//!
//! Bytes in, typed frames out, and back; no socket, no async, no clock. Reading order: [`frame`] (what is
//! said),
//! [`encoding`] (how it is chosen and the two ways it is written: [`json`], [`protobuf`]), [`payload`] (what
//! an event carries), [`error`] and [`close`] (what went wrong and what follows), [`rest`] (bodies of REST
//! requests), [`limits`].
//!
//! Whichever way a frame comes, it becomes a message of the schema (`wire`) and is checked once (`check`), so
//! that both encodings accept the same. Neither WebSocket framing nor the rules of a session are here.

pub mod close;
pub mod encoding;
pub mod error;
pub mod frame;
pub mod json;
pub mod limits;
pub mod payload;
pub mod protobuf;
pub mod rest;

mod check;
mod wire;

#[cfg(test)]
mod tests;

pub use encoding::Encoding;
pub use error::{ErrorCode, Problem, Rejection};
pub use frame::{ClientFrame, EventRef, ServerFrame};
pub use limits::Limits;
pub use payload::Payload;
