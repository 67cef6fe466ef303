//! Every bound of the engine on one page (E29): what it is, its unit, who enforces it.
//!
//! Sizes that travel or are stored are constants, because regions must agree on them. What an operator may
//! tune is a field of the owning component's configuration whose default stands here. [`ALL`] is the same
//! page as a table: a constant without a line in it is a red test. `cargo xtask tidy` finds a constant that
//! nothing outside of the page uses, and a constant elsewhere that has the name of one of these.

use crate::refusal::Reason;
pub use table::ALL;

mod table;
#[cfg(test)]
mod tests;

/// One bound, for tests that walk them, for metrics and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name.
    pub name: &'static str,
    /// The bound; of what an operator may tune, the default.
    pub value: u64,
    /// What `value` counts.
    pub unit: Unit,
    /// What happens at the bound.
    pub hit: Hit,
    /// The crate, and part of it, that enforces it.
    pub owner: &'static str,
}

/// What a limit's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things: events, records, sessions, …
    Count,
    /// Things in each second.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Days.
    Days,
    /// Millionths.
    Ppm,
}

/// What happens at a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// Whoever asked is refused for this reason.
    Refused(Reason),
    /// The connection ends with this close code.
    Closed(u16),
    /// Nobody is refused; this happens instead.
    Handled(&'static str),
}

/// How long a server waits for any byte of a client that is pinged each `ping_interval_ms`, milliseconds.
pub fn silence_ms(ping_interval_ms: u64) -> u64 {
    SILENCE_MS.max(2 * ping_interval_ms + SILENCE_GRACE_MS)
}

// === identity and encoding ===

/// Longest region name, bytes.
pub const REGION_BYTES: usize = 48;
/// Longest stream id, bytes.
pub const STREAM_BYTES: usize = 255;
/// Longest user id, bytes.
pub const USER_BYTES: usize = 128;
/// Longest stream kind and event kind, bytes.
pub const KIND_BYTES: usize = 32;
/// Longest device id, bytes: a UUID as text.
pub const DEVICE_BYTES: usize = 36;
/// Origins in one cursor.
pub const CURSOR_ORIGINS: usize = 32;
/// Greatest seq: what a JavaScript number holds exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

// === events and segments ===

/// Largest payload of an event, bytes.
pub const PAYLOAD_BYTES: usize = 60 * 1024;
/// Largest client frame, segment and log record with its envelope, bytes.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Most events in one segment.
pub const SEGMENT_EVENTS: usize = 512;
/// What a segment's header, stamps and field tags may take of [`FRAME_BYTES`] beside the bodies.
pub const SEGMENT_HEADER_BYTES: usize = 2 * 1024;
/// Most bytes of bodies in one segment, each counted with [`SEGMENT_EVENT_BYTES`] of stamp and tag.
pub const SEGMENT_BODY_BYTES: usize = FRAME_BYTES - SEGMENT_HEADER_BYTES;
/// What one event adds to a segment beside its body: stamp and field tags, bytes.
pub const SEGMENT_EVENT_BYTES: usize = 12;

// === time ===

/// How old an event's id may be at Publish, milliseconds.
pub const DEDUPE_WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// How far an event's id, and the time before which a suspension makes tokens void, may lead the clamped wall
/// at Publish, milliseconds (E5, E14).
pub const ID_LEAD_MS: u64 = 5 * 60 * 1_000;
/// How far a stamp may lead the clamped wall, milliseconds (E14).
pub const CLOCK_BOUND_MS: u64 = 60 * 1_000;

// === the sequencer ===

