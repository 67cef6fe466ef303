//! One client of a whole-path benchmark: a raw WebSocket that greets, sends frames and hands on what comes.
//!
//! Cheap on purpose: no client library, no storage; who uses it checks what came.

use std::cell::RefCell;
use std::rc::Rc;

use sterna_access::DevelopmentIssuer;
use sterna_cluster::region::token_secret;
use sterna_process::{Clock, SystemClock};
use sterna_protocol::Encoding;
use sterna_protocol::Payload;
use sterna_protocol::frame::{
    ClientFrame, Device, Hello, Publish, Secret, ServerFrame, Subscribe, Subscription,
};
use sterna_stream::{Cursor, EventId, Origin, StreamId};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, spawn_local};

use crate::load::{CONNECT, client_frame, connect};
use crate::region;

/// Where all streams of a benchmark are.
pub(crate) const TENANT: &str = "acme";
/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How long a token is good for, milliseconds.
const TOKEN_MS: u64 = 3_600_000;

/// A session that has been welcomed. Dropping it closes the socket.
pub(crate) struct Session {
    /// The region's origin.
    pub(crate) origin: Origin,
    writer: OwnedWriteHalf,
    reading: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Session {
    /// Connects and greets as `user`; whatever comes after the welcome goes to `hear`. `number` chooses the
    /// address that it comes from.
    pub(crate) async fn open(
        port: u16,
        number: usize,
        user: &str,
        mut hear: impl FnMut(ServerFrame) + 'static,
    ) -> Result<Self, crate::Problem> {
        let (reader, mut writer) = connect(port, CONNECT, number).await?.into_split();
        let issuer = DevelopmentIssuer::new(token_secret(&region::plan(0)));
        let token = issuer
            .issue(TENANT, &user.parse()?, SystemClock.wall_ms(), TOKEN_MS)
            .map_err(|refusal| refusal.detail)?;
        let hello = ClientFrame::Hello(Hello {
            token: Secret::new(token),
            device: Device(number as u128 + 1),
            client: "bench".into(),
            home: None,
            ticket: None,
            policy: Cursor::new(),
            ping_interval_ms: Some(120_000),
        });
        writer.write_all(&encode(&hello)).await?;
        let (welcomed, welcome) = oneshot::channel();
        let mut welcomed = Some(welcomed);
        let read = async move {
            let end = read(reader, |frame| match frame {
                ServerFrame::Welcome(welcome) => {
                    let _ = welcomed.take().map(|to| to.send(welcome.origin));
                }
                frame => hear(frame),
            });
            if let Err(error) = end.await {
                eprintln!("a session ended: {error}");
            }
        };
        let reading = spawn_local(read).abort_handle();
        let origin = welcome.await?.ok_or("a welcome without an origin")?;
        Ok(Self { origin, writer, reading })
    }

    /// Sends a frame that is small enough for the socket's buffer.
    ///
    /// # Panics
    /// If it was not: the benchmark has too much in flight.
    pub(crate) fn send(&self, frame: &ClientFrame) {
        let bytes = encode(frame);
        let sent = self.writer.try_write(&bytes);
        assert!(sent.as_ref().is_ok_and(|sent| *sent == bytes.len()), "the socket did not take it: {sent:?}");
    }

    /// Publishes to `stream`.
    pub(crate) fn publish(&self, stream: &StreamId, event_id: EventId, kind: &str, payload: &Payload) {
        self.send(&ClientFrame::Publish(Publish {
            stream: stream.clone(),
            event_id,
            kind: kind.parse().expect("a kind of ours"),
            payload: payload.clone(),
            seen: None,
            resend: false,
            policy: Cursor::new(),
        }));
    }

    /// Follows `streams`, each from its cursor.
    pub(crate) fn follow(&self, streams: impl IntoIterator<Item = (StreamId, Option<Cursor>)>) {
        let subscription = |(stream, cursor)| Subscription { stream, cursor, tail: None, presence: false };
        let streams = streams.into_iter().map(subscription).collect();
        self.send(&ClientFrame::Subscribe(Subscribe { streams, ..Subscribe::default() }));
    }
}

fn encode(frame: &ClientFrame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    Encoding::Protobuf.encode_client(frame, &mut bytes);
    client_frame(2, &bytes)
}

thread_local! {
    static SCRATCH: Rc<RefCell<Vec<u8>>> = Rc::new(RefCell::new(vec![0; READ_BYTES]));
}

async fn read(socket: OwnedReadHalf, mut hear: impl FnMut(ServerFrame)) -> Result<(), crate::Problem> {
    let scratch = SCRATCH.with(Rc::clone);
    let mut held = Vec::new();
    loop {
        socket.readable().await?;
        {
            let mut scratch = scratch.borrow_mut();
            match socket.try_read(&mut scratch) {
                Ok(0) => return Err("closed by the server".into()),
                Ok(count) => held.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
        }
        let mut at = 0;
        while let Some((opcode, payload, next)) = split(&held[at..]) {
            match opcode {
                2 => hear(Encoding::Protobuf.decode_server(payload).map_err(|error| format!("{error:?}"))?),
                8 => return Err("the server said goodbye".into()),
                _ => {}
            }
            at += next;
        }
        held.drain(..at);
    }
}

/// The first whole frame: opcode, payload, length of the frame.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (start, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((opcode, bytes.get(start..start + length)?, start + length))
}

/// A TCP connection to the counts of the server on `port`.
pub(crate) async fn counts(port: u16) -> Result<crate::counted::Counts, crate::Problem> {
    told(port + region::COUNTS).await
}

/// What whoever connects to `port` is told.
pub(crate) async fn told<T: serde::de::DeserializeOwned>(port: u16) -> Result<T, crate::Problem> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}
