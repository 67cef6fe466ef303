//! A simulated person's device: the Rust client over memory sockets, and what its screen shows.
//!
//! A device that is dropped is an application that was killed: nothing of it runs on, what it had stored is
//! all that is left, and the next life goes on from that.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sterna_client::storage::{Key, MemoryStorage, Storage};
use sterna_client::{Client, Config, Draft, Events, Notice, Outcome, Parts, State, Wish};
use sterna_process::{Clock, End, ManualClock, Process};
use sterna_protocol::Payload;
use sterna_protocol::frame::{Device as DeviceId, Event, Secret};
use sterna_stream::order::Place;
use sterna_stream::{StreamId, UserId};
use tokio::time::{Duration, Instant, sleep};

use super::Sabotage;
use super::ledger::{Author, DeviceNumber, Label, Ledger, RegionNumber, Shown};
use super::world::World;

/// A stream that was refused is asked for again after so long.
const FOLLOW_AGAIN: Duration = Duration::from_millis(250);
/// The device that breaks a promise on purpose (it is none of those that are killed), and from which of the
/// events on that it shows.
const SABOTEUR: DeviceNumber = 1;
const SABOTAGE_FROM: u64 = 10;

/// What every device of a run shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) ledger: Rc<RefCell<Ledger>>,
    /// Nothing is broken now.
    pub(super) calm: Rc<Cell<bool>>,
    pub(super) world: Rc<World>,
    pub(super) clock: ManualClock,
    pub(super) seed: u64,
    pub(super) sabotage: Option<Sabotage>,
}

/// Whose device, and where it connects first.
pub(super) struct Person {
    pub(super) number: DeviceNumber,
    pub(super) user: UserId,
    pub(super) token: String,
    pub(super) rooms: Vec<StreamId>,
    pub(super) home: RegionNumber,
}

/// One device, alive or not.
pub(super) struct Device {
    person: Person,
    storage: MemoryStorage,
    shared: Shared,
    lives: u32,
    running: Option<Running>,
}

struct Running {
    client: Client,
    process: Process,
    status: Rc<Status>,
}

/// What a running device knows of itself.
struct Status {
    live: Cell<bool>,
    /// Where it is connected, or was last.
    region: Cell<RegionNumber>,
    /// Rooms of which it has everything that its region knows.
    current: RefCell<BTreeSet<StreamId>>,
}

/// What people say.
#[derive(Serialize, Deserialize)]
struct Message {
    text: String,
    label: Label,
}

/// `None`: not one of the demo's.
fn label_of(payload: &[u8]) -> Option<Label> {
    serde_json::from_slice(payload).ok().map(|Message { label, .. }| label)
}

impl Device {
    pub(super) fn new(person: Person, shared: Shared) -> Self {
        let storage = MemoryStorage::new(DeviceId(1_000 + person.number as u128));
        Self { person, storage, shared, lives: 0, running: None }
    }

    /// Starts the application, or starts it again from what it had stored.
    pub(super) fn start(&mut self) {
        self.lives += 1;
        let queued = self.queued();
        let name = format!("{}#{}", self.person.user, self.lives);
        let shared = &self.shared;
        let process = Process::new(&name, shared.seed, Arc::new(shared.clock.clone()));
        let mut random = process.rng("client");
        let (clock, token) = (shared.clock.clone(), self.person.token.clone());
        let parts = Parts {
            storage: Box::new(self.storage.clone()),
            connector: Box::new(shared.world.doors.clone()),
            tokens: Box::new(move || std::future::ready(Some(Secret::new(token.clone())))),
            clock: Box::new(move || clock.wall_ms()),
            random: Box::new(move || rand::Rng::next_u64(&mut random)),
        };
        let config = Config::new(shared.world.url(self.person.home));
        let Ok((client, events, driver)) = sterna_client::start(config, parts) else {
            unreachable!("memory can be read")
        };
        process.spawn_local("the driver", End::Expected, async move {
            // A storage in memory takes every change.
            let _ = driver.await;
        });
        let status = Rc::new(Status {
            live: Cell::new(false),
            region: Cell::new(self.person.home),
            current: RefCell::default(),
        });
        let screen = Screen {
            device: self.person.number,
            shared: self.shared.clone(),
            client: client.clone(),
            status: status.clone(),
            process: process.clone(),
            queued,
            shown: Cell::new(0),
            held: RefCell::default(),
        };
        process.spawn_local("the screen", End::Expected, screen.run(events, self.person.rooms.clone()));
        self.running = Some(Running { client, process, status });
    }

    /// What the outbox holds.
    fn queued(&mut self) -> BTreeMap<Key, Label> {
        let outbox = self.storage.load().map(|snapshot| snapshot.outbox).unwrap_or_default();
        let label = |(key, queued): (Key, sterna_client::storage::Queued)| {
            Some((key, label_of(queued.payload.as_bytes())?))
        };
        outbox.into_iter().filter_map(label).collect()
    }

    /// The application is killed: its socket is lost in the middle of whatever it did.
    pub(super) fn drop_it(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.process.kill();
        let labels = self.queued().into_values().collect();
        self.shared.ledger.borrow_mut().killed(self.person.number, &labels);
    }

