//! Names and bytes: topic, group, record.
//!
//! Names are parsed once and cheap to clone. A record is opaque: nothing here looks into key, value or
//! headers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use sterna_stream::Region;
use sterna_stream::ids::Invalid;

/// Longest name of a topic or group, bytes: Kafka's limit.
pub const NAME_BYTES: usize = 249;

/// Where a record stands in its partition. Offsets rise and have holes: never count with them.
pub type Offset = u64;

/// A header: its name, static where the program knows it, and its bytes.
pub type Header = (Cow<'static, str>, Bytes);

/// A record's headers, in order.
pub type Headers = SmallVec<[Header; 1]>;

/// Name of a topic: lower-case letters, digits, `.`, `_`, `-`. Names of ours have no dot; a mirror's has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// Name of a consumer group, of the same form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Arc<str>);

/// What is produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic it goes to.
    pub topic: Topic,
    /// The partition, chosen by the caller with `sterna_stream::partition`, never by a client library (E28).
    pub partition: u16,
    /// The stream's id, or empty.
    pub key: Bytes,
    /// The encoded segment, ingress record or mark.
    pub value: Bytes,
    /// What differs per copy, like the log position (E2).
    pub headers: Headers,
    /// Unix milliseconds, chosen by the producer. Kafka refuses more than one hour ahead of its own clock.
    pub timestamp_ms: u64,
}

/// A record where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its offset.
    pub offset: Offset,
    /// The record.
    pub record: Record,
}

// === impl Topic ===

impl Topic {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic's name in a region's `incarnation`-th life: from the second on with `-g<n>` at its end (E1).
    #[must_use]
    pub fn in_incarnation(&self, incarnation: u32) -> Self {
        match incarnation {
            0 | 1 => self.clone(),
            n => Self(Arc::from(format!("{self}-g{n}"))),
        }
    }

    /// The name that this topic of `region` has where it is mirrored to: `<region>.<topic>`.
    #[must_use]
    pub fn mirrored_from(&self, region: &Region) -> Self {
        Self(Arc::from(format!("{region}.{self}")))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        name(text).map(Self)
    }
}

// === impl Group ===

impl Group {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Group {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        name(text).map(Self)
    }
}

// === impl Record ===

impl Record {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Bytes of key, value and headers: what `max.message.bytes` is compared with.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.len() + headers
    }
}

fn name(text: &str) -> Result<Arc<str>, Invalid> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    match text.len() {
        0 => Err(Invalid::Empty),
        n if n > NAME_BYTES => Err(Invalid::TooLong(NAME_BYTES)),
        _ if text == "." || text == ".." || !text.bytes().all(allowed) => Err(Invalid::Character),
        _ => Ok(Arc::from(text)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_named_after_region_incarnation_and_topic() {
        let log: Topic = "sterna-log".parse().unwrap();
        let region: Region = "us-east-1".parse().unwrap();
        assert_eq!(log.mirrored_from(&region).as_str(), "us-east-1.sterna-log");
        assert_eq!(log.in_incarnation(1), log);
        assert_eq!(log.in_incarnation(2).mirrored_from(&region).as_str(), "us-east-1.sterna-log-g2");
    }

    #[test]
    fn a_name_that_a_broker_would_refuse_is_no_name() {
        for bad in ["", ".", "..", "Sterna", "a b", "a/b", &"x".repeat(NAME_BYTES + 1)] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
            assert!(bad.parse::<Group>().is_err(), "{bad}");
        }
        assert!("x".repeat(NAME_BYTES).parse::<Topic>().is_ok());
    }
}
