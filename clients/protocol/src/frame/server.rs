//! What server frames hold.

use sterna_stream::ids::EventKind;
use sterna_stream::{Cursor, EventId, Hlc, Origin, Region, StreamId, UserId};

use super::{Durability, GapReason, PresenceState, Secret};
use crate::error::ErrorCode;
use crate::limits::Limits;
use crate::payload::Payload;

/// The terms of this session.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The session's name, for support.
    pub session: Box<str>,
    /// Where the client is connected.
    pub region: Region,
    /// The region's present origin.
    pub origin: Option<Origin>,
    /// The token's tenant.
    pub tenant: Box<str>,
    /// The token's user.
    pub user: UserId,
    /// The server's wall clock, from which ids are minted.
    pub time_unix_ms: u64,
    /// How long the token is good for.
    pub token_expires_in_ms: u64,
    /// How often the server pings; silence of 5 s more than this is a dead socket.
    pub ping_interval_ms: u32,
    /// What a client may do; never below the protocol's defaults once decoded.
    pub limits: Limits,
    /// Where the regions are.
    pub endpoints: Vec<Endpoint>,
}

/// Where a region is.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The region.
    pub region: Region,
    /// Its `wss://` address.
    pub url: Box<str>,
}

/// Streams are followed from now on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribed {
    /// Stream by stream.
    pub streams: Vec<Head>,
}

/// How far a stream goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The stream.
    pub stream: StreamId,
    /// How far this region can serve it.
    pub head: Cursor,
    /// How far this region knows it to go; caught up is who holds this (E18).
    pub known: Cursor,
}

/// Events of one stream; of each origin in ascending seq.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// The stream.
    pub stream: StreamId,
    /// The events.
    pub events: Vec<Event>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Who sequenced it.
    pub origin: Origin,
    /// Its number within stream and origin, from 1.
    pub seq: u64,
    /// Its stamp.
    pub hlc: Hlc,
    /// Its author's id for it.
    pub event_id: EventId,
    /// Its author.
    pub author: UserId,
    /// What sort of fact it is.
    pub kind: EventKind,
    /// The fact; `null` if erased.
    pub payload: Payload,
    /// Whether its content was erased; its place stays.
    pub erased: bool,
    /// Whether it was sent more than once, and so may have a twin from another origin (E13).
    pub resend: bool,
}

/// Seqs that will not come, or not yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// The stream.
    pub stream: StreamId,
    /// Why.
    pub reason: GapReason,
    /// The hole starts after this.
    pub from: Cursor,
    /// The hole ends with this.
    pub to: Cursor,
}

/// Events are accepted for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack {
    /// Which; several where acks are coalesced.
    pub event_ids: Vec<EventId>,
    /// Who says so.
    pub region: Region,
    /// How safe they are.
    pub durability: Durability,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// The stream.
    pub stream: StreamId,
    /// Whether it replaces what was known; else it changes that.
    pub full: bool,
    /// How many users are online.
    pub online: u32,
    /// Who; empty above 500 users.
    pub users: Vec<UserPresence>,
}

/// Whether a user is there.
#[derive(Clone, Debug, PartialEq)]
pub struct UserPresence {
    /// The user.
    pub user: UserId,
    /// Whether.
    pub state: PresenceState,
    /// Since when, Unix milliseconds.
    pub since_unix_ms: Option<u64>,
}

/// Come to another region, or another gateway of this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Where to; its address stands in `welcome.endpoints`.
    pub to: Region,
    /// Wait exactly so long first.
    pub after_ms: u32,
    /// When this socket goes, from now.
    pub deadline_ms: u32,
    /// Why, in a word.
    pub reason: Box<str>,
    /// For the new socket's `hello`.
    pub ticket: Option<Secret>,
}

/// Something was not done. Texts that name a thing are as the client wrote them, for they may be no ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Why.
    pub code: ErrorCode,
    /// The frame's name, with `unknown_frame`.
    pub frame: Option<Box<str>>,
    /// The field that is wrong, with `bad_request`.
    pub field: Option<Box<str>>,
    /// The event that was not taken.
    pub event_id: Option<Box<str>>,
    /// The stream that is not followed (any more).
    pub stream: Option<Box<str>>,
    /// The same request may succeed after so long; `None`: not unchanged.
    pub retry_after_ms: Option<u32>,
    /// The server's wall clock, where the client's seems wrong.
    pub time_unix_ms: Option<u64>,
    /// The region to go to, with `region_leaving`.
    pub to: Option<Region>,
    /// One sentence for the developer.
    pub detail: Option<Box<str>>,
}
