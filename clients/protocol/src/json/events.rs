//! The `events` frame, and one event, straight from an event's parts: no message and no tree in between.

use sterna_stream::StreamId;
use sterna_stream::limits::FRAME_BYTES;

use super::text;
use crate::frame::EventRef;

const END: &[u8] = b"]}}";

/// Appends one `events` frame with as many of `events` as a frame holds, at least one, and says how many. Of
/// none it writes nothing.
pub fn encode_events(out: &mut Vec<u8>, stream: &StreamId, events: &[EventRef<'_>]) -> usize {
    let Some((first, more)) = events.split_first() else {
        return 0;
    };
    let start = out.len();
    out.extend_from_slice(b"{\"events\":{\"stream\":\"");
    out.extend_from_slice(stream.as_str().as_bytes());
    out.extend_from_slice(b"\",\"events\":[");
    encode_event(out, first);
    let mut taken = 1;
    for next in more {
        let fits = out.len();
        out.push(b',');
        encode_event(out, next);
        if out.len() - start + END.len() > FRAME_BYTES {
            out.truncate(fits);
            break;
        }
        taken += 1;
    }
    out.extend_from_slice(END);
    taken
}

/// Appends one event as an object, as it stands in an `events` frame and in a REST answer.
pub fn encode_event(out: &mut Vec<u8>, event: &EventRef<'_>) {
    out.extend_from_slice(b"{\"origin\":\"");
    out.extend_from_slice(event.origin.as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    text::number(out, event.seq);
    out.extend_from_slice(b",\"hlc\":\"");
    text::hex(out, event.hlc.0.into(), 16);
    out.extend_from_slice(b"\",\"event_id\":\"");
    text::event_id(out, event.event_id);
    out.extend_from_slice(b"\",\"author\":");
    text::string(out, event.author);
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(event.kind.as_bytes());
    out.extend_from_slice(b"\",\"payload\":");
    out.extend_from_slice(event.payload);
    if event.erased {
        out.extend_from_slice(b",\"erased\":true");
    }
    if event.resend {
        out.extend_from_slice(b",\"resend\":true");
    }
    out.push(b'}');
}
