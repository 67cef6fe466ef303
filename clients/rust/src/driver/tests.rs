//! The whole client against a scripted server over memory, in paused time.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sterna_protocol::frame::{
    Ack, ClientFrame, Device, Durability, Endpoint, Error, Event, Events as EventsFrame, Head, Publish,
    ServerFrame, Subscribed, Welcome,
};
use sterna_protocol::{Encoding, Limits, Payload};
use sterna_stream::{EventId, Hlc, Reason, StreamId};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::machine::{Draft, Failure, Outcome, State, Wish};
use crate::storage::MemoryStorage;
use crate::transport::websocket::WebSocket;
use crate::transport::{Opening, Transport};

const CHAT: &str = "acme/chat/general";
const WALL_MS: u64 = 1_795_214_400_000;

/// Gives the other end of each connection to the script.
struct Memory(mpsc::Sender<DuplexStream>);

impl Connector for Memory {
    fn open(&mut self, _url: &str) -> Opening {
        let gives = self.0.clone();
        Box::pin(async move {
            let (ours, theirs) = duplex(16 * 1024);
            gives.send(theirs).await.map_err(|_| Failure::Unreachable)?;
            let socket = WebSocket::raw(ours, Encoding::Json).await;
            Ok(Box::new(socket) as Box<dyn Transport>)
        })
    }
}

struct Server {
    sockets: mpsc::Receiver<DuplexStream>,
    socket: Option<WebSocketStream<DuplexStream>>,
}

impl Server {
    /// Takes the next connection, its `hello`, and welcomes it.
    async fn accept(&mut self) {
        let stream = self.sockets.recv().await.unwrap();
        self.socket = Some(WebSocketStream::from_raw_socket(stream, Role::Server, None).await);
        while !matches!(self.receive().await, ClientFrame::Hello(_)) {}
        let url = |region: &str| Endpoint { region: region.parse().unwrap(), url: "wss://x".into() };
        self.send(ServerFrame::Welcome(Box::new(Welcome {
            session: "s".into(),
            region: "us-east-1".parse().unwrap(),
            origin: Some("us-east-1".parse().unwrap()),
            tenant: "acme".into(),
            user: "ana".parse().unwrap(),
            time_unix_ms: WALL_MS,
            token_expires_in_ms: 900_000,
            ping_interval_ms: 8_000,
            limits: Limits::default(),
            endpoints: vec![url("us-east-1"), url("eu-west-1")],
        })))
        .await;
    }

    async fn receive(&mut self) -> ClientFrame {
        let message = self.socket.as_mut().unwrap().next().await.unwrap().unwrap();
        Encoding::Json.decode_client(&message.into_data()).unwrap()
    }

    async fn published(&mut self) -> Publish {
        loop {
            if let ClientFrame::Publish(publish) = self.receive().await {
                return publish;
            }
        }
    }

    async fn send(&mut self, frame: ServerFrame) {
        let mut bytes = Vec::new();
        Encoding::Json.encode_server(&frame, &mut bytes);
        self.socket.as_mut().unwrap().send(Message::text(String::from_utf8(bytes).unwrap())).await.unwrap();
    }

    async fn ack(&mut self, id: EventId, durability: Durability) {
        let (event_ids, region) = (vec![id], "us-east-1".parse().unwrap());
        self.send(ServerFrame::Ack(Ack { event_ids, region, durability })).await;
    }

    async fn follow(&mut self) {
        while !matches!(self.receive().await, ClientFrame::Subscribe(_)) {}
        let (head, known) = Default::default();
        let head = Head { stream: CHAT.parse().unwrap(), head, known };
        self.send(ServerFrame::Subscribed(Subscribed { streams: vec![head] })).await;
    }

    async fn event(&mut self, seq: u64) {
        let event = Event {
            origin: "us-east-1".parse().unwrap(),
            seq,
            hlc: Hlc::at(WALL_MS + seq),
            event_id: EventId::mint(WALL_MS, u128::from(seq)),
            author: "bo".parse().unwrap(),
            kind: "message".parse().unwrap(),
            payload: Payload::NULL,
            erased: false,
            resend: false,
        };
        self.send(ServerFrame::Events(EventsFrame { stream: CHAT.parse().unwrap(), events: vec![event] }))
            .await;
    }
}

