//! Writes bodies, ingress records and segments straight into their bytes, in the one form that `canonical`
//! reads.
//!
//! Each event is written once as a body and once or more in a segment: through owned messages that costs an
//! allocation per text. The bytes are those of the messages in `record.proto`, fields in rising order, what
//! is empty left out.

use bytes::Bytes;
use prost::encoding::{encode_varint, encoded_len_varint};
use sterna_stream::{Cursor, Hlc, Origin, Policy, Position, Segment};

use super::{Accepted, Body};

#[cfg(test)]
mod tests;

/// The bytes of a body.
pub(super) fn body(body: &Body) -> Bytes {
    let mut bytes = Vec::with_capacity(length_of(body));
    body.write(&mut bytes);
    bytes.into()
}

/// The bytes of an ingress record.
pub(super) fn accepted(accepted: &Accepted<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(length_of(accepted));
    accepted.write(&mut bytes);
    bytes.into()
}

/// The bytes of a log record that is a segment.
pub(super) fn segment(segment: &Segment) -> Bytes {
    let mut length = Length(0);
    message(&mut length, 1, segment);
    let mut bytes = Vec::with_capacity(length.0);
    message(&mut bytes, 1, segment);
    bytes.into()
}

/// Where fields go.
trait Out {
    fn put(&mut self, bytes: &[u8]);
    fn varint(&mut self, number: u64);
    /// Whether so many bytes need not be written, because they are only counted.
    fn counts(&mut self, bytes: usize) -> bool;
}

struct Length(usize);

/// What is written as a message.
trait Fields {
    fn write(&self, out: &mut impl Out);
}

// === impl Out ===

impl Out for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn varint(&mut self, number: u64) {
        self.0 += encoded_len_varint(number);
    }

    fn counts(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        true
    }
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn varint(&mut self, number: u64) {
        // Nearly every length is one byte.
        match u8::try_from(number) {
            Ok(small) if small < 0x80 => self.push(small),
            _ => encode_varint(number, self),
        }
    }

    fn counts(&mut self, _bytes: usize) -> bool {
        false
    }
}

// === impl Fields ===

impl Fields for Body {
    fn write(&self, out: &mut impl Out) {
        bytes(out, 1, &self.id.to_bytes());
        text(out, 2, self.author.as_str());
        text(out, 3, self.kind.as_str());
        if !self.payload.is_empty() {
            bytes(out, 4, &self.payload);
        }
        bytes(out, 5, &self.content.0);
        number(out, 6, self.resend.into());
        text(out, 7, &self.key);
        if let Some(deps) = &self.deps {
            message(out, 8, deps);
        }
    }
}

impl Fields for Accepted<'_> {
    fn write(&self, out: &mut impl Out) {
        text(out, 1, self.stream.as_str());
        message(out, 2, self.body);
        if self.seen != Hlc::ZERO {
            out.put(&[3 << 3 | 1]);
            out.put(&self.seen.0.to_le_bytes());
        }
        text(out, 4, self.actor.as_str());
        text(out, 5, self.request_id);
        text(out, 6, self.grant_id);
        if !self.policy.access.is_empty() || !self.policy.member.is_empty() {
            message(out, 7, self.policy);
        }
        number(out, 8, self.member.into());
    }
}

impl Fields for Segment {
    fn write(&self, out: &mut impl Out) {
        text(out, 1, self.stream.as_str());
        text(out, 2, self.origin.as_str());
        number(out, 3, self.first);
        if !self.stamps.is_empty() {
            head(out, 4, 8 * self.stamps.len());
            self.stamps.iter().for_each(|stamp| out.put(&stamp.0.to_le_bytes()));
        }
        self.bodies.iter().for_each(|body| bytes(out, 5, body));
        message(out, 6, &self.from);
        if !self.policy.access.is_empty() || !self.policy.member.is_empty() {
            message(out, 7, &self.policy);
        }
        bytes(out, 8, &self.prefix.0);
        if !self.members.is_empty() {
            head(out, 9, self.members.iter().map(|&index| encoded_len_varint(index.into())).sum());
            self.members.iter().for_each(|&index| out.varint(index.into()));
        }
        number(out, 10, self.member_before);
    }
}

impl Fields for Position {
    fn write(&self, out: &mut impl Out) {
        number(out, 1, self.incarnation.into());
        number(out, 2, self.partition.into());
        number(out, 3, self.offset);
    }
}

impl Fields for Policy {
    fn write(&self, out: &mut impl Out) {
        for (tag, cursor) in [(1, &self.access), (2, &self.member)] {
            if !cursor.is_empty() {
                message(out, tag, cursor);
            }
        }
    }
}

impl Fields for Cursor {
    fn write(&self, out: &mut impl Out) {
        self.iter().for_each(|entry| message(out, 1, &entry));
    }
}

impl Fields for (&Origin, u64) {
    fn write(&self, out: &mut impl Out) {
        text(out, 1, self.0.as_str());
        number(out, 2, self.1);
    }
}

// === fields; tags below 16 take one byte ===

/// The beginning of a field of so many bytes.
fn head(out: &mut impl Out, tag: u8, length: usize) {
    out.put(&[tag << 3 | 2]);
    out.varint(length as u64);
}

fn bytes(out: &mut impl Out, tag: u8, value: &[u8]) {
    head(out, tag, value.len());
    out.put(value);
}

fn text(out: &mut impl Out, tag: u8, value: &str) {
    if !value.is_empty() {
        bytes(out, tag, value.as_bytes());
    }
}

fn number(out: &mut impl Out, tag: u8, value: u64) {
    if value != 0 {
        out.put(&[tag << 3]);
        out.varint(value);
    }
}

fn message(out: &mut impl Out, tag: u8, value: &impl Fields) {
    let length = length_of(value);
    head(out, tag, length);
    if !out.counts(length) {
        value.write(out);
    }
}

fn length_of(value: &impl Fields) -> usize {
    let mut length = Length(0);
    value.write(&mut length);
    length.0
}
