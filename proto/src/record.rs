//! Records and their bytes: body, segment, mark, log position, ingress record. Checkpoints are
//! [`crate::checkpoint`]'s.
//!
//! A segment's bytes are made once, by the sequencer's driver, and carried from then on ([`Stored`]); a
//! body's once, by Publish. Decoding slices the input and copies no payload.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{self, DecodeContext, WireType};
use smallvec::SmallVec;
use sterna_stream::digest::{ContentHash, LogHash, Prefix};
use sterna_stream::ids::EventKind;
use sterna_stream::sequencer::Known;
use sterna_stream::watermark::Counted;
use sterna_stream::{EventId, Hlc, LogPos, Policy, Segment, StreamId, UserId, limits};

use crate::convert::{self, Malformed, array, id};
use crate::v1;

mod canonical;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
mod written;

/// The header of a log record that says where in its log it stands.
pub const LOG_POS: &str = "log-pos";
/// What that header takes at most: three numbers with their tags.
const HEADER_BYTES: usize = 33;

/// One event as its author meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The author's id of it.
    pub id: EventId,
    /// Who wrote it.
    pub author: UserId,
    /// The event kind.
    pub kind: EventKind,
    /// One JSON value as UTF-8 text, or ciphertext under `key`.
    pub payload: Bytes,
    /// With `id` decides whether two publishes are one event.
    pub content: ContentHash,
    /// Whether it is a repeat.
    pub resend: bool,
    /// The subject key of the payload; empty: plaintext.
    pub key: String,
    /// What the deciding region had folded; on access, identity and member events.
    pub deps: Option<Policy>,
}

/// A segment with the bytes that it is stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the bytes say.
    pub segment: Segment,
    /// The encoded log record.
    pub bytes: Bytes,
}

/// A record of a log.
#[derive(Clone, Debug, PartialEq)]
pub enum LogRecord {
    /// Events.
    Segment(Stored),
    /// A heartbeat.
    Mark(v1::Mark),
    /// A kind from the future: to be counted and skipped.
    Unknown,
}

/// What of an ingress record concerns the sequencer; the rest is for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The stream.
    pub stream: StreamId,
    /// The encoded body.
    pub body: Bytes,
    /// The newest stamp of the stream that its author had been shown.
    pub seen: Hlc,
    /// What it was authorised against.
    pub policy: Policy,
    /// Whether it is a member event.
    pub member: bool,
}

/// An accepted event as Publish writes it into the ingress.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The stream.
    pub stream: &'a StreamId,
    /// The event.
    pub body: &'a Body,
    /// The newest stamp of the stream that its author had been shown.
    pub seen: Hlc,
    /// Whose token it was.
    pub actor: &'a UserId,
    /// The gateway's id of the request.
    pub request_id: &'a str,
    /// The grant it was allowed by.
    pub grant_id: &'a str,
    /// What it was authorised against.
    pub policy: &'a Policy,
    /// Whether it is a member event.
    pub member: bool,
}

/// Where a log record stands, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its position.
    pub pos: LogPos,
    /// On a term's first record: the position that it continues.
    pub continues: Option<LogPos>,
}

// === impl Body ===

impl Body {
    /// Its bytes, made once.
    pub fn encode(&self) -> Bytes {
        written::body(self)
    }

    /// The body in these bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that `encode` does not make.
    pub fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        canonical::body(bytes).map_or_else(|| Self::decode_generally(bytes), Ok)
    }

    fn decode_generally(bytes: &Bytes) -> Result<Self, Malformed> {
        let message = v1::Body::decode(bytes.clone())?;
        let event_id = EventId::from_bytes(&message.event_id);
        Ok(Self {
            id: event_id.map_err(|source| Malformed::Id { field: "event_id", source })?,
            author: id("author", &message.author)?,
            kind: id("kind", &message.kind)?,
            payload: message.payload,
            content: ContentHash(array("content", &message.content)?),
            resend: message.resend,
            key: message.key,
            deps: message.deps.as_ref().map(|deps| convert::policy(Some(deps))).transpose()?,
        })
    }
}

