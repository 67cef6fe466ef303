#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sterna_stream::{Cursor, Position, limits};

use super::*;

pub(super) fn body(payload: &str) -> Body {
    Body {
        id: "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11".parse().unwrap(),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        content: ContentHash([7; 16]),
        resend: false,
        key: String::new(),
        deps: None,
    }
}

pub(super) fn segment_of(bodies: Vec<Bytes>) -> Segment {
    let member: Cursor = "eu-west-1:77,us-east-1:1204".parse().unwrap();
    Segment {
        stream: "acme/chat/general".parse().unwrap(),
        origin: "us-east-1~2".parse().unwrap(),
        first: 1205,
        stamps: (0..bodies.len() as u64).map(|n| Hlc(Hlc::at(1_795_214_400_000).0 + n)).collect(),
        bodies: bodies.into(),
        from: Position { incarnation: 2, partition: 15, offset: 88 },
        policy: Policy { access: Cursor::new(), member },
        prefix: Prefix([9; 32]),
        members: vec![0],
        member_before: 1001,
    }
}

proptest! {
    #[test]
    fn a_segment_comes_back_from_its_bytes(payloads in prop::collection::vec("[ -~]{0,40}", 1..20)) {
        let bodies = payloads.iter().map(|p| body(p).encode()).collect();
        let stored = Stored::new(segment_of(bodies));
        let again = Stored::decode(stored.bytes.clone()).unwrap();
        prop_assert_eq!(&again, &stored);
        prop_assert_eq!(Stored::new(again.segment).bytes, stored.bytes, "one encoding per segment");
    }

    #[test]
    fn no_bytes_can_panic_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = LogRecord::decode(bytes.clone());
        let _ = Body::decode(&bytes);
        let _ = Placed::decode(&bytes);
        if let Ok(LogRecord::Segment(stored)) = LogRecord::decode(bytes.clone()) {
            prop_assert!(may_change_members(&bytes) || stored.segment.members.is_empty());
        }
    }
}

/// Rule 6: no member event is overlooked, and nearly every segment without one is told apart by its tags.
#[test]
fn segments_without_member_events_are_told_by_their_tags() {
    let mut segment = segment_of(vec![body("1").encode()]);
    assert!(may_change_members(&encode_segment(&segment)));
    segment.members.clear();
    let bytes = encode_segment(&segment);
    assert!(!may_change_members(&bytes));
    assert!(may_change_members(&bytes[..bytes.len() - 1]), "what is cut short may have any");
}

/// E27: an unknown record kind is counted and skipped, so it must be recognised as one.
#[test]
fn a_record_kind_from_the_future_is_unknown_and_no_error() {
    let field_200_with_bytes = Bytes::from_static(&[0xc2, 0x0c, 0x02, 0x08, 0x01]);
    assert_eq!(LogRecord::decode(field_200_with_bytes), Ok(LogRecord::Unknown));
}

#[test]
fn a_segment_that_contradicts_itself_is_refused() {
    let good = segment_of(vec![body("1").encode(), body("2").encode()]);
    let mut equal_stamps = good.clone();
    equal_stamps.stamps[1] = equal_stamps.stamps[0];
    let mut short = good.clone();
    short.bodies.pop();
    for bad in [equal_stamps, short] {
        assert_eq!(Stored::decode(Stored::new(bad).bytes), Err(Malformed::Field("stamps")));
    }
    let mut zero = good.clone();
    zero.first = 0;
    let mut beyond = good;
    beyond.members = vec![2];
    for bad in [zero, beyond] {
        assert_eq!(Stored::decode(Stored::new(bad).bytes), Err(Malformed::Field("members")));
    }
}

#[test]
fn decoding_copies_no_body() {
    let stored = Stored::new(segment_of(vec![body(&"x".repeat(500)).encode()]));
    let again = Stored::decode(stored.bytes.clone()).unwrap();
    let whole = stored.bytes.as_ptr_range();
    assert!(whole.contains(&again.segment.bodies[0].as_ptr()));
    let inner = Body::decode(&again.segment.bodies[0]).unwrap();
    assert!(whole.contains(&inner.payload.as_ptr()));
}

