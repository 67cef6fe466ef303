//! Clients that mean harm, or were written badly: whatever they send, nobody else is to notice.
//!
//! They hold a valid token and may write in two rooms, so their frames get as deep as anybody's.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sterna_process::{Clock, ManualClock};
use sterna_protocol::frame::{
    ClientFrame, Device, Hello, Publish, Secret, ServerFrame, Subscribe, Subscription,
};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::{Cursor, EventId, Hlc, StreamId};
use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::person::Surroundings;

/// Larger than any frame may be.
const OVERSIZE_BYTES: usize = 70 * 1024;
/// How long a device was offline whose queue is older than the window for ids.
const OFFLINE_MS: u64 = 30 * 3_600 * 1_000;
/// How long it waits for an answer, or for room in the socket.
const PATIENCE: Duration = Duration::from_millis(200);

/// A hostile client.
pub struct Hostile {
    name: String,
    clock: ManualClock,
    token: Box<dyn Fn(&str) -> String>,
    around: Surroundings,
    /// An id that it used before, and one that it saw somebody else use.
    own: EventId,
    others: Option<EventId>,
}

impl Hostile {
    /// A client of this name.
    pub fn new(
        name: String,
        clock: ManualClock,
        token: Box<dyn Fn(&str) -> String>,
        mut around: Surroundings,
    ) -> Self {
        let own = EventId::mint(clock.wall_ms(), around.dice.bits());
        Self { name, clock, token, around, own, others: None }
    }

    /// Does harm until the world is quiet.
    pub async fn live(mut self) {
        while !self.around.quiet.get() {
            let wait = self.around.dice.between(300, 2_000);
            sleep(Duration::from_millis(wait)).await;
            let at = if self.around.regions == 1 { 0 } else { self.around.dice.index(self.around.regions) };
            let pipe = (self.around.door)(&mut self.around.dice, at, Encoding::Json, 4 * 1024);
            let Some(pipe) = pipe else { continue };
            let mut socket = WebSocketStream::from_raw_socket(pipe, Role::Client, None).await;
            if self.around.dice.chance(900) && !send(&mut socket, self.hello()).await {
                continue;
            }
            for _ in 0..self.around.dice.between(1, 8) {
                let message = self.message();
                if self.around.quiet.get()
                    || !send(&mut socket, message).await
                    || !self.listen(&mut socket).await
                {
                    break;
                }
            }
        }
    }

    fn hello(&self) -> Message {
        text(&ClientFrame::Hello(Hello {
            token: Secret::new((self.token)(&self.name)),
            device: Device(7),
            client: "hostile".into(),
            home: None,
            ticket: None,
            policy: Cursor::new(),
            ping_interval_ms: None,
        }))
    }

    /// Something that a client should not send.
    fn message(&mut self) -> Message {
        let rooms: Vec<StreamId> = self.around.rooms.borrow().iter().flatten().cloned().collect();
        if rooms.is_empty() {
            return Message::text("[]");
        }
        let dice = &mut self.around.dice;
        let room = dice.pick(&rooms).clone();
        let (mint, deed) = (dice.bits(), dice.index(10));
        let fresh = EventId::mint(self.clock.wall_ms(), mint);
        let said = format!(r#"{{"hostile":{}}}"#, mint >> 64);
        self.around.trace.line(&self.name, "does harm", format_args!("{deed} {room}"));
        match deed {
            0 => Message::text("{\"publish\":{\"stream\":1}}"),
            1 => Message::text("x".repeat(OVERSIZE_BYTES)),
            2 => text(&publish(room, fresh, "message", &said, Some(Hlc(u64::MAX)))),
            3 => text(&publish(room, self.own, "message", &said, None)),
            4 => text(&publish(room, self.others.unwrap_or(self.own), "message", &said, None)),
            5 => text(&publish(room, fresh, "member", r#"{"user":"p00","remove":"all"}"#, None)),
            6 => {
                let far = (1 << 53) - 1;
                let cursor = Cursor::from_iter([("us-east-1".parse().expect("an origin"), far)]);
                let subscription =
                    Subscription { stream: room, cursor: Some(cursor), tail: None, presence: true };
                text(&ClientFrame::Subscribe(Subscribe {
                    streams: vec![subscription],
                    ..Subscribe::default()
                }))
            }
            7 => {
                let subscription = Subscription { stream: room, cursor: None, tail: None, presence: false };
                text(&ClientFrame::Subscribe(Subscribe {
                    streams: vec![subscription],
                    ..Subscribe::default()
                }))
            }
            8 => {
                let old = EventId::mint(self.clock.wall_ms() - OFFLINE_MS, mint);
                text(&publish(room, old, "message", &said, None))
            }
            _ => Message::binary(mint.to_be_bytes().to_vec()),
        }
    }

    /// Takes in what comes within a moment; false when the socket has ended.
    async fn listen(&mut self, socket: &mut WebSocketStream<DuplexStream>) -> bool {
        while let Ok(next) = timeout(PATIENCE, socket.next()).await {
            let Some(Ok(message)) = next else { return false };
            let Message::Text(text) = message else { continue };
            if let Ok(ServerFrame::Events(events)) = Encoding::Json.decode_server(text.as_bytes()) {
                self.others = events.events.last().map(|event| event.event_id);
            }
        }
        true
    }
}

async fn send(socket: &mut WebSocketStream<DuplexStream>, message: Message) -> bool {
    matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

fn text(frame: &ClientFrame) -> Message {
    let mut bytes = Vec::new();
    Encoding::Json.encode_client(frame, &mut bytes);
    Message::text(String::from_utf8(bytes).expect("JSON is text"))
}

fn publish(stream: StreamId, id: EventId, kind: &str, json: &str, seen: Option<Hlc>) -> ClientFrame {
    ClientFrame::Publish(Publish {
        stream,
        event_id: id,
        kind: kind.parse().expect("an event kind"),
        payload: Payload::parse(Bytes::copy_from_slice(json.as_bytes())).expect("it is JSON"),
        seen,
        resend: false,
        policy: Cursor::new(),
    })
}