// === impl Accepted ===

impl Accepted<'_> {
    /// The bytes of its ingress record.
    pub fn encode(&self) -> Bytes {
        written::accepted(self)
    }
}

// === impl Stored ===

impl Stored {
    /// The segment with its bytes, made now.
    pub fn new(segment: Segment) -> Self {
        let bytes = encode_segment(&segment);
        Self { segment, bytes }
    }

    /// The segment in the bytes of a log record or table item.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        match LogRecord::decode(bytes)? {
            LogRecord::Segment(stored) => Ok(stored),
            LogRecord::Mark(_) | LogRecord::Unknown => Err(Malformed::Field("segment")),
        }
    }
}

/// Encodes a segment; the only place that does.
pub fn encode_segment(segment: &Segment) -> Bytes {
    written::segment(segment)
}

/// The segment, unless it contradicts itself.
fn checked(segment: Segment) -> Result<Segment, Malformed> {
    let rising = segment.stamps.windows(2).all(|pair| pair[0] < pair[1]);
    let members_rise = segment.members.windows(2).all(|pair| pair[0] < pair[1]);
    let members_stand = segment.members.last().is_none_or(|&index| (index as usize) < segment.bodies.len());
    if !members_rise || !members_stand || segment.member_before >= segment.first {
        return Err(Malformed::Field("members"));
    }
    if segment.stamps.is_empty() || segment.stamps.len() != segment.bodies.len() || !rising {
        return Err(Malformed::Field("stamps"));
    }
    Ok(segment)
}

fn segment(message: v1::Segment) -> Result<Segment, Malformed> {
    checked(Segment {
        stream: id("stream", &message.stream)?,
        origin: id("origin", &message.origin)?,
        first: message.first,
        stamps: message.stamps.into_iter().map(Hlc).collect(),
        bodies: message.bodies.into(),
        from: message.from.ok_or(Malformed::Field("from"))?.try_into()?,
        policy: convert::policy(message.policy.as_ref())?,
        prefix: Prefix(array("prefix", &message.prefix)?),
        members: message.members,
        member_before: message.member_before,
    })
}

// === impl LogRecord ===

impl LogRecord {
    /// The record in these bytes; a kind from the future is [`LogRecord::Unknown`].
    ///
    /// # Errors
    /// [`Malformed`] if they are no log record, or one that contradicts itself.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        match canonical::segment(&bytes) {
            Some(_) if bytes.len() > limits::FRAME_BYTES => Err(Malformed::TooLarge(bytes.len())),
            Some(segment) => Ok(Self::Segment(Stored { segment: checked(segment)?, bytes })),
            None => general(bytes),
        }
    }
}

/// A record in whatever form.
fn general(bytes: Bytes) -> Result<LogRecord, Malformed> {
    let message = v1::LogRecord::decode(bytes.clone())?;
    Ok(match message.kind {
        Some(v1::log_record::Kind::Segment(_)) if bytes.len() > limits::FRAME_BYTES => {
            return Err(Malformed::TooLarge(bytes.len()));
        }
        Some(v1::log_record::Kind::Segment(message)) => {
            LogRecord::Segment(Stored { segment: segment(message)?, bytes })
        }
        Some(v1::log_record::Kind::Mark(mark)) => LogRecord::Mark(mark),
        None => LogRecord::Unknown,
    })
}

impl LogRecord {
    /// The record as far as counting log positions goes; `bytes` are its own.
    pub fn counted(&self, bytes: &[u8], placed: Placed) -> Counted {
        let (own, before) = match self {
            Self::Segment(stored) => (stored.segment.prefix_after().0, None),
            Self::Mark(mark) => (LogHash::of_bytes(bytes), mark_hash(mark).ok()),
            Self::Unknown => (LogHash::of_bytes(bytes), None),
        };
        Counted { pos: placed.pos, continues: placed.continues.map(|pos| pos.term), own, before }
    }
}

