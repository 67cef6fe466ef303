//! JSON into the schema's messages: which key is which field, and of what shape.
//!
//! `null` is an absent field, an unknown key is skipped. What values may be is [`crate::check`]'s to say.

use bytes::Bytes;

use super::scan::Scanner;
use crate::payload::{Malformed, NESTING};
use crate::wire::{self, ClientBody, ServerBody};

type Read<T> = Result<T, Malformed>;

/// The client's frame of this name.
pub(super) fn client(s: &mut Scanner<'_>, name: &str) -> Read<Option<ClientBody>> {
    Ok(Some(match name {
        "hello" => ClientBody::Hello(hello(s)?),
        "subscribe" => ClientBody::Subscribe(subscribe(s)?),
        "unsubscribe" => ClientBody::Unsubscribe(unsubscribe(s)?),
        "publish" => ClientBody::Publish(publish(s)?),
        "cursor" => ClientBody::Cursor(cursors(s)?),
        "ephemeral" => ClientBody::Ephemeral(ephemeral(s)?),
        "move_failed" => ClientBody::MoveFailed(move_failed(s)?),
        "ping" => fields(s, |_, _, _: &mut ()| Ok(false)).map(|()| ClientBody::Ping(wire::Ping {}))?,
        "pong" => fields(s, |_, _, _: &mut ()| Ok(false)).map(|()| ClientBody::Pong(wire::Pong {}))?,
        _ => return Ok(None),
    }))
}

/// The server's frame of this name.
pub(super) fn server(s: &mut Scanner<'_>, name: &str) -> Read<Option<ServerBody>> {
    Ok(Some(match name {
        "welcome" => ServerBody::Welcome(welcome(s)?),
        "subscribed" => ServerBody::Subscribed(subscribed(s)?),
        "events" => ServerBody::Events(events(s)?),
        "gap" => ServerBody::Gap(gap(s)?),
        "ack" => ServerBody::Ack(ack(s)?),
        "presence" => ServerBody::Presence(presence(s)?),
        "ephemeral" => ServerBody::Ephemeral(ephemeral(s)?),
        "move" => ServerBody::Move(move_to(s)?),
        "error" => ServerBody::Error(error(s)?),
        "ping" => fields(s, |_, _, _: &mut ()| Ok(false)).map(|()| ServerBody::Ping(wire::Ping {}))?,
        "pong" => fields(s, |_, _, _: &mut ()| Ok(false)).map(|()| ServerBody::Pong(wire::Pong {}))?,
        _ => return Ok(None),
    }))
}

// === shapes ===

/// An object: `field` fills in the message and says `false` for a key that it does not know.
fn fields<M: Default>(
    s: &mut Scanner<'_>,
    mut field: impl FnMut(&mut Scanner<'_>, &str, &mut M) -> Read<bool>,
) -> Read<M> {
    let mut message = M::default();
    if !s.null()? {
        s.object(|s, key| {
            if !field(s, key, &mut message)? {
                s.skip()?;
            }
            Ok(())
        })?;
    }
    Ok(message)
}

fn list<T>(s: &mut Scanner<'_>, mut item: impl FnMut(&mut Scanner<'_>) -> Read<T>) -> Read<Vec<T>> {
    let mut items = Vec::new();
    if !s.null()? {
        s.array(|s| {
            items.push(item(s)?);
            Ok(())
        })?;
    }
    Ok(items)
}

fn text(s: &mut Scanner<'_>) -> Read<String> {
    s.string().map(Into::into)
}

fn small(s: &mut Scanner<'_>) -> Read<Option<u32>> {
    s.optional(Scanner::small)
}

fn payload(s: &mut Scanner<'_>) -> Read<Bytes> {
    s.skip_within(NESTING).map(|raw| Bytes::copy_from_slice(raw.as_bytes()))
}

