//! The page of limits as a table: one line per constant, in the page's order.

use super::Hit::{Closed, Handled, Refused};
use super::Limit;
use super::Unit::{Bytes, Count, Days, Ms, PerSecond, Ppm};
use crate::refusal::Reason;

macro_rules! limits {
    ($($name:ident $unit:ident $hit:expr, $owner:literal;)*) => {
        /// Every bound of the engine and the protocol, once.
        pub const ALL: &[Limit] = &[$(Limit {
            name: stringify!($name),
            value: super::$name as u64,
            unit: $unit,
            hit: $hit,
            owner: $owner,
        }),*];
    };
}

limits! {
    REGION_BYTES Bytes Refused(Reason::BadRequest), "stream::ids";
    STREAM_BYTES Bytes Refused(Reason::BadStream), "stream::ids";
    USER_BYTES Bytes Refused(Reason::TokenInvalid), "stream::ids";
    KIND_BYTES Bytes Refused(Reason::BadRequest), "stream::ids";
    DEVICE_BYTES Bytes Refused(Reason::BadFrame), "protocol";
    CURSOR_ORIGINS Count Refused(Reason::BadRequest), "stream::cursor";
    SEQ_MAX Count Refused(Reason::BadRequest), "stream::cursor";
    PAYLOAD_BYTES Bytes Refused(Reason::PayloadTooLarge), "messaging::publish";
    FRAME_BYTES Bytes Closed(1009), "gateway::wire";
    SEGMENT_EVENTS Count Handled("the next segment takes the rest"), "stream::sequencer";
    SEGMENT_HEADER_BYTES Bytes Handled("the next segment takes the rest"), "stream::sequencer";
    SEGMENT_BODY_BYTES Bytes Handled("the next segment takes the rest"), "stream::sequencer";
    SEGMENT_EVENT_BYTES Bytes Handled("the next segment takes the rest"), "stream::sequencer";
    DEDUPE_WINDOW_MS Ms Refused(Reason::IdTooOld), "messaging::publish";
    ID_LEAD_MS Ms Refused(Reason::BadEventId), "messaging::publish";
    CLOCK_BOUND_MS Ms Refused(Reason::BadRequest), "gateway::publish";
    STREAM_QUEUE_RECORDS Count Refused(Reason::Overloaded), "stream::sequencer";
    STREAM_QUEUE_BYTES Bytes Refused(Reason::Overloaded), "stream::sequencer";
    WINDOW_IDS Count Handled("older ids are looked up in the table"), "stream::sequencer";
    WINDOW_RESENDS Count Handled("older ids are looked up in the table"), "stream::sequencer";
    LOADED_STREAMS Count Handled("the longest idle stream is unloaded"), "stream::sequencer";
    UNACKED_RECORDS Count Handled("producing waits for acks"), "stream::sequencer";
    TERM_RECORDS Count Handled("a newer term is looked for"), "stream::sequencer";
    PARTITION_HELD_RECORDS Count Handled("feeding pauses"), "stream::sequencer";
    PARTITION_HELD_BYTES Bytes Handled("feeding pauses"), "stream::sequencer";
    SEQUENCER_READS Count Handled("further reads wait"), "stream::sequencer";
    APPENDS_WAITING Count Handled("the call is given up, and each put asked again"), "messaging::sequencer";
    APPENDS_AT_ONCE Count Handled("further ones are read when one is answered"), "persistence::append";
    CHECKPOINT_BYTES Bytes Handled("the index goes on in another part"), "stream::sequencer";
    CHECKPOINTS_WAITING Count Handled("the partition is taken over again"), "messaging::sequencer";
    TOPIC_MISSES Count Handled("nothing is sequenced any more, with an alarm"), "messaging::missing";
    WATERMARK_AHEAD Count Handled("the record is counted when it comes again"), "stream::watermark";
    WATERMARK_BEHIND Count Handled("a term that goes on from further back is an alarm"), "stream::watermark";
    WATERMARK_TERMS Count Handled("positions of older terms are not proven"), "stream::watermark";
    HOLE_GRACE_MS Ms Handled("the table is asked for what is missing"), "state::fill";
    HOLE_AGAIN_MS Ms Handled("the table is asked again"), "state::fill";
    HOLE_CHECKPOINTS Count Handled("the next round reads on"), "state::fill";
    HOLE_SEGMENTS Count Handled("the next round reads on"), "state::fill";
    SENT_MARKS Count Handled("an echo of an older mark proves one side only"), "stream::clock_watch";
    CLOCK_DRIFT_PPM Ppm Handled("what a silent peer proved widens as fast"), "stream::clock_watch";
    MAX_IN_FLIGHT Count Refused(Reason::LimitExceeded), "gateway::publish";
    PUBLISHES_PER_S PerSecond Refused(Reason::RateLimited), "gateway::publish";
    PUBLISHES_BURST Count Refused(Reason::RateLimited), "gateway::publish";
    RATE_IGNORED_MS Ms Closed(4102), "gateway::publish";
    SUBSCRIPTIONS_PER_S PerSecond Refused(Reason::RateLimited), "gateway::subscribe";
    SUBSCRIPTIONS_BURST Count Refused(Reason::RateLimited), "gateway::subscribe";
    FRAMES_PER_S PerSecond Handled("the session is read again in the next second"), "gateway::reader";
    FRAMES_BURST Count Handled("the session is read again in the next second"), "gateway::reader";
    EPHEMERAL_PER_S PerSecond Handled("the frame is dropped without an answer"), "gateway::publish";
    EPHEMERAL_BYTES Bytes Refused(Reason::PayloadTooLarge), "protocol";
    MAX_SUBSCRIPTIONS Count Refused(Reason::LimitExceeded), "gateway::session";
    MAX_BACKLOG Count Handled("the rest is one gap `skipped`"), "notification::backlog";
    SESSIONS_PER_DEVICE Count Closed(4301), "state::registry";
    SESSIONS_PER_USER Count Closed(4103), "state::registry";
    PRESENCE_USERS Count Handled("the frame carries the number only"), "gateway::presence";
    JSON_NESTING Count Refused(Reason::BadFrame), "protocol";
    UNKNOWN_FRAMES Count Closed(4300), "gateway::session";
    HELLO_TIMEOUT_MS Ms Closed(4101), "gateway::hello";
    PING_INTERVAL_MS Ms Handled("a ping is sent"), "gateway::session";
    PING_INTERVAL_MS_MIN Ms Handled("a shorter wish is raised to it"), "gateway::hello";
    PING_INTERVAL_MS_MAX Ms Handled("a longer wish is lowered to it"), "gateway::hello";
    SILENCE_MS Ms Closed(4100), "gateway::session";
    SILENCE_GRACE_MS Ms Closed(4100), "gateway::session";
    PRESENCE_GRACE_MS Ms Handled("the user is offline"), "state::presence";
    MOVE_STAY_MS Ms Handled("the client may hop again"), "client::core";
    REST_ITEMS Count Refused(Reason::BadRequest), "gateway::rest";
    REST_BYTES Bytes Handled("the answer says what remains"), "gateway::rest";
    DURABILITY_WAIT_MS Ms Handled("the answer says what was reached"), "gateway::rest";
    STORED_CURSOR_INTERVAL_MS Ms Handled("the newest is stored when the time has come"), "gateway::session";
    DEVICE_FORGOTTEN_DAYS Days Handled("the device begins like a new one"), "persistence::cursors";
    STREAM_MEMBERS Count Refused(Reason::LimitExceeded), "access::authorizer";
    RING_FRAMES Count Closed(4001), "gateway::ring";
    EXPRESS_QUEUE Count Handled("the segment comes by the mirror"), "state::express";
    EXPRESS_RECENT_MS Ms Handled("older ones come by table or mirror"), "state::express";
    EXPRESS_RECENT Count Handled("the oldest come by table or mirror"), "state::express";
    EXPRESS_RECENT_BYTES Bytes Handled("the oldest come by table or mirror"), "state::express";
    PUSH_QUEUE Count Handled("the attach stream ends with RESYNC"), "state::attach";
    WAITING_SEGMENTS Count Handled("later ones come by the backlog"), "state::hub";
    RECHECK_SEGMENTS Count Handled("later ones are dropped and pulled"), "gateway::held";
    SHARD_ASKS Count Handled("the shard asks again"), "gateway::outward";
    SHARD_COMMANDS Count Refused(Reason::Overloaded), "gateway::outward";
    STREAM_WINDOW_BYTES Bytes Handled("the sender waits"), "process::link";
    BACKLOG_PAGE_BYTES Bytes Handled("a larger answer is not used and asked for again"), "gateway::join";
    BACKLOG_READ_BYTES Bytes Handled("the next page takes the rest"), "notification::source";
    JOIN_STALL_MS Ms Closed(4001), "gateway::join";
    GAP_WAITING_MS Ms Handled("readers are told by a gap `waiting`"), "gateway::join";
    SECOND_ACKS Count Handled("the publish gets no second ack here"), "gateway::second_ack";
    GLOBAL_WAITS Count Handled("the answer says what was reached"), "gateway::rest";
    COVERED_MARKS Count Handled("the newest is forgotten for the next"), "state::covered";
    SESSION_NEWS Count Handled("later renewals make it good"), "gateway::outward";
    SESSION_LANE_JOBS Count Handled("the next renewal makes it good"), "state::registry";
    PRESENCE_ROOMS Count Handled("its watchers are told nobody"), "state::presence";
    CURSOR_STORES Count Handled("the report is dropped"), "gateway::stored";
    CURSOR_STREAMS Count Refused(Reason::BadRequest), "persistence::cursors";
    CURSOR_DEVICES Count Refused(Reason::BadRequest), "persistence::cursors";
    TOUCHED_STREAMS Count Handled("the next answer takes the rest"), "persistence::touched";
    MINE_STREAMS Count Refused(Reason::BadRequest), "notification::mine";
    MINE_CANDIDATES Count Handled("those behind them, by name, are left out"), "notification::mine";
    MINE_PAGE_CANDIDATES Count Handled("the answer says where it goes on"), "notification::mine";
    MINE_ADDED Count Handled("the session is listed again"), "gateway::mine";
    REST_USERS Count Refused(Reason::Overloaded), "gateway::rest";
    CREATE_MEMBERS Count Refused(Reason::LimitExceeded), "gateway::rest";
    HTTP_CONNECTIONS Count Handled("the longest silent makes room"), "gateway::edge";
    HEALTH_CONNECTIONS Count Handled("the oldest of them is closed"), "gateway::edge";
    OPERATOR_CONNECTIONS Count Handled("one more is closed unanswered"), "sterna::operator";
    GRANT_MS Ms Refused(Reason::Forbidden), "access::grant";
}
