//! The client as a state machine without I/O: inputs in, actions out (docs/protocol.md, section 7).
//!
//! It reads no clock and draws no randomness of its own, opens nothing and stores nothing: whoever drives it
//! does, in the order of the actions, and says what happened. Two runs with equal inputs are equal. What an
//! [`Action`] stores is stored before the actions after it are carried out; that is what makes "store, then
//! show" (P7) and "mint, store, then send" (E7) true.
//!
//! Reading order: `exchange` (what goes in and out), [`State`], this page, then `connecting`, `session`,
//! `receiving`, `publishing`, `moving`, `timers`; each of the small machines they use stands alone and is
//! tested alone.

use std::collections::{BTreeMap, BTreeSet};

use sterna_protocol::frame::{self, ClientFrame, Device, Secret};
use sterna_stream::{Cursor, Region, StreamId, UserId};

use self::backoff::Backoff;
use self::endpoints::Endpoints;
use self::follow::Stream;
use self::ids::ServerClock;
use self::moving::Moving;
use self::outbox::{Effects, Outbox};
use self::socket::Socket;
use self::token::Token;
use self::twins::Twins;
use crate::config::{Config, KeepUntil};
use crate::storage::{Change, Hole, Snapshot};

pub use self::exchange::{Action, Draft, End, Failure, Input, Notice, Now, Outcome, Random, SocketId};
pub use self::follow::Wish;
pub use self::state::State;

mod backoff;
mod connecting;
mod endpoints;
mod exchange;
mod follow;
mod ids;
mod liveness;
mod moving;
mod outbox;
mod publishing;
mod receiving;
mod session;
mod socket;
mod state;
mod timers;
mod token;
mod twins;

#[cfg(test)]
mod tests;

/// The client.
pub struct Machine {
    config: Config,
    device: Device,
    random: Box<dyn Random>,
    state: State,
    /// The session, or the attempt at one.
    main: Option<Socket>,
    /// The second socket of a move.
    beside: Option<Socket>,
    moving: Option<Moving>,
    /// When the next attempt is due, in `connecting` (before its socket) and in `waiting`; and what no hint
    /// shortens.
    due_ms: u64,
    due_at_least_ms: u64,
    backoff: Backoff,
    endpoints: Endpoints,
    token: Token,
    /// For the next `hello` to this region.
    ticket: Option<(Region, Secret)>,
    clock: ServerClock,
    me: Option<UserId>,
    streams: BTreeMap<StreamId, Stream>,
    outbox: Outbox,
    /// Streams whose cursor moved, by what is known of its storing: not yet, stored and to be reported (P4).
    unstored: BTreeSet<StreamId>,
    unreported: BTreeSet<StreamId>,
    report_ms: u64,
    typed: BTreeMap<StreamId, u64>,
    foreground: bool,
    last_error: Option<Box<frame::Error>>,
    sockets: u64,
    actions: Vec<Action>,
}

// === impl Machine ===

impl Machine {
    /// A client that goes on from what is stored; it is idle.
    pub fn new(config: Config, stored: Snapshot, random: Box<dyn Random>) -> Self {
        let mut streams = BTreeMap::new();
        for (id, remembered) in stored.streams {
            let mut stream = Stream::new(Twins::new(config.twins, config.marked_twins));
            (stream.cursor, stream.holes) = (remembered.cursor, remembered.holes);
            for event in &remembered.events {
                stream.twins.add(event);
                stream.seen = stream.seen.max(event.hlc);
            }
            streams.insert(id, stream);
        }
        Self {
            device: stored.device,
            random,
            state: State::Idle,
            main: None,
            beside: None,
            moving: None,
            due_ms: 0,
            due_at_least_ms: 0,
            backoff: Backoff::default(),
            endpoints: Endpoints::new(config.url.clone(), stored.endpoints, stored.home),
            token: Token::default(),
            ticket: None,
            clock: ServerClock::default(),
            me: None,
            streams,
            outbox: Outbox::new(stored.outbox, config.outbox_events, config.outbox_bytes),
            unstored: BTreeSet::new(),
            unreported: BTreeSet::new(),
            report_ms: 0,
            typed: BTreeMap::new(),
            foreground: true,
            last_error: None,
            sockets: 0,
            actions: Vec::new(),
            config,
        }
    }

    /// Takes an input in and says what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Action> {
        match input {
            Input::Connect => self.connect(now),
            Input::Disconnect => self.disconnect(now),
            Input::Follow(stream, wish) => self.follow(now, stream, wish),
            Input::Unfollow(stream) => self.unfollow(&stream),
            Input::Publish(key, draft) => self.publish(now, key, draft),
            Input::Resolve { key, found } => {
                let effects = self.outbox.resolve(key, found);
                self.tell_all(effects);
            }
            Input::Ephemeral(ephemeral) => self.ephemeral(now, ephemeral),
            Input::Fetched(stream, hole) => self.fetched(stream, &hole),
            Input::Stored => self.stored(),
            Input::Token(token) => self.token_came(now, token),
            Input::Opened(id) => self.opened(now, id),
            Input::Failed(id, failure) => self.failed(now, id, failure),
            Input::Frame(id, frame) => self.receive(now, id, *frame),
            Input::Heard(id) => self.heard(now, id),
            Input::Closed(id, code) => self.closed(now, id, code),
            Input::Online => self.hint(now),
            Input::Foreground => {
                self.foreground = true;
                self.hint(now);
            }
            Input::Background => {
                self.foreground = false;
                self.report(now);
            }
            Input::Tick => self.tick(now),
        }
        std::mem::take(&mut self.actions)
    }

    /// The present state.
    pub fn state(&self) -> State {
        self.state
    }

    /// How far `stream` is shown.
    pub fn cursor(&self, stream: &StreamId) -> Option<&Cursor> {
        self.streams.get(stream).map(|stream| &stream.cursor)
    }

    /// What was skipped in `stream` and not fetched.
    pub fn holes(&self, stream: &StreamId) -> &[Hole] {
        self.streams.get(stream).map_or(&[], |stream| &stream.holes)
    }

    /// Events in the outbox.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Accepted events that left a full outbox early, so far.
    pub fn given_up(&self) -> u64 {
        self.outbox.released()
    }

    // === within ===

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.tell(Notice::State(state));
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push(Action::Tell(notice));
    }

    fn store(&mut self, change: Change) {
        self.actions.push(Action::Store(change));
    }

    fn send(&mut self, socket: SocketId, frame: ClientFrame) {
        self.actions.push(Action::Send(socket, frame));
    }

    fn tell_all(&mut self, (changes, told): Effects) {
        self.actions.extend(changes.into_iter().map(Action::Store));
        for (key, event_id, outcome) in told {
            self.tell(Notice::Published { key, event_id, outcome });
        }
    }

    fn socket(&mut self, id: SocketId) -> Option<&mut Socket> {
        [&mut self.main, &mut self.beside].into_iter().flatten().find(|socket| socket.id == id)
    }

    fn is_beside(&self, id: SocketId) -> bool {
        self.beside.as_ref().is_some_and(|socket| socket.id == id)
    }

    /// P14: with several regions an event is kept until two of them have it.
    fn keep_until(&self) -> KeepUntil {
        let several = self.endpoints.known().len() > 1;
        let default = if several { KeepUntil::Global } else { KeepUntil::Region };
        self.config.keep_until.unwrap_or(default)
    }
}
