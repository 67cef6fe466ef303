//! A server's frames, as a client checks them: whatever is wrong in one makes it a bad frame.

use sterna_stream::{EventId, Hlc};

use super::{
    Checked, bad, cursor, ephemeral, name, number, optional, payload, required, secret, unless_zero, value,
};
use crate::encoding::Encoding;
use crate::frame::{self, ServerFrame};
use crate::limits::Limits;
use crate::wire::{self, ServerBody};

/// A server's frame, as it came by `from`.
pub(crate) fn server(body: ServerBody, from: Encoding) -> Checked<ServerFrame> {
    Ok(match body {
        ServerBody::Welcome(welcome) => ServerFrame::Welcome(Box::new(self::welcome(welcome)?)),
        ServerBody::Subscribed(subscribed) => {
            let streams = subscribed.streams.into_iter().map(head).collect::<Checked<_>>()?;
            ServerFrame::Subscribed(frame::Subscribed { streams })
        }
        ServerBody::Events(events) => {
            let stream = value(&events.stream, "events.stream")?;
            let events = events.events.into_iter().map(|e| event(e, from)).collect::<Checked<_>>()?;
            ServerFrame::Events(frame::Events { stream, events })
        }
        ServerBody::Gap(gap) => ServerFrame::Gap(frame::Gap {
            stream: value(&gap.stream, "gap.stream")?,
            reason: value(&gap.reason, "gap.reason")?,
            from: cursor(gap.from)?,
            to: cursor(gap.to)?,
        }),
        ServerBody::Ack(ack) => ServerFrame::Ack(self::ack(ack)?),
        ServerBody::Presence(presence) => ServerFrame::Presence(frame::Presence {
            stream: value(&presence.stream, "presence.stream")?,
            full: presence.full,
            online: presence.online,
            users: presence.users.into_iter().map(user).collect::<Checked<_>>()?,
        }),
        ServerBody::Ephemeral(ephemeral) => {
            ServerFrame::Ephemeral(self::ephemeral(ephemeral, from).or_else(|_| bad("ephemeral"))?)
        }
        ServerBody::Move(to) => ServerFrame::Move(frame::Move {
            to: value(&to.to, "move.to")?,
            after_ms: to.after_ms,
            deadline_ms: to.deadline_ms,
            reason: name(&to.reason, "move.reason")?,
            ticket: secret(to.ticket),
        }),
        ServerBody::Error(error) => ServerFrame::Error(Box::new(self::error(error)?)),
        ServerBody::Ping(_) => ServerFrame::Ping,
        ServerBody::Pong(_) => ServerFrame::Pong,
    })
}

fn welcome(welcome: wire::Welcome) -> Checked<frame::Welcome> {
    let limits = welcome.limits.unwrap_or_default();
    let announced = Limits {
        max_in_flight: limits.max_in_flight,
        publishes_per_s: limits.publishes_per_s,
        ephemeral_per_s: limits.ephemeral_per_s,
        max_subscriptions: limits.max_subscriptions,
        max_backlog: limits.max_backlog,
        dedupe_window_ms: number(limits.dedupe_window_ms, "welcome.limits.dedupe_window_ms")?,
    };
    required(&welcome.tenant, "welcome.tenant")?;
    let endpoints = welcome.endpoints.into_iter().map(|at| {
        required(&at.url, "welcome.endpoints.url")?;
        Ok(frame::Endpoint { region: value(&at.region, "welcome.endpoints.region")?, url: at.url.into() })
    });
    Ok(frame::Welcome {
        session: name(&welcome.session, "welcome.session")?,
        region: value(&welcome.region, "welcome.region")?,
        origin: optional(&welcome.origin, "welcome.origin")?,
        tenant: name(&welcome.tenant, "welcome.tenant")?,
        user: value(&welcome.user, "welcome.user")?,
        time_unix_ms: number(welcome.time_unix_ms, "welcome.time_unix_ms")?,
        token_expires_in_ms: number(welcome.token_expires_in_ms, "welcome.token_expires_in_ms")?,
        ping_interval_ms: welcome.ping_interval_ms,
        limits: Limits::default().raised_by(announced),
        endpoints: endpoints.collect::<Checked<_>>()?,
    })
}

fn head(head: wire::Head) -> Checked<frame::Head> {
    Ok(frame::Head {
        stream: value(&head.stream, "subscribed.streams.stream")?,
        head: cursor(head.head)?,
        known: cursor(head.known)?,
    })
}

fn event(event: wire::Event, from: Encoding) -> Checked<frame::Event> {
    if event.seq == 0 || event.hlc == 0 {
        return bad("an event without seq or hlc");
    }
    let Some(payload) = payload(event.payload, from)? else {
        return bad("a payload above 60 KiB");
    };
    Ok(frame::Event {
        origin: value(&event.origin, "events.origin")?,
        seq: number(event.seq, "events.seq")?,
        hlc: Hlc(event.hlc),
        event_id: value(&event.event_id, "events.event_id")?,
        author: value(&event.author, "events.author")?,
        kind: value(&event.kind, "events.kind")?,
        payload,
        erased: event.erased,
        resend: event.resend,
    })
}

fn ack(ack: wire::Ack) -> Checked<frame::Ack> {
    let alone = (!ack.event_id.is_empty()).then_some(&ack.event_id);
    let event_ids = alone
        .into_iter()
        .chain(&ack.event_ids)
        .map(|text| value(text, "ack.event_id"))
        .collect::<Checked<Vec<EventId>>>()?;
    if event_ids.is_empty() {
        return bad("an ack of nothing");
    }
    let region = value(&ack.region, "ack.region")?;
    Ok(frame::Ack { event_ids, region, durability: value(&ack.durability, "ack.durability")? })
}

fn user(user: wire::UserPresence) -> Checked<frame::UserPresence> {
    Ok(frame::UserPresence {
        user: value(&user.user, "presence.users.user")?,
        state: value(&user.state, "presence.users.state")?,
        since_unix_ms: unless_zero(number(user.since_unix_ms, "presence.users.since_unix_ms")?),
    })
}

fn error(error: wire::Error) -> Checked<frame::Error> {
    let text = |text: String| (!text.is_empty()).then(|| text.into_boxed_str());
    Ok(frame::Error {
        code: value(&error.code, "error.code")?,
        frame: text(error.frame),
        field: text(error.field),
        event_id: text(error.event_id),
        stream: text(error.stream),
        retry_after_ms: error.retry_after_ms,
        time_unix_ms: unless_zero(number(error.time_unix_ms, "error.time_unix_ms")?),
        to: optional(&error.to, "error.to")?,
        detail: text(error.detail),
    })
}