/// Records of one stream that wait for its put, before later ones are skipped and read again (E8).
pub const STREAM_QUEUE_RECORDS: usize = 4_096;
/// The same bound in bytes of bodies.
pub const STREAM_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Ids that a partition's sequencer remembers for duplicates, ordinary ones (E13): six minutes, back to
/// which a resend is looked for, of 1,456 events a second. With the resend-marked ones they take 36 MiB, and
/// what finds them a tenth of that or more.
pub const WINDOW_IDS: usize = 1 << 19;
/// Ids that a partition's sequencer remembers for duplicates, resend-marked ones (E13).
pub const WINDOW_RESENDS: usize = 1 << 18;
/// Streams that a partition's sequencer keeps loaded.
pub const LOADED_STREAMS: usize = 200_000;
/// Log records of one partition produced and not yet acknowledged.
pub const UNACKED_RECORDS: usize = 4_096;
/// Log records that a partition's sequencer writes before it looks again for a newer term (E21), beside each
/// second. Well below [`WATERMARK_BEHIND`], from which on a takeover could not be followed by readers.
pub const TERM_RECORDS: usize = 1_024;
/// Records of all streams of a partition that wait in its sequencer, before feeding pauses (E8).
pub const PARTITION_HELD_RECORDS: usize = 128 * 1024;
/// The same bound in bytes of bodies.
pub const PARTITION_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Reads of heads and ranges that a partition's sequencer has under way.
pub const SEQUENCER_READS: usize = 256;
/// Requests of one term that wait for its call of Append. Each has a segment, and a machine has no more of
/// them under way.
pub const APPENDS_WAITING: usize = UNACKED_RECORDS;
/// Requests of one call of Append that are under way in persistence.
pub const APPENDS_AT_ONCE: usize = 256;
/// Largest part of a checkpoint's index, bytes (E21).
pub const CHECKPOINT_BYTES: usize = 256 * 1024;
/// Checkpoints of one partition that wait for the table, before the partition is taken over again: one stands
/// only after those before it, since nothing else names their records (E21).
pub const CHECKPOINTS_WAITING: usize = 64;
/// Answers in a row that a topic is missing, after which an ingress or log is gone for a sequencer (E10) and
/// an ended life's ingress for a rebuild (E1). One comes about a second after the other: behind a restart, or
/// a change of leaders, a broker may answer so while all is there.
pub const TOPIC_MISSES: u32 = 10;

// === watermarks and clocks ===

/// Log records above a hole that a watermark remembers; later ones are handed on and counted when they come
/// again.
pub const WATERMARK_AHEAD: usize = 16_384;
/// Running hashes below a watermark that are remembered, for a new term that continues further back.
pub const WATERMARK_BEHIND: usize = UNACKED_RECORDS;
/// Terms of one partition's sequencer that a watermark remembers.
pub const WATERMARK_TERMS: usize = 64;
/// How long a hole of a mirror may stay before the table is asked for what is missing, milliseconds (E21).
pub const HOLE_GRACE_MS: u64 = 5_000;
/// How long after a round that led nowhere the table is asked again, milliseconds.
pub const HOLE_AGAIN_MS: u64 = 5_000;
/// Checkpoints that one round reads; there is one round a second, of one hole.
pub const HOLE_CHECKPOINTS: usize = 64;
/// Segments that one round reads.
pub const HOLE_SEGMENTS: usize = 256;
/// Own marks whose echo is still understood.
pub const SENT_MARKS: usize = 4_096;
/// How fast two clocks may drift apart, parts per million: twice what a quartz oscillator strays.
pub const CLOCK_DRIFT_PPM: u64 = 200;

// === the client protocol: defaults, which `welcome` may raise and never lower ===

