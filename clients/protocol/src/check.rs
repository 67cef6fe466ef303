//! The schema's messages as typed frames: every rule about a frame's values, once for both encodings.
//!
//! An absent or empty field that must be there, and a value that is no value, make a bad frame. Ids that a
//! user may have typed are refused by their own code instead, and the session goes on: `bad_event_id`,
//! `bad_stream` and `bad_request` for a kind, also where they are empty, `payload_too_large`. A publish that
//! is bad in any other way is a bad frame first.

use std::str::FromStr;

use bytes::Bytes;
use sterna_stream::limits::{CURSOR_ORIGINS, EPHEMERAL_BYTES, SEQ_MAX};
use sterna_stream::{Cursor, Hlc, Reason, StreamId};

use crate::encoding::Encoding;
use crate::error::{Rejection, echo};
use crate::frame::{self, ClientFrame, Secret};
use crate::limits::NAME_BYTES;
use crate::payload::{Invalid, Malformed, Payload};
use crate::wire::{self, ClientBody};

mod server;

type Checked<T> = Result<T, Rejection>;

/// A `publish` as it came, unchecked.
#[derive(Default)]
pub(crate) struct Publish<'a> {
    pub(crate) stream: &'a str,
    pub(crate) event_id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) payload: Bytes,
    pub(crate) seen: Option<u64>,
    pub(crate) resend: bool,
    pub(crate) policy: Option<wire::Cursor>,
}

/// A client's frame, as it came by `from`.
pub(crate) fn client(body: ClientBody, from: Encoding) -> Checked<ClientFrame> {
    Ok(match body {
        ClientBody::Hello(hello) => ClientFrame::Hello(self::hello(hello)?),
        ClientBody::Subscribe(subscribe) => ClientFrame::Subscribe(self::subscribe(subscribe)?),
        ClientBody::Unsubscribe(unsubscribe) => {
            let streams = unsubscribe.streams.iter().map(|text| stream(text)).collect::<Checked<_>>()?;
            ClientFrame::Unsubscribe(frame::Unsubscribe { streams })
        }
        ClientBody::Publish(publish) => {
            let publish = Publish {
                stream: &publish.stream,
                event_id: &publish.event_id,
                kind: &publish.kind,
                payload: publish.payload,
                seen: publish.seen,
                resend: publish.resend,
                policy: publish.policy,
            };
            ClientFrame::Publish(self::publish(publish, from)?)
        }
        ClientBody::Cursor(cursors) => {
            let streams = cursors.streams.into_iter().map(stored).collect::<Checked<_>>()?;
            ClientFrame::Cursor(frame::Cursors { streams })
        }
        ClientBody::Ephemeral(ephemeral) => ClientFrame::Ephemeral(self::ephemeral(ephemeral, from)?),
        ClientBody::MoveFailed(failed) => ClientFrame::MoveFailed(frame::MoveFailed {
            to: value(&failed.to, "move_failed.to")?,
            reason: name(&failed.reason, "move_failed.reason")?,
        }),
        ClientBody::Ping(_) => ClientFrame::Ping,
        ClientBody::Pong(_) => ClientFrame::Pong,
    })
}

pub(crate) use self::server::server;

// === client frames ===

fn hello(hello: wire::Hello) -> Checked<frame::Hello> {
    required(&hello.token, "hello.token")?;
    Ok(frame::Hello {
        token: Secret::new(hello.token),
        device: value(&hello.device, "hello.device")?,
        client: name(&hello.client, "hello.client")?,
        home: optional(&hello.home, "hello.home")?,
        ticket: secret(hello.ticket),
        policy: cursor(hello.policy)?,
        ping_interval_ms: unless_zero(hello.ping_interval_ms),
    })
}

fn subscribe(subscribe: wire::Subscribe) -> Checked<frame::Subscribe> {
    let mut checked = frame::Subscribe { mine: subscribe.mine, tail: subscribe.tail, ..Default::default() };
    for asked in subscribe.streams {
        let cursor = asked.cursor.map(|places| cursor(Some(places))).transpose()?;
        match asked.stream.parse() {
            Ok(stream) => {
                let (tail, presence) = (asked.tail, asked.presence);
                checked.streams.push(frame::Subscription { stream, cursor, tail, presence });
            }
            Err(_) => checked.malformed.push(echo(&asked.stream)),
        }
    }
    Ok(checked)
}

