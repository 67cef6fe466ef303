//! What goes into the machine and what comes out: the whole of its contact with the world.

use std::sync::Arc;

use bytes::Bytes;

use super::invariants::Broken;
use super::takeover::Checkpoint;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::{EventId, StreamId};
use crate::limits::{self, TOPIC_MISSES};
use crate::policy::Policy;
use crate::segment::{LogPos, Segment};

/// One accepted publish, as the ingress holds it. The body is opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset in the ingress partition. Offsets have holes.
    pub offset: u64,
    /// The stream it is for.
    pub stream: StreamId,
    /// The author's id for it.
    pub id: EventId,
    /// What decides, with the id, whether it is a duplicate (E4).
    pub content: ContentHash,
    /// Whether somebody may have sent it before (E7).
    pub resend: bool,
    /// Whether it is a member event of its stream (E24).
    pub member: bool,
    /// The newest stamp of the stream that its author had been shown.
    pub seen: Hlc,
    /// What it was authorised against.
    pub policy: Policy,
    /// The body as it will be stored.
    pub body: Bytes,
}

/// What recognises an event: all that the machine wants to know of a stored body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The event's id.
    pub id: EventId,
    /// Its content hash.
    pub content: ContentHash,
    /// Whether it carries the resend mark.
    pub resend: bool,
}

/// Reads [`Known`] out of a stored body; `None` if it is of a form this version does not know (counted).
pub type Peek = fn(&Bytes) -> Option<Known>;

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The next records of the ingress, offsets ascending; none below the opening's resume offset.
    Records(Vec<Record>),
    /// Answer to [`Action::ReadHead`], newest last; empty if the stream has no segment of this origin.
    Head {
        /// The stream asked for.
        stream: StreamId,
        /// The end of its chain.
        chain: Vec<Arc<Segment>>,
    },
    /// One page of the answer to [`Action::ReadRange`], in any order.
    Range {
        /// The stream asked for.
        stream: StreamId,
        /// Segments of its own chain; those that reach out of the range may be included.
        segments: Vec<Arc<Segment>>,
        /// Whether this was the last page.
        complete: bool,
    },
    /// Answer to [`Action::Put`].
    Put {
        /// The segment's stream.
        stream: StreamId,
        /// What became of it.
        answer: PutAnswer,
    },
    /// The log acknowledged the record at `pos` on every in-sync replica, or it did not.
    Produced {
        /// As in [`Action::Produce`].
        pos: LogPos,
        /// The log's own offset of it; `None`: failed, or nobody knows.
        offset: Option<u64>,
    },
    /// One page of the answer to [`Action::Reread`]: every record of the partition in `from .. next`.
    Reread {
        /// The records, offsets ascending.
        records: Vec<Record>,
        /// Up to where the page reaches; at least one more than `from`, at most `upto`.
        next: u64,
    },
    /// A second has passed. `mark` is the hash ([`crate::digest::LogHash::of_bytes`]) of the mark to be
    /// numbered, whose contents were made from [`super::Partition::tip`] in the same turn. It is handed out
    /// behind whatever the log has not taken yet; until then there is no tip, and no other mark.
    Tick {
        /// The mark's own hash; `None` without a tip.
        mark: Option<[u8; 32]>,
    },
    /// Answer to [`Action::ReadTerm`]: whether the table has a checkpoint of a higher term than the machine's
    /// own. `false` also if it could not be read.
    Term {
        /// Whether somebody opened one.
        newer: bool,
    },
    /// The group generation is stale: somebody else owns the partition.
    Revoked,
}

/// What became of a put-if-absent.
#[derive(Clone, Debug)]
pub enum PutAnswer {
    /// It is durable.
    Stored,
    /// The key is taken, by this segment.
    Found(Arc<Segment>),
    /// Nobody knows. Answered after the driver's deadline and its pause before the next attempt.
    Unknown,
}