/// Publishes of one session without an answer.
pub const MAX_IN_FLIGHT: usize = 32;
/// Publishes of one session in each second, on average.
pub const PUBLISHES_PER_S: u64 = 20;
/// Publishes that a session may send at once after a pause.
pub const PUBLISHES_BURST: u64 = 60;
/// How long a client may ignore `rate_limited`, milliseconds.
pub const RATE_IGNORED_MS: u64 = 10_000;
/// Streams that a session may ask to follow in each second, on average: more than anybody reads, and less
/// than would cost others.
pub const SUBSCRIPTIONS_PER_S: u64 = 50;
/// Streams that a session may ask to follow at once after a pause: all that it may follow, twice.
pub const SUBSCRIPTIONS_BURST: u64 = 1_000;
/// Frames of one session in each second, on average, beside its publishes and ephemerals: many times what a
/// client has to say, and less than would cost others.
pub const FRAMES_PER_S: u64 = 200;
/// Frames that a session may send at once after a pause: a subscription of its own for each stream, twice,
/// and as many more.
pub const FRAMES_BURST: u64 = 2_000;
/// Ephemeral frames of one session in each second.
pub const EPHEMERAL_PER_S: u64 = 5;
/// Largest payload of an ephemeral, bytes.
pub const EPHEMERAL_BYTES: usize = 1_024;
/// Streams that one session follows.
pub const MAX_SUBSCRIPTIONS: usize = 500;
/// Events of one stream's backlog that a resume brings; the rest is one `gap`.
pub const MAX_BACKLOG: usize = 1_000;
/// Sessions of one device; the oldest goes.
pub const SESSIONS_PER_DEVICE: usize = 3;
/// Sessions of one user.
pub const SESSIONS_PER_USER: usize = 20;
/// Users that a presence frame lists; above it carries their number.
pub const PRESENCE_USERS: usize = 500;
/// Depth of a frame's and a payload's JSON.
pub const JSON_NESTING: usize = 32;
/// Frames of unknown names in one session.
pub const UNKNOWN_FRAMES: usize = 10;
/// How long the first frame may take after the upgrade, milliseconds.
pub const HELLO_TIMEOUT_MS: u64 = 10_000;
/// Between two pings, milliseconds.
pub const PING_INTERVAL_MS: u64 = 25_000;
/// The shortest interval that a client may ask for, milliseconds.
pub const PING_INTERVAL_MS_MIN: u64 = 5_000;
/// The longest interval that a client may ask for, milliseconds.
pub const PING_INTERVAL_MS_MAX: u64 = 120_000;
/// Shortest silence after which a server gives up, milliseconds; see [`silence_ms`].
pub const SILENCE_MS: u64 = 60_000;
/// What silence may exceed two pings by, milliseconds.
pub const SILENCE_GRACE_MS: u64 = 10_000;
/// How long presence waits after a lost socket before it says `offline`, milliseconds.
pub const PRESENCE_GRACE_MS: u64 = 15_000;
/// How long a client stays after a hop or a move, unless it is moved, milliseconds.
pub const MOVE_STAY_MS: u64 = 10 * 60 * 1_000;
/// Events or members that one REST answer holds.
pub const REST_ITEMS: usize = 500;
/// Largest REST answer, bytes.
pub const REST_BYTES: usize = 1024 * 1024;
/// How long `durability=global` waits, milliseconds.
pub const DURABILITY_WAIT_MS: u64 = 10_000;
/// Shortest time between two stored cursors of a device, milliseconds.
pub const STORED_CURSOR_INTERVAL_MS: u64 = 5_000;
/// After how long a silent device's stored cursors are forgotten, days.
pub const DEVICE_FORGOTTEN_DAYS: u64 = 30;
/// Members of one stream.
pub const STREAM_MEMBERS: usize = 10_000;

// === delivery ===

