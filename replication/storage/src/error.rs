//! Why an operation on a store did not succeed: the variants are what the caller can do differently.

use std::sync::Arc;

/// The backend's own error, kept for the log.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was applied; the same call may succeed after a backoff with jitter.
    #[error("throttled")]
    Throttled,
    /// Nothing was applied; the store cannot be reached or refuses to write.
    #[error("unavailable")]
    Unavailable(#[source] Source),
    /// It may have been applied, may be applied later (seconds), or never: read before anything that depends
    /// on it.
    #[error("outcome unknown")]
    Unknown(#[source] Source),
    /// Nothing was applied; the request breaks a limit and always will.
    #[error("{what}: the limit is {limit}")]
    Limit {
        /// Which limit, as words.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
    /// What is stored is not what this code writes.
    #[error("stored item is malformed: {0}")]
    Corrupt(&'static str),
}

/// A cause that is described by a constant, for backends without errors of their own.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(pub(crate) &'static str);

impl Error {
    pub(crate) fn unavailable(why: &'static str) -> Self {
        Self::Unavailable(Arc::new(Cause(why)))
    }

    pub(crate) fn unknown(why: &'static str) -> Self {
        Self::Unknown(Arc::new(Cause(why)))
    }
}
