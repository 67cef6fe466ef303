//! Records as the client has them, and ours.

use std::borrow::Cow;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use crate::record::{Entry, Headers, Record, Topic};

/// A record's headers for the client.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: name, value: Some(&value[..]) });
    }
    headers
}

/// A delivered message as ours. Empty and absent key or value are the same.
pub(super) fn entry(topic: &Topic, partition: u16, message: &BorrowedMessage<'_>) -> Entry {
    let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice).unwrap_or_default();
    let mut headers = Headers::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers.push((Cow::Owned(header.key.to_owned()), bytes(header.value)));
    }
    let timestamp = message.timestamp().to_millis().unwrap_or_default();
    let record = Record {
        topic: topic.clone(),
        partition,
        key: bytes(message.key()),
        value: bytes(message.payload()),
        headers,
        timestamp_ms: u64::try_from(timestamp).unwrap_or_default(),
    };
    Entry { offset: message.offset() as u64, record }
}
