//! Cursor, policy and positions between their messages and the core's types.
//!
//! Towards messages conversions cannot fail; from messages they refuse what the core would not hold.

use sterna_stream::ids::Invalid;
use sterna_stream::{Cursor, LogPos, Policy, Position, limits};

use crate::v1;

/// Why a message is not a value of the core. Names the field, never its content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes are no message of this kind.
    #[error("not a message of this kind: {0}")]
    Bytes(#[from] prost::DecodeError),
    /// An id that is none.
    #[error("{field}: {source}")]
    Id {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        source: Invalid,
    },
    /// A field has no value, or one that contradicts another.
    #[error("{0} is missing or contradicts another field")]
    Field(&'static str),
    /// A segment of more bytes than [`sterna_stream::limits::FRAME_BYTES`].
    #[error("a segment of {0} bytes, more than a log record may have")]
    TooLarge(usize),
}

/// Parses an id out of the field with this name.
pub(crate) fn id<T: std::str::FromStr<Err = Invalid>>(
    field: &'static str,
    text: &str,
) -> Result<T, Malformed> {
    text.parse().map_err(|source| Malformed::Id { field, source })
}

/// A field of fixed length.
pub(crate) fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Field(field))
}

impl From<&Cursor> for v1::Cursor {
    fn from(cursor: &Cursor) -> Self {
        let entry =
            |(origin, seq): (&sterna_stream::Origin, u64)| v1::OriginSeq { origin: origin.to_string(), seq };
        Self { entries: cursor.iter().map(entry).collect() }
    }
}

impl TryFrom<&v1::Cursor> for Cursor {
    type Error = Malformed;

    fn try_from(message: &v1::Cursor) -> Result<Self, Malformed> {
        if message.entries.len() > limits::CURSOR_ORIGINS {
            return Err(Malformed::Field("cursor"));
        }
        let entry = |e: &v1::OriginSeq| Ok((id("origin", &e.origin)?, e.seq));
        message.entries.iter().map(entry).collect()
    }
}

/// The cursor in an optional field; absent means the empty one.
///
/// # Errors
/// As parsing a cursor.
pub fn cursor(field: Option<&v1::Cursor>) -> Result<Cursor, Malformed> {
    field.map_or_else(|| Ok(Cursor::new()), Cursor::try_from)
}

/// A cursor as an optional field; the empty one is left out.
pub fn cursor_field(cursor: &Cursor) -> Option<v1::Cursor> {
    (!cursor.is_empty()).then(|| cursor.into())
}

/// A policy as an optional field; the empty one is left out.
pub fn policy_field(policy: &Policy) -> Option<v1::Policy> {
    let message = v1::Policy { access: cursor_field(&policy.access), member: cursor_field(&policy.member) };
    (message.access.is_some() || message.member.is_some()).then_some(message)
}

/// The policy in an optional field; absent means the empty one.
///
/// # Errors
/// As parsing its cursors.
pub fn policy(field: Option<&v1::Policy>) -> Result<Policy, Malformed> {
    let Some(message) = field else { return Ok(Policy::default()) };
    Ok(Policy { access: cursor(message.access.as_ref())?, member: cursor(message.member.as_ref())? })
}

impl From<Position> for v1::Position {
    fn from(p: Position) -> Self {
        Self { incarnation: p.incarnation, partition: u32::from(p.partition), offset: p.offset }
    }
}

impl TryFrom<v1::Position> for Position {
    type Error = Malformed;

    fn try_from(p: v1::Position) -> Result<Self, Malformed> {
        let partition = p.partition.try_into().map_err(|_| Malformed::Field("partition"))?;
        Ok(Self { incarnation: p.incarnation, partition, offset: p.offset })
    }
}

impl From<LogPos> for v1::LogPosHeader {
    fn from(pos: LogPos) -> Self {
        Self { term: pos.term, n: pos.n, continues_term: None }
    }
}

impl From<&v1::LogPosHeader> for LogPos {
    fn from(pos: &v1::LogPosHeader) -> Self {
        Self { term: pos.term, n: pos.n }
    }
}
