//! The contract suites: one per port, the same for every backend, real or in memory.
//!
//! Each suite is a list of numbered sentences, those of the port's documentation. A suite runs all of them
//! and panics with the list of those that do not hold. Sentences work under paused and real time, on any
//! runtime flavour, and keep to names that begin with the `space` they are given, so that a shared backend
//! need not be empty.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;

mod blobs;
mod sessions;
mod table;
mod tails;

pub use blobs::blobs;
pub use sessions::sessions;
pub use table::table;
pub use tails::tails;

/// What keeps a sentence from holding.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Holds = Result<(), Broken>;

/// A sentence's id and the attempt to refute it.
pub(crate) type Sentence<T> = (&'static str, fn(T) -> BoxFuture<'static, Holds>);

/// Ends a sentence unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!("line {}: {}", line!(), format_args!($($what)+)).into());
        }
    };
}
pub(crate) use holds;

async fn run<T: Clone>(port: &str, sentences: &[Sentence<T>], subject: T) {
    let mut broken = Vec::new();
    for (id, sentence) in sentences {
        match AssertUnwindSafe(sentence(subject.clone())).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => broken.push(format!("{id}: {why}")),
            Err(_) => broken.push(format!("{id}: panicked")),
        }
    }
    assert!(broken.is_empty(), "the contract of {port} is broken:\n{}", broken.join("\n"));
}

#[cfg(test)]
mod tests;
