//! What a shard asks of others, as traits, so that it runs alike in production, simulation and benchmark.
//!
//! A shard calls [`Upstream`] without waiting: answers come back later through the shard's own methods, from
//! the same thread. It calls [`Encode`] once per entry and encoding, or once per page.

use sterna_protocol::frame::GapReason;
use sterna_stream::{Cursor, Segment, StreamId};

use crate::session::SessionId;
use crate::wire::Messages;

/// Towards `state` and `notification`. No method may block; calling back into the shard at once is allowed.
pub trait Upstream {
    /// Starts or ends interest in a stream. A start is answered by `Shard::joined`, then by pushes.
    fn interest(&self, stream: &StreamId, on: bool);
    /// A ring misses what follows `from`, up to `wanted` at least: answered by pushes of the missing
    /// segments, in seq order per origin. `wanted` names origins that the ring has nothing of yet.
    fn pull(&self, stream: &StreamId, from: &Cursor, wanted: &Cursor);
    /// A session needs history: answered by one `Shard::page`.
    fn backlog(&self, ask: Ask);
}

/// One page of history, please.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose page it is; goes back with the answer.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamId,
    /// What the session has.
    pub from: Cursor,
    /// What the stream is known to hold at least: the ring's heads.
    pub head: Cursor,
    /// In the first question of a join: at most this many newest events, the rest as a gap.
    pub tail: Option<u32>,
    /// Most bytes of bodies in the answer.
    pub max_bytes: usize,
}

/// An answer to [`Ask`]. Empty if what follows `from` is not readable yet: the shard asks again later.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Seqs that will not come, told before the events.
    pub gap: Option<Gap>,
    /// Per origin ascending and dense from `from`, or from the gap's end.
    pub segments: Vec<Segment>,
}

/// A `gap` frame's content: seqs after `from` up to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Rules 8 and 9 of docs/protocol.md.
    pub reason: GapReason,
    /// Before the gap.
    pub from: Cursor,
    /// Its end, per origin; never below `from`.
    pub to: Cursor,
}

/// How things look on the wire. Each method adds complete messages, each at most one frame.
pub trait Encode {
    /// A segment's events, as one or more `events` frames.
    fn events(&self, segment: &Segment, out: &mut Messages);
    /// A `gap` frame.
    fn gap(&self, stream: &StreamId, gap: &Gap, out: &mut Messages);
    /// A `subscribed` frame.
    fn subscribed(&self, stream: &StreamId, head: &Cursor, known: &Cursor, out: &mut Messages);
    /// A `ping` frame.
    fn ping(&self, out: &mut Messages);
}
