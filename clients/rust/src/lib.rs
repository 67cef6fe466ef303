//! A client of the protocol of docs/protocol.md, for Rust applications, the simulation and the load test.
//!
//! Reading order: [`machine`] (every rule, without I/O), [`storage`] (what a device remembers), [`transport`]
//! (frames over a WebSocket over any byte stream), [`driver`] (the machine run over both), [`Client`],
//! [`config`] (every bound).
//!
//! It has no server in its tree and starts no task of its own: the driver is a future that the caller owns.

pub mod config;
pub mod driver;
pub mod machine;
pub mod storage;
pub mod transport;

mod handle;

pub use config::{Config, KeepUntil, Mine};
pub use driver::{Parts, start};
pub use handle::{Client, Ended, Events, PublishError, Published};
pub use machine::{Draft, Notice, Outcome, State, Wish};