/// What the driver must do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Read the end of the stream's own chain, consistently, newest first, down to and including the first
    /// segment that is of another incarnation or partition or whose `from.offset < resume`.
    ReadHead {
        /// The stream.
        stream: StreamId,
        /// Segments from here on may be missing in the log.
        resume: u64,
    },
    /// Read the segments of the stream's own chain that hold stamps in `since .. below`. Its newest seq is
    /// `last`.
    ReadRange {
        /// The stream.
        stream: StreamId,
        /// The oldest stamp of interest.
        since: Hlc,
        /// The first stamp that is not.
        below: Hlc,
        /// The newest seq of the chain.
        last: u64,
    },
    /// Put it, if its key (stream, origin, first) is absent. At most one per stream is unanswered (E11).
    Put(Arc<Segment>),
    /// Produce to the log, in the order given.
    Produce {
        /// Its number, for the record's header.
        pos: LogPos,
        /// On the first record of a term: the position it continues (E21).
        continues: Option<LogPos>,
        /// What to produce.
        what: What,
    },
    /// Put this checkpoint item, after those before it stand, until it stands: it is immutable, only claims
    /// what the log has acknowledged, and nothing else names its records.
    Checkpoint(Box<Checkpoint>),
    /// Look, consistently, for a checkpoint of a higher term. At most one is unanswered.
    ReadTerm,
    /// Every record below this offset is settled: commit it.
    Commit(u64),
    /// Read the ingress again, at most one page of `from .. upto`. At most one is unanswered.
    Reread {
        /// The first offset.
        from: u64,
        /// The first offset that was not yet consumed.
        upto: u64,
    },
    /// Stop feeding records (true), or go on (false). What is already fetched may still be handed in.
    Pause(bool),
    /// A proven duplicate: its author gets both acks again (E9).
    Duplicate {
        /// Its stream.
        stream: StreamId,
        /// Its id.
        id: EventId,
        /// Where the repeated record stands.
        offset: u64,
    },
    /// The machine has ended: take over again, with a raised term.
    Restart,
    /// The machine has ended.
    Stop(Why),
}

/// What a log record is.
#[derive(Clone, Debug)]
pub enum What {
    /// A segment, its bytes as they are in the table.
    Segment(Arc<Segment>),
    /// The mark whose hash the tick named.
    Mark,
}

/// Why a partition is not sequenced any more. All but [`Why::Stale`] are alarms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Another instance owns the partition; nothing is wrong.
    #[error("another instance owns the partition")]
    Stale,
    /// The log ends before what was once acknowledged: it was not continuously its own (E1).
    #[error("the log ends at {found} but {claimed} was acknowledged")]
    LogShorter {
        /// The number that a checkpoint claims.
        claimed: u64,
        /// The log's last counted number; 0 if it is empty.
        found: u64,
    },
    /// The log has other records than those that were once acknowledged, at this number or behind it (E1).
    #[error("from {0} on the log has other records than were acknowledged")]
    LogDiffers(u64),
    /// The ingress does not reach back, or forward, to the resume offset (E1, E10).
    #[error("the ingress holds {earliest}..{end} but the resume offset is {resume}")]
    IngressLost {
        /// Where to go on.
        resume: u64,
        /// The first offset it has.
        earliest: u64,
        /// The offset after its last.
        end: u64,
    },
    /// A topic of this life is not there (E1): its ingress, or its log. Said after a row of such answers.
    #[error(
        "the {0} is missing, the log answered {TOPIC_MISSES} times in a row: {meaning}; if it is there \
         again as it was, restart the instance, if it is gone for good, rebuild the region as another life",
        meaning = meaning(.0)
    )]
    TopicMissing(&'static str),
    /// A topic of this name is there and is not the one that this life began with (E1): its ingress, or its
    /// log.
    #[error("the {0} is another topic than the one that this life began with: the region has to be rebuilt")]
    TopicOther(&'static str),
    /// The witness has raised the region's incarnation to this: a later life is the present one (E1).
    #[error("this life has ended: the region is in life {0}")]
    LifeEnded(u32),
    /// The life was raised and its rebuild did not end (E1).
    #[error("this life was not opened: its rebuild has to be run again")]
    Unopened,
    /// A stream's own chain is not one.
    #[error("the chain of {0} is broken: {1}")]
    Chain(StreamId, Broken),
    /// A stored segment of a stream's own chain is of a form that this version does not know, or damaged.
    #[error("a stored segment of {0} cannot be read")]
    Unreadable(StreamId),
    /// The log took no record of so many terms in a row. The only alarm with which the work goes on: the
    /// partition is taken over again, ever more slowly, until the log takes one.
    #[error("the log took no record of {0} terms in a row")]
    LogRefuses(u32),
}

/// What it means for events that a topic is missing.
fn meaning(topic: &str) -> &'static str {
    match topic {
        "ingress" => "what was accepted and not sequenced is nowhere else but with its authors",
        _ => "what is sequenced stands in the table, and other regions get nothing by their mirrors",
    }
}

