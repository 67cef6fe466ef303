//! What an application chooses, and the times that docs/protocol.md fixes.
//!
//! Every bound of the library is here: what may be chosen is a field of [`Config`], what the protocol fixes
//! is a constant with the rule it comes from (P18 is rule 18 of section 4). All times are milliseconds.

use sterna_stream::limits;

/// Longest attempt to open a socket (section 7).
pub const OPEN_MS: u64 = 5_000;
/// Longest wait for `welcome` (section 7).
pub const GREET_MS: u64 = 10_000;
/// Longest wait for a token before an attempt counts as failed.
pub const TOKEN_MS: u64 = 10_000;
/// Longest time that catching up holds the outbox back (P13).
pub const CATCH_UP_MS: u64 = 5_000;
/// An event without an ack for so long is sent again (P13).
pub const ACK_MS: u64 = 10_000;
/// `cursor` frames are at least so far apart (P4).
pub const CURSOR_MS: u64 = limits::STORED_CURSOR_INTERVAL_MS;
/// A socket is silent after the ping interval and this (P18).
pub const PING_LATE_MS: u64 = 5_000;
/// How long a doubtful socket has to answer a `ping` (P19).
pub const PROBE_MS: u64 = 3_000;
/// A token is not used for a new socket so shortly before its end (P24).
pub const TOKEN_FRESH_MS: u64 = 60_000;
/// A renewal that failed is tried again after this.
pub const RENEW_AGAIN_MS: u64 = 30_000;
/// `typing` is sent at most so often (P23).
pub const TYPING_MS: u64 = 3_000;
/// First step of the back-off (section 5).
pub const BACK_OFF_MS: u64 = 500;
/// Largest step of the back-off (section 5).
pub const BACK_OFF_MAX_MS: u64 = 30_000;
/// Coming back "at once" is spread over this (section 5).
pub const AT_ONCE_MS: u64 = 1_000;
/// Coming back at once twice within this is backing off; a session this long has proven itself (section 5).
pub const PROVEN_MS: u64 = 60_000;
/// An attempt that ends within this is a quick one (section 5).
pub const QUICK_MS: u64 = 10_000;
/// So many quick attempts that end in one way are told to the application (section 5).
pub const QUICK_ATTEMPTS: u32 = 5;
/// The shortest wait after them (section 5).
pub const STRUGGLING_MS: u64 = 60_000;
/// Failures at one endpoint before the next is tried (section 7).
pub const ENDPOINT_FAILURES: u32 = 2;
/// After a hop or a move a client stays where it is for so long (section 13).
pub const STAY_MS: u64 = limits::MOVE_STAY_MS;
/// A publish refused for `limit_exceeded`, or without a time to wait, is tried again after this.
pub const REFUSED_MS: u64 = 1_000;
/// How long publishing waits for a `move` out of a region that is leaving, if the refusal says nothing.
pub const LEAVING_MS: u64 = 10_000;
/// `typing` events whose last time is remembered.
pub const TYPING_STREAMS: usize = 64;
/// What one `subscribe` or `cursor` frame may take of 64 KiB, estimated.
pub const FRAME_BUDGET_BYTES: usize = 32 * 1024;
/// Endpoints that are remembered.
pub const ENDPOINTS: usize = 64;

/// When an accepted event leaves the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepUntil {
    /// At the first ack: one region has it.
    Region,
    /// When another region has it too: nothing is lost even if a whole region is.
    Global,
}

/// Following every stream that the user is a member of (P6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mine {
    /// At most so many events of the backlog of each.
    pub tail: Option<u32>,
}

/// What an application chooses. [`Config::new`] gives the defaults that are named with each field.
#[derive(Clone, Debug)]
pub struct Config {
    /// The DNS name's address, for the first connection: `wss://…/v1/connect`.
    pub url: Box<str>,
    /// Name and version for the server's metrics (`sterna-rust/<version>`).
    pub client: Box<str>,
    /// When an accepted event leaves the outbox; `None`: `Global` where `welcome` names several regions.
    pub keep_until: Option<KeepUntil>,
    /// Whether to follow all streams of the user (not).
    pub mine: Option<Mine>,
    /// Events in the outbox (1,000).
    pub outbox_events: usize,
    /// Bytes of payload in the outbox (8 MiB).
    pub outbox_bytes: usize,
    /// Streams that are known, followed or not (2,000).
    pub streams: usize,
    /// Holes that are remembered per stream; beyond it two become one that covers both (256).
    pub holes: usize,
    /// Events per stream that a late twin is compared with (2,000).
    pub twins: usize,
    /// Resend-marked events per stream that every arrival is compared with (500).
    pub marked_twins: usize,
    /// The ping interval to ask for in the foreground (8,000 ms): a black hole is seen within 15 s.
    pub ping_foreground_ms: u32,
    /// The ping interval to ask for in the background (60,000 ms).
    pub ping_background_ms: u32,
    /// Commands that wait for the driver (256).
    pub commands: usize,
    /// Notices that wait for the application; beyond twice as many nothing is read from the sockets (1,024).
    pub notices: usize,
}

impl Config {
    /// The defaults, for the service at `url`.
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self {
            url: url.into(),
            client: concat!("sterna-rust/", env!("CARGO_PKG_VERSION")).into(),
            keep_until: None,
            mine: None,
            outbox_events: 1_000,
            outbox_bytes: 8 * 1024 * 1024,
            streams: 2_000,
            holes: 256,
            twins: 2_000,
            marked_twins: 500,
            ping_foreground_ms: 8_000,
            ping_background_ms: 60_000,
            commands: 256,
            notices: 1_024,
        }
    }
}
