//! Typed frames as the schema's messages: the form that both encodings share.
//!
//! The messages are generated from `proto/sterna/v1/client.proto`. An absent field is an empty one (or `None`
//! where the schema says `optional`), in either encoding; what must not be empty is [`crate::check`]'s to
//! say.

use bytes::Bytes;
use sterna_stream::EventId;

use crate::frame::{self, Durability};
use crate::json::event_id;
use crate::limits::Limits as Announced;

pub(crate) use self::client_frame::Frame as ClientBody;
pub(crate) use self::generated::*;
pub(crate) use self::server_frame::Frame as ServerBody;

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the schema is where it is described"
)]
mod generated {
    include!("generated/sterna.v1.client.rs");
}

// === client frames ===

impl From<&frame::ClientFrame> for ClientBody {
    fn from(frame: &frame::ClientFrame) -> Self {
        match frame {
            frame::ClientFrame::Hello(hello) => Self::Hello(hello.into()),
            frame::ClientFrame::Subscribe(subscribe) => Self::Subscribe(Subscribe {
                streams: subscribe.streams.iter().map(Into::into).collect(),
                mine: subscribe.mine,
                tail: subscribe.tail,
            }),
            frame::ClientFrame::Unsubscribe(unsubscribe) => {
                Self::Unsubscribe(Unsubscribe { streams: texts(&unsubscribe.streams) })
            }
            frame::ClientFrame::Publish(publish) => Self::Publish(publish.into()),
            frame::ClientFrame::Cursor(cursors) => {
                Self::Cursor(Cursors { streams: cursors.streams.iter().map(Into::into).collect() })
            }
            frame::ClientFrame::Ephemeral(ephemeral) => Self::Ephemeral(ephemeral.into()),
            frame::ClientFrame::MoveFailed(failed) => {
                Self::MoveFailed(MoveFailed { to: failed.to.to_string(), reason: failed.reason.to_string() })
            }
            frame::ClientFrame::Ping => Self::Ping(Ping {}),
            frame::ClientFrame::Pong => Self::Pong(Pong {}),
        }
    }
}

impl From<&frame::Hello> for Hello {
    fn from(hello: &frame::Hello) -> Self {
        Self {
            token: hello.token.reveal().to_owned(),
            device: hello.device.to_string(),
            client: hello.client.to_string(),
            home: text(hello.home.as_ref()),
            ticket: hello.ticket.as_ref().map_or(String::new(), |ticket| ticket.reveal().to_owned()),
            policy: unless_empty(&hello.policy),
            ping_interval_ms: hello.ping_interval_ms.unwrap_or_default(),
        }
    }
}

impl From<&frame::Subscription> for Subscription {
    fn from(subscription: &frame::Subscription) -> Self {
        Self {
            stream: subscription.stream.to_string(),
            cursor: subscription.cursor.as_ref().map(Into::into),
            tail: subscription.tail,
            presence: subscription.presence,
        }
    }
}

impl From<&frame::Publish> for Publish {
    fn from(publish: &frame::Publish) -> Self {
        Self {
            stream: publish.stream.to_string(),
            event_id: id(publish.event_id),
            kind: publish.kind.to_string(),
            payload: publish.payload.as_bytes().clone(),
            seen: publish.seen.map(|hlc| hlc.0),
            resend: publish.resend,
            policy: unless_empty(&publish.policy),
        }
    }
}

impl From<&frame::Stored> for Stored {
    fn from(stored: &frame::Stored) -> Self {
        Self { stream: stored.stream.to_string(), cursor: Some((&stored.cursor).into()) }
    }
}

// === server frames ===

impl From<&frame::ServerFrame> for ServerBody {
    fn from(frame: &frame::ServerFrame) -> Self {
        match frame {
            frame::ServerFrame::Welcome(welcome) => Self::Welcome(welcome.as_ref().into()),
            frame::ServerFrame::Subscribed(subscribed) => {
                Self::Subscribed(Subscribed { streams: subscribed.streams.iter().map(Into::into).collect() })
            }
            frame::ServerFrame::Events(events) => Self::Events(Events {
                stream: events.stream.to_string(),
                events: events.events.iter().map(Into::into).collect(),
            }),
            frame::ServerFrame::Gap(gap) => Self::Gap(Gap {
                stream: gap.stream.to_string(),
                reason: gap.reason.to_string(),
                from: Some((&gap.from).into()),
                to: Some((&gap.to).into()),
            }),
            frame::ServerFrame::Ack(ack) => Self::Ack(ack.into()),
            frame::ServerFrame::Presence(presence) => Self::Presence(Presence {
                stream: presence.stream.to_string(),
                full: presence.full,
                online: presence.online,
                users: presence.users.iter().map(Into::into).collect(),
            }),
            frame::ServerFrame::Ephemeral(ephemeral) => Self::Ephemeral(ephemeral.into()),
            frame::ServerFrame::Move(to) => Self::Move(Move {
                to: to.to.to_string(),
                after_ms: to.after_ms,
                deadline_ms: to.deadline_ms,
                reason: to.reason.to_string(),
                ticket: to.ticket.as_ref().map_or(String::new(), |ticket| ticket.reveal().to_owned()),
            }),
            frame::ServerFrame::Error(error) => Self::Error(error.as_ref().into()),
            frame::ServerFrame::Ping => Self::Ping(Ping {}),
            frame::ServerFrame::Pong => Self::Pong(Pong {}),
        }
    }
}

