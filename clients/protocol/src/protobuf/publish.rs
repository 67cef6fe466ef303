//! A `publish` frame read straight from its bytes: no owned text per field in between.
//!
//! What is not written as clients write it (a field of another type, one from the future, a policy, a text
//! that is no UTF-8) is left to the generated code, whose verdict counts; a test compares.

use bytes::Bytes;
use prost::encoding::decode_varint;
use sterna_stream::limits::FRAME_BYTES;

use crate::check;

const FRAME_PUBLISH: u8 = 8 << 3 | 2;
const STREAM: u8 = 1 << 3 | 2;
const EVENT_ID: u8 = 2 << 3 | 2;
const KIND: u8 = 3 << 3 | 2;
const PAYLOAD: u8 = 4 << 3 | 2;
const SEEN: u8 = 5 << 3 | 1;
const RESEND: u8 = 6 << 3;

/// The publish that `message` is.
pub(super) fn read(message: &[u8]) -> Option<check::Publish<'_>> {
    if message.len() > FRAME_BYTES || *message.first()? != FRAME_PUBLISH {
        return None;
    }
    let mut rest = &message[1..];
    let mut fields = delimited(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut publish = check::Publish::default();
    while let Some((key, rest)) = fields.split_first() {
        fields = rest;
        match *key {
            STREAM => publish.stream = text(&mut fields)?,
            EVENT_ID => publish.event_id = text(&mut fields)?,
            KIND => publish.kind = text(&mut fields)?,
            PAYLOAD => publish.payload = Bytes::copy_from_slice(delimited(&mut fields)?),
            SEEN => {
                let (seen, rest) = fields.split_first_chunk()?;
                publish.seen = Some(u64::from_le_bytes(*seen));
                fields = rest;
            }
            RESEND => publish.resend = decode_varint(&mut fields).ok()? != 0,
            _ => return None,
        }
    }
    Some(publish)
}

fn text<'a>(fields: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(delimited(fields)?).ok()
}

fn delimited<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(fields).ok()?).ok()?;
    let (value, rest) = fields.split_at_checked(length)?;
    *fields = rest;
    Some(value)
}
