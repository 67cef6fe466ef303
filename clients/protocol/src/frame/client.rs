//! What client frames hold.

use sterna_stream::ids::EventKind;
use sterna_stream::{Cursor, EventId, Hlc, Region, StreamId};

use super::{Device, Secret};
use crate::payload::Payload;

/// Authenticates a socket; on one that is authenticated it renews the token.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The user's token.
    pub token: Secret,
    /// The installation.
    pub device: Device,
    /// Name and version of the client's library, for metrics; may be empty.
    pub client: Box<str>,
    /// The region that the device last reached by the DNS name, kept over moves.
    pub home: Option<Region>,
    /// From a `move`: admitted before others.
    pub ticket: Option<Secret>,
    /// The access stream's events that the user has seen the effect of: nothing staler may decide.
    pub policy: Cursor,
    /// Asks for another interval of the server's pings.
    pub ping_interval_ms: Option<u32>,
}

/// Follow many streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe {
    /// Each replaces an earlier subscription to the same stream.
    pub streams: Vec<Subscription>,
    /// All streams that the user is a member of, now and later.
    pub mine: bool,
    /// At most so many events of the backlog of each of `mine`.
    pub tail: Option<u32>,
    /// What stood for a stream and is no stream id. Each is answered with `bad_stream`, as every stream is
    /// answered one by one; found by decoding, never encoded.
    pub malformed: Vec<Box<str>>,
}

/// Follow one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The stream.
    pub stream: StreamId,
    /// Delivery starts right after it; `None`: after what this device stored last.
    pub cursor: Option<Cursor>,
    /// At most so many events of the backlog.
    pub tail: Option<u32>,
    /// Whether to be told who is there.
    pub presence: bool,
}

/// Leave streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsubscribe {
    /// Which.
    pub streams: Vec<StreamId>,
}

/// Accept an event for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Where to.
    pub stream: StreamId,
    /// Minted at the first attempt: the idempotency key.
    pub event_id: EventId,
    /// What sort of fact it is.
    pub kind: EventKind,
    /// The fact.
    pub payload: Payload,
    /// The newest stamp of this stream that the author was shown.
    pub seen: Option<Hlc>,
    /// Whether it may have been sent before (E7).
    pub resend: bool,
    /// As in [`Hello::policy`].
    pub policy: Cursor,
}

/// What the device has stored for good.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursors {
    /// Stream by stream.
    pub streams: Vec<Stored>,
}

/// What the device has stored of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The stream.
    pub stream: StreamId,
    /// How far.
    pub cursor: Cursor,
}

/// The target of a `move` cannot be reached: offer the next.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveFailed {
    /// The target.
    pub to: Region,
    /// What happened, in a word.
    pub reason: Box<str>,
}
