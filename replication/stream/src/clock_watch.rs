//! The clamped wall: the one wall time of a region that stamps, ids' ages and `welcome` use (E14).
//!
//! Every mark carries its writer's own wall and, per peer, an echo: "your mark that said `mark_ms` reached me
//! when my wall said `received_ms`". Say I wrote that mark at my monotonic `t0` and receive the answer,
//! written at the peer's `wall_ms`, at my monotonic `t1`. The peer's wall read `received_ms` *after* `t0` and
//! `wall_ms` *before* `t1`, so its offset (its wall minus my monotonic clock) lies in `[wall_ms - t1,
//! received_ms - t0]`. Delay only widens that: a late or replayed mark proves less, it never looks like a
//! wrong clock. Without an echo only the lower bound holds. Ranges of one peer are intersected, widen with
//! age by the drift two clocks may have, and so run on from the last proven offset when marks stop.
//!
//! The region itself is one voice among the peers: its own clock, or, once peers have agreed with it, the
//! offset that was agreed, run on by the monotonic clock (so its own step is noticed even where there is one
//! peer). The wall is clamped between the middle lower bound and the middle upper bound of all voices: more
//! than half of them overrule a clock, fewer never do. Pure: both clocks are passed in; whether the region
//! leaves `serving` is its own decision.

use std::collections::BTreeMap;

use crate::hlc::Hlc;
use crate::ids::Region;
use crate::limits;

#[cfg(test)]
mod tests;

/// Both clocks of this region at one instant, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The own wall clock, since the Unix epoch, as it stands: it may be wrong and may step.
    pub wall_ms: u64,
    /// The monotonic clock, since anything.
    pub mono_ms: u64,
}

/// What a peer's mark says about clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The peer's own wall when it wrote the mark.
    pub wall_ms: u64,
    /// Which of our marks it had, if any.
    pub echo: Option<Echo>,
}

/// "I have your mark of this wall time."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The wall time in our mark.
    pub mark_ms: u64,
    /// The peer's own wall when it arrived there.
    pub received_ms: u64,
}

/// What this region may claim about its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No peer has ever agreed closely enough to prove anything: the wall stands as it is.
    #[default]
    Unproven,
    /// The own clock is within half the bound of what peers prove.
    Proven,
    /// Alarm: the own clock is this far outside of what peers prove, which is more than half the bound.
    Apart {
        /// Positive: the own clock is ahead. Milliseconds.
        ahead_ms: i64,
    },
}

/// Between which offsets to the monotonic clock the wall may be; by default anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    low: i64,
    high: i64,
}

/// What the marks of all peers prove about this region's clock.
#[derive(Clone, Debug)]
pub struct ClockWatch {
    bound_ms: u64,
    peers: BTreeMap<Region, Proof>,
    /// The own offset when peers last agreed with it.
    agreed: Option<Proof>,
    /// Own marks: their wall time and the earliest monotonic time at which one with it was written.
    sent: BTreeMap<u64, u64>,
}

/// A clock's offset, its wall minus our monotonic clock: between `low` and `high` at `at_ms`, drifting since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proof {
    low: i64,
    high: i64,
    at_ms: u64,
    /// When our mark was written that the newest echo in it answers; evidence with a later one is newer.
    asked_ms: Option<u64>,
}

/// Before every offset and after every offset: bounds that say nothing.
const LOWEST: i64 = i64::MIN / 4;
const HIGHEST: i64 = i64::MAX / 4;

impl Default for Bounds {
    fn default() -> Self {
        Self { low: LOWEST, high: HIGHEST }
    }
}

/// The own wall, clamped. Unix milliseconds.
pub fn clamped(now: Now, Bounds { low, high }: Bounds) -> u64 {
    let clamped = offset(now.wall_ms, now.mono_ms).clamp(low, high);
    u64::try_from(clamped + i64::try_from(now.mono_ms).unwrap_or(HIGHEST)).unwrap_or(0)
}

impl ClockWatch {
    /// A watch that has heard nobody; `bound_ms` is how far a stamp may lead the clamped wall.
    pub fn new(bound_ms: u64) -> Self {
        Self { bound_ms, peers: BTreeMap::new(), agreed: None, sent: BTreeMap::new() }
    }

    /// Notes that this region wrote a mark that carries `now.wall_ms`. Must precede the writing.
    pub fn sent(&mut self, now: Now) {
        let earliest = self.sent.entry(now.wall_ms).or_insert(now.mono_ms);
        *earliest = now.mono_ms.min(*earliest);
        while self.sent.len() > limits::SENT_MARKS {
            // The one written first, not the one with the lowest wall: after a step back these differ.
            let oldest = self.sent.iter().min_by_key(|(_, mono_ms)| **mono_ms).map(|(wall_ms, _)| *wall_ms);
            oldest.map(|wall_ms| self.sent.remove(&wall_ms));
        }
    }

