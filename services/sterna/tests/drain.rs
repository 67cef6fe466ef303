//! How a region ends in good order: health, door, moves, acks, sequencers, then role after role. In paused
//! time, over memory sockets, with the client library.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails right there")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use sterna::founder::Founder;
use sterna::site::Site;
use sterna::socket::Socket;
use sterna_access::DevelopmentIssuer;
use sterna_client::machine::Failure;
use sterna_client::storage::MemoryStorage;
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_client::{Client, Config, Draft, Notice, Outcome, Parts, State, Wish};
use sterna_cluster::region::{Place, token_secret};
use sterna_cluster::{MemoryStores, Plan};
use sterna_gateway::edge::{Limits, Origins};
use sterna_gateway::leaving::Leaving;
use sterna_log::{Log, Offset};
use sterna_process::{Clock, End, ManualClock, Process};
use sterna_protocol::frame::{Device, Endpoint, Secret};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::StreamId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep, timeout};

const NOW: u64 = 1_795_214_400_000;
const URL: &str = "ws://us-east-1.test/v1/connect";
const SAID: usize = 20;

/// What happened, in order.
type Story = Rc<RefCell<Vec<String>>>;

struct World {
    owner: Process,
    clock: ManualClock,
    stores: MemoryStores,
    site: Rc<Site>,
    door: Door,
    token: String,
    story: Story,
}

/// Memory sockets to the site's edge.
#[derive(Clone)]
struct Door(mpsc::Sender<DuplexStream>);

impl Door {
    async fn knock(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        self.0.send(theirs).await.unwrap();
        ours
    }

    async fn upgrade(&self) -> Result<WebSocket<DuplexStream>, Failure> {
        WebSocket::upgrade(self.knock().await, URL, Encoding::Json).await
    }

    /// The status line of a health check.
    async fn health(&self) -> String {
        let mut socket = self.knock().await;
        let request = b"GET /health/target HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

impl Connector for Door {
    fn open(&mut self, _url: &str) -> Opening {
        let door = self.clone();
        Box::pin(async move { Ok(Box::new(door.upgrade().await?) as Box<dyn Transport>) })
    }
}

impl World {
    fn new() -> Self {
        let mut plan = Plan::small("us-east-1".parse().unwrap(), 1);
        plan.endpoints = vec![Endpoint { region: plan.region.clone(), url: URL.into() }];
        let clock = ManualClock::new(NOW);
        let issuer = DevelopmentIssuer::new(token_secret(&plan));
        let token = issuer.issue("demo", &"ana".parse().unwrap(), NOW, 3_600_000).unwrap();
        let stores = MemoryStores::new(&plan);
        let shared = Arc::new(clock.clone());
        let site =
            Rc::new(Site::start(plan, stores.stores(), shared.clone(), Origins::Any, Limits::default()));
        let owner = Process::new("test", 1, shared);
        let (door, mut knocks) = mpsc::channel(8);
        let inside = site.clone();
        owner.spawn_local("the door", End::Expected, async move {
            while let Some(socket) = knocks.recv().await {
                inside.edge().connect(Socket::Memory(socket));
            }
        });
        Self { owner, clock, stores, site, door: Door(door), token, story: Story::default() }
    }

    /// Writes down when each role ends.
    fn watch_roles(&self) {
        for (place, process) in self.site.processes() {
            let story = self.story.clone();
            self.owner.spawn_local("a watcher", End::Expected, async move {
                process.exited().await;
                story.borrow_mut().push(place.role().to_owned());
            });
        }
    }

    async fn stream(&self) -> StreamId {
        let socket = self.door.upgrade().await.unwrap();
        let token = Secret::new(self.token.clone());
        let mut founder = Founder::greet(socket, token, self.owner.rng("founder")).await.unwrap();
        let stream = founder.create(&[], &self.clock).await.unwrap();
        founder.leave().await;
        stream
    }

    /// Ana's device, live in the stream; what it is told goes into the story.
    async fn ana(&self, stream: &StreamId) -> Client {
        let (token, clock) = (self.token.clone(), self.clock.clone());
        let mut random = self.owner.rng("ana");
        let parts = Parts {
            storage: Box::new(MemoryStorage::new(Device(1))),
            connector: Box::new(self.door.clone()),
            tokens: Box::new(move || std::future::ready(Some(Secret::new(token.clone())))),
            clock: Box::new(move || clock.wall_ms()),
            random: Box::new(move || rand::Rng::next_u64(&mut random)),
        };
        let (client, mut events, driver) = sterna_client::start(Config::new(URL), parts).unwrap();
        self.owner.spawn_local("a device", End::Expected, async move { driver.await.unwrap() });
        let story = self.story.clone();
        self.owner.spawn_local("an application", End::Expected, async move {
            while let Some(notice) = events.next().await {
                match notice {
                    Notice::State(state @ (State::Live | State::Moving | State::Waiting)) => {
                        story.borrow_mut().push(format!("{state:?}"));
                    }
                    Notice::Published { outcome: Outcome::Accepted { .. }, .. } => {
                        story.borrow_mut().push("ack".to_owned());
                    }
                    _ => {}
                }
            }
        });
        client.follow(stream.clone(), Wish::default()).await.unwrap();
        client.connect().await.unwrap();
        self.until("Live").await;
        client
    }

    fn say(&self, client: &Client, stream: &StreamId) {
        for n in 0..SAID {
            let payload = Payload::parse(bytes::Bytes::from(n.to_string())).unwrap();
            let draft = Draft { stream: stream.clone(), kind: "message".parse().unwrap(), payload };
            let client = client.clone();
            self.owner.spawn_local("a publish", End::Expected, async move {
                client.publish(draft).await.unwrap();
            });
        }
    }

    async fn until(&self, what: &str) {
        let happens = async {
            while !self.story.borrow().iter().any(|one| one == what) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(60), happens).await.is_ok(), "{what}: {:?}", self.story.borrow());
    }

    /// Ingress records that no sequencer has committed.
    async fn uncommitted(&self) -> usize {
        let topic = "sterna-ingress".parse().unwrap();
        let group = "sterna-sequencers".parse().unwrap();
        let log = &self.stores.log;
        let description = log.describe(&topic, Some(&group)).await.unwrap();
        let mut left = 0;
        for (partition, extent) in description.partitions.iter().enumerate() {
            let from: Offset = extent.committed.unwrap_or(extent.earliest);
            left += log.read(&topic, partition as u16, from, usize::MAX).await.unwrap().entries.len();
        }
        left
    }
}

fn on_paused_time(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}

/// What happened, the same things in a row counted together.
fn told(story: &[String]) -> Vec<String> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for one in story {
        match told.last_mut() {
            Some((last, count)) if last == one => *count += 1,
            _ => told.push((one.clone(), 1)),
        }
    }
    let word = |(one, count): (String, usize)| if count == 1 { one } else { format!("{one} x{count}") };
    told.into_iter().map(word).collect()
}