impl From<&frame::Welcome> for Welcome {
    fn from(welcome: &frame::Welcome) -> Self {
        Self {
            session: welcome.session.to_string(),
            region: welcome.region.to_string(),
            origin: text(welcome.origin.as_ref()),
            tenant: welcome.tenant.to_string(),
            user: welcome.user.to_string(),
            time_unix_ms: welcome.time_unix_ms,
            token_expires_in_ms: welcome.token_expires_in_ms,
            ping_interval_ms: welcome.ping_interval_ms,
            limits: Some(welcome.limits.into()),
            endpoints: welcome
                .endpoints
                .iter()
                .map(|at| Endpoint { region: at.region.to_string(), url: at.url.to_string() })
                .collect(),
        }
    }
}

impl From<Announced> for Limits {
    fn from(limits: Announced) -> Self {
        Self {
            max_in_flight: limits.max_in_flight,
            publishes_per_s: limits.publishes_per_s,
            ephemeral_per_s: limits.ephemeral_per_s,
            max_subscriptions: limits.max_subscriptions,
            max_backlog: limits.max_backlog,
            dedupe_window_ms: limits.dedupe_window_ms,
        }
    }
}

impl From<&frame::Head> for Head {
    fn from(head: &frame::Head) -> Self {
        Self {
            stream: head.stream.to_string(),
            head: Some((&head.head).into()),
            known: Some((&head.known).into()),
        }
    }
}

impl From<&frame::Event> for Event {
    fn from(event: &frame::Event) -> Self {
        Self {
            origin: event.origin.to_string(),
            seq: event.seq,
            hlc: event.hlc.0,
            event_id: id(event.event_id),
            author: event.author.to_string(),
            kind: event.kind.to_string(),
            payload: event.payload.as_bytes().clone(),
            erased: event.erased,
            resend: event.resend,
        }
    }
}

/// One id stands alone, except in the ack that is coalesced: a client finds `global` ones always in the list.
impl From<&frame::Ack> for Ack {
    fn from(ack: &frame::Ack) -> Self {
        let alone = match ack.event_ids.as_slice() {
            [one] if ack.durability != Durability::Global => Some(one),
            _ => None,
        };
        Self {
            event_id: alone.map_or(String::new(), |one| id(*one)),
            event_ids: if alone.is_some() {
                Vec::new()
            } else {
                ack.event_ids.iter().copied().map(id).collect()
            },
            region: ack.region.to_string(),
            durability: ack.durability.to_string(),
        }
    }
}

impl From<&frame::UserPresence> for UserPresence {
    fn from(user: &frame::UserPresence) -> Self {
        Self {
            user: user.user.to_string(),
            state: user.state.to_string(),
            since_unix_ms: user.since_unix_ms.unwrap_or_default(),
        }
    }
}

impl From<&frame::Error> for Error {
    fn from(error: &frame::Error) -> Self {
        Self {
            code: error.code.to_string(),
            frame: text(error.frame.as_ref()),
            field: text(error.field.as_ref()),
            event_id: text(error.event_id.as_ref()),
            stream: text(error.stream.as_ref()),
            retry_after_ms: error.retry_after_ms,
            time_unix_ms: error.time_unix_ms.unwrap_or_default(),
            to: text(error.to.as_ref()),
            detail: text(error.detail.as_ref()),
        }
    }
}

// === both ===

impl From<&frame::Ephemeral> for Ephemeral {
    fn from(ephemeral: &frame::Ephemeral) -> Self {
        Self {
            stream: ephemeral.stream.to_string(),
            user: text(ephemeral.user.as_ref()),
            kind: ephemeral.kind.to_string(),
            payload: ephemeral.payload.as_ref().map_or(Bytes::new(), |payload| payload.as_bytes().clone()),
        }
    }
}

impl From<&sterna_stream::Cursor> for Cursor {
    fn from(cursor: &sterna_stream::Cursor) -> Self {
        let places = cursor.iter().map(|(origin, seq)| Place { origin: origin.to_string(), seq });
        Self { places: places.collect() }
    }
}

fn unless_empty(cursor: &sterna_stream::Cursor) -> Option<Cursor> {
    (!cursor.is_empty()).then(|| cursor.into())
}

fn id(id: EventId) -> String {
    let mut text = Vec::with_capacity(36);
    event_id(&mut text, id);
    String::from_utf8(text).expect("hex digits and dashes")
}

fn text(of: Option<impl ToString>) -> String {
    of.map_or(String::new(), |id| id.to_string())
}

fn texts(of: &[impl ToString]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}
