//! Hybrid logical clock stamps: 48 bits of milliseconds, 16 bits of counter (E14).
//!
//! A stamp never goes back and never overflows: the counter carries into the milliseconds and the top
//! saturates. Which wall time may be believed is [`crate::clock_watch`]'s decision, not this file's.

use std::fmt;
use std::str::FromStr;

use crate::ids::Invalid;

#[cfg(test)]
mod tests;

/// A stamp; greater means later. Text form: 16 lower-case hex digits, which sort as the numbers do.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Before every stamp that is ever given.
    pub const ZERO: Self = Self(0);

    /// The first stamp of a wall millisecond; beyond 48 bits it saturates.
    pub fn at(wall_ms: u64) -> Self {
        Self(wall_ms.min((1 << 48) - 1) << 16)
    }

    /// Its milliseconds since the Unix epoch.
    pub fn wall_ms(self) -> u64 {
        self.0 >> 16
    }

    /// The stamp right after this one; the last one is its own successor.
    #[must_use]
    pub fn successor(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The next stamp of a stream: `max(wall, seen + 1, last + 1)`.
    ///
    /// `last` is the stream's newest stamp of this origin, `seen` the newest of any origin its author was
    /// shown.
    #[must_use]
    pub fn next(last: Self, seen: Self, wall_ms: u64) -> Self {
        Self::at(wall_ms).max(seen.successor()).max(last.successor())
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.0 & 0xffff)
    }
}

impl FromStr for Hlc {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let lower_hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = lower_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or(Invalid::Form("16 lower-case hex digits"))
    }
}
