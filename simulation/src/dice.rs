//! What is drawn from a seed: one generator per named thing, so that a new draw here moves nothing there.

use rand::RngExt as _;
use sterna_process::Seeded;

/// A named generator.
#[derive(Clone, Debug)]
pub struct Dice(Seeded);

impl Dice {
    /// The dice of `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        Self(Seeded::new(seed, name))
    }

    /// A number in `low ..= high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high.max(low))
    }

    /// An index below `count`; 0 for none.
    pub fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.0.random_range(0..1_000u32) < per_mille
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// 128 bits.
    pub fn bits(&mut self) -> u128 {
        self.0.random()
    }
}
