//! E27: the bytes of every record and item, for ever. A red test here means that stored data becomes
//! unreadable.

#![allow(clippy::unwrap_used)]

use super::tests::{body, segment_of};
use super::*;
use sterna_stream::sequencer::takeover::{Checkpoint, LogEnd, Logged, Placed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_bytes_of_a_body() {
    let deps = Policy { access: "eu-west-1:3".parse().unwrap(), ..Policy::default() };
    let whole = Body { resend: true, key: "k1".into(), deps: Some(deps), ..body("{}") };
    assert_eq!(hex(&whole.encode()), BODY);
}

/// E27, E2.
#[test]
fn golden_bytes_of_a_segment() {
    let stored = Stored::new(segment_of(vec![Bytes::from_static(b"b1"), Bytes::from_static(b"b2")]));
    assert_eq!(hex(&stored.bytes), SEGMENT);
}

#[test]
fn golden_bytes_of_a_mark_and_a_position() {
    let mark = v1::Mark {
        origin: "us-east-1".into(),
        partition: 3,
        wall_unix_ms: 1_795_214_400_000,
        log_hash: Bytes::from_static(&[1; 32]),
        ingress_done: 99,
        watermarks: vec![v1::Watermark { origin: "eu-west-1".into(), term: 2, n: 40 }],
        echoes: vec![v1::Echo { origin: "eu-west-1".into(), mark_unix_ms: 1, received_unix_ms: 2 }],
    };
    assert_eq!(hex(&encode_mark(mark)), MARK);
    let placed = super::Placed { pos: LogPos { term: 4, n: 10 }, continues: Some(LogPos { term: 3, n: 9 }) };
    assert_eq!(hex(&placed.encode()), "0804100a1803");
}

#[test]
fn golden_bytes_of_an_ingress_record_and_a_checkpoint() {
    let ingress = v1::IngressRecord {
        stream: "acme/chat/general".into(),
        body: Bytes::from_static(b"b"),
        seen: 7,
        actor: "ana".into(),
        request_id: "r1".into(),
        grant_id: "g1".into(),
        policy: None,
        member: true,
    };
    assert_eq!(hex(&ingress.encode_to_vec()), INGRESS);
    let end = LogEnd { at: LogPos { term: 3, n: 12 }, hash: LogHash([2; 32]), offset: 300 };
    let what = Logged::Segment { stream: "acme/chat/general".parse().unwrap(), first: 5 };
    let mut checkpoint =
        Checkpoint { term: 4, number: 7, resume: 100, log: end, index: vec![Placed { n: 11, what }] };
    let bytes = crate::checkpoint::encode(&checkpoint);
    assert_eq!(hex(&bytes), CHECKPOINT);
    assert_eq!(crate::checkpoint::decode(&bytes), Ok(checkpoint.clone()));
    checkpoint.index.insert(0, Placed { n: 10, what: Logged::Other { own: [3; 32] } });
    let bytes = crate::checkpoint::encode(&checkpoint);
    assert_eq!(hex(&bytes), format!("{CHECKPOINT}{OTHER}"));
    assert_eq!(crate::checkpoint::decode(&bytes), Ok(checkpoint));
}

const BODY: &str = concat!(
    "0a1001a1fb1dda007c1e9a405f2d8b6e3a111203616e611a076d65737361676522027b7d2a10070707070707",
    "0707070707070707070730013a026b3142110a0f0a0d0a0965752d776573742d311003",
);
const SEGMENT: &str = concat!(
    "0a90010a1161636d652f636861742f67656e6572616c120b75732d656173742d317e3218b5092210000000da",
    "1dfba101010000da1dfba1012a0262312a02623232060802100f18583a21121f0a0d0a0965752d776573742d",
    "31104d0a0e0a0975732d656173742d3110b40942200909090909090909090909090909090909090909090909",
    "0909090909090909094a010050e907",
);
const MARK: &str = concat!(
    "125a0a0975732d656173742d3110031880b4f7d89f3422200101010101010101010101010101010101010101",
    "0101010101010101010101012863320f0a0965752d776573742d31100218283a0f0a0965752d776573742d31",
    "10011802",
);
const INGRESS: &str =
    "0a1161636d652f636861742f67656e6572616c1201621907000000000000002203616e612a027231320267314001";
const CHECKPOINT: &str = concat!(
    "080410071864200c280330ac023a200202020202020202020202020202020202020202020202020202020202",
    "0202024217080b121161636d652f636861742f67656e6572616c1805",
);
const OTHER: &str = "4a24080a12200303030303030303030303030303030303030303030303030303030303030303";
