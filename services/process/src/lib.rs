//! What every role instance stands on: an owner for its tasks, links to other roles, two clocks, seeded
//! randomness.
//!
//! Placement-neutral: a role is written against [`Process`] and [`Link`] and runs the same on a shard's own
//! thread, on a runtime of its own, in another OS process, and under simulation (one
//! `tokio::runtime::LocalRuntime`, paused time, memory pipes), where one seed gives one run.
//!
//! Reading order: [`Process`] (what a role instance is made of) · `gate` (kill, pause, crash at any await) ·
//! [`Link`] and [`serve`] (the two ends of a call) · `deadline`, `caller` (what rides on every call) ·
//! [`Drain`] (ending in good order) · [`Thread`] · [`Clock`], [`Seeded`] · [`Way`] (for suites).
//!
//! It guarantees (docs/engine.md, E33–E35):
//! - after [`Process::kill`] returns, no poll of that role's tasks, handlers, bodies or connections begins,
//!   and its callers get `unavailable`; an effect that an earlier poll already handed to somebody else (a put
//!   underway) may still happen;
//! - a paused role answers nothing and loses nothing; its callers' own deadlines still end their waiting;
//! - a call behaves the same by function call, by memory pipe and by TCP: same answers, same codes, same
//!   deadlines;
//! - the same seed, clock and links give the same order of polls on a paused current-thread runtime.
//!
//! It does not: retry, balance load, restart what died, encrypt, or bound a call that carries no deadline.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod caller;
mod clock;
mod deadline;
mod drain;
mod gate;
mod health;
mod link;
mod process;
mod seeded;
mod serve;
mod thread;
mod ways;

pub use caller::{Caller, CallerError, CallerKeys, require_caller};
pub use clock::{Clock, ManualClock, SystemClock};
pub use deadline::Deadline;
pub use drain::Drain;
pub use health::{DescriptorError, Health, with_health};
pub use link::{CONNECTION_WINDOW, Dial, Io, Link, LinkSwitch, Pipe, PipeListener, STREAM_WINDOW, Slot};
pub use process::{Drained, End, Exit, Process, State};
pub use seeded::Seeded;
pub use serve::{CONNECTIONS_MAX, Incoming, STREAMS_PER_CONNECTION_MAX, serve};
pub use thread::rounds::{ROUND, ROUNDS_AT_ONCE};
pub use thread::{Thread, paused, runtime};
pub use ways::Way;
