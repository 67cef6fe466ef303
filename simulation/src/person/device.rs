//! The device's life: connect, greet, resume, serve, until the socket ends; then again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sterna_process::Clock;
use sterna_protocol::Encoding;
use sterna_protocol::close::{self, Advice};
use sterna_protocol::frame::{
    ClientFrame, Cursors, Device, Error, Events, Hello, Secret, ServerFrame, Stored, Subscribe, Subscription,
    Welcome,
};
use sterna_stream::{Cursor, EventId, Origin, StreamId, created, fixed};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{Person, Wish};
use crate::paths::Path;

/// Longest that one frame may take to be taken.
const SEND: Duration = Duration::from_secs(10);
/// Longest that a resend waits for the streams to catch up (rule 13).
const CATCH_UP: Duration = Duration::from_secs(5);
/// Pause before a stream that was refused is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to connect.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How often a device stores its cursors at most, for those that do (rule 4).
const STORE: Duration = Duration::from_secs(5);
/// How often such a device asks as if it had no memory, of a thousand subscriptions.
const FORGETS: u32 = 250;
/// Attempts that fail in a region before another is tried.
const HOPS_AFTER: u32 = 3;
/// Streams in one `subscribe`.
const STREAMS_AT_ONCE: usize = 32;

/// Lives for ever; the world drops it.
pub async fn live(person: Person) {
    let mut failures = 0;
    loop {
        let (code, lasted) = Connection::open(&person).await;
        person.lost_socket();
        failures = if lasted { 0 } else { failures + 1 };
        if failures > HOPS_AFTER && person.regions > 1 {
            person.cross((person.at() + 1) % person.regions);
            failures = 0;
        }
        let wait = {
            let mut dice = person.dice.borrow_mut();
            let back_off = Duration::from_millis(200 << u32::min(failures, 5)).min(BACK_OFF_MAX);
            match code.map(close::advice) {
                Some(Advice::AtOnce) if failures < 2 => Duration::from_millis(dice.between(0, 1_000)),
                Some(Advice::Stop) if code == Some(close::REVOKED) => {
                    person.revoked();
                    // Whoever uses it tries again all the same.
                    BACK_OFF_MAX + Duration::from_millis(dice.between(0, 300))
                }
                Some(Advice::Stop) => {
                    drop(dice);
                    return person.fault(format!("was told to stop by close code {code:?}"));
                }
                _ => back_off + Duration::from_millis(dice.between(0, 300)),
            }
        };
        sleep(wait).await;
    }
}

/// One socket.
struct Connection<'a> {
    person: &'a Person,
    socket: WebSocketStream<DuplexStream>,
    heard: Instant,
    welcomed: Option<Instant>,
    /// Server's wall minus ours, milliseconds.
    offset_ms: i64,
    ask_again: Option<Instant>,
    stored: Instant,
}

/// How a step of a connection ends it: with a close code if there was one.
type Step = Result<(), Option<u16>>;

impl<'a> Connection<'a> {
    /// Opens a socket and serves it to its end: the close code, and whether it ever worked.
    async fn open(person: &'a Person) -> (Option<u16>, bool) {
        let card = &person.card;
        let at = person.at();
        let pipe = (person.door)(&mut person.dice.borrow_mut(), at, card.encoding, card.buffer);
        let Some(pipe) = pipe else { return (None, false) };
        let socket = WebSocketStream::from_raw_socket(pipe, Role::Client, None).await;
        let heard = Instant::now();
        person.opened(at);
        let mut connection = Connection {
            person,
            socket,
            heard,
            welcomed: None,
            offset_ms: 0,
            ask_again: None,
            stored: heard,
        };
        for book in person.ledger.borrow_mut().books.values_mut() {
            (book.subscribed, book.refused) = (false, None);
        }
        let code = match connection.serve().await {
            Ok(()) => None,
            Err(code) => code,
        };
        let worked = connection.welcomed.is_some();
        if code == Some(close::SLOW) {
            person.paths.took(Path::RingOverflow);
        }
        person.line("is cut off", format_args!("{code:?}"));
        (code, worked)
    }

