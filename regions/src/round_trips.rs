//! Round trips between regions: typical or configured for known pairs, estimated over known ones for others.
//!
//! The estimate is the shortest way over pairs that are known: an upper bound of what the network can do,
//! symmetric, and it keeps the triangle inequality, so that "nearest" makes sense. Used for injected delays
//! and for choosing a region; never for correctness.

use std::collections::BTreeMap;
use std::time::Duration;

use sterna_stream::Region;

#[cfg(test)]
mod tests;

/// Typical round trips between AWS regions, milliseconds: the rounded figures that the demo, the proxies of
/// the local stack and the simulation share. They are inputs, not measurements of ours; a topology file may
/// replace each.
pub const TYPICAL_MS: [(&str, &str, u32); 8] = [
    ("us-east-1", "us-west-2", 71),
    ("us-east-1", "eu-west-1", 67),
    ("us-east-1", "ap-northeast-1", 145),
    ("us-east-1", "ap-southeast-1", 217),
    ("eu-west-1", "eu-central-1", 20),
    ("eu-west-1", "ap-southeast-1", 175),
    ("eu-west-1", "ap-northeast-1", 205),
    ("ap-southeast-1", "ap-northeast-1", 74),
];

/// Longest round trip that may be given, milliseconds.
pub const ROUND_TRIP_MS_MAX: u32 = 10_000;

/// Round trips of known pairs, both directions alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// From each region to each that it has a known pair with, milliseconds.
    known: BTreeMap<String, BTreeMap<String, u32>>,
}

impl RoundTrips {
    /// No pair known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pairs of [`TYPICAL_MS`].
    pub fn typical() -> Self {
        let mut table = Self::new();
        for (a, b, ms) in TYPICAL_MS {
            table.link(a, b, ms);
        }
        table
    }

    /// Says how long a round trip between two regions takes, instead of what was known.
    pub fn set(&mut self, a: &Region, b: &Region, ms: u32) {
        self.link(a.as_str(), b.as_str(), ms);
    }

    /// The round trip between two regions: zero within one, as known for a known pair, else the shortest way
    /// over known pairs; `None` where no way is known.
    pub fn round_trip(&self, a: &Region, b: &Region) -> Option<Duration> {
        self.round_trip_ms(a.as_str(), b.as_str()).map(|ms| Duration::from_millis(ms.into()))
    }

    /// Half of the round trip.
    pub fn one_way(&self, a: &Region, b: &Region) -> Option<Duration> {
        self.round_trip(a, b).map(|round_trip| round_trip / 2)
    }

    /// The region of `among` that is nearest to `from`; of equally near ones the first in byte order. Regions
    /// to which no way is known are not considered.
    pub fn nearest<'a>(
        &self,
        from: &Region,
        among: impl IntoIterator<Item = &'a Region>,
    ) -> Option<&'a Region> {
        let known = among.into_iter().filter_map(|region| Some((self.round_trip(from, region)?, region)));
        known.min().map(|(_, region)| region)
    }

    fn link(&mut self, a: &str, b: &str, ms: u32) {
        for (from, to) in [(a, b), (b, a)] {
            self.known.entry(from.to_owned()).or_default().insert(to.to_owned(), ms);
        }
    }

    fn round_trip_ms(&self, from: &str, to: &str) -> Option<u32> {
        if from == to {
            return Some(0);
        }
        if let Some(ms) = self.known.get(from).and_then(|known| known.get(to)) {
            return Some(*ms);
        }
        self.shortest(from, to)
    }

    // Dijkstra's algorithm over a dozen regions: the nearest that is not settled yet is looked for by
    // scanning.
    fn shortest(&self, from: &str, to: &str) -> Option<u32> {
        let mut open = BTreeMap::from([(from, 0u32)]);
        let mut settled = BTreeMap::new();
        while let Some((at, ms)) = open.iter().map(|(at, ms)| (*at, *ms)).min_by_key(|(at, ms)| (*ms, *at)) {
            if at == to {
                return Some(ms);
            }
            open.remove(at);
            settled.insert(at, ms);
            for (next, hop) in self.known.get(at).into_iter().flatten() {
                if settled.contains_key(next.as_str()) {
                    continue;
                }
                let way = ms.saturating_add(*hop);
                let best = open.entry(next).or_insert(way);
                *best = way.min(*best);
            }
        }
        None
    }
}