/// Frames that a stream's ring keeps.
pub const RING_FRAMES: usize = 1_024;
/// Segments that wait for one peer region on the express stream (E19).
pub const EXPRESS_QUEUE: usize = 1_024;
/// How long an instance of `state` keeps the own segments that it read back, milliseconds: for peers that are
/// heard to want their streams meanwhile (E19). A table usually has what is a second old, and the news takes
/// one way.
pub const EXPRESS_RECENT_MS: u64 = 2_000;
/// The most of them that are kept.
pub const EXPRESS_RECENT: usize = 4_096;
/// The same bound in bytes. No news makes a lane send more.
pub const EXPRESS_RECENT_BYTES: usize = 4 * 1024 * 1024;
/// Pushes that wait for one shard on its attach stream (E15).
pub const PUSH_QUEUE: usize = 8_192;
/// Segments of one stream that wait in `state` for what they rest on (E24).
pub const WAITING_SEGMENTS: usize = 256;
/// Segments of one stream that wait in a shard until its sessions are authorised again (E24).
pub const RECHECK_SEGMENTS: usize = 256;
/// Pulls and pages that one shard has asked for and that no stream to notification has taken yet.
pub const SHARD_ASKS: usize = 1_024;
/// Commands of one shard that no stream to their messaging instance has taken yet.
pub const SHARD_COMMANDS: usize = 1_024;
/// Flow-control window of a long-lived stream between services, bytes (E16).
pub const STREAM_WINDOW_BYTES: usize = 256 * 1024;
/// Bodies in one page of a backlog, bytes: what a session in backlog mode holds.
pub const BACKLOG_PAGE_BYTES: usize = 256 * 1024;
/// Segments read for one page, bytes; the segment that reaches it is the last, so that a page of them stays
/// below [`BACKLOG_PAGE_BYTES`].
pub const BACKLOG_READ_BYTES: usize = 128 * 1024;
/// How long a session in backlog mode may take no byte, milliseconds.
pub const JOIN_STALL_MS: u64 = 30_000;
/// How long an origin may have a hole before its readers are told, milliseconds.
pub const GAP_WAITING_MS: u64 = 10_000;

// === second acks (E9) ===

/// Publishes of one shard that wait for their second ack.
pub const SECOND_ACKS: usize = 100_000;
/// Requests of one shard that wait for another region (`durability=global`).
pub const GLOBAL_WAITS: usize = 64;
/// Marks of one partition that no other region is known to have.
pub const COVERED_MARKS: usize = 1_024;

// === sessions, their cursors and their streams ===

/// Openings and closings of sessions that wait for one `state` instance, and renewals as many again (E16).
pub const SESSION_NEWS: usize = 8_192;
/// Jobs that wait in one lane of the registry of sessions (E16).
pub const SESSION_LANE_JOBS: usize = 1_024;
/// Rooms that are watched at once at one `state` instance.
pub const PRESENCE_ROOMS: usize = 20_000;
/// Reports of stored cursors that wait in one shard.
pub const CURSOR_STORES: usize = 4_096;
/// Streams of one device in one request for stored cursors.
pub const CURSOR_STREAMS: usize = 500;
/// Devices in one request that stores cursors.
pub const CURSOR_DEVICES: usize = 64;
/// Streams in one answer of the index of users' streams.
pub const TOUCHED_STREAMS: usize = 1_000;
/// Streams in one answer of a user's own.
pub const MINE_STREAMS: usize = 500;
/// Candidates whose activity is compared for one answer of a user's streams.
pub const MINE_CANDIDATES: usize = 10_000;
/// Candidates that one answer by name looks at.
pub const MINE_PAGE_CANDIDATES: usize = 1_000;
/// Streams that users were added to and that wait in one shard to be followed.
pub const MINE_ADDED: usize = 4_096;
/// Users that one shard counts requests of.
pub const REST_USERS: usize = 20_000;
/// Members that the creation of a stream may name.
pub const CREATE_MEMBERS: usize = 50;

// === connections without a session ===

/// Connections that speak HTTP with one shard's edge. For one more the longest silent makes room.
pub const HTTP_CONNECTIONS: usize = 1_024;
/// Connections beyond them that may still ask for health, and for nothing else.
pub const HEALTH_CONNECTIONS: usize = 64;
/// Connections on the operators' address.
pub const OPERATOR_CONNECTIONS: usize = 16;

// === access ===

/// How long a Grant lives, milliseconds (E32).
pub const GRANT_MS: u64 = 60_000;
