//! Randomness from a seed, one generator per named thing.
//!
//! A generator is a function of (seed, path of names) alone: who else draws, and in which order instances
//! start, changes nothing. Two children of one name are equal, so names must tell instances apart. Not for
//! keys or tokens.

use std::convert::Infallible;

use rand::{Rng, SeedableRng, TryRng};
use rand_pcg::Pcg64;
use sha2::{Digest, Sha256};

use crate::Clock;

/// A deterministic generator; use it through [`rand::Rng`] and [`rand::RngExt`].
#[derive(Clone, Debug)]
pub struct Seeded {
    path: [u8; 32],
    rng: Pcg64,
}

impl Seeded {
    /// The generator of the instance `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Seeded {
        Seeded::of_path(Sha256::new().chain_update(seed.to_be_bytes()).chain_update(name).finalize().into())
    }

    /// The generator of a part of this instance. It does not depend on what was drawn so far.
    pub fn child(&self, name: &str) -> Seeded {
        Seeded::of_path(Sha256::new().chain_update(self.path).chain_update(name).finalize().into())
    }

    /// Mints a UUIDv7 (RFC 9562) as its 128 bits: 48 bit wall milliseconds, then version, variant and 74
    /// random bits.
    pub fn event_id(&mut self, clock: &dyn Clock) -> u128 {
        let ms = u128::from(clock.wall_ms()) & 0xffff_ffff_ffff;
        let high = u128::from(self.next_u64() & 0x0fff);
        let low = u128::from(self.next_u64() >> 2);
        (ms << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low
    }

    fn of_path(path: [u8; 32]) -> Seeded {
        Seeded { path, rng: Pcg64::from_seed(path) }
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng.try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    /// E35: an RNG per instance from (seed, its name).
    #[test]
    fn generators_depend_on_seed_and_name_only() {
        let draw = |mut rng: Seeded| rng.next_u64();
        assert_eq!(draw(Seeded::new(7, "us/state-0")), draw(Seeded::new(7, "us/state-0")));
        assert_ne!(draw(Seeded::new(7, "us/state-0")), draw(Seeded::new(8, "us/state-0")));
        assert_ne!(draw(Seeded::new(7, "us/state-0")), draw(Seeded::new(7, "us/state-1")));

        let mut parent = Seeded::new(7, "us/state-0");
        let early = draw(parent.child("ids"));
        parent.next_u64();
        assert_eq!(early, draw(parent.child("ids")));
        assert_ne!(early, draw(parent.child("backoff")));
    }

    /// A changed generator would make every recorded seed mean another run.
    #[test]
    fn the_sequence_of_a_seed_is_golden() {
        let mut rng = Seeded::new(1, "golden");
        assert_eq!([rng.next_u64(), rng.next_u64()], [7_493_828_555_112_564_695, 16_196_935_810_210_036_432]);
    }

    #[tokio::test(start_paused = true)]
    async fn event_ids_are_uuid_v7_of_the_wall_clock() {
        let clock = ManualClock::new(0x0123_4567_89ab);
        let mut rng = Seeded::new(1, "ids");
        let (one, two) = (rng.event_id(&clock), rng.event_id(&clock));
        assert_ne!(one, two);
        assert_eq!(one >> 80, 0x0123_4567_89ab);
        assert_eq!((one >> 76) & 0xf, 7);
        assert_eq!((one >> 62) & 0b11, 0b10);
    }
}
