//! How often a thread asks the system for news: the pure rule.
//!
//! A thread that wakes for each small packet alone pays, for each, the waking and code that went cold
//! meanwhile: four to six times what the same packet costs among others (loadtest/RESULTS.md). So rounds that
//! follow each other closely keep a distance, and what arrives meanwhile is handled together; network cards
//! moderate their interrupts in the same way. A thread with few rounds never waits, nor does one whose rounds
//! take longer than the distance because there is much to do.

use std::time::Duration;

use tokio::time::Instant;

/// Distance of rounds that follow each other closely: the most that this adds to an event on a thread.
pub const ROUND: Duration = Duration::from_micros(1_500);
/// Rounds that may follow each other at once after a pause: the hops of a handshake or of a short exchange.
pub const ROUNDS_AT_ONCE: u32 = 8;

/// The rounds of one thread.
pub(super) struct Rounds {
    /// When the round after the last one would begin if all kept their distance.
    due: Instant,
}

impl Rounds {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: saved(now) }
    }

    /// Another round is about to begin: how long it waits for company.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.due = self.due.max(saved(now)) + ROUND;
        self.due.saturating_duration_since(now).min(ROUND)
    }
}

/// The earliest that counts: a longer pause allows no more rounds at once.
fn saved(now: Instant) -> Instant {
    now.checked_sub(ROUND * ROUNDS_AT_ONCE).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for rounds `apart` for a second, each waiting as told: how many began, and the longest wait.
    fn second(apart: Duration) -> (u32, Duration) {
        let began = Instant::now();
        let mut rounds = Rounds::new(began);
        let (mut now, mut count, mut longest) = (began, 0, Duration::ZERO);
        while now < began + Duration::from_secs(1) {
            let wait = rounds.wait(now);
            longest = longest.max(wait);
            now += wait.max(apart);
            count += 1;
        }
        (count, longest)
    }

    #[test]
    fn rounds_that_follow_each_other_closely_keep_their_distance() {
        let (count, longest) = second(Duration::from_micros(100));
        let most = u32::try_from(Duration::from_secs(1).div_duration_f64(ROUND) as u64).unwrap();
        assert!((most..=most + ROUNDS_AT_ONCE + 1).contains(&count), "{count}");
        assert!(longest <= ROUND, "{longest:?}");
    }

    #[test]
    fn a_thread_with_few_rounds_or_long_ones_never_waits() {
        assert_eq!(second(ROUND), (667, Duration::ZERO));
        assert_eq!(second(ROUND * 10), (67, Duration::ZERO));
    }

    #[test]
    fn after_a_pause_some_rounds_follow_each_other_at_once() {
        let began = Instant::now();
        let mut rounds = Rounds::new(began);
        let now = began + Duration::from_secs(5);
        let waits: Vec<_> = (0..=ROUNDS_AT_ONCE).map(|_| rounds.wait(now)).collect();
        let (last, free) = waits.split_last().unwrap();
        assert!(free.iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(*last, ROUND);
    }
}
