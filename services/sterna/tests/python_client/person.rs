//! A person with the Rust client: says things, and what the screen shows can be waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sterna_client::driver::DeviceClock;
use sterna_client::machine::Failure;
use sterna_client::storage::MemoryStorage;
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Connector, Opening, Transport};
use sterna_client::{Client, Config, Draft, Events, Notice, Parts, State, Wish};
use sterna_process::{End, Process};
use sterna_protocol::frame::{Device, Secret};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::StreamId;
use sterna_stream::order::Place;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::BOUND;
use crate::door;
use crate::shown::{Shown, times};
use crate::world::World;

/// A stream that has not come to this region yet is asked for again after so long.
const FOLLOW_AGAIN: Duration = Duration::from_millis(100);

/// What the screen shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    live: bool,
    shown: BTreeMap<Place, Shown>,
}

pub(crate) struct Person {
    name: &'static str,
    stream: StreamId,
    client: Client,
    screen: watch::Receiver<Screen>,
}

impl Person {
    /// Connects to a region, past its door, and follows the stream.
    pub(crate) async fn connect(world: &World, region: &str, name: &'static str, stream: &StreamId) -> Self {
        let mut random = world.owner.rng(name);
        let token = world.token(name);
        let parts = Parts {
            storage: Box::new(MemoryStorage::new(Device(rand::Rng::next_u64(&mut random).into()))),
            connector: Box::new(Tcp),
            tokens: Box::new(move || std::future::ready(Some(Secret::new(token.clone())))),
            clock: Box::new(DeviceClock),
            random: Box::new(move || rand::Rng::next_u64(&mut random)),
        };
        let url = door::url(world.places[region].address);
        let (client, events, driver) = sterna_client::start(Config::new(url), parts).unwrap();
        world.owner.spawn_local("a client", End::Expected, async move { driver.await.unwrap() });
        let (screen, watched) = watch::channel(Screen::default());
        let following =
            Following { client: client.clone(), stream: stream.clone(), owner: world.owner.clone() };
        world.owner.spawn_local("a screen", End::Expected, following.show(events, screen));
        client.follow(stream.clone(), Wish::default()).await.unwrap();
        client.connect().await.unwrap();
        let mut person = Self { name, stream: stream.clone(), client, screen: watched };
        person.until("being live", |screen| screen.live && !screen.shown.is_empty()).await;
        person
    }

    /// Says something; returns when it is accepted.
    pub(crate) async fn say(&self, text: &str) {
        let json = serde_json::json!({ "text": text }).to_string();
        let payload = Payload::parse(Bytes::from(json)).unwrap();
        let draft = Draft { stream: self.stream.clone(), kind: "message".parse().unwrap(), payload };
        let accepted = timeout(BOUND, self.client.publish(draft)).await;
        assert!(matches!(accepted, Ok(Ok(_))), "{}: {text:?} was not accepted: {accepted:?}", self.name);
    }

    /// Waits until these texts are on the screen, each once.
    pub(crate) async fn sees(&mut self, texts: &[String]) {
        let all = |screen: &Screen| {
            let shown: Vec<Shown> = screen.shown.values().cloned().collect();
            texts.iter().all(|text| times(&shown).get(text.as_str()) == Some(&1))
        };
        self.until(&format!("{texts:?}"), all).await;
    }

    /// Everything on the screen, in display order.
    pub(crate) fn screen(&self) -> Vec<Shown> {
        self.screen.borrow().shown.values().cloned().collect()
    }

    /// How far the device is in the stream.
    pub(crate) async fn cursor(&self) -> BTreeMap<String, u64> {
        let (_, cursor, _) = self.client.look(self.stream.clone()).await.unwrap();
        cursor.iter().map(|(origin, seq)| (origin.to_string(), seq)).collect()
    }

    async fn until(&mut self, what: &str, is_there: impl Fn(&Screen) -> bool) {
        let in_time = timeout(BOUND, self.screen.wait_for(is_there)).await.is_ok();
        assert!(in_time, "{}: waited for {what}: {:#?}", self.name, self.screen.borrow());
    }
}

/// What takes the client's notices.
struct Following {
    client: Client,
    stream: StreamId,
    owner: Process,
}

impl Following {
    async fn show(self, mut events: Events, screen: watch::Sender<Screen>) {
        while let Some(notice) = events.next().await {
            match notice {
                Notice::Shown { event, hides, .. } => screen.send_modify(|screen| {
                    let place = Place { hlc: event.hlc, origin: event.origin.clone(), seq: event.seq };
                    let before = screen.shown.insert(place, Shown::of(&event));
                    assert!(before.is_none(), "shown twice at one place: {before:?}");
                    hides.iter().for_each(|place| drop(screen.shown.remove(place)));
                }),
                Notice::State(state) => screen.send_modify(|screen| screen.live = state == State::Live),
                Notice::Left { retry_after_ms: None, .. } => self.follow_again(),
                _ => {}
            }
        }
    }

    fn follow_again(&self) {
        let (client, stream) = (self.client.clone(), self.stream.clone());
        self.owner.spawn_local("following again", End::Expected, async move {
            let mut again = interval(FOLLOW_AGAIN);
            again.tick().await;
            again.tick().await;
            let _ = client.follow(stream, Wish::default()).await;
        });
    }
}

/// Connects over TCP.
struct Tcp;

impl Connector for Tcp {
    fn open(&mut self, url: &str) -> Opening {
        let url = url.to_owned();
        Box::pin(async move {
            let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
            let socket = TcpStream::connect(host).await.map_err(|_| Failure::Unreachable)?;
            let socket = WebSocket::upgrade(socket, &url, Encoding::Json).await?;
            Ok(Box::new(socket) as Box<dyn Transport>)
        })
    }
}
