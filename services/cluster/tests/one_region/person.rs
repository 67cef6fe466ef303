//! In paused time: a person with a raw WebSocket over a memory pipe: sends frames, keeps what came back.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sterna_access::DevelopmentIssuer;
use sterna_cluster::region::token_secret;
use sterna_cluster::{Plan, Region};
use sterna_gateway::gateway::Gateway;
use sterna_gateway::wire;
use sterna_protocol::frame::{
    ClientFrame, Cursors, Device, Durability, Event, GapReason, Hello, PresenceState, Publish, Secret,
    ServerFrame, Stored, Subscribe, Subscription,
};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::{Cursor, EventId, Reason, StreamId};
use tokio::io::DuplexStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Longest that anything may take before a test fails, simulated time.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Person {
    socket: WebSocketStream<DuplexStream>,
    encoding: Encoding,
    pub(crate) name: String,
    /// Events shown, per stream, in the order they came.
    pub(crate) shown: BTreeMap<StreamId, Vec<Event>>,
    pub(crate) cursors: BTreeMap<StreamId, Cursor>,
    /// What it was told is hidden from it.
    pub(crate) hidden: BTreeMap<StreamId, Cursor>,
    /// What it was told is lost.
    pub(crate) lost: BTreeMap<StreamId, Cursor>,
    pub(crate) acked: Vec<EventId>,
    /// Acked a second time: another region has them.
    pub(crate) safe: Vec<EventId>,
    pub(crate) refused: Vec<Reason>,
    /// Who is there, as told last.
    pub(crate) present: BTreeMap<String, PresenceState>,
    /// Streams that errors named.
    pub(crate) left: Vec<StreamId>,
    /// The code that the server closed with.
    pub(crate) closed: Option<u16>,
}

impl Person {
    /// Connects and greets.
    pub(crate) async fn connect(
        region: &Region<DuplexStream>,
        plan: &Plan,
        name: &str,
        encoding: Encoding,
        now_ms: u64,
    ) -> Self {
        let device = name.len() as u128;
        Self::connect_to(region.gateway(0).unwrap(), plan, name, device, encoding, now_ms).await
    }

    /// The same at this gateway, on this device.
    pub(crate) async fn connect_to(
        gateway: &Gateway<DuplexStream>,
        plan: &Plan,
        name: &str,
        device: u128,
        encoding: Encoding,
        now_ms: u64,
    ) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let spoken = match encoding {
            Encoding::Json => wire::Encoding::Json,
            Encoding::Protobuf => wire::Encoding::Protobuf,
        };
        gateway.accept(theirs, spoken, Vec::new()).unwrap();
        let socket = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let (shown, cursors) = (BTreeMap::new(), BTreeMap::new());
        let (acked, safe, refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut person = Self {
            socket,
            encoding,
            name: name.to_owned(),
            shown,
            cursors,
            hidden: BTreeMap::new(),
            lost: BTreeMap::new(),
            acked,
            safe,
            refused,
            present: BTreeMap::new(),
            left: Vec::new(),
            closed: None,
        };
        let issuer = DevelopmentIssuer::new(token_secret(plan));
        let token = issuer.issue("acme", &name.parse().unwrap(), now_ms, 3_600_000).unwrap();
        person
            .send(ClientFrame::Hello(Hello {
                token: Secret::new(token),
                device: Device(device),
                client: "test".into(),
                home: None,
                ticket: None,
                policy: Cursor::new(),
                ping_interval_ms: None,
            }))
            .await;
        let welcome = person.next().await;
        assert!(matches!(welcome, Some(ServerFrame::Welcome(_))), "{welcome:?}");
        person
    }

    pub(crate) async fn send(&mut self, frame: ClientFrame) {
        let mut bytes = Vec::new();
        self.encoding.encode_client(&frame, &mut bytes);
        let message = match self.encoding {
            Encoding::Json => Message::text(String::from_utf8(bytes).unwrap()),
            Encoding::Protobuf => Message::binary(bytes),
        };
        self.socket.send(message).await.unwrap();
    }