impl LogRecord {
    /// The stream and first seq of a segment.
    pub fn names(&self) -> Option<(&StreamId, u64)> {
        match self {
            Self::Segment(stored) => Some((&stored.segment.stream, stored.segment.first)),
            Self::Mark(_) | Self::Unknown => None,
        }
    }
}

/// What recognises an event in its stored body: the sequencer's peek.
pub fn peek(body: &Bytes) -> Option<Known> {
    canonical::known(body).or_else(|| peek_generally(body))
}

/// The ingress record in these bytes; `None` if they are none.
pub fn ingress(record: &Bytes) -> Option<Ingress> {
    canonical::ingress(record).or_else(|| ingress_generally(record))
}

fn ingress_generally(record: &Bytes) -> Option<Ingress> {
    let message = v1::IngressRecord::decode(record.clone()).ok()?;
    Some(Ingress {
        stream: message.stream.parse().ok()?,
        body: message.body,
        seen: Hlc(message.seen),
        policy: convert::policy(message.policy.as_ref()).ok()?,
        member: message.member,
    })
}

fn peek_generally(body: &Bytes) -> Option<Known> {
    let message = v1::Body::decode(body.clone()).ok()?;
    let id = EventId::from_bytes(&message.event_id).ok()?;
    let content = ContentHash(array("content", &message.content).ok()?);
    Some(Known { id, content, resend: message.resend })
}

/// Whether a stored record may hold member events: false only of one that surely has none. Looks at the tags
/// alone, because nearly no segment has any.
pub fn may_change_members(mut record: &[u8]) -> bool {
    const SEGMENT: u32 = 1;
    const MEMBERS: u32 = 9;
    while !record.is_empty() {
        let Some((tag, value)) = field(&mut record) else { return true };
        let Some(mut segment) = value.filter(|_| tag == SEGMENT) else { continue };
        while !segment.is_empty() {
            match field(&mut segment) {
                Some((MEMBERS, _)) | None => return true,
                Some(_) => {}
            }
        }
    }
    false
}

/// The tag of the first field, which is taken off, with its bytes if it is of those that have a length.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u32, Option<&'a [u8]>)> {
    let (tag, form) = encoding::decode_key(message).ok()?;
    if form != WireType::LengthDelimited {
        encoding::skip_field(form, tag, message, DecodeContext::default()).ok()?;
        return Some((tag, None));
    }
    let length = usize::try_from(encoding::decode_varint(message).ok()?).ok()?;
    let (value, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((tag, Some(value)))
}

/// The bytes of a mark's log record.
pub fn encode_mark(mark: v1::Mark) -> Bytes {
    v1::LogRecord { kind: Some(v1::log_record::Kind::Mark(mark)) }.encode_to_vec().into()
}

/// The running log hash that a sequencer's mark carries.
///
/// # Errors
/// [`Malformed`] if it carries none.
pub fn mark_hash(mark: &v1::Mark) -> Result<LogHash, Malformed> {
    Ok(LogHash(array("log_hash", &mark.log_hash)?))
}

// === impl Placed ===

impl Placed {
    /// The header's bytes.
    pub fn encode(&self) -> Bytes {
        let message = v1::LogPosHeader {
            term: self.pos.term,
            n: self.pos.n,
            continues_term: self.continues.map(|before| before.term),
        };
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = &mut bytes[..];
        message.encode(&mut rest).expect("three numbers fit");
        let length = HEADER_BYTES - rest.len();
        // Bytes and their count of references are one allocation.
        Bytes::from_owner(SmallVec::from_buf_and_len(bytes, length))
    }

    /// The place in a header's bytes.
    ///
    /// # Errors
    /// [`Malformed`] if they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = v1::LogPosHeader::decode(bytes)?;
        let before = message.n.checked_sub(1).ok_or(Malformed::Field("n"))?;
        let continues = message.continues_term.map(|term| LogPos { term, n: before });
        Ok(Self { pos: (&message).into(), continues })
    }
}