/// Health says so first, the door closes, what was taken is acked, sessions are told to come back, the
/// sequencers commit, and each role ends after those that ask it.
#[test]
fn a_region_ends_role_by_role_and_loses_nothing() {
    on_paused_time(async {
        let world = World::new();
        let stream = world.stream().await;
        let ana = world.ana(&stream).await;
        world.watch_roles();
        assert_eq!(world.door.health().await, "HTTP/1.1 200 OK");
        world.story.borrow_mut().clear();
        let (site, story) = (world.site.clone(), world.story.clone());
        world.owner.spawn_local("the drain", End::Expected, async move {
            let cut = site.drain(Duration::from_secs(1), None).await;
            assert_eq!(cut, Vec::<Place>::new());
            story.borrow_mut().push("ended".to_owned());
        });
        sleep(Duration::from_millis(500)).await;
        assert_eq!(world.door.health().await, "HTTP/1.1 503 Service Unavailable");
        let refused = world.door.upgrade().await.err();
        assert!(matches!(refused, Some(Failure::Refused { status: 503, .. })), "{refused:?}");
        // On its way when the notice is over.
        sleep(Duration::from_millis(499)).await;
        world.say(&ana, &stream);
        world.until("ended").await;
        world.until("persistence").await;
        // Whoever watches a role that ended at once may be told after the drain is.
        world.story.borrow_mut().retain(|one| one != "ended");
        let story = world.story.borrow().clone();
        let roles = ["gateway", "messaging", "state", "notification", "persistence"];
        let mut expected = vec![format!("ack x{SAID}"), "Waiting".to_owned()];
        expected.extend(roles.map(str::to_owned));
        assert_eq!(told(&story), expected);
        assert_eq!(world.uncommitted().await, 0, "the sequencers have done all of it");
    });
}

/// Where others serve the region, sessions are sent there before anything ends.
#[test]
fn sessions_are_moved_before_the_first_role_ends() {
    on_paused_time(async {
        let world = World::new();
        let stream = world.stream().await;
        let _ana = world.ana(&stream).await;
        world.watch_roles();
        world.story.borrow_mut().clear();
        let leaving = Leaving::deploy("us-east-1".parse().unwrap());
        let cut = world.site.drain(Duration::ZERO, Some(&leaving)).await;
        assert_eq!(cut, Vec::<Place>::new());
        let story = world.story.borrow().clone();
        let at = |what: &str| story.iter().position(|one| one == what);
        // There is nobody else here: the client says so, and stays until it is told to come back.
        assert!(at("Moving").is_some() && at("Moving") < at("gateway"), "{story:?}");
    });
}
