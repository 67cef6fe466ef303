//! How many handshakes are taken: so many a second on average, three seconds' worth at once.

use tokio::time::{Duration, Instant};

/// Seconds' worth that may come at once.
const BURST_S: u32 = 3;

/// The handshakes that may still be taken now.
#[derive(Debug)]
pub(super) struct Handshakes {
    /// Between two of them, once the burst is over.
    apart: Duration,
    /// When the burst is whole again.
    whole: Instant,
}

impl Handshakes {
    pub(super) fn new(per_s: u32, now: Instant) -> Self {
        Self { apart: Duration::from_secs(1) / per_s.max(1), whole: now }
    }

    /// Takes one, or says after how long one may be taken.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let whole = self.whole.max(now) + self.apart;
        let most = now + Duration::from_secs(u64::from(BURST_S)).max(self.apart);
        if whole > most {
            return Err(whole - most);
        }
        self.whole = whole;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G9: a burst passes, then the rate; never more than a burst, however long nobody came.
    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(20, start);
        for quiet in [Duration::ZERO, Duration::from_secs(3_600)] {
            let now = start + quiet;
            assert_eq!((0..100).filter(|_| handshakes.take(now).is_ok()).count(), 60);
            assert_eq!(handshakes.take(now), Err(Duration::from_millis(50)));
            let later = now + Duration::from_millis(100);
            assert!(handshakes.take(later).is_ok() && handshakes.take(later).is_ok());
            assert_eq!(handshakes.take(later), Err(Duration::from_millis(50)));
        }
    }
}
