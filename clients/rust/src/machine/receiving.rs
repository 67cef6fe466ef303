//! What a frame of the server's does (P7 to P11, P25).

use sterna_protocol::close;
use sterna_protocol::frame::{ClientFrame, Error, Event, Events, Gap, Head, ServerFrame};
use sterna_stream::{EventId, Origin, StreamId};

use super::follow::{Arrival, Wish};
use super::twins::Shown;
use super::{Action, End, Machine, Notice, Now, SocketId};
use crate::storage::Change;

impl Machine {
    /// Something came that is no frame known here: life, and nothing else.
    pub(super) fn heard(&mut self, now: Now, id: SocketId) {
        let Some(socket) = self.socket(id) else { return };
        let doubted = socket.life.in_doubt();
        socket.life.heard(now);
        if doubted {
            self.pump(now);
        }
    }

    pub(super) fn receive(&mut self, now: Now, id: SocketId, frame: ServerFrame) {
        // What was closed here is not heard any more.
        if self.socket(id).is_none() {
            return;
        }
        self.heard(now, id);
        match frame {
            ServerFrame::Welcome(welcome) => self.welcomed(now, id, *welcome),
            ServerFrame::Subscribed(subscribed) => {
                for head in subscribed.streams {
                    self.subscribed(id, head);
                }
                self.check_current(now);
            }
            ServerFrame::Events(events) => self.events(now, id, events),
            ServerFrame::Gap(gap) => self.gap(now, id, gap),
            ServerFrame::Ack(ack) => {
                let keep = self.keep_until();
                let effects = self.outbox.acked(&ack.event_ids, &ack.region, &ack.durability, keep);
                self.tell_all(effects);
                self.pump(now);
            }
            ServerFrame::Presence(presence) => self.tell(Notice::Presence(Box::new(presence))),
            ServerFrame::Ephemeral(ephemeral) => self.tell(Notice::Ephemeral(Box::new(ephemeral))),
            ServerFrame::Move(to) => self.asked_to_move(now, id, to),
            ServerFrame::Error(error) => self.error(now, id, error),
            ServerFrame::Ping => self.send(id, ClientFrame::Pong),
            ServerFrame::Pong => {}
        }
    }

    /// The answer to `subscribe`, or, unasked, a stream that the user was added to (P6).
    fn subscribed(&mut self, id: SocketId, head: Head) {
        let followed = self.streams.get(&head.stream).is_some_and(|stream| stream.wish.is_some());
        if !followed {
            let Some(mine) = self.config.mine else { return };
            let Some(stream) = self.known(&head.stream) else { return };
            stream.wish = Some(Wish { tail: mine.tail, presence: false });
            self.tell(Notice::Joined(head.stream.clone()));
        }
        let Some(socket) = self.socket(id) else { return };
        let here = socket.origin.clone();
        socket.answered(head.clone());
        let effects = self.outbox.covered(&head.stream, &head.head, here.as_ref());
        self.tell_all(effects);
        self.check_complete(&head.stream);
        if !head.head.covers(&head.known) {
            self.tell(Notice::Behind { stream: head.stream, head: head.head, known: head.known });
        }
    }

