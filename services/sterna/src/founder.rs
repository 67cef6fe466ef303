//! How a stream is made over a WebSocket; REST has a way of its own: by publishing its creation
//! (docs/protocol.md, section 13: a stream's id follows from its author and the id of its first event).
//!
//! One short session of the owner: create, add members one by one, see the last of it come back, leave.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use sterna_client::transport::websocket::WebSocket;
use sterna_client::transport::{Incoming, Transport};
use sterna_process::{Clock, Seeded};
use sterna_protocol::Payload;
use sterna_protocol::frame::{
    ClientFrame, Device, Error as ErrorFrame, Hello, Publish, Secret, ServerFrame, Subscribe, Subscription,
};
use sterna_stream::{Cursor, EventId, StreamId, UserId, created};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often something that is not visible yet is tried again, and after what.
const TRIES: usize = 100;
const AGAIN: Duration = Duration::from_millis(50);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The session ended.
    #[error("the session was closed with code {0} before the stream was made")]
    Closed(u16),
    /// No answer.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silence,
    /// The service said no.
    #[error("refused: {code}{detail}")]
    Refused {
        /// The error code.
        code: String,
        /// What the service said about it.
        detail: String,
    },
    /// Not a tenant's or a kind's name.
    #[error("no stream id can be made")]
    Name(#[from] sterna_stream::ids::Invalid),
}

/// Who makes streams, over a WebSocket.
pub struct Founder<S> {
    socket: WebSocket<S>,
    tenant: String,
    user: UserId,
    random: Seeded,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Founder<S> {
    /// Says `hello` over a socket that was just upgraded.
    ///
    /// # Errors
    /// [`Error`], here and below.
    pub async fn greet(mut socket: WebSocket<S>, token: Secret, random: Seeded) -> Result<Self, Error> {
        socket.send(&ClientFrame::Hello(Hello {
            token,
            device: Device(1),
            client: concat!("sterna/", env!("CARGO_PKG_VERSION")).into(),
            home: None,
            ticket: None,
            policy: Cursor::new(),
            ping_interval_ms: None,
        }));
        loop {
            match next(&mut socket).await? {
                ServerFrame::Welcome(welcome) => {
                    let (tenant, user) = (welcome.tenant.to_string(), welcome.user);
                    return Ok(Self { socket, tenant, user, random });
                }
                ServerFrame::Error(error) => return Err(refused(&error)),
                _ => {}
            }
        }
    }

    /// Makes a chat of this user's and these writers'. When it returns, the region has served all of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create(&mut self, writers: &[UserId], clock: &dyn Clock) -> Result<StreamId, Error> {
        let mut last = self.mint(clock);
        let stream = created::stream(&self.tenant, "chat", &self.user, last)?;
        let own = format!(r#"{{"user":"{}","add":"owner"}}"#, self.user);
        self.publish(&stream, last, &own).await?;
        for writer in writers {
            last = self.mint(clock);
            self.publish(&stream, last, &format!(r#"{{"user":"{writer}","add":"writer"}}"#)).await?;
        }
        self.shown(&stream, last).await?;
        Ok(stream)
    }

    fn mint(&mut self, clock: &dyn Clock) -> EventId {
        let random = self.random.event_id(clock);
        EventId::mint(clock.wall_ms(), random)
    }

    /// Publishes a `member` event until it is accepted: what it rests on may not be visible yet.
    async fn publish(&mut self, stream: &StreamId, id: EventId, json: &str) -> Result<(), Error> {
        let payload = Payload::parse(Bytes::copy_from_slice(json.as_bytes())).expect("JSON of ours");
        let mut publish = Publish {
            stream: stream.clone(),
            event_id: id,
            kind: "member".parse().expect("a kind of ours"),
            payload,
            seen: None,
            resend: false,
            policy: Cursor::new(),
        };
        for tried in 1.. {
            self.socket.send(&ClientFrame::Publish(publish.clone()));
            let refused = loop {
                match next(&mut self.socket).await? {
                    ServerFrame::Ack(ack) if ack.event_ids.contains(&id) => return Ok(()),
                    ServerFrame::Error(error) => break error,
                    ServerFrame::Ping => self.socket.send(&ClientFrame::Pong),
                    _ => {}
                }
            };
            if tried == TRIES {
                return Err(self::refused(&refused));
            }
            sleep(refused.retry_after_ms.map_or(AGAIN, |ms| Duration::from_millis(ms.into()))).await;
            publish.resend = true;
        }
        Ok(())
    }

    /// Follows the stream until `last` comes back.
    async fn shown(&mut self, stream: &StreamId, last: EventId) -> Result<(), Error> {
        let one =
            Subscription { stream: stream.clone(), cursor: Some(Cursor::new()), tail: None, presence: false };
        let subscribe = ClientFrame::Subscribe(Subscribe { streams: vec![one], ..Subscribe::default() });
        self.socket.send(&subscribe);
        let mut tries = 0;
        loop {
            match next(&mut self.socket).await? {
                ServerFrame::Events(events) if events.events.iter().any(|event| event.event_id == last) => {
                    return Ok(());
                }
                ServerFrame::Error(error) if tries == TRIES => return Err(refused(&error)),
                ServerFrame::Error(_) => {
                    tries += 1;
                    sleep(AGAIN).await;
                    self.socket.send(&subscribe);
                }
                ServerFrame::Ping => self.socket.send(&ClientFrame::Pong),
                _ => {}
            }
        }
    }

    /// Says goodbye.
    pub async fn leave(mut self) {
        self.socket.close(1000);
        while next(&mut self.socket).await.is_ok() {}
    }
}

async fn next<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocket<S>,
) -> Result<ServerFrame, Error> {
    loop {
        match timeout(ANSWER, poll_fn(|context| socket.poll(context))).await {
            Err(_) => return Err(Error::Silence),
            Ok(Incoming::Frame(frame)) => return Ok(*frame),
            Ok(Incoming::Heard) => {}
            Ok(Incoming::Closed(code)) => return Err(Error::Closed(code)),
        }
    }
}

fn refused(error: &ErrorFrame) -> Error {
    let detail = error.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    Error::Refused { code: error.code.to_string(), detail }
}
