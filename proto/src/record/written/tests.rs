//! E27: what is written straight is what the messages encode to.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use prost::Message;
use sterna_stream::digest::{ContentHash, Prefix};
use sterna_stream::{EventId, Hlc};

use super::*;
use crate::{convert, v1};

fn body_generally(body: &Body) -> Vec<u8> {
    let message = v1::Body {
        event_id: Bytes::copy_from_slice(&body.id.to_bytes()),
        author: body.author.as_str().to_owned(),
        kind: body.kind.as_str().to_owned(),
        payload: body.payload.clone(),
        content: Bytes::copy_from_slice(&body.content.0),
        resend: body.resend,
        key: body.key.clone(),
        deps: body.deps.as_ref().map(|deps| convert::policy_field(deps).unwrap_or_default()),
    };
    message.encode_to_vec()
}

fn accepted_generally(accepted: &Accepted<'_>) -> Vec<u8> {
    let message = v1::IngressRecord {
        stream: accepted.stream.as_str().to_owned(),
        body: body_generally(accepted.body).into(),
        seen: accepted.seen.0,
        actor: accepted.actor.as_str().to_owned(),
        request_id: accepted.request_id.to_owned(),
        grant_id: accepted.grant_id.to_owned(),
        policy: convert::policy_field(accepted.policy),
        member: accepted.member,
    };
    message.encode_to_vec()
}

fn segment_generally(segment: &Segment) -> Vec<u8> {
    let message = v1::Segment {
        stream: segment.stream.as_str().to_owned(),
        origin: segment.origin.as_str().to_owned(),
        first: segment.first,
        stamps: segment.stamps.iter().map(|stamp| stamp.0).collect(),
        bodies: segment.bodies.to_vec(),
        from: Some(segment.from.into()),
        policy: convert::policy_field(&segment.policy),
        prefix: Bytes::copy_from_slice(&segment.prefix.0),
        members: segment.members.clone(),
        member_before: segment.member_before,
    };
    v1::LogRecord { kind: Some(v1::log_record::Kind::Segment(message)) }.encode_to_vec()
}

/// Numbers of every length, zero among them.
fn numbers() -> impl Strategy<Value = u64> {
    (0_u32..65, any::<u64>()).prop_map(|(bits, number)| number.checked_shr(bits).unwrap_or(0))
}

fn cursors() -> impl Strategy<Value = Cursor> {
    let origin = prop_oneof![Just("eu"), Just("us-east-1"), Just("us-east-1~2")];
    prop::collection::vec((origin, numbers()), 0..4)
        .prop_map(|pairs| pairs.into_iter().map(|(origin, seq)| (origin.parse().unwrap(), seq)).collect())
}

fn policies() -> impl Strategy<Value = Policy> {
    (cursors(), cursors()).prop_map(|(access, member)| Policy { access, member })
}

/// Texts, often the empty one: that is left out.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 4 => "[ -~]{1,300}"]
}

proptest! {
    #[test]
    fn a_body_is_written_as_its_message(
        (id, content, resend) in any::<(u128, [u8; 16], bool)>(),
        (payload, key) in (texts(), "[a-z]{0,3}"), deps in prop::option::of(policies()),
    ) {
        let body = Body {
            id: EventId::mint((id >> 80) as u64, id),
            author: "ana".parse().unwrap(),
            kind: "message".parse().unwrap(),
            payload: payload.into(),
            content: ContentHash(content),
            resend,
            key,
            deps,
        };
        prop_assert_eq!(super::body(&body), body_generally(&body));
    }

    #[test]
    fn an_ingress_record_is_written_as_its_message(
        (id, resend, member) in any::<(u128, bool, bool)>(), seen in numbers(),
        (payload, request_id, grant_id) in (texts(), texts(), "[a-z]{0,3}"), policy in policies(),
    ) {
        let body = Body {
            id: EventId::mint((id >> 80) as u64, id),
            author: "ana".parse().unwrap(),
            kind: "message".parse().unwrap(),
            payload: payload.into(),
            content: ContentHash([7; 16]),
            resend,
            key: String::new(),
            deps: None,
        };
        let accepted = Accepted {
            stream: &"acme/chat/general".parse().unwrap(),
            body: &body,
            seen: Hlc(seen),
            actor: &"ben".parse().unwrap(),
            request_id: &request_id,
            grant_id: &grant_id,
            policy: &policy,
            member,
        };
        prop_assert_eq!(super::accepted(&accepted), accepted_generally(&accepted));
    }

    #[test]
    fn a_segment_is_written_as_its_message(
        events in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..300)), 0..5),
        (first, offset, member_before) in (numbers(), numbers(), numbers()),
        (incarnation, partition, prefix) in any::<(u32, u16, [u8; 32])>(),
        members in prop::collection::vec(any::<u32>(), 0..4), policy in policies(),
    ) {
        let segment = Segment {
            stream: "acme/chat/general".parse().unwrap(),
            origin: "us-east-1~2".parse().unwrap(),
            first,
            stamps: events.iter().map(|(stamp, _)| Hlc(*stamp)).collect(),
            bodies: events.into_iter().map(|(_, body)| body.into()).collect(),
            from: Position { incarnation, partition, offset },
            policy,
            prefix: Prefix(prefix),
            members,
            member_before,
        };
        let written = super::segment(&segment);
        prop_assert_eq!(&written, &segment_generally(&segment));
    }
}