fn hlc(s: &mut Scanner<'_>) -> Read<Option<u64>> {
    let text = s.optional(Scanner::string)?;
    let stamp = text.map(|text| text.parse::<sterna_stream::Hlc>());
    stamp
        .transpose()
        .map(|stamp| stamp.map(|stamp| stamp.0))
        .or_else(|_| s.fail("expected 16 lower-case hex digits"))
}

fn cursor(s: &mut Scanner<'_>) -> Read<Option<wire::Cursor>> {
    s.optional(|s| {
        let mut places = Vec::new();
        s.object(|s, origin| {
            places.push(wire::Place { origin: origin.to_owned(), seq: s.number()? });
            Ok(())
        })?;
        Ok(wire::Cursor { places })
    })
}

/// One arm per field; a key that has none is unknown.
macro_rules! read {
    ($s:ident, $message:ty { $($name:literal => $field:ident = $value:expr,)* }) => {
        fields($s, |$s, key, message: &mut $message| {
            match key {
                $($name => message.$field = $value,)*
                _ => return Ok(false),
            }
            Ok(true)
        })
    };
}

// === client frames ===

fn hello(s: &mut Scanner<'_>) -> Read<wire::Hello> {
    read!(s, wire::Hello {
        "token" => token = text(s)?,
        "device" => device = text(s)?,
        "client" => client = text(s)?,
        "home" => home = text(s)?,
        "ticket" => ticket = text(s)?,
        "policy" => policy = cursor(s)?,
        "ping_interval_ms" => ping_interval_ms = s.small()?,
    })
}

fn subscribe(s: &mut Scanner<'_>) -> Read<wire::Subscribe> {
    read!(s, wire::Subscribe {
        "streams" => streams = list(s, |s| read!(s, wire::Subscription {
            "stream" => stream = text(s)?,
            "cursor" => cursor = cursor(s)?,
            "tail" => tail = small(s)?,
            "presence" => presence = s.flag()?,
        }))?,
        "mine" => mine = s.flag()?,
        "tail" => tail = small(s)?,
    })
}

fn unsubscribe(s: &mut Scanner<'_>) -> Read<wire::Unsubscribe> {
    read!(s, wire::Unsubscribe {
        "streams" => streams = list(s, text)?,
    })
}

fn publish(s: &mut Scanner<'_>) -> Read<wire::Publish> {
    read!(s, wire::Publish {
        "stream" => stream = text(s)?,
        "event_id" => event_id = text(s)?,
        "kind" => kind = text(s)?,
        "payload" => payload = payload(s)?,
        "seen" => seen = hlc(s)?,
        "resend" => resend = s.flag()?,
        "policy" => policy = cursor(s)?,
    })
}

fn cursors(s: &mut Scanner<'_>) -> Read<wire::Cursors> {
    read!(s, wire::Cursors {
        "streams" => streams = list(s, |s| read!(s, wire::Stored {
            "stream" => stream = text(s)?,
            "cursor" => cursor = cursor(s)?,
        }))?,
    })
}

fn ephemeral(s: &mut Scanner<'_>) -> Read<wire::Ephemeral> {
    read!(s, wire::Ephemeral {
        "stream" => stream = text(s)?,
        "user" => user = text(s)?,
        "kind" => kind = text(s)?,
        "payload" => payload = payload(s)?,
    })
}

fn move_failed(s: &mut Scanner<'_>) -> Read<wire::MoveFailed> {
    read!(s, wire::MoveFailed {
        "to" => to = text(s)?,
        "reason" => reason = text(s)?,
    })
}

// === server frames ===

