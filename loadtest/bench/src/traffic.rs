//! Streams with an author and a reader each, and events on their way between them.
//!
//! Checks all that comes: every event once, in order. What is published next is decided by who uses it:
//! [`Traffic::publish`] at any time, or [`Traffic::refill`] as soon as an event was delivered.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sterna_process::{Clock, SystemClock};
use sterna_protocol::Payload;
use sterna_protocol::frame::{Events, ServerFrame};
use sterna_stream::map::Map;
use sterna_stream::{EventId, StreamId, created};
use tokio::sync::Notify;

use crate::Outcome;
use crate::session::{Session, TENANT};

/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions for streams that are not there yet.
const AGAIN: Duration = Duration::from_millis(20);
/// Streams named in one subscribe.
const FOLLOWED_AT_ONCE: usize = 100;

/// What a benchmark sends and has received.
#[derive(Default)]
pub(crate) struct Traffic {
    sessions: RefCell<Vec<Rc<Session>>>,
    lanes: RefCell<Vec<Lane>>,
    by_stream: RefCell<Map<StreamId, usize>>,
    minted: Cell<u128>,
    refilling: Cell<bool>,
    /// Where the next event goes instead of the lane where one was delivered, as steps over the lanes.
    stride: Cell<usize>,
    turn: Cell<usize>,
    payload: RefCell<Option<Payload>>,
    pub(crate) delivered: Cell<u64>,
    published: Cell<u64>,
    acked: Cell<u64>,
    following: Cell<usize>,
    unseen: RefCell<Vec<(usize, StreamId)>>,
    /// Events that did not continue what their reader had.
    wrong: Cell<u64>,
    /// From publishing to delivery, milliseconds.
    pub(crate) delays: RefCell<Vec<f64>>,
    changed: Notify,
}

/// One stream.
struct Lane {
    stream: StreamId,
    author: Rc<Session>,
    reader: usize,
    next: u64,
    sent: VecDeque<Instant>,
}

/// How many streams and sessions.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) streams: usize,
    /// Streams of one session.
    pub(crate) per_session: usize,
    /// Whether the reader is another session than the author.
    pub(crate) apart: bool,
}

