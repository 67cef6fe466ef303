//! Greeting a gateway, following streams, going live (P3 to P6, P24).

use sterna_protocol::Limits;
use sterna_protocol::frame::{
    ClientFrame, Cursors, Hello, Secret, Stored, Subscribe, Subscription, Unsubscribe, Welcome,
};
use sterna_stream::{Cursor, StreamId};

use super::follow::{Stream, Wish};
use super::socket::Phase;
use super::twins::Twins;
use super::{Machine, Notice, Now, SocketId, State};
use crate::config::{CURSOR_MS, FRAME_BUDGET_BYTES};
use crate::storage::{Change, Hole};

impl Machine {
    /// `hello` and every `subscribe`, without waiting for `welcome` between them.
    pub(super) fn greet(&mut self, id: SocketId) {
        let Some(token) = self.token.held().cloned() else { return };
        let target = self.socket(id).and_then(|socket| socket.target.clone());
        // A ticket is for the region it was given for, and for one `hello`.
        let ticket = self.ticket.take_if(|(to, _)| Some(&*to) == target.as_ref()).map(|(_, ticket)| ticket);
        let hello = self.hello(token, ticket);
        self.send(id, hello);
        // `mine` first: what is asked for by name afterwards replaces its place with the device's own.
        if let Some(mine) = self.config.mine {
            let subscribe = Subscribe { mine: true, tail: mine.tail, ..Subscribe::default() };
            self.send(id, ClientFrame::Subscribe(subscribe));
        }
        let followed: Vec<StreamId> = self.followed().cloned().collect();
        self.subscribe(id, &followed);
    }

    fn hello(&self, token: Secret, ticket: Option<Secret>) -> ClientFrame {
        ClientFrame::Hello(Hello {
            token,
            device: self.device,
            client: self.config.client.clone(),
            home: self.endpoints.home().cloned(),
            ticket,
            policy: Cursor::new(),
            ping_interval_ms: Some(self.ping_interval_ms()),
        })
    }

    /// Streams that are followed and not waiting to be asked for again.
    fn followed(&self) -> impl Iterator<Item = &StreamId> {
        let wanted = |stream: &Stream| stream.wish.is_some() && stream.again_ms.is_none();
        self.streams.iter().filter(move |(_, stream)| wanted(stream)).map(|(id, _)| id)
    }

    /// Asks for streams, in as many frames as they need.
    pub(super) fn subscribe(&mut self, id: SocketId, streams: &[StreamId]) {
        let mut frames = vec![Subscribe::default()];
        let mut room = FRAME_BUDGET_BYTES;
        for name in streams {
            let Some(stream) = self.streams.get(name) else { continue };
            let Some(wish) = stream.wish else { continue };
            let asked = Subscription {
                stream: name.clone(),
                cursor: (!stream.cursor.is_empty()).then(|| stream.cursor.clone()),
                tail: wish.tail,
                presence: wish.presence,
            };
            let size = size_of(name, &stream.cursor);
            if size > room {
                frames.push(Subscribe::default());
                room = FRAME_BUDGET_BYTES;
            }
            room = room.saturating_sub(size);
            if let Some(frame) = frames.last_mut() {
                frame.streams.push(asked);
            }
            if let Some(socket) = self.socket(id) {
                socket.asked(name);
            }
        }
        for frame in frames.into_iter().filter(|frame| !frame.streams.is_empty()) {
            self.send(id, ClientFrame::Subscribe(frame));
        }
    }

    /// `welcome`: the terms; the first one of a socket also Greeting → CatchingUp.
    pub(super) fn welcomed(&mut self, now: Now, id: SocketId, welcome: Welcome) {
        let first = self.socket(id).is_some_and(|socket| socket.phase == Phase::Greeting);
        let by_name = first && self.socket(id).is_some_and(|socket| socket.target.is_none());
        self.clock.set(welcome.time_unix_ms, now);
        self.token.welcomed(welcome.token_expires_in_ms, now.mono_ms);
        self.me = Some(welcome.user.clone());
        let beside = self.is_beside(id);
        if !beside {
            self.outbox.agree(Limits::default().raised_by(welcome.limits));
            if self.endpoints.learn(&welcome.region, welcome.endpoints, by_name) {
                let (endpoints, home) = (self.endpoints.known().to_vec(), self.endpoints.home().cloned());
                self.store(Change::Terms { endpoints, home });
            }
        }
        let Some(socket) = self.socket(id) else { return };
        socket.life.agree(welcome.ping_interval_ms);
        socket.origin = welcome.origin;
        socket.renewing = false;
        if !first {
            return;
        }
        socket.enter(Phase::CatchingUp, now);
        self.tell(Notice::Welcome { region: welcome.region, user: welcome.user });
        if !beside && self.state != State::Moving {
            self.set_state(State::CatchingUp);
        }
        self.check_current(now);
    }