fn draft() -> Draft {
    let payload = Payload::parse(Bytes::from_static(b"1")).unwrap();
    Draft { stream: CHAT.parse().unwrap(), kind: "message".parse().unwrap(), payload }
}

fn parts(storage: impl Storage + 'static) -> (Parts, Server) {
    let (gives, sockets) = mpsc::channel(2);
    let mut state = 1u64;
    let random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 7
    };
    let started = Instant::now();
    let clock = move || WALL_MS + started.elapsed().as_millis() as u64;
    let parts = Parts {
        storage: Box::new(storage),
        connector: Box::new(Memory(gives)),
        tokens: Box::new(|| async { Some(Secret::new("token")) }),
        clock: Box::new(clock),
        random: Box::new(random),
    };
    (parts, Server { sockets, socket: None })
}

fn config() -> Config {
    Config::new("wss://rt.example.com/v1/connect")
}

async fn state(events: &mut Events, wanted: State) {
    while let Some(notice) = events.next().await {
        if notice == Notice::State(wanted) {
            return;
        }
    }
    panic!("the client ended before it was {wanted:?}");
}

/// P13, P14: a publish resolves at its first ack, also over a lost socket; the second can be waited for.
#[tokio::test(start_paused = true)]
async fn a_publish_resolves_at_its_first_ack_over_a_lost_socket() {
    let storage = MemoryStorage::new(Device(7));
    let (parts, mut server) = parts(storage.clone());
    let (client, mut events, driver) = start(config(), parts).unwrap();
    let script = async {
        server.accept().await;
        let first = server.published().await;
        server.socket = None;
        server.accept().await;
        let again = server.published().await;
        assert_eq!((again.event_id, first.resend, again.resend), (first.event_id, false, true));
        server.ack(first.event_id, Durability::Region).await;
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
        server.ack(first.event_id, Durability::Global).await;
        while server.socket.as_mut().unwrap().next().await.is_some_and(|message| message.is_ok()) {}
    };
    let app = async {
        client.connect().await.unwrap();
        let published = client.publish(draft()).await.unwrap();
        assert!(matches!(published.first, Outcome::Accepted { .. }));
        assert_eq!(storage.clone().load().unwrap().outbox.len(), 1, "kept until the second ack");
        assert_eq!(published.last().await, Ok(Outcome::Safe));
        assert_eq!(storage.clone().load().unwrap().outbox.len(), 0);
        drop(client);
    };
    let listen = async { while events.next().await.is_some() {} };
    let ((), (), (), ended) = tokio::join!(script, app, listen, driver);
    ended.unwrap();
}

/// P12, E7: whoever publishes never hears of an id that was refused for its time: it is sent once more under
/// one from the server's time.
#[tokio::test(start_paused = true)]
async fn a_publish_whose_id_is_refused_for_its_time_succeeds_under_another() {
    let (parts, mut server) = parts(MemoryStorage::new(Device(7)));
    let (client, mut events, driver) = start(config(), parts).unwrap();
    let time = WALL_MS - 3_600_000;
    let script = async {
        server.accept().await;
        let first = server.published().await;
        let of_event = Error::new(Reason::BadEventId).of_event(&first.event_id.to_string());
        server.send(ServerFrame::Error(Box::new(Error { time_unix_ms: Some(time), ..of_event }))).await;
        let again = server.published().await;
        assert!((time..time + 1_000).contains(&again.event_id.time_ms()), "{}", again.event_id);
        assert!(!again.resend && again.payload == first.payload);
        server.ack(again.event_id, Durability::Region).await;
        while server.socket.as_mut().unwrap().next().await.is_some_and(|message| message.is_ok()) {}
    };
    let app = async {
        client.connect().await.unwrap();
        let published = client.publish(draft()).await.unwrap();
        let first = published.first.clone();
        drop(client);
        first
    };
    let listen = async { while events.next().await.is_some() {} };
    let ((), first, (), ended) = tokio::join!(script, app, listen, driver);
    assert!(matches!(first, Outcome::Accepted { .. }), "{first:?}");
    ended.unwrap();
}