impl Traffic {
    /// Connects, creates all streams, and has each followed by its reader. `first` numbers the users, so that
    /// one server can be used again.
    pub(crate) async fn open(port: u16, shape: Shape, first: usize) -> Result<Rc<Self>, crate::Problem> {
        let traffic = Rc::new(Self::default());
        let text = format!(r#"{{"text":"{}"}}"#, "abcdefghij".repeat(19));
        *traffic.payload.borrow_mut() =
            Some(Payload::parse(Bytes::from(text)).map_err(|error| format!("{error:?}"))?);
        traffic.minted.set((first as u128) << 32);
        let users = shape.streams.div_ceil(shape.per_session);
        for user in 0..users {
            let name = format!("user-{}", first + user);
            let author = traffic.connect(port, first + user, &name).await?;
            let reader = if shape.apart { traffic.connect(port, first + user, &name).await? } else { author };
            let count = shape.per_session.min(shape.streams - user * shape.per_session);
            traffic.create(author, reader, &name, count)?;
            traffic.until("the creations' acks", |t| t.acked.get() >= t.published.get()).await?;
        }
        traffic.follow_all().await?;
        traffic.until("the creations", |t| t.lanes.borrow().iter().all(|lane| lane.next == 2)).await?;
        Ok(traffic)
    }

    async fn connect(self: &Rc<Self>, port: u16, number: usize, user: &str) -> Result<usize, crate::Problem> {
        let at = self.sessions.borrow().len();
        let traffic = Rc::downgrade(self);
        let hear = move |frame| {
            if let Some(traffic) = traffic.upgrade() {
                traffic.hear(at, frame);
            }
        };
        let session = Session::open(port, number, user, hear).await?;
        self.sessions.borrow_mut().push(Rc::new(session));
        Ok(at)
    }

    fn create(&self, author: usize, reader: usize, user: &str, count: usize) -> Outcome {
        let author = self.sessions.borrow()[author].clone();
        for _ in 0..count {
            let id = self.id();
            let stream = created::stream(TENANT, "chat", &user.parse()?, id)?;
            let owner = format!(r#"{{"user":"{user}","add":"owner"}}"#);
            let owner = Payload::parse(Bytes::from(owner)).map_err(|error| format!("{error:?}"))?;
            author.publish(&stream, id, "member", &owner);
            self.published.set(self.published.get() + 1);
            let mut lanes = self.lanes.borrow_mut();
            self.by_stream.borrow_mut().insert(stream.clone(), lanes.len());
            lanes.push(Lane { stream, author: author.clone(), reader, next: 1, sent: VecDeque::new() });
        }
        Ok(())
    }

    /// Has every stream followed; what is not visible yet is asked again.
    async fn follow_all(&self) -> Outcome {
        let mut open: Map<usize, Vec<StreamId>> = Map::default();
        for lane in self.lanes.borrow().iter() {
            open.entry(lane.reader).or_default().push(lane.stream.clone());
        }
        let total = self.lanes.borrow().len();
        let (mut asked, began) = (0, Instant::now());
        while !open.is_empty() {
            if began.elapsed() > PATIENCE {
                let absent: usize = open.values().map(Vec::len).sum();
                return Err(format!("{absent} of {total} streams are not there").into());
            }
            for (reader, streams) in open.drain() {
                for part in streams.chunks(FOLLOWED_AT_ONCE) {
                    self.sessions.borrow()[reader].follow(part.iter().map(|s| (s.clone(), None)));
                    asked += part.len();
                    let answered = |t: &Self| t.following.get() + t.unseen.borrow().len() >= asked;
                    self.until("an answer to subscribe", answered).await?;
                }
            }
            for (reader, stream) in self.unseen.borrow_mut().drain(..) {
                open.entry(reader).or_default().push(stream);
            }
            asked = self.following.get();
            if !open.is_empty() {
                // Nobody tells that a stream is there now: it is asked for again, and not at once.
                tokio::time::sleep(AGAIN).await;
            }
        }
        if self.following.get() == total { Ok(()) } else { Err("not every stream is followed".into()) }
    }

    fn id(&self) -> EventId {
        self.minted.set(self.minted.get() + 1);
        EventId::mint(SystemClock.wall_ms(), self.minted.get())
    }

    // === events ===

    /// How many streams there are.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.borrow().len()
    }

    /// Publishes one event to the n-th stream.
    pub(crate) fn publish(&self, lane: usize) {
        let id = self.id();
        let payload = self.payload.borrow();
        let mut lanes = self.lanes.borrow_mut();
        let lane = &mut lanes[lane];
        lane.sent.push_back(Instant::now());
        let payload = payload.as_ref().expect("set when the traffic was opened");
        lane.author.publish(&lane.stream, id, "message", payload);
        self.published.set(self.published.get() + 1);
    }

    /// From now on each delivery lets the next event go: to the stream `stride` further, or, with 0, to the
    /// same one.
    pub(crate) fn refill(&self, stride: usize) {
        self.stride.set(stride);
        self.refilling.set(true);
    }

    /// Lets nothing go any more, and waits for all that is on its way.
    pub(crate) async fn settle(&self) -> Outcome {
        self.refilling.set(false);
        let settled = |t: &Self| {
            t.acked.get() >= t.published.get() && t.lanes.borrow().iter().all(|lane| lane.sent.is_empty())
        };
        self.until("all deliveries", settled).await?;
        match self.wrong.get() {
            0 => Ok(()),
            wrong => Err(format!("{wrong} events were refused, came twice or out of order").into()),
        }
    }

    fn hear(&self, session: usize, frame: ServerFrame) {
        match frame {
            ServerFrame::Events(events) => self.take(&events),
            ServerFrame::Ack(ack) => self.acked.set(self.acked.get() + ack.event_ids.len() as u64),
            ServerFrame::Subscribed(subscribed) => {
                self.following.set(self.following.get() + subscribed.streams.len());
            }
            ServerFrame::Error(error) => match error.stream.as_deref().map(str::parse) {
                Some(Ok(stream)) if error.event_id.is_none() => {
                    self.unseen.borrow_mut().push((session, stream));
                }
                _ => self.report(&format!("{error:?}")),
            },
            ServerFrame::Ping => {
                self.sessions.borrow()[session].send(&sterna_protocol::frame::ClientFrame::Pong)
            }
            ServerFrame::Gap(gap) => self.report(&format!("{gap:?}")),
            _ => {}
        }
        self.changed.notify_one();
    }

    /// What should not come; the first is shown, all are counted.
    fn report(&self, what: &str) {
        if self.wrong.get() == 0 {
            eprintln!("this should not come: {what}");
        }
        self.wrong.set(self.wrong.get() + 1);
    }

    fn take(&self, events: &Events) {
        let Some(at) = self.by_stream.borrow().get(&events.stream).copied() else { return };
        for event in &events.events {
            let sent = {
                let lane = &mut self.lanes.borrow_mut()[at];
                if event.seq != lane.next {
                    self.wrong.set(self.wrong.get() + 1);
                }
                lane.next = event.seq + 1;
                if event.kind.as_str() == "message" { lane.sent.pop_front() } else { None }
            };
            let Some(sent) = sent else { continue };
            self.delays.borrow_mut().push(sent.elapsed().as_secs_f64() * 1_000.0);
            self.delivered.set(self.delivered.get() + 1);
            if self.refilling.get() {
                self.publish(self.following_turn(at));
            }
        }
    }

    fn following_turn(&self, at: usize) -> usize {
        if self.stride.get() == 0 {
            return at;
        }
        self.turn.set((self.turn.get() + self.stride.get()) % self.lanes());
        self.turn.get()
    }

    /// Waits until `done`.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) -> Outcome {
        let wait = async {
            while !done(self) {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| {
            format!(
                "{what} did not come: {} published, {} acked, {} delivered, {} followed",
                self.published.get(),
                self.acked.get(),
                self.delivered.get(),
                self.following.get()
            )
            .into()
        })
    }
}