pub(crate) fn publish(publish: Publish<'_>, from: Encoding) -> Checked<frame::Publish> {
    required(publish.event_id, "publish.event_id")?;
    let policy = cursor(publish.policy)?;
    let payload = payload(publish.payload, from)?;
    let refused = |reason| frame::Error::new(reason).of_event(publish.event_id);
    let event_id = publish.event_id.parse().map_err(|_| refuse(refused(Reason::BadEventId)))?;
    let stream =
        publish.stream.parse().map_err(|_| refuse(refused(Reason::BadStream).of_stream(publish.stream)))?;
    let kind = publish
        .kind
        .parse()
        .map_err(|_| refuse(frame::Error { field: Some("kind".into()), ..refused(Reason::BadRequest) }))?;
    let payload = payload.ok_or_else(|| refuse(refused(Reason::PayloadTooLarge)))?;
    let seen = publish.seen.map(Hlc);
    Ok(frame::Publish { stream, event_id, kind, payload, seen, resend: publish.resend, policy })
}

fn stored(stored: wire::Stored) -> Checked<frame::Stored> {
    let cursor = cursor(stored.cursor)?;
    Ok(frame::Stored { stream: stream(&stored.stream)?, cursor })
}

fn ephemeral(ephemeral: wire::Ephemeral, from: Encoding) -> Checked<frame::Ephemeral> {
    let kind = value(&ephemeral.kind, "ephemeral.kind")?;
    let user = optional(&ephemeral.user, "ephemeral.user")?;
    // Names no stream: an error that does would end the subscription to it.
    let too_large = || refuse(frame::Error::new(Reason::PayloadTooLarge).detail("an ephemeral's is 1 KiB"));
    let payload = match ephemeral.payload {
        none if none.is_empty() => None,
        some => Some(
            payload(some, from)?.filter(|p| p.as_bytes().len() <= EPHEMERAL_BYTES).ok_or_else(too_large)?,
        ),
    };
    Ok(frame::Ephemeral { stream: stream(&ephemeral.stream)?, user, kind, payload })
}

// === values ===

fn bad<T>(what: &'static str) -> Checked<T> {
    Err(Rejection::Bad(Malformed::Value(what)))
}

fn refuse(error: frame::Error) -> Rejection {
    Rejection::Refused(Box::new(error))
}

fn required(text: &str, field: &'static str) -> Checked<()> {
    if text.is_empty() { bad(field) } else { Ok(()) }
}

/// A value whose text must be there and right.
fn value<T: FromStr>(text: &str, field: &'static str) -> Checked<T> {
    text.parse().or_else(|_| bad(field))
}

fn optional<T: FromStr>(text: &str, field: &'static str) -> Checked<Option<T>> {
    if text.is_empty() { Ok(None) } else { value(text, field).map(Some) }
}

/// A text for people, of bounded length; may be empty.
fn name(text: &str, field: &'static str) -> Checked<Box<str>> {
    if text.len() > NAME_BYTES { bad(field) } else { Ok(text.into()) }
}

/// A stream that a user may have typed.
fn stream(text: &str) -> Checked<StreamId> {
    text.parse().map_err(|_| refuse(frame::Error::no_stream(text)))
}

fn secret(text: String) -> Option<Secret> {
    (!text.is_empty()).then(|| Secret::new(text))
}

fn unless_zero<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

/// A number that JSON can carry too.
fn number(n: u64, field: &'static str) -> Checked<u64> {
    if n > SEQ_MAX { bad(field) } else { Ok(n) }
}

/// An absent cursor is the empty one.
fn cursor(cursor: Option<wire::Cursor>) -> Checked<Cursor> {
    let places = cursor.unwrap_or_default().places;
    if places.len() > CURSOR_ORIGINS {
        return bad("a cursor of more than 32 origins");
    }
    let mut checked = Cursor::new();
    for (at, place) in places.iter().enumerate() {
        if places[..at].iter().any(|earlier| earlier.origin == place.origin) {
            return bad("a cursor with an origin twice");
        }
        checked.advance(&value(&place.origin, "a cursor's origin")?, number(place.seq, "a seq")?);
    }
    Ok(checked)
}

/// The payload, or `None` if it is one but too large. JSON's scanner has read it already.
fn payload(text: Bytes, from: Encoding) -> Checked<Option<Payload>> {
    if text.is_empty() {
        return bad("payload");
    }
    let checked = match from {
        Encoding::Json => Payload::scanned(text),
        Encoding::Protobuf => Payload::parse(text),
    };
    match checked {
        Ok(payload) => Ok(Some(payload)),
        Err(Invalid::TooLarge) => Ok(None),
        Err(Invalid::Malformed(malformed)) => Err(malformed.into()),
    }
}
