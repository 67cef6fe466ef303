//! The `events` frame straight from an event's parts: no message in between.
//!
//! Field numbers are below 16, so each key is one byte; a test compares with what the generated code writes.

use prost::encoding::{encode_varint, encoded_len_varint};
use sterna_stream::StreamId;
use sterna_stream::limits::FRAME_BYTES;

use crate::frame::EventRef;
use crate::json::event_id;

const DELIMITED: u8 = 2;
const FRAME_EVENTS: u8 = 6 << 3 | DELIMITED;
const STREAM: u8 = 1 << 3 | DELIMITED;
const EVENT: u8 = 2 << 3 | DELIMITED;
const ORIGIN: u8 = 1 << 3 | DELIMITED;
const SEQ: u8 = 2 << 3;
const HLC: u8 = 3 << 3 | 1;
const EVENT_ID: u8 = 4 << 3 | DELIMITED;
const AUTHOR: u8 = 5 << 3 | DELIMITED;
const KIND: u8 = 6 << 3 | DELIMITED;
const PAYLOAD: u8 = 7 << 3 | DELIMITED;
const ERASED: u8 = 8 << 3;
const RESEND: u8 = 9 << 3;

/// Appends one `events` frame with as many of `events` as a frame holds, at least one, and says how many. Of
/// none it writes nothing.
pub fn encode_events(out: &mut Vec<u8>, stream: &StreamId, events: &[EventRef<'_>]) -> usize {
    let mut taken = 0;
    let mut length = field_len(stream.as_str().len());
    for event in events {
        let longer = length + field_len(event_len(event));
        if taken > 0 && field_len(longer) > FRAME_BYTES {
            break;
        }
        length = longer;
        taken += 1;
    }
    if taken == 0 {
        return 0;
    }
    out.push(FRAME_EVENTS);
    encode_varint(length as u64, out);
    bytes(out, STREAM, stream.as_str().as_bytes());
    for event in &events[..taken] {
        out.push(EVENT);
        encode_varint(event_len(event) as u64, out);
        self::event(out, event);
    }
    taken
}

fn event(out: &mut Vec<u8>, event: &EventRef<'_>) {
    bytes(out, ORIGIN, event.origin.as_bytes());
    out.push(SEQ);
    encode_varint(event.seq, out);
    out.push(HLC);
    out.extend_from_slice(&event.hlc.0.to_le_bytes());
    out.extend_from_slice(&[EVENT_ID, 36]);
    event_id(out, event.event_id);
    bytes(out, AUTHOR, event.author.as_bytes());
    bytes(out, KIND, event.kind.as_bytes());
    bytes(out, PAYLOAD, event.payload);
    if event.erased {
        out.extend_from_slice(&[ERASED, 1]);
    }
    if event.resend {
        out.extend_from_slice(&[RESEND, 1]);
    }
}

fn event_len(event: &EventRef<'_>) -> usize {
    let texts = [event.origin.len(), 36, event.author.len(), event.kind.len(), event.payload.len()];
    let flags = 2 * (usize::from(event.erased) + usize::from(event.resend));
    let numbers = 1 + encoded_len_varint(event.seq) + 1 + 8;
    texts.into_iter().map(field_len).sum::<usize>() + numbers + flags
}

/// What a delimited field of so many bytes takes, its one-byte key included.
fn field_len(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn bytes(out: &mut Vec<u8>, key: u8, value: &[u8]) {
    out.push(key);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
