//! A token bucket: so many a second on average, some seconds' worth at once.

use std::time::Duration;

use tokio::time::Instant;

/// Who has waited as told for so long is taken to have understood.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_s: u32,
    /// Most permits that may be taken at once.
    burst: u32,
    /// Thousandths of a permit.
    left: u64,
    filled: Option<Instant>,
    /// When a permit will be there, as the last refusal said.
    ready: Option<Instant>,
    /// First and last time that somebody did not wait for it.
    ignored: Option<(Instant, Instant)>,
}

/// No permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// After so long one will be there.
    pub(crate) wait: Duration,
    /// For so long it has been asked again and again before the time that it had said.
    pub(crate) ignored: Duration,
}

impl Rate {
    /// `per_s` a second, and `burst_s` seconds' worth at once.
    pub(crate) fn new(per_s: u32, burst_s: u32) -> Self {
        let burst = per_s * burst_s;
        Self { per_s, burst, left: u64::from(burst) * 1_000, filled: None, ready: None, ignored: None }
    }

    /// Takes one permit, or says after how long one will be there.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), TooFast> {
        let full = u64::from(self.burst) * 1_000;
        let passed = self.filled.map_or(0, |filled| (now - filled).as_millis());
        let gained = u64::try_from(passed).unwrap_or(u64::MAX).saturating_mul(u64::from(self.per_s));
        self.left = self.left.saturating_add(gained).min(full);
        self.filled = Some(now);
        if self.left >= 1_000 {
            self.left -= 1_000;
            return Ok(());
        }
        let wait = Duration::from_millis((1_000 - self.left).div_ceil(u64::from(self.per_s.max(1))));
        if self.ready.is_some_and(|ready| now < ready) {
            let goes_on = self.ignored.filter(|(_, last)| now < *last + PATIENCE);
            self.ignored = Some((goes_on.map_or(now, |(first, _)| first), now));
        } else {
            self.ignored = self.ignored.filter(|(_, last)| now < *last + PATIENCE);
        }
        self.ready = Some(now + wait);
        Err(TooFast { wait, ignored: self.ignored.map_or(Duration::ZERO, |(first, _)| now - first) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NONE: Duration = Duration::ZERO;

    fn wait(rate: &mut Rate, now: Instant) -> Option<Duration> {
        rate.take(now).err().map(|too_fast| too_fast.wait)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(20, 3);
        assert!((0..60).all(|_| rate.take(start).is_ok()), "a burst of 60");
        assert_eq!(wait(&mut rate, start), Some(50 * MS));
        let later = start + 100 * MS;
        assert!(rate.take(later).is_ok() && rate.take(later).is_ok());
        assert_eq!(wait(&mut rate, later), Some(50 * MS));
        let much_later = start + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| rate.take(much_later).is_ok()).count(), 60, "never more than a burst");
    }

    /// Rule 22: who waits as told ignores nothing; who does not is counted from the first time on, although
    /// one passes now and then.
    #[test]
    fn it_is_ignored_for_as_long_as_nobody_waits() {
        let start = Instant::now();
        let mut rate = Rate::new(1, 1);
        let mut ignored = |ms: u32| rate.take(start + ms * MS).err().map(|fast| fast.ignored);
        assert_eq!(ignored(0), None);
        assert_eq!([100, 1_000, 1_000].map(&mut ignored), [Some(NONE), None, Some(NONE)], "it waited");
        assert_eq!([1_100, 1_500].map(&mut ignored), [Some(NONE), Some(400 * MS)]);
        assert_eq!([2_000, 2_400].map(&mut ignored), [None, Some(1_300 * MS)]);
        assert_eq!([4_500, 4_500, 4_600].map(&mut ignored), [None, Some(NONE), Some(NONE)], "it waited");
    }
}