    /// The next frame; `None` when the socket was closed.
    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            let message = self.socket.next().await?.ok()?;
            match message {
                Message::Text(text) => return Some(self.encoding.decode_server(text.as_bytes()).unwrap()),
                Message::Binary(bytes) => return Some(self.encoding.decode_server(&bytes).unwrap()),
                Message::Close(frame) => {
                    self.closed = frame.map(|frame| frame.code.into());
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Takes frames in until `done`, by the client's rules 7 to 9; the last state is in the panic if nothing
    /// more comes.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let Ok(frame) = timeout(PATIENCE, self.next()).await else {
                panic!("{}: nothing comes before {what}; {}", self.name, self.state())
            };
            let Some(frame) = frame else { panic!("{}: closed before {what}; {}", self.name, self.state()) };
            self.take(frame).await;
        }
    }

    /// What it was shown and told so far, for whoever reads a failure.
    fn state(&self) -> String {
        let shown: BTreeMap<String, usize> =
            self.shown.iter().map(|(stream, events)| (stream.to_string(), events.len())).collect();
        let Self { cursors, acked, safe, refused, left, closed, .. } = self;
        format!(
            "shown {shown:?}, cursors {cursors:?}, {} acked, {} known elsewhere, refused {refused:?}, \
             left {left:?}, closed {closed:?}",
            acked.len(),
            safe.len()
        )
    }

    async fn take(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Events(events) => {
                let cursor = self.cursors.entry(events.stream.clone()).or_default();
                for event in events.events {
                    let held = cursor.get(&event.origin);
                    assert!(event.seq <= held + 1, "{}: a hole before {event:?}", self.name);
                    if cursor.advance(&event.origin, event.seq) {
                        self.shown.entry(events.stream.clone()).or_default().push(event);
                    }
                }
            }
            ServerFrame::Gap(gap) => {
                if gap.reason == GapReason::Hidden {
                    self.hidden.entry(gap.stream.clone()).or_default().merge(&gap.to);
                }
                if gap.reason == GapReason::Lost {
                    self.lost.entry(gap.stream.clone()).or_default().merge(&gap.to);
                }
                // Rule 9: nothing moves; what is late comes without notice.
                if gap.reason != GapReason::Waiting {
                    self.cursors.entry(gap.stream).or_default().merge(&gap.to);
                }
            }
            ServerFrame::Ack(ack) if ack.durability == Durability::Global => self.safe.extend(ack.event_ids),
            ServerFrame::Ack(ack) => self.acked.extend(ack.event_ids),
            ServerFrame::Error(error) => {
                self.refused.push(error.code.reason().unwrap());
                self.left.extend(error.stream.and_then(|stream| stream.parse().ok()));
            }
            ServerFrame::Presence(presence) => {
                if presence.full {
                    self.present.clear();
                }
                let users = presence.users.into_iter().map(|one| (one.user.to_string(), one.state));
                self.present.extend(users);
            }
            ServerFrame::Ping => self.send(ClientFrame::Pong).await,
            _ => {}
        }
    }

    /// Takes in what comes within a time.
    pub(crate) async fn listen(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while let Ok(Some(frame)) = tokio::time::timeout_at(until, self.next()).await {
            self.take(frame).await;
        }
    }

    /// The code that the server closes with.
    pub(crate) async fn closing(&mut self) -> u16 {
        while let Some(frame) = self.next().await {
            self.take(frame).await;
        }
        self.closed.expect("a code")
    }

    /// Says that it has stored what it was shown.
    pub(crate) async fn report(&mut self, stream: &StreamId) {
        let stored = Stored { stream: stream.clone(), cursor: self.cursors[stream].clone() };
        self.send(ClientFrame::Cursor(Cursors { streams: vec![stored] })).await;
    }

    pub(crate) async fn publish(
        &mut self,
        stream: &StreamId,
        id: EventId,
        kind: &str,
        json: &str,
        resend: bool,
    ) {
        let payload = Payload::parse(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        self.send(ClientFrame::Publish(Publish {
            stream: stream.clone(),
            event_id: id,
            kind: kind.parse().unwrap(),
            payload,
            seen: None,
            resend,
            policy: Cursor::new(),
        }))
        .await;
    }

    pub(crate) async fn subscribe(&mut self, stream: &StreamId) {
        let cursor = self.cursors.get(stream).cloned();
        let subscription = Subscription { stream: stream.clone(), cursor, tail: None, presence: false };
        self.send(ClientFrame::Subscribe(Subscribe { streams: vec![subscription], ..Subscribe::default() }))
            .await;
    }

    /// Subscribes until the region knows the stream and this person in it.
    pub(crate) async fn subscribe_when_there(&mut self, stream: &StreamId) {
        for _ in 0..100 {
            let before = self.refused.len();
            self.subscribe(stream).await;
            let shown = self.shown.get(stream).map_or(0, Vec::len);
            let settled =
                |p: &Self| p.refused.len() > before || p.shown.get(stream).map_or(0, Vec::len) > shown;
            self.until("an answer to subscribe", settled).await;
            if self.refused.len() == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{}: {stream} never became visible: {:?}", self.name, self.refused);
    }

    pub(crate) fn texts(&self, stream: &StreamId) -> Vec<String> {
        let events = self.shown.get(stream).into_iter().flatten();
        events.filter(|e| e.kind.as_str() == "message").map(|e| e.payload.as_str().to_owned()).collect()
    }
}