fn welcome(s: &mut Scanner<'_>) -> Read<wire::Welcome> {
    read!(s, wire::Welcome {
        "session" => session = text(s)?,
        "region" => region = text(s)?,
        "origin" => origin = text(s)?,
        "tenant" => tenant = text(s)?,
        "user" => user = text(s)?,
        "time_unix_ms" => time_unix_ms = s.number()?,
        "token_expires_in_ms" => token_expires_in_ms = s.number()?,
        "ping_interval_ms" => ping_interval_ms = s.small()?,
        "limits" => limits = s.optional(limits)?,
        "endpoints" => endpoints = list(s, |s| read!(s, wire::Endpoint {
            "region" => region = text(s)?,
            "url" => url = text(s)?,
        }))?,
    })
}

fn limits(s: &mut Scanner<'_>) -> Read<wire::Limits> {
    read!(s, wire::Limits {
        "max_in_flight" => max_in_flight = s.small()?,
        "publishes_per_s" => publishes_per_s = s.small()?,
        "ephemeral_per_s" => ephemeral_per_s = s.small()?,
        "max_subscriptions" => max_subscriptions = s.small()?,
        "max_backlog" => max_backlog = s.small()?,
        "dedupe_window_ms" => dedupe_window_ms = s.number()?,
    })
}

fn subscribed(s: &mut Scanner<'_>) -> Read<wire::Subscribed> {
    read!(s, wire::Subscribed {
        "streams" => streams = list(s, |s| read!(s, wire::Head {
            "stream" => stream = text(s)?,
            "head" => head = cursor(s)?,
            "known" => known = cursor(s)?,
        }))?,
    })
}

fn events(s: &mut Scanner<'_>) -> Read<wire::Events> {
    read!(s, wire::Events {
        "stream" => stream = text(s)?,
        "events" => events = list(s, |s| read!(s, wire::Event {
            "origin" => origin = text(s)?,
            "seq" => seq = s.number()?,
            "hlc" => hlc = hlc(s)?.unwrap_or_default(),
            "event_id" => event_id = text(s)?,
            "author" => author = text(s)?,
            "kind" => kind = text(s)?,
            "payload" => payload = payload(s)?,
            "erased" => erased = s.flag()?,
            "resend" => resend = s.flag()?,
        }))?,
    })
}

fn gap(s: &mut Scanner<'_>) -> Read<wire::Gap> {
    read!(s, wire::Gap {
        "stream" => stream = text(s)?,
        "reason" => reason = text(s)?,
        "from" => from = cursor(s)?,
        "to" => to = cursor(s)?,
    })
}

fn ack(s: &mut Scanner<'_>) -> Read<wire::Ack> {
    read!(s, wire::Ack {
        "event_id" => event_id = text(s)?,
        "event_ids" => event_ids = list(s, text)?,
        "region" => region = text(s)?,
        "durability" => durability = text(s)?,
    })
}

fn presence(s: &mut Scanner<'_>) -> Read<wire::Presence> {
    read!(s, wire::Presence {
        "stream" => stream = text(s)?,
        "full" => full = s.flag()?,
        "online" => online = s.small()?,
        "users" => users = list(s, |s| read!(s, wire::UserPresence {
            "user" => user = text(s)?,
            "state" => state = text(s)?,
            "since_unix_ms" => since_unix_ms = s.number()?,
        }))?,
    })
}

fn move_to(s: &mut Scanner<'_>) -> Read<wire::Move> {
    read!(s, wire::Move {
        "to" => to = text(s)?,
        "after_ms" => after_ms = s.small()?,
        "deadline_ms" => deadline_ms = s.small()?,
        "reason" => reason = text(s)?,
        "ticket" => ticket = text(s)?,
    })
}

fn error(s: &mut Scanner<'_>) -> Read<wire::Error> {
    read!(s, wire::Error {
        "code" => code = text(s)?,
        "frame" => frame = text(s)?,
        "field" => field = text(s)?,
        "event_id" => event_id = text(s)?,
        "stream" => stream = text(s)?,
        "retry_after_ms" => retry_after_ms = small(s)?,
        "time_unix_ms" => time_unix_ms = s.number()?,
        "to" => to = text(s)?,
        "detail" => detail = text(s)?,
    })
}
