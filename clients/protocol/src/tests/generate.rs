//! Any frame there can be, for property tests.

use proptest::prelude::*;
use sterna_stream::ids::EventKind;
use sterna_stream::limits::SEQ_MAX;
use sterna_stream::{Cursor, EventId, Hlc, Origin, Reason, Region, StreamId, UserId};

use super::Frame;
use crate::error::ErrorCode;
use crate::frame::{
    self, ClientFrame, Cursors, Device, Durability, Endpoint, Ephemeral, Event, Events, Gap, GapReason, Head,
    Hello, MoveFailed, PresenceState, Publish, Secret, ServerFrame, Stored, Subscribe, Subscribed,
    Subscription, Unsubscribe, UserPresence, Welcome,
};
use crate::limits::Limits;
use crate::payload::Payload;

/// Any frame of either direction.
pub(super) fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![client().prop_map(Frame::Client), server().prop_map(Frame::Server)]
}

/// Any JSON value as text, written by serde_json, at most `levels` deep.
pub(crate) fn json(levels: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(levels, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    (value, any::<bool>())
        .prop_map(|(value, pretty)| if pretty { format!("{value:#}") } else { value.to_string() })
}

fn payload() -> impl Strategy<Value = Payload> {
    json(4).prop_map(|text| Payload::parse(text).unwrap())
}

fn region() -> impl Strategy<Value = Region> {
    "[a-z]{2}-[a-z]{1,8}-[1-9]".prop_map(|text| text.parse().unwrap())
}

fn origin() -> impl Strategy<Value = Origin> {
    (region(), 1..4u32).prop_map(|(region, incarnation)| Origin::of(&region, incarnation))
}

fn stream() -> impl Strategy<Value = StreamId> {
    "[a-z0-9]{1,8}/[a-z]{1,6}/[a-z0-9._-]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn user() -> impl Strategy<Value = UserId> {
    "[a-zÄ\"\\\\ @.]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn kind() -> impl Strategy<Value = EventKind> {
    "[a-z_.-]{1,32}".prop_map(|text| text.parse().unwrap())
}

fn event_id() -> impl Strategy<Value = EventId> {
    (any::<u64>(), any::<u128>()).prop_map(|(time, random)| EventId::mint(time, random))
}

fn cursor() -> impl Strategy<Value = Cursor> {
    prop::collection::vec((origin(), 1..=SEQ_MAX), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

fn text() -> impl Strategy<Value = Box<str>> {
    ".{1,30}".prop_map(String::into_boxed_str)
}

fn maybe_text() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(text())
}

fn secret() -> impl Strategy<Value = Secret> {
    text().prop_map(Secret::new)
}

fn time() -> impl Strategy<Value = u64> {
    1..=SEQ_MAX
}

fn ephemeral() -> impl Strategy<Value = Ephemeral> {
    (stream(), prop::option::of(user()), kind(), prop::option::of(payload()))
        .prop_map(|(stream, user, kind, payload)| Ephemeral { stream, user, kind, payload })
        .prop_filter("an ephemeral's payload is small", |e| {
            e.payload.as_ref().is_none_or(|p| p.as_bytes().len() <= sterna_stream::limits::EPHEMERAL_BYTES)
        })
}

fn client() -> impl Strategy<Value = ClientFrame> {
    let hello = (
        (secret(), any::<u128>(), ".{0,20}", prop::option::of(region())),
        (prop::option::of(secret()), cursor(), prop::option::of(1..u32::MAX)),
    )
        .prop_map(|((token, device, client, home), (ticket, policy, ping_interval_ms))| Hello {
            token,
            device: Device(device),
            client: client.into(),
            home,
            ticket,
            policy,
            ping_interval_ms,
        });
    let asked = (stream(), prop::option::of(cursor()), any::<Option<u32>>(), any::<bool>())
        .prop_map(|(stream, cursor, tail, presence)| Subscription { stream, cursor, tail, presence });
    let subscribe = (prop::collection::vec(asked, 0..4), any::<bool>(), any::<Option<u32>>())
        .prop_map(|(streams, mine, tail)| Subscribe { streams, mine, tail, malformed: Vec::new() });
    let publish = ((stream(), event_id(), kind(), payload()), any::<Option<u64>>(), any::<bool>(), cursor())
        .prop_map(|((stream, event_id, kind, payload), seen, resend, policy)| Publish {
            stream,
            event_id,
            kind,
            payload,
            seen: seen.map(Hlc),
            resend,
            policy,
        });
    let stored = (stream(), cursor()).prop_map(|(stream, cursor)| Stored { stream, cursor });
    prop_oneof![
        hello.prop_map(ClientFrame::Hello),
        subscribe.prop_map(ClientFrame::Subscribe),
        prop::collection::vec(stream(), 0..4)
            .prop_map(|streams| ClientFrame::Unsubscribe(Unsubscribe { streams })),
        publish.prop_map(ClientFrame::Publish),
        prop::collection::vec(stored, 0..4).prop_map(|streams| ClientFrame::Cursor(Cursors { streams })),
        ephemeral().prop_map(ClientFrame::Ephemeral),
        (region(), text()).prop_map(|(to, reason)| ClientFrame::MoveFailed(MoveFailed { to, reason })),
        Just(ClientFrame::Ping),
        Just(ClientFrame::Pong),
    ]
}

/// Any event.
pub(super) fn event() -> impl Strategy<Value = Event> {
    (
        (origin(), 1..=SEQ_MAX, 1..u64::MAX, event_id()),
        (user(), kind(), payload(), any::<bool>(), any::<bool>()),
    )
        .prop_map(|((origin, seq, hlc, event_id), (author, kind, payload, erased, resend))| Event {
            origin,
            seq,
            hlc: Hlc(hlc),
            event_id,
            author,
            kind,
            payload,
            erased,
            resend,
        })
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let endpoint = (region(), text()).prop_map(|(region, url)| Endpoint { region, url });
    (
        (text(), region(), prop::option::of(origin()), text(), user()),
        (time(), time(), 1..u32::MAX, 1_000..u32::MAX, prop::collection::vec(endpoint, 0..4)),
    )
        .prop_map(|((session, region, origin, tenant, user), (now, left, ping, backlog, endpoints))| {
            Welcome {
                session,
                region,
                origin,
                tenant,
                user,
                time_unix_ms: now,
                token_expires_in_ms: left,
                ping_interval_ms: ping,
                limits: Limits { max_backlog: backlog, ..Limits::default() },
                endpoints,
            }
        })
}

fn error() -> impl Strategy<Value = frame::Error> {
    let code = prop_oneof![
        prop::sample::select(&Reason::ALL[..]).prop_map(ErrorCode::Known),
        "future_[a-z]{1,9}".prop_map(|text| ErrorCode::Other(text.into())),
    ];
    (
        (code, maybe_text(), maybe_text(), maybe_text(), maybe_text()),
        (any::<Option<u32>>(), prop::option::of(time()), prop::option::of(region()), maybe_text()),
    )
        .prop_map(|((code, frame, field, event_id, stream), (retry, time, to, detail))| frame::Error {
            code,
            frame,
            field,
            event_id,
            stream,
            retry_after_ms: retry,
            time_unix_ms: time,
            to,
            detail,
        })
}

fn server() -> impl Strategy<Value = ServerFrame> {
    let head = (stream(), cursor(), cursor()).prop_map(|(stream, head, known)| Head { stream, head, known });
    let reason =
        prop::sample::select([GapReason::KNOWN, &[GapReason::Other("from_the_future".into())]].concat());
    let gap = (stream(), reason, cursor(), cursor()).prop_map(|(stream, reason, from, to)| Gap {
        stream,
        reason,
        from,
        to,
    });
    let ack = (prop::collection::vec(event_id(), 1..4), region(), prop::sample::select(Durability::KNOWN))
        .prop_map(|(event_ids, region, durability)| frame::Ack { event_ids, region, durability });
    let there = (user(), prop::sample::select(PresenceState::KNOWN), prop::option::of(time()))
        .prop_map(|(user, state, since_unix_ms)| UserPresence { user, state, since_unix_ms });
    let presence = (stream(), any::<bool>(), any::<u32>(), prop::collection::vec(there, 0..4))
        .prop_map(|(stream, full, online, users)| frame::Presence { stream, full, online, users });
    let to = (region(), any::<u32>(), any::<u32>(), text(), prop::option::of(secret())).prop_map(
        |(to, after_ms, deadline_ms, reason, ticket)| frame::Move {
            to,
            after_ms,
            deadline_ms,
            reason,
            ticket,
        },
    );
    prop_oneof![
        welcome().prop_map(|welcome| ServerFrame::Welcome(Box::new(welcome))),
        prop::collection::vec(head, 0..4).prop_map(|streams| ServerFrame::Subscribed(Subscribed { streams })),
        (stream(), prop::collection::vec(event(), 0..4))
            .prop_map(|(stream, events)| ServerFrame::Events(Events { stream, events })),
        gap.prop_map(ServerFrame::Gap),
        ack.prop_map(ServerFrame::Ack),
        presence.prop_map(ServerFrame::Presence),
        ephemeral().prop_map(ServerFrame::Ephemeral),
        to.prop_map(ServerFrame::Move),
        error().prop_map(|error| ServerFrame::Error(Box::new(error))),
        Just(ServerFrame::Ping),
        Just(ServerFrame::Pong),
    ]
}