/// Section 5: when the last handle is dropped the server is told with 1000.
#[tokio::test(start_paused = true)]
async fn dropping_the_handle_says_goodbye() {
    let (parts, mut server) = parts(MemoryStorage::new(Device(7)));
    let (client, mut events, driver) = start(config(), parts).unwrap();
    let app = async {
        client.connect().await.unwrap();
        state(&mut events, State::Live).await;
        let (state, cursor, holes) = client.look(CHAT.parse().unwrap()).await.unwrap();
        assert_eq!((state, cursor.is_empty(), holes.len()), (State::Live, true, 0));
        drop(client);
    };
    let script = async {
        server.accept().await;
        let socket = server.socket.as_mut().unwrap();
        loop {
            if let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() {
                return u16::from(frame.code);
            }
        }
    };
    let ((), code, ended) = tokio::join!(app, script, driver);
    assert_eq!(code, 1000);
    ended.unwrap();
}

/// G9: an application that takes nothing stops the reading, and nothing is lost or out of order when it goes
/// on.
#[tokio::test(start_paused = true)]
async fn an_application_that_takes_nothing_is_waited_for() {
    let (parts, mut server) = parts(MemoryStorage::new(Device(7)));
    let (client, mut events, driver) = start(Config { notices: 4, ..config() }, parts).unwrap();
    let stream: StreamId = CHAT.parse().unwrap();
    let script = async {
        server.accept().await;
        server.follow().await;
        let mut sent = 0;
        let flood = async {
            for seq in 1..=2_000 {
                server.event(seq).await;
                sent = seq;
            }
        };
        let stuck = tokio::time::timeout(std::time::Duration::from_secs(5), flood).await.is_err();
        assert!(stuck && sent < 1_000, "only pipes and bounds were filled: {sent}");
        sent
    };
    let app = async {
        client.connect().await.unwrap();
        client.follow(stream.clone(), Wish::default()).await.unwrap();
        let sent = script.await;
        let mut next = 1;
        while next <= sent {
            if let Some(Notice::Shown { event, .. }) = events.next().await {
                assert_eq!(event.seq, next);
                next += 1;
            }
        }
    };
    tokio::select! {
        biased;
        () = app => {}
        ended = driver => panic!("the driver ended: {ended:?}"),
    }
}

/// A storage that fails from some transaction on.
struct Failing(MemoryStorage, u32);

impl Storage for Failing {
    fn load(&mut self) -> Result<Snapshot, StorageError> {
        self.0.load()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        if self.1 == 0 {
            return Err(StorageError::Corrupt(0));
        }
        self.1 -= 1;
        self.0.apply(changes)
    }
}

/// P7: what cannot be stored is not shown: the driver ends.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_shown() {
    // One transaction for the endpoints, one event, then nothing more.
    let (parts, mut server) = parts(Failing(MemoryStorage::new(Device(7)), 2));
    let (client, mut events, driver) = start(config(), parts).unwrap();
    let script = async {
        server.accept().await;
        server.follow().await;
        server.event(1).await;
        server.event(2).await;
    };
    let app = async {
        client.connect().await.unwrap();
        client.follow(CHAT.parse().unwrap(), Wish::default()).await.unwrap();
        let mut shown = Vec::new();
        while let Some(notice) = events.next().await {
            if let Notice::Shown { event, .. } = notice {
                shown.push(event.seq);
            }
        }
        assert!(client.connect().await.is_err(), "the handle says that it has ended");
        shown
    };
    let ((), shown, ended) = tokio::join!(script, app, driver);
    assert!(matches!(ended, Err(StorageError::Corrupt(0))));
    assert!(shown.iter().all(|seq| *seq == 1), "{shown:?}");
}
