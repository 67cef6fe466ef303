//! How a shard's frames look: events, gaps, heads and pings in both subprotocols, through `clients/protocol`.
//!
//! A segment is encoded once per subprotocol and shared by all who follow its ring. An event whose body
//! cannot be read is not left out, because that would be a hole: it is told as one whose content is gone.

use smallvec::SmallVec;
use sterna_proto::record::Body;
use sterna_protocol::frame::{self, EventRef, Gap as GapFrame, Head, ServerFrame, Subscribed};
use sterna_protocol::{Encoding, json, protobuf};
use sterna_stream::limits::FRAME_BYTES;
use sterna_stream::{Cursor, EventId, Segment, StreamId};

use crate::seams::{Encode, Gap};
use crate::wire::{self, Messages};

/// The subprotocols of docs/protocol.md.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subprotocols;

impl Encode for Subprotocols {
    fn events(&self, segment: &Segment, out: &mut Messages) {
        let bodies = segment.bodies.iter().map(|bytes| Body::decode(bytes).ok());
        let bodies: SmallVec<[Option<Body>; 1]> = bodies.collect();
        let events = segment.events().zip(&bodies);
        let events: SmallVec<[EventRef<'_>; 1]> =
            events.map(|((seq, hlc, _), body)| event(segment, seq, hlc, body)).collect();
        let mut rest = &events[..];
        while !rest.is_empty() {
            let about = rest.iter().map(about).sum::<usize>().min(FRAME_BYTES);
            let encoding = out.encoding();
            let taken = out.add_written(about, |bytes| match encoding {
                wire::Encoding::Json => json::encode_events(bytes, &segment.stream, rest),
                wire::Encoding::Protobuf => protobuf::encode_events(bytes, &segment.stream, rest),
            });
            debug_assert!(taken > 0, "an event fits a frame");
            rest = &rest[taken.max(1)..];
        }
    }

    fn gap(&self, stream: &StreamId, gap: &Gap, out: &mut Messages) {
        let Gap { reason, from, to } = gap.clone();
        add(out, &ServerFrame::Gap(GapFrame { stream: stream.clone(), reason, from, to }));
    }

    fn subscribed(&self, stream: &StreamId, head: &Cursor, known: &Cursor, out: &mut Messages) {
        let head = Head { stream: stream.clone(), head: head.clone(), known: known.clone() };
        add(out, &ServerFrame::Subscribed(Subscribed { streams: vec![head] }));
    }

    fn ping(&self, out: &mut Messages) {
        add(out, &ServerFrame::Ping);
    }
}

/// What an event takes in a frame beside its payload, in JSON, with names of usual length.
const EVENT_ABOUT: usize = 256;
/// What a frame that is no `events` takes: nearly all are acks of one event.
const FRAME_ABOUT: usize = 128;

fn about(event: &EventRef<'_>) -> usize {
    EVENT_ABOUT + event.payload.len()
}

/// Adds one frame.
pub(crate) fn add(out: &mut Messages, frame: &ServerFrame) {
    let encoding = encoding(out.encoding());
    out.add_written(FRAME_ABOUT, |bytes| encoding.encode_server(frame, bytes));
}

/// One frame as messages.
pub(crate) fn message(encoding: wire::Encoding, frame: &ServerFrame) -> Messages {
    let mut out = Messages::new(encoding);
    add(&mut out, frame);
    out
}

/// The protocol's name for what a session speaks.
pub(crate) fn encoding(of: wire::Encoding) -> Encoding {
    match of {
        wire::Encoding::Json => Encoding::Json,
        wire::Encoding::Protobuf => Encoding::Protobuf,
    }
}

/// An `error` frame.
pub(crate) fn error(error: frame::Error) -> ServerFrame {
    ServerFrame::Error(Box::new(error))
}

/// One event of a segment; `body` is what its bytes decode to.
pub(crate) fn event<'a>(
    segment: &'a Segment,
    seq: u64,
    hlc: sterna_stream::Hlc,
    body: &'a Option<Body>,
) -> EventRef<'a> {
    let origin = segment.origin.as_str();
    match body {
        Some(body) => EventRef {
            origin,
            seq,
            hlc,
            event_id: body.id,
            author: body.author.as_str(),
            kind: body.kind.as_str(),
            payload: &body.payload,
            erased: false,
            resend: body.resend,
        },
        None => EventRef {
            origin,
            seq,
            hlc,
            event_id: EventId::mint(hlc.wall_ms(), u128::from(seq)),
            author: "unknown",
            kind: "sterna.unreadable",
            payload: b"null",
            erased: true,
            resend: false,
        },
    }
}
