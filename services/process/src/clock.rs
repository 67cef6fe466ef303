//! The wall clock seam: what time people and stamps would say it is.
//!
//! Rule E35 keeps two clocks apart. Wall time is for stamps, ids and expiry and comes from a [`Clock`]; it
//! may jump and may be wrong. Monotonic time (waits, deadlines, ages) is tokio's and never comes from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::time::Instant;

/// A source of wall time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, as this instance believes. May step backwards.
    fn wall_ms(&self) -> u64;
    /// Whether it is known to be wrong: other regions' clocks contradict it by too much (E14).
    fn is_apart(&self) -> bool;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the product reads the machine's wall clock"
    )]
    fn wall_ms(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since_epoch.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn is_apart(&self) -> bool {
        false
    }
}

/// A clock for tests and simulation: a base, plus tokio's elapsed time, plus a skew that can be changed at
/// any moment.
///
/// It stands still and jumps with tokio's paused time. Clones share one skew; [`ManualClock::beside`] gives a
/// clock of the same timeline with a skew of its own.
#[derive(Clone, Debug)]
pub struct ManualClock {
    base_ms: u64,
    started: Instant,
    skew_ms: Arc<AtomicI64>,
    apart: Arc<AtomicBool>,
}

impl ManualClock {
    /// A clock that shows `base_ms` now.
    pub fn new(base_ms: u64) -> ManualClock {
        ManualClock { base_ms, started: Instant::now(), skew_ms: Arc::default(), apart: Arc::default() }
    }

    /// Another clock of the same timeline with no skew yet: the clock of another region or device.
    pub fn beside(&self) -> ManualClock {
        ManualClock { skew_ms: Arc::default(), apart: Arc::default(), ..self.clone() }
    }

    /// Makes the clock wrong by `skew_ms` from now on; 0 makes it right again.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Release);
    }

    /// Steps the clock by `by_ms`, on top of the skew it has.
    pub fn step_ms(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::AcqRel);
    }

    /// Says that the clock is known to be wrong, or is not.
    pub fn set_apart(&self, apart: bool) {
        self.apart.store(apart, Ordering::Release);
    }

    /// How wrong the clock is, in milliseconds.
    pub fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Acquire)
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base_ms.saturating_add(elapsed_ms).saturating_add_signed(self.skew_ms())
    }

    fn is_apart(&self) -> bool {
        self.apart.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// E35: the two clocks are apart: skew moves the wall and leaves tokio's time alone.
    #[tokio::test(start_paused = true)]
    async fn manual_clock_follows_paused_time_and_its_skew() {
        let clock = ManualClock::new(1_000_000);
        let other = clock.beside();
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(clock.wall_ms(), 1_030_000);

        let before = Instant::now();
        clock.set_skew_ms(-300_000);
        assert_eq!(clock.wall_ms(), 730_000);
        clock.step_ms(3_600_000);
        assert_eq!(clock.clone().wall_ms(), 4_330_000);
        assert_eq!(other.wall_ms(), 1_030_000, "each region has its own skew");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn system_clock_is_in_this_century() {
        let ms = SystemClock.wall_ms();
        assert!((1_600_000_000_000..4_100_000_000_000).contains(&ms), "{ms}");
    }
}