    async fn serve(&mut self) -> Step {
        self.greet().await?;
        self.resume().await?;
        loop {
            self.carry_out().await?;
            self.pump().await?;
            let due = self.next_due();
            tokio::select! {
                biased;
                message = self.socket.next() => {
                    self.hear(message).await?;
                }
                () = self.person.wished.notified() => {}
                () = sleep_until(due) => self.due().await?,
            }
        }
    }

    async fn greet(&mut self) -> Step {
        let card = &self.person.card;
        let hello = Hello {
            token: Secret::new((self.person.token)(&card.name)),
            device: Device(card.device),
            client: "simulation".into(),
            home: None,
            ticket: None,
            policy: Cursor::new(),
            ping_interval_ms: Some(card.ping_ms),
        };
        self.send(ClientFrame::Hello(hello)).await
    }

    /// Subscribes to all that is wanted and not subscribed, with the cursors that the device has.
    async fn resume(&mut self) -> Step {
        self.ask_again = None;
        let mut streams = Vec::new();
        {
            let mut ledger = self.person.ledger.borrow_mut();
            let wanted: Vec<StreamId> =
                ledger.wanted.iter().filter_map(|room| self.person.room(*room)).collect();
            for stream in wanted {
                let book = ledger.books.entry(stream.clone()).or_default();
                if book.subscribed {
                    continue;
                }
                book.refused = None;
                let cursor = book.cursor();
                let resumes = !cursor.is_empty();
                self.person.paths.add(Path::Resume, u64::from(resumes));
                // A device without memory begins after what it has stored: all that comes is not new.
                let forgets = self.person.card.stores && self.person.dice.borrow_mut().chance(FORGETS);
                book.forgot = resumes && forgets && book.is_short();
                self.person.paths.add(Path::Forgot, u64::from(book.forgot));
                let cursor = (resumes && !book.forgot).then_some(cursor);
                streams.push(Subscription { stream, cursor, tail: None, presence: false });
            }
        }
        for streams in streams.chunks(STREAMS_AT_ONCE) {
            let subscribe = Subscribe { streams: streams.to_vec(), ..Subscribe::default() };
            self.send(ClientFrame::Subscribe(subscribe)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, frame: ClientFrame) -> Step {
        let mut bytes = Vec::new();
        self.person.card.encoding.encode_client(&frame, &mut bytes);
        let message = match self.person.card.encoding {
            Encoding::Json => Message::text(String::from_utf8(bytes).expect("JSON is text")),
            Encoding::Protobuf => Message::binary(bytes),
        };
        match timeout(SEND, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(None),
        }
    }

    // === what is heard ===

    async fn hear(
        &mut self,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Step {
        self.heard = Instant::now();
        let encoding = self.person.card.encoding;
        let frame = match message {
            Some(Ok(Message::Text(text))) => encoding.decode_server(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => encoding.decode_server(&bytes),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => return Ok(()),
            Some(Err(_)) | None => return Err(None),
        };
        match frame {
            Ok(frame) => self.take(frame).await?,
            Err(error) => self.person.fault(format!("was sent what is no frame: {error:?}")),
        }
        let reading = self.person.card.reading;
        if !reading.is_zero() && !self.person.hurry.get() {
            sleep(reading).await;
        }
        Ok(())
    }

    async fn take(&mut self, frame: ServerFrame) -> Step {
        match frame {
            ServerFrame::Welcome(welcome) => self.welcome(&welcome),
            ServerFrame::Subscribed(subscribed) => {
                let mut ledger = self.person.ledger.borrow_mut();
                for head in subscribed.streams {
                    let book = ledger.books.entry(head.stream).or_default();
                    (book.subscribed, book.head) = (true, head.head);
                }
            }
            ServerFrame::Events(events) => {
                self.events(&events);
                self.store().await?;
            }
            ServerFrame::Gap(gap) => {
                let numbers = format_args!("{} {} to {}", gap.stream, gap.reason, gap.to);
                self.person.line("is told a gap", numbers);
                let told =
                    self.person.ledger.borrow_mut().books.entry(gap.stream.clone()).or_default().gap(&gap);
                if let Err(violation) = told {
                    self.person.fault(format!("{}: {violation}", gap.stream));
                }
            }
            ServerFrame::Ack(ack) => self.person.acked(&ack),
            ServerFrame::Error(error) => self.error(&error),
            ServerFrame::Ping => self.send(ClientFrame::Pong).await?,
            _ => {}
        }
        Ok(())
    }

    /// Now and then a device that does so stores how far it has come, wherever it is.
    async fn store(&mut self) -> Step {
        if !self.person.card.stores || self.stored.elapsed() < STORE {
            return Ok(());
        }
        self.stored = Instant::now();
        let mut streams = Vec::new();
        for (stream, book) in &mut self.person.ledger.borrow_mut().books {
            if book.subscribed {
                let cursor = book.cursor();
                book.stored.merge(&cursor);
                streams.push(Stored { stream: stream.clone(), cursor });
            }
        }
        self.send(ClientFrame::Cursor(Cursors { streams })).await
    }

    fn welcome(&mut self, welcome: &Welcome) {
        let own = self.person.clock.wall_ms();
        self.offset_ms = welcome.time_unix_ms.cast_signed() - own.cast_signed();
        self.welcomed.get_or_insert_with(Instant::now);
        self.person.welcomed_by(welcome.origin.as_ref());
        self.person.line("is welcome", format_args!("{}", welcome.session));
    }

    fn events(&mut self, events: &Events) {
        self.person.came_back(&events.events);
        let mut shown: BTreeMap<&Origin, (u64, u64)> = BTreeMap::new();
        for event in &events.events {
            let mut ledger = self.person.ledger.borrow_mut();
            let taken = ledger.books.entry(events.stream.clone()).or_default().event(event);
            drop(ledger);
            match taken {
                Ok(true) => shown.entry(&event.origin).or_insert((event.seq, event.seq)).1 = event.seq,
                Ok(false) => {}
                Err(violation) => self.person.fault(format!("{}: {violation}", events.stream)),
            }
        }
        for (origin, (first, last)) in shown {
            self.person.line("is shown", format_args!("{} {origin} {first}..{last}", events.stream));
        }
    }

    fn error(&mut self, error: &Error) {
        if let Some(time_ms) = error.time_unix_ms {
            // The region's clock is not what it was at the greeting: ids follow it (E5, E7).
            self.offset_ms = time_ms.cast_signed() - self.person.clock.wall_ms().cast_signed();
        }
        if error.event_id.is_some() {
            if let Some(letter) = self.person.refused(error) {
                self.person.write_again(self.mint(), letter);
            }
            return;
        }
        let Some(stream) = error.stream.as_deref().and_then(|text| text.parse::<StreamId>().ok()) else {
            return self.person.line("is refused", format_args!("{}", error.code.as_str()));
        };
        let mut ledger = self.person.ledger.borrow_mut();
        let book = ledger.books.entry(stream).or_default();
        let reason = error.code.reason().map_or("other", |reason| reason.code());
        if book.refused != Some(reason) {
            self.person
                .line("may not follow", format_args!("{} {reason}", error.stream.as_deref().unwrap_or("")));
        }
        (book.subscribed, book.refused) = (false, Some(reason));
        drop(ledger);
        let after = error.retry_after_ms.map_or(ASK_AGAIN, |ms| Duration::from_millis(ms.into()));
        self.ask_again.get_or_insert(Instant::now() + after);
    }

    // === what is due ===

    fn next_due(&self) -> Instant {
        let silent = self.heard + Duration::from_millis(u64::from(self.person.card.ping_ms) + 5_000);
        let outbox = if self.may_pump() { self.person.next_due() } else { self.catch_up_until() };
        [Some(silent), outbox, self.ask_again].into_iter().flatten().min().unwrap_or(silent)
    }

    async fn due(&mut self) -> Step {
        let now = Instant::now();
        if now >= self.heard + Duration::from_millis(u64::from(self.person.card.ping_ms) + 5_000) {
            self.person.line("hears nothing", format_args!("from {:?} on", self.person.card.ping_ms));
            return Err(None);
        }
        if self.ask_again.is_some_and(|at| now >= at) {
            self.resume().await?;
        }
        Ok(())
    }

    fn catch_up_until(&self) -> Option<Instant> {
        self.welcomed.map(|at| at + CATCH_UP)
    }

    /// Rule 13: first catch up, for a while, then send.
    fn may_pump(&self) -> bool {
        let Some(until) = self.catch_up_until() else { return false };
        let ledger = self.person.ledger.borrow();
        Instant::now() >= until
            || ledger.books.values().all(|book| book.is_current() || book.refused.is_some())
    }

    async fn pump(&mut self) -> Step {
        if !self.may_pump() {
            return Ok(());
        }
        for frame in self.person.due(Instant::now()) {
            self.send(frame).await?;
        }
        Ok(())
    }

    // === wishes ===

    async fn carry_out(&mut self) -> Step {
        while self.welcomed.is_some() {
            let Some(wish) = self.person.ledger.borrow_mut().wishes.pop_front() else { break };
            match wish {
                Wish::Create(room) => self.create(room),
                Wish::Add(room, user) => self.change(room, addition(&user)),
                Wish::Remove(room, user) => self.change(room, removal(&user)),
                Wish::Suspend(user, suspended) => self.suspend(&user, suspended),
                Wish::Follow(room) => {
                    self.person.ledger.borrow_mut().wanted.insert(room);
                    if self.person.room(room).is_none() {
                        // Its owner has not named it yet: ask later.
                        self.person.ledger.borrow_mut().wishes.push_front(wish);
                        self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        break;
                    }
                    self.resume().await?;
                }
                Wish::Say(room, bytes) => self.say(room, bytes),
                Wish::Vanish(how_long) => {
                    self.person.line("vanishes", format_args!("for {how_long:?}"));
                    sleep(how_long).await;
                    return Err(None);
                }
                Wish::Cross(region) => {
                    self.person.cross(region);
                    return Err(None);
                }
            }
        }
        Ok(())
    }

    fn mint(&self) -> EventId {
        let now = self.person.clock.wall_ms().saturating_add_signed(self.offset_ms);
        EventId::mint(now, self.person.dice.borrow_mut().bits())
    }

    fn create(&self, room: usize) {
        let (id, name) = (self.mint(), &self.person.card.name);
        let author = name.parse().expect("a user's name");
        let stream = created::stream("acme", "chat", &author, id).expect("a stream's name");
        self.person.line("creates", format_args!("room {room} {stream}"));
        self.person.write(id, stream.clone(), "member", format!(r#"{{"user":"{name}","add":"owner"}}"#));
        self.person.rooms.borrow_mut()[room] = Some(stream);
    }

    fn change(&self, room: usize, json: String) {
        let Some(stream) = self.person.room(room) else { return };
        self.person.line("changes members", format_args!("room {room} {json}"));
        self.person.write(self.mint(), stream, "member", json);
    }

    fn suspend(&self, user: &str, suspended: bool) {
        let access = fixed::access("acme").expect("a tenant's name");
        let json = suspension(user, suspended);
        self.person.line("changes the tenant", format_args!("{json}"));
        self.person.write(self.mint(), access, "suspension", json);
    }

    fn say(&self, room: usize, bytes: usize) {
        let Some(stream) = self.person.room(room) else { return };
        let id = self.mint();
        self.person.line("says", format_args!("room {room} {id}"));
        self.person.write(id, stream, "message", format!(r#"{{"text":"{:~<bytes$}"}}"#, ""));
    }
}

/// The payload that lets a user in.
pub fn addition(user: &str) -> String {
    format!(r#"{{"user":"{user}","add":"writer"}}"#)
}

/// The payload that suspends a user, or lifts that.
pub fn suspension(user: &str, suspended: bool) -> String {
    format!(r#"{{"v":1,"user":"{user}","suspended":{suspended}}}"#)
}

/// The payload that puts a user out.
pub fn removal(user: &str) -> String {
    format!(r#"{{"user":"{user}","remove":"all"}}"#)
}
