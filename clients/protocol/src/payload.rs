//! What an event carries: the text of one JSON value, passed through unread and byte for byte.
//!
//! A [`Payload`] is the evidence that its bytes were checked: well-formed UTF-8 JSON with distinct keys,
//! nested at most [`NESTING`] deep, at most 60 KiB, without white space around it. The check is one pass and
//! builds nothing; it runs on every publish, in both encodings, so that either can carry what the other
//! accepted.
//!
//! It does not judge numbers: `1e999` is a number here, whatever a reader's language makes of it.

use std::fmt;

use bytes::Bytes;
use sterna_stream::limits;

use crate::json::scan::Scanner;
use crate::limits::PAYLOAD_ENCLOSED;

#[cfg(test)]
mod tests;

/// Deepest nesting of a payload: in an `events` frame four levels stand around it.
pub const NESTING: usize = limits::JSON_NESTING - PAYLOAD_ENCLOSED;

/// The checked text of one JSON value.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

/// What is not JSON, or not the JSON or the values that are spoken here. Never echoes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The text is not as it must be.
    #[error("{what} at byte {at}")]
    Text {
        /// What was expected or found.
        what: &'static str,
        /// Offset from the start of what was read.
        at: usize,
    },
    /// A value in it is missing or not as it must be.
    #[error("not as it must be: {0}")]
    Value(&'static str),
}

/// Why bytes are no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not one JSON value as it must be written here.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// More than 60 KiB.
    #[error("longer than {} bytes", limits::PAYLOAD_BYTES)]
    TooLarge,
}

/// Checks that `text` is a payload, white space around it aside.
///
/// # Errors
/// [`Invalid::Malformed`] before [`Invalid::TooLarge`], except that nothing larger than a frame is looked at.
pub fn check(text: &[u8]) -> Result<(), Invalid> {
    scan(text).map(drop)
}

/// The value's own bytes within `text`.
fn scan(text: &[u8]) -> Result<&str, Invalid> {
    if text.len() > limits::FRAME_BYTES {
        return Err(Invalid::TooLarge);
    }
    let mut scanner = Scanner::new(text, NESTING)?;
    let value = scanner.skip()?;
    scanner.end()?;
    if value.len() > limits::PAYLOAD_BYTES { Err(Invalid::TooLarge) } else { Ok(value) }
}

// === impl Payload ===

impl Payload {
    /// The payload of an erased event: `null`.
    pub const NULL: Self = Self(Bytes::from_static(b"null"));

    /// Checks `text` and keeps the value's bytes, without a copy and without the white space around them.
    ///
    /// # Errors
    /// As [`check`].
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, Invalid> {
        let text = text.into();
        let value = scan(&text)?.as_bytes();
        Ok(Self(if value.len() == text.len() { text } else { text.slice_ref(value) }))
    }

    /// What a [`Scanner`] has passed as a payload, but for its size.
    pub(crate) fn scanned(value: Bytes) -> Result<Self, Invalid> {
        if value.len() > limits::PAYLOAD_BYTES { Err(Invalid::TooLarge) } else { Ok(Self(value)) }
    }

    /// Its JSON text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }

    /// The bytes of its JSON text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes of its JSON text.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Says how long it is: what users wrote stays out of logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}
