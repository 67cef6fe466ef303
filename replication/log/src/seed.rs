//! A small seeded generator for holes, latencies and faults: SplitMix64, the same numbers on every machine.

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Seed(u64);

impl Seed {
    /// The generator of `name` under `seed`: different names give unrelated streams.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        let folded = name.bytes().fold(seed, |state, b| Self(state ^ u64::from(b)).next());
        Self(folded)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// True `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1_000) < u64::from(per_mille)
    }
}
