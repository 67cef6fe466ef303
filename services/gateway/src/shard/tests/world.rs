//! What a shard's tests are made of: a readable encoding, an upstream that writes down what it is asked,
//! clients.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
pub(crate) use sterna_process::paused;
use sterna_stream::segment::Position;
use sterna_stream::{Cursor, Hlc, Policy, Prefix, Segment, StreamId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::limits::Limits;
use crate::seams::{Ask, Encode, Gap, Upstream};
use crate::session::{Ended, SessionId};
use crate::shard::Shard;
use crate::wire::{Encoding, Messages};

/// `e <origin> <first> <last> <padding>`, `g <reason> <to>`, `s <head> <known>`, `p`.
pub(crate) struct Text;

impl Encode for Text {
    fn events(&self, segment: &Segment, out: &mut Messages) {
        let Segment { origin, first, .. } = segment;
        let padding = "x".repeat(segment.bodies[0].len());
        out.add(format!("e {origin} {first} {} {padding}", segment.last()).as_bytes());
    }

    fn gap(&self, _: &StreamId, gap: &Gap, out: &mut Messages) {
        out.add(format!("g {} {}", gap.reason, gap.to).as_bytes());
    }

    fn subscribed(&self, _: &StreamId, head: &Cursor, known: &Cursor, out: &mut Messages) {
        out.add(format!("s {head} {known}").as_bytes());
    }

    fn ping(&self, out: &mut Messages) {
        out.add(b"p");
    }
}

/// Remembers what it was asked; the test answers.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) interest: RefCell<Vec<(StreamId, bool)>>,
    pub(crate) pulls: RefCell<Vec<(StreamId, Cursor)>>,
    /// Up to where each pull is known to have something.
    pub(crate) wanted: RefCell<Vec<Cursor>>,
    pub(crate) asks: RefCell<Vec<Ask>>,
}

impl Upstream for Asked {
    fn interest(&self, stream: &StreamId, on: bool) {
        self.interest.borrow_mut().push((stream.clone(), on));
    }

    fn pull(&self, stream: &StreamId, from: &Cursor, wanted: &Cursor) {
        self.wanted.borrow_mut().push(wanted.clone());
        self.pulls.borrow_mut().push((stream.clone(), from.clone()));
    }

    fn backlog(&self, ask: Ask) {
        self.asks.borrow_mut().push(ask);
    }
}

pub(crate) type Pipes = Shard<DuplexStream>;

pub(crate) fn shard(limits: Limits) -> (Pipes, Rc<Asked>) {
    let asked = Rc::new(Asked::default());
    let shard = Shard::new(limits, Rc::new(Text), asked.clone());
    spawn(shard.clone().run());
    (shard, asked)
}

#[allow(clippy::disallowed_methods, reason = "a test is the owner of its tasks")]
pub(crate) fn spawn<T: 'static>(task: impl Future<Output = T> + 'static) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_local(task)
}

/// A client on a pipe that holds `pipe` bytes, and its session.
pub(crate) struct Client {
    pub(crate) id: SessionId,
    pub(crate) socket: DuplexStream,
    pub(crate) session: tokio::task::JoinHandle<Ended>,
    held: Vec<u8>,
}

/// What a client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Closed(u16, String),
    End,
}

pub(crate) fn connect(shard: &Pipes, pipe: usize) -> Client {
    connect_with(shard, pipe, |_, _| crate::reader::Flow::Continue)
}

pub(crate) fn connect_with(
    shard: &Pipes,
    pipe: usize,
    on: impl FnMut(SessionId, crate::wire::Message<'_>) -> crate::reader::Flow + 'static,
) -> Client {
    let (socket, ours) = tokio::io::duplex(pipe);
    let reader = shard.open(ours, Encoding::Json).unwrap();
    Client { id: reader.id(), socket, session: spawn(reader.run(on)), held: Vec::new() }
}

impl Client {
    /// The next frame, waiting for it.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.whole() {
                return heard;
            }
            let mut buffer = [0; 700];
            match self.socket.read(&mut buffer).await {
                Ok(0) | Err(_) => return Heard::End,
                Ok(count) => self.held.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Reads at most so many bytes, without waiting; the frames that are complete with them.
    pub(crate) fn sip(&mut self, most: usize) -> Vec<Heard> {
        let mut buffer = vec![0; most];
        let mut read = ReadBuf::new(&mut buffer);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.socket).poll_read(&mut context, &mut read) {
            Poll::Pending => return Vec::new(),
            Poll::Ready(Err(_)) => return vec![Heard::End],
            Poll::Ready(Ok(())) if read.filled().is_empty() => return vec![Heard::End],
            Poll::Ready(Ok(())) => self.held.extend_from_slice(read.filled()),
        }
        std::iter::from_fn(|| self.whole()).collect()
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        match self.hear().await {
            Heard::Text(text) => text,
            other => panic!("a text was expected, not {other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        self.socket.write_all(&bytes).await.unwrap();
    }

    fn whole(&mut self) -> Option<Heard> {
        let length = usize::from(*self.held.get(1)?);
        let (start, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([*self.held.get(2)?, *self.held.get(3)?]))),
            length => (2, length),
        };
        if self.held.len() < start + length {
            return None;
        }
        let frame: Vec<u8> = self.held.drain(..start + length).collect();
        let payload = &frame[start..];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some(match frame[0] & 0xf {
            8 => Heard::Closed(u16::from_be_bytes([payload[0], payload[1]]), text(&payload[2..])),
            1 => Heard::Text(text(payload)),
            10 => Heard::Text(format!("pong {}", text(payload))),
            other => panic!("opcode {other}"),
        })
    }
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new("acme", "chat", name).unwrap()
}

pub(crate) fn cursor(text: &str) -> Cursor {
    text.parse().unwrap()
}

/// A segment with one body of `size` bytes per event.
pub(crate) fn segment(stream: &StreamId, origin: &str, first: u64, last: u64, size: usize) -> Segment {
    Segment {
        stream: stream.clone(),
        origin: origin.parse().unwrap(),
        first,
        stamps: (first..=last).map(Hlc).collect(),
        bodies: (first..=last).map(|_| Bytes::from(vec![0; size])).collect(),
        from: Position { incarnation: 1, partition: 0, offset: 0 },
        policy: Policy::default(),
        prefix: Prefix::START,
        members: Vec::new(),
        member_before: 0,
    }
}
