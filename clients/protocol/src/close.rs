//! Close codes, and what a client does about each (docs/protocol.md, section 5).
//!
//! [`advice`] and [`http_advice`] are total: a code's range says what to do, so that a client which meets a
//! code from the future still behaves. How long to back off and how often is the client's state machine's.

use sterna_stream::Reason;

#[cfg(test)]
mod tests;

/// The application is done; only clients send it.
pub const DONE: u16 = 1000;
/// Bytes that are not WebSocket.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A binary message in the JSON subprotocol, or text in the protobuf one.
pub const WRONG_MESSAGE_TYPE: u16 = 1003;
/// Text that is not UTF-8.
pub const NOT_UTF8: u16 = 1007;
/// The user's access is revoked altogether.
pub const REVOKED: u16 = 1008;
/// A frame above 64 KiB.
pub const FRAME_TOO_LARGE: u16 = 1009;
/// The server failed.
pub const INTERNAL: u16 = 1011;
/// The server restarts without time to move its sessions.
pub const RESTART: u16 = 1012;
/// The region does not admit more at the moment.
pub const OVERLOADED: u16 = 1013;
/// The deadline of a `move` has passed.
pub const MOVED: u16 = 4000;
/// The session fell out of a stream's ring.
pub const SLOW: u16 = 4001;
/// Nothing was heard from the client for too long.
pub const HEARTBEAT_LOST: u16 = 4100;
/// No `hello` within its time.
pub const HELLO_TIMEOUT: u16 = 4101;
/// `rate_limited` was ignored.
pub const RATE_LIMITED: u16 = 4102;
/// More sessions than a user may have.
pub const TOO_MANY_SESSIONS: u16 = 4103;
/// The token's time is over.
pub const TOKEN_EXPIRED: u16 = 4200;
/// The token is none of ours.
pub const TOKEN_INVALID: u16 = 4201;
/// Not a frame.
pub const BAD_FRAME: u16 = 4300;
/// A newer session of the same device took its place.
pub const REPLACED: u16 = 4301;
/// This version of the protocol is no longer spoken.
pub const VERSION_RETIRED: u16 = 4302;
/// Sent by a client that was shown a hole; it must not happen.
pub const HOLE_SEEN: u16 = 4400;
/// Sent by a client that heard nothing for too long.
pub const PEER_SILENT: u16 = 4401;

/// Codes and their names, which are a server's close reasons. A client's own reasons nobody reads.
pub const NAMES: [(u16, &str); 21] = [
    (PROTOCOL_ERROR, "protocol_error"),
    (WRONG_MESSAGE_TYPE, "wrong_message_type"),
    (NOT_UTF8, "not_utf8"),
    (REVOKED, "revoked"),
    (FRAME_TOO_LARGE, "frame_too_large"),
    (INTERNAL, "internal"),
    (RESTART, "restart"),
    (OVERLOADED, "overloaded"),
    (MOVED, "moved"),
    (SLOW, "slow"),
    (HEARTBEAT_LOST, "heartbeat_lost"),
    (HELLO_TIMEOUT, "hello_timeout"),
    (RATE_LIMITED, "rate_limited"),
    (TOO_MANY_SESSIONS, "too_many_sessions"),
    (TOKEN_EXPIRED, "token_expired"),
    (TOKEN_INVALID, "token_invalid"),
    (BAD_FRAME, "bad_frame"),
    (REPLACED, "replaced"),
    (VERSION_RETIRED, "version_retired"),
    (HOLE_SEEN, "hole_seen"),
    (PEER_SILENT, "peer_silent"),
];

/// What a client does whose socket was closed or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Come back within a second and resume; twice within 60 s counts as [`Advice::BackOff`].
    AtOnce,
    /// Come back with back-off, not before `at_least_ms`, and resume.
    BackOff {
        /// The shortest wait, milliseconds.
        at_least_ms: u32,
    },
    /// Get a new token, then come back; the same code again: stop.
    NewToken,
    /// Stop and tell the application.
    Stop,
}

const BACK_OFF: Advice = Advice::BackOff { at_least_ms: 0 };

/// What a client does when its socket was closed with `code` (1005 and 1006 where it got none).
pub fn advice(code: u16) -> Advice {
    match code {
        4000..=4099 => Advice::AtOnce,
        4100..=4199 => BACK_OFF,
        4200..=4299 => Advice::NewToken,
        4300..=4999 => Advice::Stop,
        1002 | 1003 | 1007..=1010 => Advice::Stop,
        OVERLOADED => Advice::BackOff { at_least_ms: 5_000 },
        _ => BACK_OFF,
    }
}

/// What a client does when the upgrade was answered with this HTTP status and `Retry-After`.
pub fn http_advice(status: u16, retry_after_s: Option<u32>) -> Advice {
    match status {
        400 | 403 => Advice::Stop,
        429 | 503 => Advice::BackOff { at_least_ms: retry_after_s.unwrap_or(0).saturating_mul(1_000) },
        _ => BACK_OFF,
    }
}

/// The reason to send with a code; empty for one that nobody sends here.
pub fn name(code: u16) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == code).map_or("", |(_, name)| name)
}

/// The code that ends a socket whose first `hello` was refused.
pub fn of_refused_hello(reason: Reason) -> u16 {
    match reason {
        Reason::TokenExpired => TOKEN_EXPIRED,
        Reason::TokenInvalid => TOKEN_INVALID,
        Reason::Forbidden | Reason::NotFound | Reason::OriginNotAllowed => REVOKED,
        Reason::LimitExceeded => TOO_MANY_SESSIONS,
        Reason::RateLimited => RATE_LIMITED,
        Reason::RegionLeaving => RESTART,
        Reason::Overloaded | Reason::PolicyStale | Reason::AuditUnavailable | Reason::Unavailable => {
            OVERLOADED
        }
        Reason::Internal => INTERNAL,
        Reason::BadFrame
        | Reason::UnknownFrame
        | Reason::BadSubprotocol
        | Reason::BadRequest
        | Reason::BadEventId
        | Reason::IdTooOld
        | Reason::BadStream
        | Reason::PayloadTooLarge => BAD_FRAME,
    }
}
