//! Who is there, for sessions that asked with `presence: true` (docs/protocol.md, rule 23).
//!
//! The shard keeps one picture of each watched stream, as `state` tells it, and hands it on: all of it to who
//! comes, changes to who is there. It is the first thing to be shed: a session whose outbox fills is told
//! nothing, and all of it later. A stream that nobody watches any more is kept for a moment, so that whoever
//! subscribes and unsubscribes in a storm costs `state` nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sterna_proto::v1;
use sterna_protocol::frame::{Presence as Frame, PresenceState, ServerFrame, UserPresence};
use sterna_stream::limits::{FRAME_BYTES, PRESENCE_USERS};
use sterna_stream::map::Map;
use sterna_stream::{StreamId, UserId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::encode;
use crate::gateway::Inner;
use crate::session::SessionId;
use crate::wire::Encoding;

/// How long a stream that nobody watches is still kept.
pub const LINGER: Duration = Duration::from_secs(10);

/// What is watched here.
#[derive(Default)]
pub(crate) struct Rooms(RefCell<Held>);

#[derive(Default)]
struct Held {
    rooms: BTreeMap<StreamId, Room>,
    of_session: Map<SessionId, BTreeSet<StreamId>>,
}

#[derive(Default)]
struct Room {
    watchers: BTreeSet<SessionId>,
    /// Of them, who needs all of it.
    fresh: BTreeSet<SessionId>,
    picture: Option<Picture>,
    idle_since: Option<Instant>,
}

struct Picture {
    online: u32,
    users: BTreeMap<UserId, UserPresence>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A session follows a stream, and wants to know who is there or not.
    pub(crate) fn watch(&self, session: SessionId, stream: &StreamId, presence: bool) {
        if !presence {
            return self.unwatch(session, stream);
        }
        if self.rooms.0.borrow_mut().watch(session, stream) {
            self.outward.watch(stream, true);
        }
    }

    /// A session does not follow a stream any more.
    pub(crate) fn unwatch(&self, session: SessionId, stream: &StreamId) {
        self.rooms.0.borrow_mut().unwatch(session, stream, Instant::now());
    }

    /// The session is gone.
    pub(crate) fn unwatch_all(&self, session: SessionId) {
        let mut held = self.rooms.0.borrow_mut();
        for stream in held.of_session.remove(&session).unwrap_or_default() {
            held.unwatch(session, &stream, Instant::now());
        }
    }

    /// Every stream that is watched here.
    pub(crate) fn watched(&self) -> Vec<StreamId> {
        self.rooms.0.borrow().rooms.keys().cloned().collect()
    }

    /// `state` tells who is there.
    pub(crate) fn present(&self, told: &v1::Presence) {
        let Ok(stream) = told.stream.parse::<StreamId>() else { return };
        let users: Vec<UserPresence> = told.users.iter().take(PRESENCE_USERS).filter_map(user).collect();
        let mut held = self.rooms.0.borrow_mut();
        let Some(room) = held.rooms.get_mut(&stream) else { return };
        if !told.full && room.picture.is_none() {
            return;
        }
        let by_name = users.iter().map(|one| (one.user.clone(), one.clone()));
        match &mut room.picture {
            Some(picture) if !told.full => {
                picture.online = told.online;
                picture.users.extend(by_name);
            }
            picture => *picture = Some(Picture { online: told.online, users: by_name.collect() }),
        }
        let known: Vec<SessionId> = room.watchers.difference(&room.fresh).copied().collect();
        drop(held);
        let frame = Frame { stream: stream.clone(), full: told.full, online: told.online, users };
        self.tell_presence(&stream, &known, frame);
        self.tell_fresh(&stream);
    }

    /// Once a second: all of it to who came or was passed over; what nobody watches is let go.
    pub(crate) fn tell_rooms(&self) {
        let now = Instant::now();
        let mut held = self.rooms.0.borrow_mut();
        let idle = |room: &Room| room.idle_since.is_some_and(|since| now >= since + LINGER);
        let gone: Vec<StreamId> =
            held.rooms.iter().filter(|(_, room)| idle(room)).map(|(stream, _)| stream.clone()).collect();
        for stream in &gone {
            held.rooms.remove(stream);
            self.outward.watch(stream, false);
        }
        let fresh = held.rooms.iter().filter(|(_, room)| !room.fresh.is_empty() && room.picture.is_some());
        let fresh: Vec<StreamId> = fresh.map(|(stream, _)| stream.clone()).collect();
        drop(held);
        fresh.iter().for_each(|stream| self.tell_fresh(stream));
    }

    fn tell_fresh(&self, stream: &StreamId) {
        let mut held = self.rooms.0.borrow_mut();
        let Some(room) = held.rooms.get_mut(stream) else { return };
        let Some(picture) = &room.picture else { return };
        let users = picture.users.values().cloned().collect();
        let frame = Frame { stream: stream.clone(), full: true, online: picture.online, users };
        let fresh: Vec<SessionId> = std::mem::take(&mut room.fresh).into_iter().collect();
        drop(held);
        self.tell_presence(stream, &fresh, frame);
    }

    /// Sends a frame to these; who has no room for it needs all of it later.
    fn tell_presence(&self, stream: &StreamId, sessions: &[SessionId], frame: Frame) {
        if sessions.is_empty() {
            return;
        }
        let frames = Encoding::ALL.map(|encoding| encoded(encoding, &frame));
        for &session in sessions {
            let encoding = self.conversations.borrow().get(&session).map(|one| one.encoding);
            let taken = encoding.is_some_and(|of| self.shard.offer(session, &frames[of.index()]));
            if !taken
                && let Some(room) = self.rooms.0.borrow_mut().rooms.get_mut(stream)
                && room.watchers.contains(&session)
            {
                room.fresh.insert(session);
            }
        }
    }
}

/// A frame that fits: one of very long names carries their number only.
fn encoded(encoding: Encoding, frame: &Frame) -> crate::wire::Frames {
    let mut bytes = Vec::new();
    encode::encoding(encoding).encode_server(&ServerFrame::Presence(frame.clone()), &mut bytes);
    let short = Frame { full: true, users: Vec::new(), ..frame.clone() };
    let fits = if bytes.len() <= FRAME_BYTES { frame.clone() } else { short };
    encode::message(encoding, &ServerFrame::Presence(fits)).finish()
}

fn user(told: &v1::UserPresence) -> Option<UserPresence> {
    let state = match told.state() {
        v1::PresenceState::Online => PresenceState::Online,
        v1::PresenceState::Offline => PresenceState::Offline,
        v1::PresenceState::Unknown | v1::PresenceState::Unspecified => PresenceState::Unknown,
    };
    let since_unix_ms = (told.since_unix_ms > 0).then_some(told.since_unix_ms);
    Some(UserPresence { user: told.user.parse().ok()?, state, since_unix_ms })
}

// === impl Held ===

impl Held {
    /// Whether the stream was not watched here before.
    fn watch(&mut self, session: SessionId, stream: &StreamId) -> bool {
        let new = !self.rooms.contains_key(stream);
        let room = self.rooms.entry(stream.clone()).or_default();
        room.watchers.insert(session);
        room.fresh.insert(session);
        room.idle_since = None;
        self.of_session.entry(session).or_default().insert(stream.clone());
        new
    }

    fn unwatch(&mut self, session: SessionId, stream: &StreamId, now: Instant) {
        if let Some(streams) = self.of_session.get_mut(&session) {
            streams.remove(stream);
            if streams.is_empty() {
                self.of_session.remove(&session);
            }
        }
        let Some(room) = self.rooms.get_mut(stream) else { return };
        room.fresh.remove(&session);
        if room.watchers.remove(&session) && room.watchers.is_empty() {
            room.idle_since = Some(now);
        }
    }
}
