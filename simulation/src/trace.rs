//! The trace: what happened, one line each, that a person can read and a hash can compare.
//!
//! A line is simulated milliseconds, actor, verb, numbers. Lines are kept to be printed when a run fails; the
//! hash covers all of them, also those beyond [`KEPT_LINES`].

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Lines kept for printing; later ones only count for the hash.
pub const KEPT_LINES: usize = 500_000;

/// A run's trace. Clones are the same one.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Lines>>);

struct Lines {
    started: Instant,
    hash: Sha256,
    kept: Vec<String>,
}

impl Trace {
    /// An empty trace that begins now.
    #[allow(clippy::new_without_default, reason = "it begins now, which a default would hide")]
    pub fn new() -> Self {
        let lines = Lines { started: Instant::now(), hash: Sha256::new(), kept: Vec::new() };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// Adds a line.
    pub fn line(&self, actor: &str, verb: &str, numbers: std::fmt::Arguments<'_>) {
        let mut lines = self.lock();
        let ms = lines.started.elapsed().as_millis();
        let mut line = String::with_capacity(96);
        // Writing into a string cannot fail.
        let _ = write!(line, "{:>4}.{:03} {actor} {verb} {numbers}", ms / 1_000, ms % 1_000);
        lines.hash.update(line.as_bytes());
        lines.hash.update(b"\n");
        if lines.kept.len() < KEPT_LINES {
            lines.kept.push(line);
        }
    }

    /// The hash of all lines so far, 16 hex digits.
    pub fn hash(&self) -> String {
        let digest = self.lock().hash.clone().finalize();
        digest.iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// The lines kept.
    pub fn lines(&self) -> Vec<String> {
        self.lock().kept.clone()
    }

    /// Simulated milliseconds since it began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.lock().started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
