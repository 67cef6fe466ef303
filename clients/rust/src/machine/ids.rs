//! Event ids, minted from the server's time (P12, E7).
//!
//! `welcome` says what time it is, and so does the refusal of an id whose time is wrong; from there the
//! monotonic clock counts on. A device's wall clock is never used: it may be wrong by years, and an id from
//! it would be refused or, worse, accepted as another day's.

use sterna_stream::EventId;

use super::{Now, Random};

/// The server's clock, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    /// The server's time, and the monotonic time at which it was said.
    said: Option<(u64, u64)>,
}

impl ServerClock {
    /// `welcome` said the time, or a refusal.
    pub(super) fn set(&mut self, time_unix_ms: u64, now: Now) {
        self.said = Some((time_unix_ms, now.mono_ms));
    }

    /// The server's time; before it is known, the device's.
    pub(super) fn time_ms(&self, now: Now) -> u64 {
        self.said.map_or(now.wall_ms, |(time, at)| time + now.mono_ms.saturating_sub(at))
    }

    /// A new id.
    pub(super) fn mint(&self, now: Now, random: &mut dyn Random) -> EventId {
        let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        EventId::mint(self.time_ms(now), bits)
    }
}
