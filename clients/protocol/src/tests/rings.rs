//! Frames encoded once and shared: straight from an event's parts, as the typed frame would be.

use proptest::prelude::*;
use sterna_stream::limits::{FRAME_BYTES, KIND_BYTES, PAYLOAD_BYTES, SEQ_MAX, USER_BYTES};
use sterna_stream::{EventId, Hlc, StreamId};

use super::{Frame, generate};
use crate::encoding::Encoding;
use crate::frame::{Event, EventRef, Events, ServerFrame};
use crate::{json, protobuf};

fn encode(encoding: Encoding, stream: &StreamId, events: &[EventRef<'_>]) -> (Vec<u8>, usize) {
    let mut out = b"before".to_vec();
    let taken = match encoding {
        Encoding::Json => json::encode_events(&mut out, stream, events),
        Encoding::Protobuf => protobuf::encode_events(&mut out, stream, events),
    };
    (out.split_off(6), taken)
}

fn stream() -> StreamId {
    "acme/chat/general".parse().unwrap()
}

proptest! {
    #[test]
    fn events_from_parts_are_the_bytes_of_the_typed_frame(
        events in prop::collection::vec(generate::event(), 1..5),
    ) {
        let frame = Frame::Server(ServerFrame::Events(Events { stream: stream(), events: events.clone() }));
        let parts: Vec<EventRef<'_>> = events.iter().map(Into::into).collect();
        for encoding in Encoding::ALL {
            let (bytes, taken) = encode(encoding, &stream(), &parts);
            prop_assert_eq!(taken, events.len());
            prop_assert_eq!(bytes, frame.encode(encoding));
        }
    }

    #[test]
    fn a_segment_becomes_as_few_frames_as_hold_it(sizes in prop::collection::vec(1..20_000usize, 1..40)) {
        let payloads: Vec<String> = sizes.iter().map(|size| format!("\"{}\"", "x".repeat(*size))).collect();
        let parts: Vec<EventRef<'_>> = (1..).zip(&payloads).map(|(seq, text)| part(seq, text)).collect();
        for encoding in Encoding::ALL {
            let (mut rest, mut seen) = (&parts[..], 0);
            while !rest.is_empty() {
                let (bytes, taken) = encode(encoding, &stream(), rest);
                prop_assert!(bytes.len() <= FRAME_BYTES);
                if taken < rest.len() {
                    let one_more = one_frame(encoding, &rest[..=taken]);
                    prop_assert!(one_more > FRAME_BYTES, "the next would have fitted: {one_more}");
                }
                let ServerFrame::Events(read) = encoding.decode_server(&bytes).unwrap() else {
                    panic!("events")
                };
                let seqs: Vec<u64> = read.events.iter().map(|event| event.seq).collect();
                prop_assert_eq!(seqs, (seen + 1..=seen + taken as u64).collect::<Vec<_>>());
                seen += taken as u64;
                rest = &rest[taken..];
            }
        }
    }
}

fn part(seq: u64, payload: &str) -> EventRef<'_> {
    EventRef {
        origin: "us-east-1",
        seq,
        hlc: Hlc(seq),
        event_id: EventId::mint(seq, 0),
        author: "ana",
        kind: "message",
        payload: payload.as_bytes(),
        erased: false,
        resend: false,
    }
}

/// Bytes of one frame of all of them, however long.
fn one_frame(encoding: Encoding, parts: &[EventRef<'_>]) -> usize {
    let events = parts.iter().map(|part| Event {
        origin: part.origin.parse().unwrap(),
        seq: part.seq,
        hlc: part.hlc,
        event_id: part.event_id,
        author: part.author.parse().unwrap(),
        kind: part.kind.parse().unwrap(),
        payload: crate::Payload::parse(part.payload.to_vec()).unwrap(),
        erased: part.erased,
        resend: part.resend,
    });
    let events = Events { stream: stream(), events: events.collect() };
    Frame::Server(ServerFrame::Events(events)).encode(encoding).len()
}

/// E29: the largest payload with the longest of everything around it fits a frame, in both encodings.
#[test]
fn the_largest_event_fits_a_frame() {
    let stream: StreamId = format!("acme/chat/{}", "x".repeat(245)).parse().unwrap();
    let (origin, author) = (format!("{}~4000000000", "r".repeat(48)), "\"".repeat(USER_BYTES));
    let (kind, payload) = ("k".repeat(KIND_BYTES), format!("\"{}\"", "x".repeat(PAYLOAD_BYTES - 2)));
    let largest = EventRef {
        origin: &origin,
        seq: SEQ_MAX,
        hlc: Hlc(u64::MAX),
        event_id: EventId::mint(u64::MAX, u128::MAX),
        author: &author,
        kind: &kind,
        payload: payload.as_bytes(),
        erased: true,
        resend: true,
    };
    for encoding in Encoding::ALL {
        let (bytes, taken) = encode(encoding, &stream, &[largest, largest]);
        assert_eq!(taken, 1);
        assert!(bytes.len() <= FRAME_BYTES, "{encoding:?}: {}", bytes.len());
        assert!(encoding.decode_server(&bytes).is_ok());
    }
}

#[test]
fn a_frame_is_filled_to_its_last_byte() {
    let first = format!("\"{}\"", "x".repeat(30_000));
    for encoding in Encoding::ALL {
        let second = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let around = one_frame(encoding, &[part(1, &first), part(2, &second(30_000))]) - 30_000;
        let (fits, too_long) = (second(FRAME_BYTES - around), second(FRAME_BYTES - around + 1));
        let (bytes, taken) = encode(encoding, &stream(), &[part(1, &first), part(2, &fits)]);
        assert_eq!((bytes.len(), taken), (FRAME_BYTES, 2), "{encoding:?}");
        let (_, taken) = encode(encoding, &stream(), &[part(1, &first), part(2, &too_long)]);
        assert_eq!(taken, 1, "{encoding:?}");
    }
}

#[test]
fn of_no_events_there_is_no_frame() {
    for encoding in Encoding::ALL {
        assert_eq!(encode(encoding, &stream(), &[]), (Vec::new(), 0));
    }
}
