//! Latencies, apart for calm moments and all.

use serde::Serialize;
use tokio::time::Duration;

/// Samples that are kept of each kind; a newer one takes the place of the oldest.
pub const SAMPLES: usize = 200_000;

/// Samples, one for each event and device of a run: the newest [`SAMPLES`].
#[derive(Debug, Default)]
pub struct Latencies {
    calm_us: Newest,
    all_us: Newest,
}

#[derive(Debug, Default)]
struct Newest {
    us: Vec<u32>,
    /// All that there ever were.
    count: usize,
}

/// Percentiles, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many samples.
    pub samples: usize,
    /// Half are below.
    pub p50_us: u32,
    /// 99 of 100 are below.
    pub p99_us: u32,
    /// All are at most this.
    pub max_us: u32,
}

impl Latencies {
    /// Adds a sample; `calm`: nothing was broken meanwhile.
    pub fn add(&mut self, latency: Duration, calm: bool) {
        let us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.all_us.push(us);
        if calm {
            self.calm_us.push(us);
        }
    }

    /// How many samples there were.
    pub fn len(&self) -> usize {
        self.all_us.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all_us.count == 0
    }

    /// Of calm moments.
    pub fn calm(&self) -> Percentiles {
        Percentiles::of(self.calm_us.us.clone())
    }

    /// Of all of them.
    pub fn all(&self) -> Percentiles {
        Percentiles::of(self.all_us.us.clone())
    }
}

impl Newest {
    fn push(&mut self, us: u32) {
        if self.us.len() < SAMPLES {
            self.us.push(us);
        } else {
            self.us[self.count % SAMPLES] = us;
        }
        self.count += 1;
    }
}

impl Percentiles {
    fn of(mut samples: Vec<u32>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
            samples.get(rank).copied().unwrap_or(0)
        };
        Self { samples: samples.len(), p50_us: at(50), p99_us: at(99), max_us: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.all(), Percentiles::default());
        for us in (1..=200).rev() {
            latencies.add(Duration::from_micros(us), us <= 100);
        }
        assert_eq!(latencies.all(), Percentiles { samples: 200, p50_us: 100, p99_us: 198, max_us: 200 });
        assert_eq!(latencies.calm(), Percentiles { samples: 100, p50_us: 50, p99_us: 99, max_us: 100 });
    }
}
