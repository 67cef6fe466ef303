//! Somebody with a WebSocket over a memory pipe.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sterna_gateway::gateway::Gateway;
use sterna_gateway::wire;
use sterna_protocol::frame::{
    ClientFrame, Cursors, Device, Ephemeral, Error, Hello, Publish, Secret, ServerFrame, Stored, Subscribe,
    Subscription,
};
use sterna_protocol::{Encoding, Payload};
use sterna_stream::{Cursor, EventId, Hlc, Reason, StreamId};
use tokio::io::DuplexStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// Longest that anything may take before a test fails, simulated time.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) struct Person {
    socket: Option<WebSocketStream<DuplexStream>>,
    raw: Option<DuplexStream>,
}

/// The code of a close, whose reason is its name (docs/protocol.md, section 5).
fn named(frame: CloseFrame) -> u16 {
    let code = frame.code.into();
    assert_eq!(frame.reason.as_str(), sterna_protocol::close::name(code), "{code}");
    assert!(!frame.reason.is_empty(), "{code} has no name");
    code
}

/// What came.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Frame(ServerFrame),
    Closed(u16),
    End,
}

impl Person {
    /// Opens a JSON socket and says nothing.
    pub(crate) fn connect(gateway: &Gateway<DuplexStream>) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        gateway.accept(theirs, wire::Encoding::Json, Vec::new()).unwrap();
        Self { socket: None, raw: Some(ours) }
    }

    async fn socket(&mut self) -> &mut WebSocketStream<DuplexStream> {
        if let Some(raw) = self.raw.take() {
            self.socket = Some(WebSocketStream::from_raw_socket(raw, Role::Client, None).await);
        }
        self.socket.as_mut().unwrap()
    }

    // === saying ===

    /// Sends these texts in one write.
    pub(crate) async fn say(&mut self, texts: &[String]) {
        let socket = self.socket().await;
        for text in texts {
            socket.feed(Message::text(text.clone())).await.unwrap();
        }
        socket.flush().await.unwrap();
    }

    /// Sends a binary message, which a JSON session must not.
    pub(crate) async fn say_binary(&mut self) {
        self.socket().await.send(Message::binary(b"{}".to_vec())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, frames: &[ClientFrame]) {
        self.say(&frames.iter().map(text).collect::<Vec<_>>()).await;
    }

    pub(crate) async fn hello(&mut self, token: &str) {
        self.send(&[hello(token)]).await;
    }

    /// Subscribes from `cursor` on.
    pub(crate) async fn subscribe(&mut self, stream: &StreamId, cursor: &str) {
        self.send(&[subscribe(&[stream], Some(cursor), None)]).await;
    }

    /// Follows a stream that somebody here follows already, and of which there is nothing yet.
    pub(crate) async fn follow(&mut self, stream: &StreamId) {
        self.subscribe(stream, "").await;
        assert_eq!(self.frame().await.name(), "subscribed");
    }

    pub(crate) async fn publish(&mut self, stream: &StreamId, id: EventId) {
        self.send(&[publish(stream, id)]).await;
    }

    // === hearing ===

    /// The next frame; pings are answered and left out.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let message = timeout(PATIENCE, self.socket().await.next()).await.expect("something comes");
            let heard = match message {
                Some(Ok(Message::Text(text))) => {
                    Heard::Frame(Encoding::Json.decode_server(text.as_bytes()).unwrap())
                }
                Some(Ok(Message::Close(frame))) => Heard::Closed(frame.map_or(0, named)),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Heard::End,
            };
            if heard != Heard::Frame(ServerFrame::Ping) {
                return heard;
            }
            self.send(&[ClientFrame::Pong]).await;
        }
    }

    pub(crate) async fn frame(&mut self) -> ServerFrame {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other => panic!("a frame was expected, not {other:?}"),
        }
    }

    /// The next frame, which is an error of this reason.
    pub(crate) async fn refused(&mut self, reason: Reason) -> Error {
        match self.frame().await {
            ServerFrame::Error(error) if error.code.reason() == Some(reason) => *error,
            other => panic!("{reason:?} was expected, not {other:?}"),
        }
    }

    /// The next frame, which closes with this code.
    pub(crate) async fn closed(&mut self, code: u16) {
        assert_eq!(self.hear().await, Heard::Closed(code));
    }

    /// The next frame, which acknowledges this event.
    pub(crate) async fn acked(&mut self, id: EventId) {
        match self.frame().await {
            ServerFrame::Ack(ack) => assert_eq!(ack.event_ids, [id]),
            other => panic!("an ack was expected, not {other:?}"),
        }
    }

    /// The seqs of the next frame, which carries events.
    pub(crate) async fn seqs(&mut self) -> Vec<u64> {
        match self.frame().await {
            ServerFrame::Events(events) => events.events.iter().map(|event| event.seq).collect(),
            other => panic!("events were expected, not {other:?}"),
        }
    }

    /// Nothing but pings comes for so long.
    pub(crate) async fn quiet(&mut self, s: u64) {
        if let Ok(heard) = timeout(Duration::from_secs(s), self.hear()).await {
            panic!("nothing was expected, not {heard:?}");
        }
    }
}

pub(crate) fn text(frame: &ClientFrame) -> String {
    let mut bytes = Vec::new();
    Encoding::Json.encode_client(frame, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn hello(token: &str) -> ClientFrame {
    ClientFrame::Hello(Hello {
        token: Secret::new(token),
        device: Device(7),
        client: "test".into(),
        home: None,
        ticket: None,
        policy: Cursor::new(),
        ping_interval_ms: None,
    })
}

pub(crate) fn subscribe(streams: &[&StreamId], cursor: Option<&str>, tail: Option<u32>) -> ClientFrame {
    let cursor = cursor.map(|cursor| cursor.parse().unwrap());
    let one =
        |s: &&StreamId| Subscription { stream: (*s).clone(), cursor: cursor.clone(), tail, presence: false };
    ClientFrame::Subscribe(Subscribe { streams: streams.iter().map(one).collect(), ..Subscribe::default() })
}

pub(crate) fn stored(cursors: &[(&StreamId, &str)]) -> ClientFrame {
    let one = |(stream, cursor): &(&StreamId, &str)| Stored {
        stream: (*stream).clone(),
        cursor: cursor.parse().unwrap(),
    };
    ClientFrame::Cursor(Cursors { streams: cursors.iter().map(one).collect() })
}

pub(crate) fn publish(stream: &StreamId, id: EventId) -> ClientFrame {
    publish_seen(stream, id, None)
}

pub(crate) fn publish_seen(stream: &StreamId, id: EventId, seen: Option<Hlc>) -> ClientFrame {
    ClientFrame::Publish(Publish {
        stream: stream.clone(),
        event_id: id,
        kind: "message".parse().unwrap(),
        payload: Payload::parse(Bytes::from_static(br#""hi""#)).unwrap(),
        seen,
        resend: false,
        policy: Cursor::new(),
    })
}

pub(crate) fn typing(stream: &StreamId, user: Option<&str>, bytes: usize) -> ClientFrame {
    let payload = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)));
    ClientFrame::Ephemeral(Ephemeral {
        stream: stream.clone(),
        user: user.map(|user| user.parse().unwrap()),
        kind: "typing".parse().unwrap(),
        payload: Some(Payload::parse(Bytes::from(payload)).unwrap()),
    })
}