/// The machine's bounds. The defaults are those of [`crate::limits`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Records of one stream that wait, before later ones are skipped and read again.
    pub queue_records: usize,
    /// The same in bytes of bodies.
    pub queue_bytes: usize,
    /// Records of all streams that wait, before feeding pauses.
    pub held_records: usize,
    /// The same in bytes of bodies.
    pub held_bytes: usize,
    /// Ordinary ids remembered.
    pub window_ids: usize,
    /// Resend-marked ids remembered.
    pub window_resends: usize,
    /// Streams kept loaded while idle.
    pub loaded_streams: usize,
    /// Log records not yet acknowledged, with the puts whose segments will be such.
    pub unacked_records: usize,
    /// Log records handed out before a newer term is looked for again, beside each second.
    pub term_records: usize,
    /// Reads of heads and ranges under way.
    pub reads: usize,
    /// Events in one segment.
    pub segment_events: usize,
    /// Bytes of bodies in one segment, with [`limits::SEGMENT_EVENT_BYTES`] for each.
    pub segment_bytes: usize,
    /// Bytes of index in one checkpoint.
    pub checkpoint_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_records: limits::STREAM_QUEUE_RECORDS,
            queue_bytes: limits::STREAM_QUEUE_BYTES,
            held_records: limits::PARTITION_HELD_RECORDS,
            held_bytes: limits::PARTITION_HELD_BYTES,
            window_ids: limits::WINDOW_IDS,
            window_resends: limits::WINDOW_RESENDS,
            loaded_streams: limits::LOADED_STREAMS,
            unacked_records: limits::UNACKED_RECORDS,
            term_records: limits::TERM_RECORDS,
            reads: limits::SEQUENCER_READS,
            segment_events: limits::SEGMENT_EVENTS,
            segment_bytes: limits::SEGMENT_BODY_BYTES,
            checkpoint_bytes: limits::CHECKPOINT_BYTES,
        }
    }
}

/// How often each path was taken since the takeover. Counts only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events of our own segments that were confirmed.
    pub events: u64,
    /// Segments of our own that were confirmed.
    pub segments: u64,
    /// Puts whose outcome was unknown and that were put again.
    pub lost_puts: u64,
    /// Puts that found our own segment: an earlier attempt had been applied.
    pub found_own: u64,
    /// Another writer's segments that were adopted.
    pub adopted: u64,
    /// Segments produced again when their stream was loaded.
    pub reproduced: u64,
    /// Records settled because a segment of the chain already covers them.
    pub replayed: u64,
    /// Proven duplicates.
    pub duplicates: u64,
    /// Those of them without the resend mark: the original came after its resend.
    pub late_originals: u64,
    /// Events whose id another event of the stream had, with other content (E4).
    pub reused_ids: u64,
    /// Ranges read because the window could not tell.
    pub looks: u64,
    /// Times that a stream's queue was full.
    pub overflows: u64,
    /// Records skipped and read again later.
    pub skipped: u64,
    /// Pages of ingress read again.
    pub rereads: u64,
    /// Streams dropped from memory.
    pub unloaded: u64,
    /// Times that feeding was paused.
    pub pauses: u64,
    /// Stored bodies that could not be read for their id.
    pub unreadable: u64,
    /// Answers that nothing had asked for; a driver's mistake.
    pub unexpected: u64,
}
