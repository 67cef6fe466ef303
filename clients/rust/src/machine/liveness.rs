//! Whether the other side is there (P18, P19).
//!
//! Any frame is life. By the monotonic clock, silence beyond the ping interval and 5 s ends the socket. After
//! a sleep that clock may have stood still: if the wall clock says that more has passed, the socket is in
//! doubt, is asked with a `ping`, and has 3 s to answer.

use super::Now;
use crate::config::{PING_LATE_MS, PROBE_MS};

/// When a socket was last heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Liveness {
    heard: Now,
    interval_ms: u64,
    /// Until when an answer is awaited.
    probe_ms: Option<u64>,
}

/// What to make of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Alive, as far as known.
    Alive,
    /// In doubt just now: ask it.
    Ask,
    /// Asked, and it may still answer.
    Asked,
    /// Dead.
    Silent,
}

impl Liveness {
    pub(super) fn new(now: Now, interval_ms: u32) -> Self {
        Self { heard: now, interval_ms: u64::from(interval_ms), probe_ms: None }
    }

    /// The server pings so often.
    pub(super) fn agree(&mut self, interval_ms: u32) {
        self.interval_ms = u64::from(interval_ms);
    }

    /// Something was heard.
    pub(super) fn heard(&mut self, now: Now) {
        (self.heard, self.probe_ms) = (now, None);
    }

    /// Looks at both clocks; [`Verdict::Ask`] is said once per doubt.
    pub(super) fn check(&mut self, now: Now) -> Verdict {
        let limit = self.interval_ms + PING_LATE_MS;
        if let Some(until) = self.probe_ms {
            return if now.mono_ms >= until { Verdict::Silent } else { Verdict::Asked };
        }
        if now.mono_ms.saturating_sub(self.heard.mono_ms) >= limit {
            return Verdict::Silent;
        }
        if now.wall_ms.saturating_sub(self.heard.wall_ms) >= limit {
            self.probe_ms = Some(now.mono_ms + PROBE_MS);
            return Verdict::Ask;
        }
        Verdict::Alive
    }

    /// Whether an answer is awaited: nothing is sent meanwhile that would be lost.
    pub(super) fn in_doubt(&self) -> bool {
        self.probe_ms.is_some()
    }

    /// When to look again, monotonic.
    pub(super) fn deadline(&self) -> u64 {
        self.probe_ms.unwrap_or(self.heard.mono_ms + self.interval_ms + PING_LATE_MS)
    }
}
