use bytes::Bytes;
use sterna_stream::digest::{ContentHash, Prefix};
use sterna_stream::{Hlc, Policy, Position};

use super::*;

fn stream() -> StreamId {
    "acme/chat/a".parse().unwrap()
}

fn session(slot: u32) -> SessionId {
    SessionId { slot, generation: 1 }
}

fn id(n: u128) -> EventId {
    EventId::mint(1, n)
}

fn segment(ids: &[u128]) -> Segment {
    let body = |n: &u128| Body {
        id: id(*n),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Bytes::from_static(b"1"),
        content: ContentHash::default(),
        resend: false,
        key: String::new(),
        deps: None,
    };
    Segment {
        stream: stream(),
        origin: "us-east-1".parse().unwrap(),
        first: 1,
        stamps: (1..=ids.len() as u64).map(Hlc::at).collect(),
        bodies: ids.iter().map(|n| body(n).encode()).collect(),
        from: Position { incarnation: 1, partition: 0, offset: 0 },
        policy: Policy::default(),
        prefix: Prefix::START,
        members: Vec::new(),
        member_before: 0,
    }
}

/// E9: the second ack follows when another region's watermark covers the event, and not before.
#[test]
fn a_second_ack_follows_when_the_watermark_covers_the_event() {
    let mut acks = SecondAcks::default();
    let now = Instant::now();
    acks.sent(&stream(), id(1), session(1), now);
    acks.sent(&stream(), id(2), session(2), now);
    acks.sent(&stream(), id(3), session(1), now);
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 99 }), [], "nothing has come by");
    acks.came(&segment(&[1, 2]), 0, LogPos { term: 1, n: 100 });
    acks.came(&segment(&[3]), 0, LogPos { term: 1, n: 101 });
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 99 }), []);
    assert_eq!(acks.covered(1, LogPos { term: 1, n: 200 }), [], "another partition's watermark says nothing");
    let first = acks.covered(0, LogPos { term: 1, n: 100 });
    assert_eq!(first, [(session(1), vec![id(1)]), (session(2), vec![id(2)])]);
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 100 }), [], "once");
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 101 }), [(session(1), vec![id(3)])]);
    assert_eq!(acks.waiting, 0);
}

/// E21: a place of a later term is not covered by an earlier term's number.
#[test]
fn a_watermark_of_an_older_term_covers_no_place_of_a_newer_one() {
    let mut acks = SecondAcks::default();
    acks.sent(&stream(), id(1), session(1), Instant::now());
    acks.came(&segment(&[1]), 0, LogPos { term: 2, n: 5 });
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 9 }), []);
    assert_eq!(acks.covered(0, LogPos { term: 2, n: 5 }), [(session(1), vec![id(1)])]);
}

#[test]
fn what_was_refused_or_never_comes_by_is_forgotten() {
    let mut acks = SecondAcks::default();
    let now = Instant::now();
    acks.sent(&stream(), id(1), session(1), now);
    acks.refused(&stream(), id(1), session(1));
    acks.sent(&stream(), id(2), session(1), now);
    acks.forget(now + COMES_BY - Duration::from_secs(1));
    assert_eq!(acks.waiting, 1);
    acks.forget(now + COMES_BY);
    assert_eq!(acks.waiting, 0);
    acks.came(&segment(&[1, 2]), 0, LogPos { term: 1, n: 1 });
    assert_eq!(acks.covered(0, LogPos { term: 1, n: 1 }), []);
}

/// G9: the shard remembers so many and no more.
#[test]
fn beyond_the_bound_no_second_ack_is_promised() {
    let mut acks = SecondAcks::default();
    (0..=WAITING as u128).for_each(|n| acks.sent(&stream(), id(n), session(1), Instant::now()));
    assert_eq!(acks.waiting, WAITING);
}
