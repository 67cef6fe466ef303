//! A simulated person's device: the Rust client over a memory socket, and what its screen shows.
//!
//! A device that is dropped is an application that was killed: nothing of it runs on, what it had stored is
//! all that is left, and the next life goes on from that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sterna_client::machine::Failure;
use sterna_client::storage::{MemoryStorage, Storage};
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_client::{Client, Config, Draft, Events, Notice, Parts, State, Wish};
use sterna_process::{Clock, End, ManualClock, Process};
use sterna_protocol::frame::{Device as DeviceId, Event, Secret};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::order::Place;
use sterna_stream::{StreamId, UserId};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use super::ledger::{DeviceNumber, Label, Ledger, Shown};

/// Bytes that a memory socket holds, as the kernel's buffers would.
const SOCKET_BYTES: usize = 64 * 1024;
/// A stream that was refused is asked for again after so long.
const FOLLOW_AGAIN: Duration = Duration::from_millis(250);
/// Where a device connects; the name is only written into the request.
pub(super) const URL: &str = "ws://demo.sterna/v1/connect";

/// What every device of a run shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) ledger: Rc<RefCell<Ledger>>,
    /// Nothing is broken now.
    pub(super) calm: Rc<Cell<bool>>,
    /// Where new sockets go.
    pub(super) door: mpsc::Sender<DuplexStream>,
    pub(super) clock: ManualClock,
    pub(super) seed: u64,
}

/// One device, alive or not.
pub(super) struct Device {
    number: DeviceNumber,
    user: UserId,
    token: String,
    rooms: Vec<StreamId>,
    storage: MemoryStorage,
    shared: Shared,
    lives: u32,
    running: Option<Running>,
}

struct Running {
    client: Client,
    process: Process,
    live: Rc<Cell<bool>>,
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
    pub(super) fn new(
        number: DeviceNumber,
        user: UserId,
        token: String,
        rooms: Vec<StreamId>,
        shared: Shared,
    ) -> Self {
        let storage = MemoryStorage::new(DeviceId(1_000 + number as u128));
        Self { number, user, token, rooms, storage, shared, lives: 0, running: None }
    }

    /// Starts the application, or starts it again from what it had stored.
    pub(super) fn start(&mut self) {
        self.lives += 1;
        let name = format!("{}#{}", self.user, self.lives);
        let shared = &self.shared;
        let process = Process::new(&name, shared.seed, std::sync::Arc::new(shared.clock.clone()));
        let mut random = process.rng("client");
        let (clock, token) = (shared.clock.clone(), self.token.clone());
        let parts = Parts {
            storage: Box::new(self.storage.clone()),
            connector: Box::new(Memory(shared.door.clone())),
            tokens: Box::new(move || std::future::ready(Some(Secret::new(token.clone())))),
            clock: Box::new(move || clock.wall_ms()),
            random: Box::new(move || rand::Rng::next_u64(&mut random)),
        };
        let Ok((client, events, driver)) = sterna_client::start(Config::new(URL), parts) else {
            unreachable!("memory can be read")
        };
        process.spawn_local("the driver", End::Expected, async move {
            // A storage in memory takes every change.
            let _ = driver.await;
        });
        let live = Rc::new(Cell::new(false));
        let screen = Screen {
            device: self.number,
            shared: self.shared.clone(),
            client: client.clone(),
            live: live.clone(),
            process: process.clone(),
        };
        process.spawn_local("the screen", End::Expected, screen.run(events, self.rooms.clone()));
        self.running = Some(Running { client, process, live });
    }

    /// The application is killed: its socket is lost in the middle of whatever it did.
    pub(super) fn drop_it(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.process.kill();
        let stored = self.storage.load().map(|snapshot| snapshot.outbox).unwrap_or_default();
        let labels = stored.values().filter_map(|queued| label_of(queued.payload.as_bytes())).collect();
        self.shared.ledger.borrow_mut().killed(self.number, &labels);
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

    /// Whether it is connected and has caught up.
    pub(super) fn is_live(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.live.get())
    }

    /// Says something in one of its rooms; `pick` chooses which.
    pub(super) fn say(&self, label: Label, pick: usize) {
        let Some(Running { client, process, .. }) = &self.running else { return };
        let room = self.rooms[pick % self.rooms.len()].clone();
        let Shared { ledger, calm, .. } = self.shared.clone();
        let message = Message { text: format!("{} says something", self.user), label };
        let json = serde_json::to_vec(&message).expect("texts and numbers only");
        let payload = Payload::parse(Bytes::from(json)).expect("serde writes JSON");
        let kind = "message".parse().expect("a kind's name");
        let draft = Draft { stream: room.clone(), kind, payload };
        ledger.borrow_mut().sent(label, &room, self.number, Instant::now(), calm.get());
        let client = client.clone();
        process.spawn_local("a publish", End::Expected, async move {
            match client.publish(draft).await {
                Ok(_) => ledger.borrow_mut().acked(label, Instant::now(), calm.get()),
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
    live: Rc<Cell<bool>>,
    process: Process,
}

impl Screen {
    async fn run(self, mut events: Events, rooms: Vec<StreamId>) {
        for room in rooms {
            // A client that has ended tells nothing either.
            let _ = self.client.follow(room, Wish::default()).await;
        }
        let _ = self.client.connect().await;
        while let Some(notice) = events.next().await {
            match notice {
                Notice::Shown { stream, event, late, hides } => self.show(&stream, &event, late, &hides),
                Notice::State(state) => self.live.set(state == State::Live),
                Notice::Left { stream, retry_after_ms: None, .. } => self.follow_again(stream),
                Notice::Stopped { end, error } => {
                    tracing::warn!(device = self.device, ?end, ?error, "a device stopped");
                }
                other => tracing::debug!(device = self.device, ?other, "told"),
            }
        }
    }

    fn show(&self, stream: &StreamId, event: &Event, late: bool, hides: &[Place]) {
        let mut ledger = self.shared.ledger.borrow_mut();
        ledger.hidden(self.device, stream, hides);
        // Others than the demo's people may be here, with `--listen`.
        let Some(label) = label_of(event.payload.as_bytes()) else { return };
        let place = Place { hlc: event.hlc, origin: event.origin.clone(), seq: event.seq };
        let shown = Shown { place, late, now: Instant::now(), calm: self.shared.calm.get() };
        ledger.shown(self.device, stream, label, shown);
    }

    fn follow_again(&self, stream: StreamId) {
        let client = self.client.clone();
        self.process.spawn_local("following again", End::Expected, async move {
            sleep(FOLLOW_AGAIN).await;
            let _ = client.follow(stream, Wish::default()).await;
        });
    }
}

/// Connects through the demo's door, with a whole HTTP upgrade.
struct Memory(mpsc::Sender<DuplexStream>);

impl Connector for Memory {
    fn open(&mut self, url: &str) -> Opening {
        let (door, url) = (self.0.clone(), url.to_owned());
        Box::pin(async move {
            let socket = knock(&door, &url).await?;
            Ok(Box::new(socket) as Box<dyn Transport>)
        })
    }
}

/// A new memory socket, upgraded.
pub(super) async fn knock(
    door: &mpsc::Sender<DuplexStream>,
    url: &str,
) -> Result<WebSocket<DuplexStream>, Failure> {
    let (ours, theirs) = duplex(SOCKET_BYTES);
    door.send(theirs).await.map_err(|_| Failure::Unreachable)?;
    WebSocket::upgrade(ours, url, Encoding::Json).await
}
