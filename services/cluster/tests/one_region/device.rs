//! In paused time: a device with the client library, over memory pipes to whichever shard is in front.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sterna_access::DevelopmentIssuer;
use sterna_client::machine::Failure;
use sterna_client::storage::MemoryStorage;
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_client::{Client, Config, Draft, Notice, Parts, State, Wish};
use sterna_cluster::Plan;
use sterna_cluster::region::token_secret;
use sterna_gateway::gateway::Gateway;
use sterna_gateway::wire;
use sterna_process::{Clock, End, Process};
use sterna_protocol::frame::{self, Event, Secret};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::StreamId;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout};

/// Longest that anything may take before a test fails, simulated time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where connections come in: each goes to the shard that is in front.
pub(crate) struct Door {
    opens: mpsc::Sender<DuplexStream>,
    front: Rc<Cell<usize>>,
}

/// Somebody's phone.
pub(crate) struct Device {
    pub(crate) name: String,
    client: Client,
    log: Rc<RefCell<Log>>,
}

/// What the application was told.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) shown: Vec<Event>,
    /// Each state with when it began.
    pub(crate) states: Vec<(State, Instant)>,
    pub(crate) notices: Vec<Notice>,
}

struct Through(mpsc::Sender<DuplexStream>);

impl Connector for Through {
    fn open(&mut self, _url: &str) -> Opening {
        let opens = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(64 * 1024);
            opens.send(theirs).await.map_err(|_| Failure::Unreachable)?;
            let socket = WebSocket::raw(ours, Encoding::Json).await;
            Ok(Box::new(socket) as Box<dyn Transport>)
        })
    }
}

impl Door {
    /// A door to these shards; the first is in front.
    pub(crate) fn new(owner: &Process, shards: Vec<Gateway<DuplexStream>>) -> Self {
        let front = Rc::new(Cell::new(0));
        let at = front.clone();
        Self { front, ..Self::leading(owner, move || shards.get(at.get()).cloned()) }
    }

    /// A door to whichever shard `find` finds; where there is none the connection ends.
    pub(crate) fn leading(
        owner: &Process,
        find: impl Fn() -> Option<Gateway<DuplexStream>> + 'static,
    ) -> Self {
        let (opens, mut sockets) = mpsc::channel(16);
        owner.spawn_local("a door", End::Expected, async move {
            while let Some(socket) = sockets.recv().await {
                if let Some(shard) = find() {
                    let _ = shard.accept(socket, wire::Encoding::Json, Vec::new());
                }
            }
        });
        Self { opens, front: Rc::default() }
    }

    /// New connections go to this shard from now on.
    pub(crate) fn to(&self, shard: usize) {
        self.front.set(shard);
    }
}

impl Device {
    /// Starts somebody's device, which connects.
    pub(crate) async fn start(owner: &Process, plan: &Plan, door: &Door, name: &str, config: Config) -> Self {
        let mut random = owner.rng(name);
        let device = frame::Device(random.event_id(&**owner.clock()));
        let clock: Arc<dyn Clock> = owner.clock().clone();
        let issuer = DevelopmentIssuer::new(token_secret(plan));
        let (user, wall) = (name.parse().unwrap(), clock.clone());
        let parts = Parts {
            storage: Box::new(MemoryStorage::new(device)),
            connector: Box::new(Through(door.opens.clone())),
            tokens: Box::new(move || {
                let token = issuer.issue("acme", &user, wall.wall_ms(), 3_600_000).unwrap();
                std::future::ready(Some(Secret::new(token)))
            }),
            clock: Box::new(move || clock.wall_ms()),
            random: Box::new(move || rand::Rng::next_u64(&mut random)),
        };
        let (client, mut events, driver) = sterna_client::start(config, parts).unwrap();
        let log = Rc::new(RefCell::new(Log::default()));
        let told = log.clone();
        owner.spawn_local("a device", End::Expected, async move { driver.await.unwrap() });
        owner.spawn_local("an application", End::Expected, async move {
            while let Some(notice) = events.next().await {
                let mut log = told.borrow_mut();
                match notice {
                    Notice::Shown { event, .. } => log.shown.push(*event),
                    Notice::State(state) => log.states.push((state, Instant::now())),
                    other => log.notices.push(other),
                }
            }
        });
        client.connect().await.unwrap();
        Self { name: name.to_owned(), client, log }
    }

    pub(crate) async fn follow(&self, stream: &StreamId) {
        self.client.follow(stream.clone(), Wish::default()).await.unwrap();
    }

    /// Says it, without waiting for what becomes of it.
    pub(crate) fn say(&self, owner: &Process, stream: &StreamId, json: String) {
        let payload = Payload::parse(Bytes::from(json)).unwrap();
        let draft = Draft { stream: stream.clone(), kind: "message".parse().unwrap(), payload };
        let client = self.client.clone();
        owner.spawn_local("a publish", End::Expected, async move {
            client.publish(draft).await.unwrap();
        });
    }

    /// Waits until what it was told is so; the last state is in the panic if it never is.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Log) -> bool) {
        let waits = async {
            while !done(&self.log.borrow()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, waits).await.is_err() {
            let log = self.log.borrow();
            panic!("{}: not {what}: {} shown, {:?}", self.name, log.shown.len(), log.states);
        }
    }

    pub(crate) fn log(&self) -> std::cell::Ref<'_, Log> {
        self.log.borrow()
    }
}

impl Log {
    /// Payloads of the events of this kind, in the order shown.
    pub(crate) fn texts(&self, kind: &str) -> Vec<String> {
        let of_kind = self.shown.iter().filter(|event| event.kind.as_str() == kind);
        of_kind.map(|event| event.payload.as_str().to_owned()).collect()
    }
}
