//! Error codes as clients meet them, the refusal of a frame, and problem details for REST (RFC 9457).
//!
//! One table for frames and REST: the closed set is `sterna_stream::Reason`, open at a client's end, because
//! a newer server may name one that this version does not know; then `retry_after_ms` alone says what to do.

use std::fmt;
use std::str::FromStr;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sterna_stream::ids::Invalid;
use sterna_stream::{Cursor, Reason, Refusal};

use crate::frame;
use crate::limits::ECHO_BYTES;
use crate::payload::Malformed;

#[cfg(test)]
mod tests;

/// The media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What `type` starts with in a [`Problem`].
pub const PROBLEM_TYPE: &str = "urn:sterna:error:";

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// One of docs/protocol.md, section 6.
    Known(Reason),
    /// One that this version does not know.
    Other(Box<str>),
}

/// Why bytes are no frame, by what follows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Not one known shape: the socket is closed with 4300.
    #[error(transparent)]
    Bad(#[from] Malformed),
    /// A frame of this name is not known here: a client ignores it, a server answers and goes on.
    #[error("a frame of an unknown name")]
    Unknown(Box<str>),
    /// Well formed, but what it asks cannot be: a server answers with this and goes on.
    #[error("refused: {}", .0.code)]
    Refused(Box<frame::Error>),
}

/// Problem details: the body of every REST answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:sterna:error:<code>`.
    #[serde(rename = "type")]
    pub type_urn: String,
    /// The code in words; the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The error code.
    pub code: String,
    /// The same request may succeed after so long; `None`: not unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// The server's wall clock, where the client's seems wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unix_ms: Option<u64>,
    /// The region to go to, with `region_leaving`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The parameter, or the member of the body, that was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How far the region has seen the stream in which an event was not found: origin to seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<BTreeMap<String, u64>>,
    /// One sentence for the developer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

// === impl ErrorCode ===

impl ErrorCode {
    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(reason) => reason.code(),
            Self::Other(name) => name,
        }
    }

    /// The reason, if this version knows it.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Known(reason) => Some(*reason),
            Self::Other(_) => None,
        }
    }

    /// What an HTTP status means where the body names no code: from a proxy, or cut short.
    pub fn of_status(status: u16) -> Self {
        Self::Known(match status {
            401 => Reason::TokenInvalid,
            403 => Reason::Forbidden,
            404 | 410 => Reason::NotFound,
            409 => Reason::LimitExceeded,
            413 => Reason::PayloadTooLarge,
            429 => Reason::RateLimited,
            502..=504 => Reason::Unavailable,
            400..=499 => Reason::BadRequest,
            _ => Reason::Internal,
        })
    }
}

impl From<Reason> for ErrorCode {
    fn from(reason: Reason) -> Self {
        Self::Known(reason)
    }
}

impl FromStr for ErrorCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match Reason::from_code(text) {
            Some(reason) => Ok(Self::Known(reason)),
            None => frame::unknown(text).map(Self::Other),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Rejection ===

impl Rejection {
    /// The reason that is counted and told.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Bad(_) => Reason::BadFrame,
            Self::Unknown(_) => Reason::UnknownFrame,
            Self::Refused(error) => error.code.reason().unwrap_or(Reason::BadRequest),
        }
    }

    /// The code to close with, unless the session goes on.
    pub fn close_code(&self) -> Option<u16> {
        self.reason().close_code()
    }

    /// The `error` frame that tells it.
    pub fn into_error(self) -> frame::Error {
        match self {
            Self::Bad(malformed) => frame::Error::new(Reason::BadFrame).detail(malformed.to_string()),
            Self::Unknown(name) => {
                frame::Error { frame: Some(echo(&name)), ..frame::Error::new(Reason::UnknownFrame) }
            }
            Self::Refused(error) => *error,
        }
    }
}

/// As much of a client's own text as a refusal repeats.
pub(crate) fn echo(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(ECHO_BYTES)].into()
}

// === impl frame::Error ===

impl frame::Error {
    /// That something was not done because of `reason`, naming nothing yet.
    pub fn new(reason: Reason) -> Self {
        Self {
            code: reason.into(),
            frame: None,
            field: None,
            event_id: None,
            stream: None,
            retry_after_ms: None,
            time_unix_ms: None,
            to: None,
            detail: None,
        }
    }

    /// The same error naming the event that was not taken.
    #[must_use]
    pub fn of_event(mut self, event_id: &str) -> Self {
        self.event_id = Some(echo(event_id));
        self
    }

    /// The same error naming the stream that is not followed (any more); an empty text names none.
    #[must_use]
    pub fn of_stream(mut self, stream: &str) -> Self {
        self.stream = (!stream.is_empty()).then(|| echo(stream));
        self
    }

    /// What was named is no stream's id.
    #[must_use]
    pub fn no_stream(text: &str) -> Self {
        let error = Self::new(Reason::BadStream).of_stream(text);
        error.detail("not a stream's id: expected tenant/kind/name")
    }

    /// The same error with a sentence for the developer.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl From<Refusal> for frame::Error {
    fn from(refusal: Refusal) -> Self {
        let error = Self { retry_after_ms: refusal.retry_after_ms, ..Self::new(refusal.reason) };
        if refusal.detail.is_empty() { error } else { error.detail(refusal.detail) }
    }
}

// === impl Problem ===

impl Problem {
    /// The problem that a refusal is.
    pub fn of(refusal: &Refusal) -> Self {
        let code = refusal.reason.code();
        Self {
            type_urn: format!("{PROBLEM_TYPE}{code}"),
            title: title(refusal.reason).to_owned(),
            status: refusal.reason.http_status(),
            code: code.to_owned(),
            retry_after_ms: refusal.retry_after_ms,
            time_unix_ms: None,
            to: None,
            field: None,
            seen: None,
            detail: (!refusal.detail.is_empty()).then(|| refusal.detail.clone()),
        }
    }

    /// The same problem naming the parameter or member that was not taken.
    #[must_use]
    pub fn of_field(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// The same problem saying how far the region has seen the stream.
    #[must_use]
    pub fn seen(self, cursor: &Cursor) -> Self {
        let seen = cursor.iter().map(|(origin, seq)| (origin.to_string(), seq)).collect();
        Self { seen: Some(seen), ..self }
    }

    /// The same problem under a status that says it more closely than the code's own.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The `Retry-After` header's value, whole seconds rounded up.
    pub fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_ms.map(|ms| ms.div_ceil(1_000))
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers only")
    }
}

impl From<Refusal> for Box<Problem> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Problem::of(&refusal))
    }
}

/// A reason in words.
fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::BadFrame => "not a frame",
        Reason::UnknownFrame => "unknown frame",
        Reason::BadSubprotocol => "no common subprotocol",
        Reason::OriginNotAllowed => "origin not allowed",
        Reason::BadRequest => "bad request",
        Reason::BadEventId => "not an event id",
        Reason::IdTooOld => "event id too old",
        Reason::BadStream => "not a stream id",
        Reason::PayloadTooLarge => "payload too large",
        Reason::TokenExpired => "token expired",
        Reason::TokenInvalid => "token invalid",
        Reason::NotFound => "not found",
        Reason::Forbidden => "forbidden",
        Reason::PolicyStale => "access data too old",
        Reason::RateLimited => "too many publishes",
        Reason::LimitExceeded => "too many at once",
        Reason::Overloaded => "overloaded",
        Reason::RegionLeaving => "region is being emptied",
        Reason::AuditUnavailable => "could not be recorded",
        Reason::Unavailable => "no answer in time",
        Reason::Internal => "internal error",
    }
}
