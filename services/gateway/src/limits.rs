//! Every bound of a shard (G9): what it is, its unit, what happens when it is hit.
//!
//! What an operator may tune is a field of [`Limits`]; the rest are constants, because nobody needs to. What
//! others must know, too, stands in `sterna_stream::limits`, and is taken from there.

use sterna_protocol::Limits as Terms;
use sterna_protocol::limits::PUBLISH_BURST_S;
use sterna_stream::limits;

/// Sessions that one slice writes to before the shard looks at its sockets and timers again. A write costs
/// 4–7 µs, so a slice holds the thread for less than half a millisecond.
pub const SLICE_SESSIONS: usize = 64;
/// Sessions of one ring per turn within a slice: dirty rings take turns, so a huge room holds up nobody.
pub const TURN_SESSIONS: usize = 32;
/// Buffers handed to one vectored write.
pub const WRITE_BUFFERS: usize = 64;
/// Several buffers of at most so many bytes together are copied into one: a plain send costs less than a
/// vectored one.
pub const COPY_BYTES: usize = 4 * 1024;
/// Bytes after which one vectored write takes no further buffer.
pub const WRITE_BYTES: usize = 256 * 1024;
/// Sessions with at most this many follows have all of them looked at by each write; others only the ring in
/// turn.
pub const GATHER_FOLLOWS: usize = 16;
/// Longest run of entries that is copied together once and written as one buffer, bytes.
pub const RUN_BYTES: usize = 64 * 1024;
/// Reads of one socket before another session has its turn.
pub const READS_PER_TURN: usize = 4;
/// Bytes read from one socket, after which another session has its turn: one frame of the greatest length.
pub const TURN_BYTES: usize = limits::FRAME_BYTES;
/// Writes to one socket that became writable, before another session has its turn.
pub const WRITES_PER_TURN: usize = 8;
/// Empty outboxes that a shard keeps for the next acks.
pub const SPARE_OUTBOXES: usize = 64;
/// Frames, or joins, that a kept outbox has room for at most; one that held more is given back.
pub const SPARE_FRAMES: usize = 16;
/// Segments above a gap that a ring holds while it pulls what is missing; later ones are dropped and pulled.
pub const HELD_SEGMENTS: usize = 64;
/// Seconds after which an unanswered or fruitless pull or backlog question is asked again.
pub const RETRY_S: u32 = 1;
/// Seconds after which a join that waits for an absent event tells its client so (`gap` `waiting`).
pub const WAITING_TOLD_S: u32 = (limits::GAP_WAITING_MS / 1_000) as u32;
/// Users of one tenant that changes of its access stream named while others are authorised again; with one
/// more it is everybody who has a session here.
pub const CHANGED_USERS: usize = 1_024;
/// Seconds within which each session's user is found who was suspended, or let in again, though nobody told.
pub const STANDING_S: u64 = 30;
/// Seconds that a closing session has to take its close frame and say goodbye.
pub const CLOSE_S: u32 = 5;

/// What an operator may tune.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions on this shard; [`crate::shard::Refused::Sessions`] beyond.
    pub sessions: usize,
    /// Streams that one session follows; [`crate::shard::Refused::Follows`] beyond.
    pub follows: usize,
    /// Frames of one session in each second, of whatever kind, WebSocket's own included; who says more is
    /// read again in the next second.
    pub frames_per_s: u32,
    /// Frames that a session may send at once after a pause.
    pub frames_burst: u32,
    /// Entries in one ring; whoever is further behind is closed with 4001.
    pub ring_entries: usize,
    /// Bytes of bodies and encoded frames in one ring; the newest entry always stays.
    pub ring_bytes: usize,
    /// Frames of its own (acks, errors, pings) that wait for a session; 4001 beyond.
    pub outbox_frames: usize,
    /// The same bound in bytes. A session whose socket is full while so much of anything waits for it, pages
    /// and answers to `subscribe` included, is not listened to and gets no page until it has taken some.
    pub outbox_bytes: usize,
    /// Bytes of bodies in one backlog page; a larger answer is not used and asked for again.
    pub page_bytes: usize,
    /// Seconds between pings to a session that asked for no other interval.
    pub ping_s: u16,
    /// Seconds without a byte taken, after which a session in backlog mode is closed with 4001.
    pub stall_s: u32,
    /// Seconds in which the heads of all streams are compared with state once (E16); an instance that was
    /// asked and answers nothing for so long is given up. At least 2.
    pub compare_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 20_000,
            follows: limits::MAX_SUBSCRIPTIONS,
            frames_per_s: limits::FRAMES_PER_S as u32,
            frames_burst: limits::FRAMES_BURST as u32,
            ring_entries: limits::RING_FRAMES,
            ring_bytes: 1024 * 1024,
            outbox_frames: 512,
            outbox_bytes: 256 * 1024,
            page_bytes: limits::BACKLOG_PAGE_BYTES,
            ping_s: (limits::PING_INTERVAL_MS / 1_000) as u16,
            stall_s: (limits::JOIN_STALL_MS / 1_000) as u32,
            compare_s: 30,
        }
    }
}

impl Limits {
    /// The same limits with what `terms` say: whoever publishes as much as they may has all other frames as
    /// well.
    #[must_use]
    pub(crate) fn on_terms(&self, terms: &Terms) -> Self {
        let each_s = terms.publishes_per_s.saturating_add(terms.ephemeral_per_s);
        Self {
            follows: usize::try_from(terms.max_subscriptions).unwrap_or(usize::MAX),
            frames_per_s: self.frames_per_s.saturating_add(each_s),
            frames_burst: self.frames_burst.saturating_add(each_s.saturating_mul(PUBLISH_BURST_S)),
            ..self.clone()
        }
    }

    /// Seconds of silence after which a session with this ping interval is given up (docs/protocol.md, rule
    /// 18).
    pub fn silence_s(ping_s: u16) -> u32 {
        (limits::silence_ms(u64::from(ping_s) * 1_000) / 1_000) as u32
    }
}