    /// The application is closed.
    pub(super) fn leave(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.kill();
        }
    }

    /// Whether the application runs.
    pub(super) fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it is connected and publishes.
    pub(super) fn is_live(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.status.live.get())
    }

    /// Whether it is connected and has everything of every room.
    pub(super) fn is_there(&self) -> bool {
        let current = |running: &Running| running.status.current.borrow().len() == self.person.rooms.len();
        self.is_live() && self.running.as_ref().is_some_and(current)
    }

    /// Where it is connected, or was last.
    pub(super) fn region(&self) -> RegionNumber {
        self.running.as_ref().map_or(self.person.home, |running| running.status.region.get())
    }

    /// Where it connects first.
    pub(super) fn home(&self) -> RegionNumber {
        self.person.home
    }

    /// Says something in one of its rooms; `pick` chooses which.
    pub(super) fn say(&self, label: Label, pick: usize) {
        let Some(Running { client, process, .. }) = &self.running else { return };
        let room = self.person.rooms[pick % self.person.rooms.len()].clone();
        let Shared { ledger, calm, .. } = self.shared.clone();
        let message = Message { text: format!("{} says something", self.person.user), label };
        let json = serde_json::to_vec(&message).expect("texts and numbers only");
        let payload = Payload::parse(Bytes::from(json)).expect("serde writes JSON");
        let kind = "message".parse().expect("a kind's name");
        let draft = Draft { stream: room.clone(), kind, payload };
        let author = Author { device: self.person.number, region: self.region() };
        ledger.borrow_mut().sent(label, &room, author, Instant::now(), calm.get());
        let client = client.clone();
        process.spawn_local("a publish", End::Expected, async move {
            match client.publish(draft).await {
                Ok(published) => {
                    ledger.borrow_mut().acked(label, Instant::now(), calm.get());
                    if published.last().await == Ok(Outcome::Safe) {
                        ledger.borrow_mut().safe(label);
                    }
                }
                Err(sterna_client::PublishError::Outcome(_)) => ledger.borrow_mut().refused(label),
                // The application was killed; whether the event is there shows in its next life.
                Err(sterna_client::PublishError::Ended(_)) => {}
            }
        });
    }
}

/// What takes a client's notices and writes down what its user sees.
struct Screen {
    device: DeviceNumber,
    shared: Shared,
    client: Client,
    status: Rc<Status>,
    process: Process,
    /// What the device's life before had not been answered.
    queued: BTreeMap<Key, Label>,
    shown: Cell<u64>,
    /// An event held back on purpose.
    held: RefCell<Option<(StreamId, Event)>>,
}

impl Screen {
    async fn run(self, mut events: Events, rooms: Vec<StreamId>) {
        for room in rooms {
            // A client that has ended tells nothing either.
            let _ = self.client.follow(room, Wish::default()).await;
        }
        let _ = self.client.connect().await;
        while let Some(notice) = events.next().await {
            self.take(notice);
        }
    }

    fn take(&self, notice: Notice) {
        let status = &self.status;
        match notice {
            Notice::Shown { stream, event, late, hides } => {
                self.shared.ledger.borrow_mut().hidden(self.device, &stream, &hides);
                self.show(&stream, *event, late);
            }
            Notice::State(state) => status.live.set(state == State::Live),
            Notice::Welcome { region, .. } => {
                status.region.set(self.shared.world.number(&region).unwrap_or(status.region.get()));
            }
            Notice::CaughtUp(stream) => drop(status.current.borrow_mut().insert(stream)),
            Notice::Left { stream, retry_after_ms, .. } => {
                status.current.borrow_mut().remove(&stream);
                if retry_after_ms.is_none() {
                    self.follow_again(stream);
                }
            }
            Notice::Published { key, outcome: Outcome::Safe, .. } => {
                if let Some(label) = self.queued.get(&key) {
                    self.shared.ledger.borrow_mut().safe(*label);
                }
            }
            Notice::Stopped { end, error } => {
                tracing::warn!(device = self.device, ?end, ?error, "a device stopped");
            }
            other => tracing::debug!(device = self.device, ?other, "told"),
        }
    }

    /// Shows an event, or what a device shows that breaks promises on purpose.
    fn show(&self, stream: &StreamId, event: Event, late: bool) {
        // Members' events and, with `--listen`, other people's.
        if label_of(event.payload.as_bytes()).is_none() {
            return;
        }
        self.shown.set(self.shown.get() + 1);
        let due = self.device == SABOTEUR && self.shown.get() >= SABOTAGE_FROM;
        let Some(sabotage) = self.shared.sabotage.filter(|_| due) else {
            return self.write_down(stream, &event, late);
        };
        let only_now = self.shown.get() == SABOTAGE_FROM;
        match sabotage {
            Sabotage::Lose if only_now => {}
            Sabotage::Twice if only_now => {
                self.write_down(stream, &event, late);
                self.write_down(stream, &event, late);
            }
            Sabotage::Swap if only_now => *self.held.borrow_mut() = Some((stream.clone(), event)),
            Sabotage::Lose | Sabotage::Twice => self.write_down(stream, &event, late),
            Sabotage::Swap => {
                let mut event = event;
                let held = self.held.borrow_mut().take_if(|(other, _)| other == stream);
                if let Some((_, mut other)) = held {
                    std::mem::swap(&mut event.payload, &mut other.payload);
                    self.write_down(stream, &other, late);
                }
                self.write_down(stream, &event, late);
            }
        }
    }

    fn write_down(&self, stream: &StreamId, event: &Event, late: bool) {
        let Some(label) = label_of(event.payload.as_bytes()) else { return };
        let place = Place { hlc: event.hlc, origin: event.origin.clone(), seq: event.seq };
        let (now, calm, region) = (Instant::now(), self.shared.calm.get(), self.status.region.get());
        let shown = Shown { place, region, late, now, calm };
        self.shared.ledger.borrow_mut().shown(self.device, stream, label, shown);
    }

    fn follow_again(&self, stream: StreamId) {
        let client = self.client.clone();
        self.process.spawn_local("following again", End::Expected, async move {
            sleep(FOLLOW_AGAIN).await;
            let _ = client.follow(stream, Wish::default()).await;
        });
    }
}