    /// Takes in a mark of `peer` that arrived at `now`: any mark, in any order, any number of times.
    pub fn heard(&mut self, peer: &Region, mark: Heard, now: Now) {
        let asked_ms = mark.echo.and_then(|echo| self.sent.get(&echo.mark_ms).copied());
        let high = match (mark.echo, asked_ms) {
            (Some(echo), Some(t0)) => offset(echo.received_ms, t0),
            _ => HIGHEST,
        };
        let fresh = Proof { low: offset(mark.wall_ms, now.mono_ms), high, at_ms: now.mono_ms, asked_ms };
        if fresh.low > fresh.high {
            return; // the peer's clock stepped between our mark's arrival and its own: proves nothing
        }
        let proof = match self.peers.get(peer) {
            Some(known) => known.aged(now).joined(fresh),
            None => fresh,
        };
        self.peers.insert(peer.clone(), proof);
        self.agree(now);
    }

    /// The clamped wall, Unix milliseconds.
    pub fn wall_ms(&self, now: Now) -> u64 {
        clamped(now, self.bounds(now))
    }

    /// What the wall is clamped into, for whoever reads it more often than marks come.
    pub fn bounds(&self, now: Now) -> Bounds {
        let (low, high) = if self.peers.is_empty() { (LOWEST, HIGHEST) } else { self.voices(now) };
        Bounds { low, high }
    }

    /// What the region may claim about its own clock at `now`.
    pub fn standing(&self, now: Now) -> Standing {
        let Some((peers_low, peers_high)) = middle(self.peers.values().map(|proof| proof.aged(now))) else {
            return Standing::Unproven;
        };
        // Who was in agreement once is judged with that voice, so that a lone peer's step is the peer's
        // alarm.
        let (low, high) = if self.agreed.is_some() { self.voices(now) } else { (peers_low, peers_high) };
        let ahead_ms = outside(offset(now.wall_ms, now.mono_ms), low, high);
        if ahead_ms.unsigned_abs() > self.bound_ms / 2 {
            return Standing::Apart { ahead_ms };
        }
        if self.agreed.is_some() { Standing::Proven } else { Standing::Unproven }
    }

    // === helpers ===

    /// Remembers the clamped offset while a peer that is bounded closely agrees with it.
    fn agree(&mut self, now: Now) {
        let Bounds { low, high } = self.bounds(now);
        let clamped = offset(now.wall_ms, now.mono_ms).clamp(low, high);
        let agrees = |proof: Proof| {
            let close = proof.high.abs_diff(proof.low) <= self.bound_ms;
            close && outside(clamped, proof.low, proof.high).unsigned_abs() <= self.bound_ms / 2
        };
        if self.peers.values().any(|proof| agrees(proof.aged(now))) {
            self.agreed = Some(Proof { low: clamped, high: clamped, at_ms: now.mono_ms, asked_ms: None });
        }
    }

    /// The middle bounds of all voices, the own one included.
    fn voices(&self, now: Now) -> (i64, i64) {
        let standing = offset(now.wall_ms, now.mono_ms);
        let standing = Proof { low: standing, high: standing, at_ms: now.mono_ms, asked_ms: None };
        let own = self.agreed.map_or(standing, |agreed| agreed.aged(now));
        let voices = self.peers.values().map(|proof| proof.aged(now)).chain([own]);
        middle(voices).unwrap_or((LOWEST, HIGHEST))
    }
}

impl Proof {
    /// The same, as wide as drift may have made it by `now`.
    fn aged(self, now: Now) -> Self {
        let age_ms = now.mono_ms.saturating_sub(self.at_ms);
        let drift = (age_ms.saturating_mul(limits::CLOCK_DRIFT_PPM) / 1_000_000).min(HIGHEST as u64) as i64;
        let low = (self.low - drift).max(LOWEST);
        let high = (self.high + drift).min(HIGHEST);
        Self { low, high, at_ms: self.at_ms.max(now.mono_ms), ..self }
    }

    /// What both prove; where they contradict each other the clock stepped, and the newer evidence counts.
    fn joined(self, other: Self) -> Self {
        let both = Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
            at_ms: self.at_ms.max(other.at_ms),
            asked_ms: self.asked_ms.max(other.asked_ms),
        };
        match both.low <= both.high {
            true => both,
            false if other.asked_ms > self.asked_ms => other,
            false => self,
        }
    }
}

/// The lower middle of the lower bounds and the upper middle of the upper bounds.
fn middle(voices: impl Iterator<Item = Proof>) -> Option<(i64, i64)> {
    let (mut lows, mut highs): (Vec<i64>, Vec<i64>) = voices.map(|proof| (proof.low, proof.high)).unzip();
    lows.sort_unstable();
    highs.sort_unstable();
    let last = lows.len().checked_sub(1)?;
    Some((lows[last / 2], highs[lows.len() / 2]))
}

/// How far `value` is above `high` (positive) or below `low` (negative).
fn outside(value: i64, low: i64, high: i64) -> i64 {
    value - value.clamp(low, high)
}

/// A wall time minus a monotonic one; hostile wall times are cut to what a stamp can hold.
fn offset(wall_ms: u64, mono_ms: u64) -> i64 {
    let wall_ms = Hlc::at(wall_ms).wall_ms() as i64;
    wall_ms.saturating_sub_unsigned(mono_ms).clamp(LOWEST, HIGHEST)
}
