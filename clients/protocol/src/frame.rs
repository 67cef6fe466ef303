//! The seventeen frames, typed: what a client may say and what a server may say.
//!
//! Two enums, because each side matches on what it can receive: a frame of the wrong direction is as unknown
//! as one from the future. Values are parsed once, here at the edge; payloads stay the author's text. How the
//! frames look as bytes is [`crate::json`]'s and [`crate::protobuf`]'s.

use std::fmt;
use std::str::FromStr;

use sterna_stream::ids::{EventKind, Invalid};
use sterna_stream::{StreamId, UserId};

pub use self::client::{Cursors, Hello, MoveFailed, Publish, Stored, Subscribe, Subscription, Unsubscribe};
pub use self::event_ref::EventRef;
pub(crate) use self::names::unknown;
pub use self::names::{Durability, GapReason, PresenceState};
pub use self::server::{
    Ack, Endpoint, Error, Event, Events, Gap, Head, Move, Presence, Subscribed, UserPresence, Welcome,
};
use crate::payload::Payload;

mod client;
mod event_ref;
mod names;
mod server;
mod split;

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// Who it is; sent again it renews the token.
    Hello(Hello),
    /// Follow streams.
    Subscribe(Subscribe),
    /// Leave streams.
    Unsubscribe(Unsubscribe),
    /// Accept an event.
    Publish(Publish),
    /// What the device has stored for good.
    Cursor(Cursors),
    /// Something nobody stores.
    Ephemeral(Ephemeral),
    /// The target of a `move` cannot be reached.
    MoveFailed(MoveFailed),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerFrame {
    /// Answers `hello`; repeated whenever the terms change.
    Welcome(Box<Welcome>),
    /// Answers `subscribe`, stream by stream.
    Subscribed(Subscribed),
    /// Events of one stream, backlog or live.
    Events(Events),
    /// Seqs that will not come, or not yet.
    Gap(Gap),
    /// A publish is accepted for good.
    Ack(Ack),
    /// Who is there.
    Presence(Presence),
    /// Something nobody stores.
    Ephemeral(Ephemeral),
    /// Come elsewhere before this socket goes.
    Move(Move),
    /// Something was not done, or why the socket closes.
    Error(Box<Error>),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

/// Something nobody stores or sequences: the first to be dropped. `typing` is one kind of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ephemeral {
    /// Whom it is for.
    pub stream: StreamId,
    /// Who sent it; set by the server, whatever a client says.
    pub user: Option<UserId>,
    /// What sort of thing it is.
    pub kind: EventKind,
    /// At most 1 KiB.
    pub payload: Option<Payload>,
}

/// One installation of a client, made together with its storage of cursors: a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(pub u128);

/// Text that is shown to nobody and stands in no log: a token, a ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

// === impl ClientFrame, ServerFrame ===

impl ClientFrame {
    /// The frame's name, in JSON and in the schema.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Cursor(_) => "cursor",
            Self::Ephemeral(_) => "ephemeral",
            Self::MoveFailed(_) => "move_failed",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

impl ServerFrame {
    /// The frame's name, in JSON and in the schema.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Subscribed(_) => "subscribed",
            Self::Events(_) => "events",
            Self::Gap(_) => "gap",
            Self::Ack(_) => "ack",
            Self::Presence(_) => "presence",
            Self::Ephemeral(_) => "ephemeral",
            Self::Move(_) => "move",
            Self::Error(_) => "error",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

// === impl Device ===

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Device {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const FORM: Invalid = Invalid::Form("a UUID in its hyphenated form");
        let mut bits = 0;
        let form = text.len() == 36;
        for (at, b) in text.bytes().enumerate().take_while(|_| form) {
            if matches!(at, 8 | 13 | 18 | 23) {
                if b != b'-' {
                    return Err(FORM);
                }
            } else {
                bits = bits << 4 | u128::from((b as char).to_digit(16).ok_or(FORM)?);
            }
        }
        if form { Ok(Self(bits)) } else { Err(FORM) }
    }
}

// === impl Secret ===

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}