    /// CatchingUp → Live when every followed stream is at its head; the second socket of a move takes over
    /// then.
    pub(super) fn check_current(&mut self, now: Now) {
        let cursor = |stream: &StreamId| self.streams.get(stream).map(|stream| &stream.cursor);
        let main = self.main.as_ref().filter(|socket| socket.phase == Phase::CatchingUp);
        let main_is = main.is_some_and(|socket| socket.is_current(cursor));
        let beside_is = self.beside.as_ref().is_some_and(|socket| socket.is_current(cursor));
        if main_is {
            self.go_live(now);
        }
        if beside_is {
            self.switch(now);
        }
    }

    /// The first socket is live: the outbox is sent again, in order (P13).
    pub(super) fn go_live(&mut self, now: Now) {
        let Some(socket) = &mut self.main else { return };
        socket.phase = Phase::Live;
        socket.live_since_ms = Some(now.mono_ms);
        if self.state != State::Moving {
            self.set_state(State::Live);
        }
        self.outbox.restart();
        self.pump(now);
    }

    /// The application's answer to `NeedToken`.
    pub(super) fn token_came(&mut self, now: Now, token: Option<Secret>) {
        let none = token.is_none();
        self.token.came(token, now.mono_ms);
        if none {
            self.no_token(now);
            return;
        }
        self.try_open(now);
        self.try_beside(now);
        let Some(token) = self.token.held().cloned() else { return };
        let welcomed = |socket: &&mut super::socket::Socket| socket.is_welcomed() && socket.renewing;
        let ids =
            [&mut self.main, &mut self.beside].map(|socket| socket.as_mut().filter(welcomed).map(|s| s.id));
        for id in ids.into_iter().flatten() {
            let hello = self.hello(token.clone(), None);
            self.send(id, hello);
        }
    }

    // === following ===

    /// The application follows a stream, or follows it differently.
    pub(super) fn follow(&mut self, now: Now, name: StreamId, wish: Wish) {
        let Some(stream) = self.known(&name) else { return };
        (stream.wish, stream.again_ms) = (Some(wish), None);
        for id in self.greeted() {
            self.subscribe(id, std::slice::from_ref(&name));
        }
        self.check_current(now);
    }

    /// The application leaves a stream; the cursor stays for the next time.
    pub(super) fn unfollow(&mut self, name: &StreamId) {
        let Some(stream) = self.streams.get_mut(name).filter(|stream| stream.wish.is_some()) else { return };
        (stream.wish, stream.again_ms) = (None, None);
        for id in self.greeted() {
            if let Some(socket) = self.socket(id) {
                socket.left(name);
            }
            self.send(id, ClientFrame::Unsubscribe(Unsubscribe { streams: vec![name.clone()] }));
        }
    }

    /// The stream, made if it is new and there is room; else the application is told.
    pub(super) fn known(&mut self, name: &StreamId) -> Option<&mut Stream> {
        if !self.streams.contains_key(name) {
            if self.streams.len() >= self.config.streams {
                self.tell(Notice::TooManyStreams(name.clone()));
                return None;
            }
            let twins = Twins::new(self.config.twins, self.config.marked_twins);
            self.streams.insert(name.clone(), Stream::new(twins));
        }
        self.streams.get_mut(name)
    }

    /// Sockets that a frame can be sent on.
    fn greeted(&self) -> Vec<SocketId> {
        let open = [&self.main, &self.beside].into_iter().flatten();
        open.filter(|socket| socket.phase > Phase::Opening).map(|socket| socket.id).collect()
    }

    // === cursors for the server (P4) ===

    pub(super) fn stored(&mut self) {
        self.unreported.append(&mut self.unstored);
    }

    /// Says what is stored for good, at once.
    pub(super) fn report(&mut self, now: Now) {
        let Some(id) = self.main.as_ref().filter(|socket| socket.is_welcomed()).map(|socket| socket.id)
        else {
            return;
        };
        let mut frame = Cursors::default();
        let mut room = FRAME_BUDGET_BYTES;
        for name in std::mem::take(&mut self.unreported) {
            let Some(stream) = self.streams.get(&name) else { continue };
            let size = size_of(&name, &stream.cursor);
            frame.streams.push(Stored { stream: name, cursor: stream.cursor.clone() });
            room = room.saturating_sub(size);
            if room == 0 {
                self.actions.push(super::Action::Send(id, ClientFrame::Cursor(std::mem::take(&mut frame))));
                room = FRAME_BUDGET_BYTES;
            }
        }
        if !frame.streams.is_empty() {
            self.send(id, ClientFrame::Cursor(frame));
        }
        self.report_ms = now.mono_ms + CURSOR_MS;
    }

    /// The application has fetched a hole, or does not want it.
    pub(super) fn fetched(&mut self, name: StreamId, hole: &Hole) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let before = stream.holes.len();
        stream.holes.retain(|one| one != hole);
        if stream.holes.len() < before {
            let (cursor, holes) = (stream.cursor.clone(), stream.holes.clone());
            self.store(Change::Moved { stream: name, cursor, holes });
        }
    }
}

/// About what a stream and its cursor take in a frame, bytes.
fn size_of(name: &StreamId, cursor: &Cursor) -> usize {
    name.as_str().len() + cursor.iter().map(|(origin, _)| origin.as_str().len() + 24).sum::<usize>() + 64
}
