//! What a session may say and is answered (docs/protocol.md), and how a shard holds on to the other roles,
//! one behaviour at a time: sockets are memory, the other roles are the test.

#![allow(clippy::unwrap_used)]

mod access;
mod attachment;
mod backlog;
mod cursors;
mod draining;
mod ephemeral;
mod fakes;
mod following;
mod greeting;
mod leaving;
mod members;
mod mine;
mod person;
mod publishing;
mod registered;
mod second_acks;
mod standing;
mod world;

use bytes::Bytes;
use sterna_proto::record::Body;
use sterna_proto::v1;
use sterna_stream::segment::Position;
use sterna_stream::{ContentHash, Cursor, EventId, Hlc, Policy, Prefix, Segment, StreamId};

/// Events `first ..= last` of `us`, each a message of bo's.
fn segment(stream: &StreamId, first: u64, last: u64) -> Segment {
    let body = |seq: u64| Body {
        id: EventId::mint(world::NOW, u128::from(seq)),
        author: "bo".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: Bytes::from_static(br#""hi""#),
        content: ContentHash::default(),
        resend: false,
        key: String::new(),
        deps: None,
    };
    Segment {
        stream: stream.clone(),
        origin: "us".parse().unwrap(),
        first,
        stamps: (first..=last).map(|seq| Hlc(Hlc::at(world::NOW).0 + seq)).collect(),
        bodies: (first..=last).map(|seq| body(seq).encode()).collect(),
        from: Position { incarnation: 1, partition: 0, offset: first },
        policy: Policy::default(),
        prefix: Prefix::START,
        members: Vec::new(),
        member_before: 0,
    }
}

/// A cursor between services.
fn place(text: &str) -> v1::Cursor {
    (&text.parse::<Cursor>().unwrap()).into()
}

/// The same as one whose first event changes members.
fn of_members(mut segment: Segment) -> Segment {
    segment.members = vec![0];
    segment
}
