//! What goes into the machine and what comes out of it.

use sterna_protocol::error::ErrorCode;
use sterna_protocol::frame::{
    self, ClientFrame, Durability, Ephemeral, Event, Gap, Presence, Secret, ServerFrame,
};
use sterna_protocol::payload::Payload;
use sterna_stream::ids::EventKind;
use sterna_stream::order::Place;
use sterna_stream::{Cursor, EventId, Origin, Region, StreamId, UserId};

use super::follow::Wish;
use super::state::State;
use crate::storage::{Change, Hole, Key};

/// The two clocks (E35): waits are monotonic, the wall clock tells sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some moment; never goes back, may stand still while the device sleeps.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch, as the device believes.
    pub wall_ms: u64,
}

/// Where randomness comes from: jitter and the random bits of ids.
pub trait Random: Send {
    /// 64 random bits.
    fn next_u64(&mut self) -> u64;
}

impl<F: FnMut() -> u64 + Send> Random for F {
    fn next_u64(&mut self) -> u64 {
        self()
    }
}

/// A socket's name, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// What somebody wants published.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Where to.
    pub stream: StreamId,
    /// What sort of fact it is.
    pub kind: EventKind,
    /// The fact.
    pub payload: Payload,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The application wants to be connected.
    Connect,
    /// The application wants no connection.
    Disconnect,
    /// Follow a stream, or follow it differently.
    Follow(StreamId, Wish),
    /// Leave a stream; its cursor is kept.
    Unfollow(StreamId),
    /// Publish under a key greater than every earlier one.
    Publish(Key, Draft),
    /// The application looked up an event whose outcome was unknown (P17).
    Resolve {
        /// Which.
        key: Key,
        /// Whether it is there.
        found: bool,
    },
    /// Send something that nobody stores.
    Ephemeral(Ephemeral),
    /// A hole was fetched or is not wanted any more.
    Fetched(StreamId, Hole),
    /// Everything that was to be stored so far is stored for good.
    Stored,
    /// The token asked for; `None`: none is to be had now.
    Token(Option<Secret>),
    /// A socket is open and upgraded.
    Opened(SocketId),
    /// A socket could not be opened.
    Failed(SocketId, Failure),
    /// A frame came.
    Frame(SocketId, Box<ServerFrame>),
    /// Something came that is no frame known here; it counts as life.
    Heard(SocketId),
    /// A socket is closed, by the other side or by nobody (1005, 1006).
    Closed(SocketId, u16),
    /// The network is back.
    Online,
    /// The application is in front, or the device woke up.
    Foreground,
    /// The application is going out of sight, perhaps to sleep.
    Background,
    /// Time has passed.
    Tick,
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered.
    Unreachable,
    /// The upgrade was answered with another status.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The header `Retry-After`, seconds.
        retry_after_s: Option<u32>,
    },
}

/// How an attempt or a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a close code, of the server's or of ours.
    Closed(u16),
    /// Before it began.
    Failed(Failure),
    /// An attempt took too long.
    TimedOut,
    /// The application gave no token.
    NoToken,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a socket.
    Open(SocketId, Box<str>),
    /// Send a frame.
    Send(SocketId, ClientFrame),
    /// Close a socket, or stop opening it; nothing more is heard of it.
    Close(SocketId, u16),
    /// Store this before anything that follows; neighbours may share a transaction.
    Store(Change),
    /// Ask the application for a token, answered with [`Input::Token`].
    NeedToken,
    /// Tell the application.
    Tell(Notice),
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The state changed.
    State(State),
    /// It stays stopped until the application connects again.
    Stopped {
        /// How the last session or attempt ended.
        end: End,
        /// What the server said about it.
        error: Option<Box<frame::Error>>,
    },
    /// Attempts keep ending quickly in one way.
    Struggling {
        /// Which.
        end: End,
        /// How many in a row.
        attempts: u32,
    },
    /// A session began.
    Welcome {
        /// Where.
        region: Region,
        /// As whom.
        user: UserId,
    },
    /// A new event to show, stored already.
    Shown {
        /// Of this stream.
        stream: StreamId,
        /// The event.
        event: Box<Event>,
        /// It stands above something shown: a late insertion (P10).
        late: bool,
        /// Events shown until now that turned out to be its later twins.
        hides: Vec<Place>,
    },
    /// Seqs that will not come; the holes are remembered (P8).
    Skipped(StreamId, Vec<Hole>),
    /// Events of these origins are late (P9).
    Waiting(Gap),
    /// Everything that the region knows to exist has been shown.
    CaughtUp(StreamId),
    /// The region itself lacks events that it knows to exist (E18).
    Behind {
        /// Of this stream.
        stream: StreamId,
        /// How far it can serve.
        head: Cursor,
        /// How far it knows.
        known: Cursor,
    },
    /// A stream is followed because the user is a member (P6).
    Joined(StreamId),
    /// A stream is not followed (any more) (P25).
    Left {
        /// Which.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
        /// It is asked for again after so long.
        retry_after_ms: Option<u32>,
    },
    /// Something became of an event of ours.
    Published {
        /// Its name in the outbox.
        key: Key,
        /// Its id, once it has one.
        event_id: Option<EventId>,
        /// What.
        outcome: Outcome,
    },
    /// Who is there.
    Presence(Box<Presence>),
    /// Something that nobody stores.
    Ephemeral(Box<Ephemeral>),
    /// An error that names nothing of the above.
    Error(Box<frame::Error>),
    /// More streams than are kept track of: this one is not followed.
    TooManyStreams(StreamId),
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The first ack: accepted for good (G1).
    Accepted {
        /// Where.
        region: Region,
        /// How safe it is.
        durability: Durability,
    },
    /// It came back: it is sequenced.
    Placed {
        /// By whom.
        origin: Origin,
        /// Its number.
        seq: u64,
    },
    /// The last word: another region has it too (or one has, where events are kept for one only), or it was
    /// found.
    Safe,
    /// The last word: a region has accepted it, and it is no longer kept here for the case that this region
    /// is lost.
    GivenUp,
    /// The last word: not taken.
    Refused {
        /// Why.
        code: ErrorCode,
        /// One sentence for the developer.
        detail: Option<Box<str>>,
    },
    /// The last word: not even offered, the outbox is full of events that nobody has accepted.
    Full,
    /// Too old to be sent again, and whether it was taken is not known: look its id up over REST and answer
    /// with [`Input::Resolve`] (P17).
    Unknown,
    /// The last word: it was looked up and is not there. Ask the user before it is published anew.
    Lost,
}

// === impl Outcome ===

impl Outcome {
    /// Whether nothing more will be told of the event.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Accepted { .. } | Self::Placed { .. } | Self::Unknown => false,
            Self::Safe | Self::GivenUp | Self::Refused { .. } | Self::Full | Self::Lost => true,
        }
    }
}
