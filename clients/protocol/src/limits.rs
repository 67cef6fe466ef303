//! How a client merges the bounds that a server announces, and the few that the protocol has of its own.
//!
//! A server may raise the defaults in `welcome.limits` and never lower them: a client takes the higher of
//! both, so that what fits the documented limits is always accepted. All others, and what the defaults are,
//! stand in `sterna_stream::limits`.

use std::ops::RangeInclusive;

use sterna_stream::limits;

/// Levels that an `events` frame puts around a payload: frame, `events`, the list, the event.
pub const PAYLOAD_ENCLOSED: usize = 4;
/// Longest name of a client, of a session, and of a reason, code or state of a future version, bytes.
pub const NAME_BYTES: usize = 128;
/// Most bytes of a client's own text that a refusal repeats to it.
pub const ECHO_BYTES: usize = limits::STREAM_BYTES;
/// `publishes_per_s` times this may come at once.
pub const PUBLISH_BURST_S: u32 = (limits::PUBLISHES_BURST / limits::PUBLISHES_PER_S) as u32;
/// What a client may ask for as `ping_interval_ms` in `hello`.
pub const PING_INTERVALS_MS: RangeInclusive<u32> =
    limits::PING_INTERVAL_MS_MIN as u32..=limits::PING_INTERVAL_MS_MAX as u32;
/// `ping_interval_ms` of a client that asks for none: below a load balancer's 60 s.
pub const PING_INTERVAL_DEFAULT_MS: u32 = limits::PING_INTERVAL_MS as u32;

/// What `welcome.limits` announces. Its default is the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Publishes without an ack at a time; one more is `limit_exceeded`.
    pub max_in_flight: u32,
    /// Publishes per second and session; more is `rate_limited`.
    pub publishes_per_s: u32,
    /// Ephemeral frames per second and session; more are dropped.
    pub ephemeral_per_s: u32,
    /// Streams that a session may follow; one more is `limit_exceeded`.
    pub max_subscriptions: u32,
    /// Events of one stream's backlog that are sent; older ones are a `gap`.
    pub max_backlog: u32,
    /// How old an event's id may be at its last retry, milliseconds.
    pub dedupe_window_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: limits::MAX_IN_FLIGHT as u32,
            publishes_per_s: limits::PUBLISHES_PER_S as u32,
            ephemeral_per_s: limits::EPHEMERAL_PER_S as u32,
            max_subscriptions: limits::MAX_SUBSCRIPTIONS as u32,
            max_backlog: limits::MAX_BACKLOG as u32,
            dedupe_window_ms: limits::DEDUPE_WINDOW_MS,
        }
    }
}

impl Limits {
    /// The higher of both in every limit: what a client makes of an announcement.
    #[must_use]
    pub fn raised_by(self, announced: Self) -> Self {
        Self {
            max_in_flight: self.max_in_flight.max(announced.max_in_flight),
            publishes_per_s: self.publishes_per_s.max(announced.publishes_per_s),
            ephemeral_per_s: self.ephemeral_per_s.max(announced.ephemeral_per_s),
            max_subscriptions: self.max_subscriptions.max(announced.max_subscriptions),
            max_backlog: self.max_backlog.max(announced.max_backlog),
            dedupe_window_ms: self.dedupe_window_ms.max(announced.dedupe_window_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_raises_a_limit_and_never_lowers_one() {
        let announced = Limits { max_in_flight: 64, publishes_per_s: 1, max_backlog: 0, ..Limits::default() };
        let expected = Limits { max_in_flight: 64, ..Limits::default() };
        assert_eq!(Limits::default().raised_by(announced), expected);
    }
}