    /// P7: backlog and live alike. All of a frame's events are stored, then shown.
    fn events(&mut self, now: Now, id: SocketId, events: Events) {
        let Events { stream: name, events } = events;
        let here = self.socket(id).and_then(|socket| socket.origin.clone());
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.wish.is_some()) else { return };
        let mut arrived: Vec<(Event, Option<Shown>)> = Vec::new();
        let mut hole = false;
        for event in events {
            match stream.arrive(&event.origin, event.seq) {
                Arrival::Seen => arrived.push((event, None)),
                Arrival::Next => {
                    self.actions.push(Action::Store(Change::Event(name.clone(), event.clone())));
                    let shown = stream.twins.add(&event);
                    if shown != Shown::No {
                        stream.seen = stream.seen.max(event.hlc);
                    }
                    arrived.push((event, Some(shown)));
                }
                Arrival::Ahead => {
                    hole = true;
                    break;
                }
            }
        }
        self.unstored.insert(name.clone());
        for (event, shown) in arrived {
            self.came_back(&name, &event, here.as_ref());
            if let Some(Shown::Yes { late, hides }) = shown {
                let (stream, event) = (name.clone(), Box::new(event));
                self.tell(Notice::Shown { stream, event, late, hides });
            }
        }
        self.cursor_moved(now, &name);
        if hole {
            self.hole_seen(now, id);
        }
    }

    fn came_back(&mut self, name: &StreamId, event: &Event, here: Option<&Origin>) {
        let keep = self.keep_until();
        if let Some(me) = &self.me {
            let effects = self.outbox.came_back(name, event, me, here, keep);
            self.tell_all(effects);
        }
    }

    /// P8, P9.
    fn gap(&mut self, now: Now, id: SocketId, gap: Gap) {
        let holes_max = self.config.holes;
        let Some(stream) = self.streams.get_mut(&gap.stream).filter(|stream| stream.wish.is_some()) else {
            return;
        };
        if !gap.reason.moves_the_cursor() {
            self.tell(Notice::Waiting(gap));
            return;
        }
        let Some(told) = stream.gap(&gap, holes_max) else {
            self.hole_seen(now, id);
            return;
        };
        if told.is_empty() {
            return;
        }
        let (cursor, holes) = (stream.cursor.clone(), stream.holes.clone());
        self.store(Change::Moved { stream: gap.stream.clone(), cursor, holes });
        self.unstored.insert(gap.stream.clone());
        self.tell(Notice::Skipped(gap.stream.clone(), told));
        self.cursor_moved(now, &gap.stream);
    }

    /// It must not happen; resuming from the cursor repairs it.
    fn hole_seen(&mut self, now: Now, id: SocketId) {
        self.give_up(now, id, close::HOLE_SEEN, End::Closed(close::HOLE_SEEN));
    }

    fn cursor_moved(&mut self, now: Now, name: &StreamId) {
        self.check_complete(name);
        self.check_current(now);
    }

    /// "Caught up" is said once, and only when everything known to exist is here (E18).
    pub(super) fn check_complete(&mut self, name: &StreamId) {
        let Some(stream) = self.streams.get(name) else { return };
        // What the second socket of a move completes is said when it has taken over.
        if self.main.as_mut().is_some_and(|socket| socket.completes(name, &stream.cursor)) {
            self.tell(Notice::CaughtUp(name.clone()));
        }
    }

    /// Something was not done; it names an event, a stream, both or neither.
    fn error(&mut self, now: Now, id: SocketId, error: Box<Error>) {
        let event = error.event_id.as_ref().and_then(|text| text.parse::<EventId>().ok());
        let stream = error.stream.as_ref().and_then(|text| text.parse::<StreamId>().ok());
        // Said where a time of ours is wrong, and as good as `welcome`'s: this clock is, by now.
        if let Some(time_unix_ms) = error.time_unix_ms {
            self.clock.set(time_unix_ms, now);
        }
        if let Some(event) = event {
            let effects = self.outbox.refused(event, &error, now.mono_ms);
            self.tell_all(effects);
            self.pump(now);
        }
        if let Some(stream) = stream {
            self.left(now, id, stream, &error);
        }
        if error.event_id.is_none() && error.stream.is_none() {
            self.last_error = Some(error.clone());
            self.tell(Notice::Error(error));
        }
    }

    /// P25: whatever the code, the stream is not followed here; with a time to wait it is asked for again.
    fn left(&mut self, now: Now, id: SocketId, name: StreamId, error: &Error) {
        let Some(socket) = self.socket(id) else { return };
        socket.left(&name);
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.wish.is_some()) else { return };
        match error.retry_after_ms {
            Some(after) => stream.again_ms = Some(now.mono_ms + u64::from(after)),
            None => stream.wish = None,
        }
        let (code, retry_after_ms) = (error.code.clone(), error.retry_after_ms);
        self.tell(Notice::Left { stream: name, code, retry_after_ms });
        self.check_current(now);
    }
}