/// E29: the largest payload with the largest envelope fits frame, segment and log record.
#[test]
fn the_largest_event_fits_one_segment() {
    let origin = |n| format!("{}{n:02}~2", "r".repeat(limits::REGION_BYTES - 2)).parse().unwrap();
    let wide: Cursor = (0..4).map(|n| (origin(n), limits::SEQ_MAX)).collect();
    let policy = Policy { access: wide.clone(), member: wide };
    let largest = Body {
        author: "u".repeat(limits::USER_BYTES).parse().unwrap(),
        kind: "k".repeat(limits::KIND_BYTES).parse().unwrap(),
        payload: Bytes::from(vec![b' '; limits::PAYLOAD_BYTES]),
        key: "s".repeat(64),
        deps: Some(policy.clone()),
        ..body("")
    };
    let body = largest.encode();
    assert!(body.len() + limits::SEGMENT_EVENT_BYTES <= limits::SEGMENT_BODY_BYTES, "{}", body.len());
    let mut segment = segment_of(vec![body]);
    segment.stream = format!("a/chat/{}", "n".repeat(limits::STREAM_BYTES - 7)).parse().unwrap();
    segment.policy = policy;
    let bytes = Stored::new(segment).bytes.len();
    assert!(bytes <= limits::FRAME_BYTES, "{bytes}");
}

#[test]
fn a_log_position_travels_in_its_header() {
    let first = Placed { pos: LogPos { term: 4, n: 10 }, continues: Some(LogPos { term: 3, n: 9 }) };
    let later = Placed { pos: LogPos { term: 4, n: 11 }, continues: None };
    for placed in [first, later] {
        assert_eq!(Placed::decode(&placed.encode()), Ok(placed));
    }
    assert!(Placed::decode(&[]).is_err(), "n starts at 1");
}

/// E29: a log record has at most `FRAME_BYTES`, to the byte: what another region's log says beyond that is no
/// segment, and takes no memory in tails, queues or pushes.
#[test]
fn a_segment_beyond_the_frame_is_refused() {
    let of = |bytes: usize| Stored::new(segment_of(vec![Bytes::from(vec![b'x'; bytes])])).bytes;
    let envelope = of(limits::PAYLOAD_BYTES).len() - limits::PAYLOAD_BYTES;
    let largest = of(limits::FRAME_BYTES - envelope);
    assert_eq!(largest.len(), limits::FRAME_BYTES);
    assert!(Stored::decode(largest).is_ok());
    let beyond = of(limits::FRAME_BYTES - envelope + 1);
    assert!(matches!(LogRecord::decode(beyond), Err(Malformed::TooLarge(65_537))));
}

/// E29: a segment that is as full as the sequencer lets it be, all of it member events, fits a log record.
#[test]
fn the_fullest_segment_of_members_fits() {
    let origin = |n| format!("{}{n:02}~2", "r".repeat(limits::REGION_BYTES - 2)).parse().unwrap();
    let wide: Cursor = (0..4).map(|n| (origin(n), limits::SEQ_MAX)).collect();
    let share = limits::SEGMENT_BODY_BYTES / limits::SEGMENT_EVENTS - limits::SEGMENT_EVENT_BYTES;
    let bodies = vec![Bytes::from(vec![b'x'; share]); limits::SEGMENT_EVENTS];
    let events = limits::SEGMENT_EVENTS as u32;
    let policy = Policy { access: wide.clone(), member: wide };
    let stream = format!("a/chat/{}", "n".repeat(limits::STREAM_BYTES - 7)).parse().unwrap();
    let full = Segment { members: (0..events).collect(), policy, stream, ..segment_of(bodies) };
    let bytes = Stored::new(full).bytes.len();
    assert!(bytes <= limits::FRAME_BYTES, "{bytes}");
}
