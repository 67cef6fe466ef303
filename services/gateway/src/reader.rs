//! Listening to one session: bytes in, messages out, and waiting for a full socket on the flush's behalf.
//!
//! One small task per session. It reads into the thread's one buffer and keeps bytes only for an incomplete
//! frame, or while its handler has paused it (then at most one buffer's worth; nothing more is read).
//! A session that talks without end has its next turn when all sockets have been asked for news: however much
//! it says, nobody else waits longer than one turn of it. One that has said as many frames as it may is not
//! read any further until the next second: what it says waits in its socket, and nothing is refused or lost.
//! Malformed input closes the session with the code it deserves; WebSocket pings are answered here.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::contents::Contents;
use crate::flush::{Scope, Wrote};
use crate::limits::{Limits, READS_PER_TURN, TURN_BYTES, WRITES_PER_TURN};
use crate::session::{Ended, Phase, SessionId};
use crate::shard::Shard;
use crate::wire::{self, Decoder, Message};

/// Bytes read at once, by all sessions of a thread into one buffer.
const READ_BYTES: usize = 64 * 1024;

/// What a message handler says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Next message, please.
    Continue,
    /// No message and no byte more until `Shard::resume`.
    Pause,
}

/// The listening half of a session. Dropping it drops the session.
pub struct Reader<S: AsyncRead + AsyncWrite + Unpin> {
    shard: Shard<S>,
    id: SessionId,
    decoder: Decoder,
    /// Bytes that came before the session was opened, or that a pause left over.
    held: Vec<u8>,
    frames: Allowance,
}

/// How many frames a session may still send. Filled when bytes come, by the shard's seconds, so that a frame
/// costs a subtraction and no look at a clock.
struct Allowance {
    left: u32,
    filled_s: u32,
}

enum Read {
    Bytes(usize),
    Ended(Ended),
    Again,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    pub(crate) fn new(shard: Shard<S>, id: SessionId) -> Self {
        let frames = shard.with(|contents| Allowance::new(contents.wheel.now_s(), &contents.limits));
        Self { shard, id, decoder: Decoder::default(), held: Vec::new(), frames }
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Bytes that the client sent right behind its upgrade request.
    #[must_use]
    pub fn with_early(mut self, bytes: Vec<u8>) -> Self {
        self.held = bytes;
        self
    }

    /// Hands every text and binary message to `on`, until the session ends; then the socket is dropped.
    pub async fn run<F: FnMut(SessionId, Message<'_>) -> Flow>(mut self, mut on: F) -> Ended {
        poll_fn(|context| self.poll(context, &mut on)).await
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        on: &mut impl FnMut(SessionId, Message<'_>) -> Flow,
    ) -> Poll<Ended> {
        if !self.held.is_empty() && self.shard.with(|contents| contents.listens(self.id)) {
            let mut bytes = std::mem::take(&mut self.held);
            self.decode(&mut bytes, on);
        }
        let mut heard = 0;
        for _ in 0..READS_PER_TURN {
            let mut buffer = self.shard.with(|contents| contents.buffer.take()).unwrap_or_else(new_buffer);
            let read = self.shard.with(|contents| contents.poll_session(self.id, context, &mut buffer));
            let ended = match read {
                Poll::Ready(Read::Bytes(count)) => {
                    self.decode(&mut buffer[..count], on);
                    heard += count;
                    None
                }
                Poll::Ready(Read::Again) => None,
                Poll::Ready(Read::Ended(ended)) => Some(Poll::Ready(ended)),
                Poll::Pending => Some(Poll::Pending),
            };
            self.shard.with(|contents| contents.buffer = Some(buffer));
            if let Some(ended) = ended {
                return ended;
            }
            if heard >= TURN_BYTES {
                break;
            }
        }
        wake_in_turn(context);
        Poll::Pending
    }

    fn decode(&mut self, mut bytes: &mut [u8], on: &mut impl FnMut(SessionId, Message<'_>) -> Flow) {
        self.shard.with(|contents| self.frames.fill(contents.wheel.now_s(), &contents.limits));
        while self.shard.with(|contents| contents.is_open(self.id)) {
            let id = self.id;
            if self.frames.left == 0 && !bytes.is_empty() {
                self.shard.with(|contents| contents.hold_back(id));
                self.held = bytes.to_vec();
                return;
            }
            let next = self.decoder.next(&mut bytes);
            if matches!(next, Ok(Some(_))) {
                self.frames.left -= 1;
            }
            match next {
                Ok(None) => return,
                Ok(Some(Message::Pong)) => {}
                Ok(Some(Message::Ping(payload))) => {
                    self.shard.with(|contents| contents.deliver(id, wire::pong(&payload)));
                }
                Ok(Some(Message::Close(code))) => {
                    let frame = wire::close(code.unwrap_or(1000), "");
                    self.shard.with(|contents| contents.close(id, Ended::Left(code), frame));
                }
                Ok(Some(message)) => {
                    if on(id, message) == Flow::Pause {
                        self.shard.with(|contents| contents.pause(id));
                        self.held = bytes.to_vec();
                        return;
                    }
                }
                Err(violation) => {
                    let code = violation.close_code();
                    let frame = wire::close(code, &violation.close_reason());
                    self.shard.with(|contents| contents.close(id, Ended::Closed(code), frame));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Reader<S> {
    fn drop(&mut self) {
        self.shard.with(|contents| contents.remove(self.id));
    }
}

impl Allowance {
    fn new(now_s: u32, limits: &Limits) -> Self {
        Self { left: limits.frames_burst, filled_s: now_s }
    }

    /// What the seconds since the last time bring.
    fn fill(&mut self, now_s: u32, limits: &Limits) {
        let gained = (now_s - self.filled_s).saturating_mul(limits.frames_per_s);
        self.left = self.left.saturating_add(gained).min(limits.frames_burst.max(1));
        self.filled_s = now_s;
    }
}

/// Wakes the task when the runtime has asked for news of all sockets and timers, which it does otherwise
/// after so and so many tasks only: one that is always ready would have that many turns until then.
fn wake_in_turn(context: &mut Context<'_>) {
    let _always_pending = pin!(tokio::task::yield_now()).poll(context);
}

fn new_buffer() -> Box<[u8]> {
    vec![0; READ_BYTES].into_boxed_slice()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    pub(crate) fn is_open(&mut self, id: SessionId) -> bool {
        self.session(id).is_some_and(|session| session.is_open())
    }

    fn listens(&mut self, id: SessionId) -> bool {
        self.session(id).is_some_and(|session| session.is_open() && !session.paused)
    }

    fn pause(&mut self, id: SessionId) {
        if let Some(session) = self.session(id) {
            session.paused = true;
        }
    }

    /// It has said as many frames as it may: it is read again in the next second.
    fn hold_back(&mut self, id: SessionId) {
        self.pause(id);
        self.counters.held_back += 1;
        self.held_back.push(id);
    }

    /// One step of a session's own task: write if the socket was full, shut it if all is said, read if it
    /// may.
    fn poll_session(&mut self, id: SessionId, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Read> {
        let Some(session) = self.session(id) else { return Poll::Ready(Read::Ended(Ended::Lost)) };
        if !session.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            session.reader = Some(context.waker().clone());
        }
        if session.blocked {
            self.poll_writable(id, context);
        }
        let now_s = self.wheel.now_s();
        let session = &mut self.sessions[id.slot as usize];
        match session.phase {
            Phase::Gone(ended) => return Poll::Ready(Read::Ended(ended)),
            Phase::Closing(ended) if session.outbox.is_none() && session.partial.is_none() => {
                if Pin::new(&mut session.socket).poll_shutdown(context).is_pending() {
                    return Poll::Pending;
                }
                session.phase = Phase::Draining(ended);
            }
            Phase::Open if session.paused => return Poll::Pending,
            // This task is woken when the socket takes bytes again.
            Phase::Open if session.blocked && session.is_full(self.limits.outbox_bytes) => {
                return Poll::Pending;
            }
            _ => {}
        }
        let mut read = ReadBuf::new(buffer);
        let polled = Pin::new(&mut session.socket).poll_read(context, &mut read);
        let count = read.filled().len();
        match (polled, session.phase) {
            (Poll::Pending, _) => Poll::Pending,
            (Poll::Ready(Ok(())), Phase::Open) if count > 0 => {
                session.heard_s = now_s;
                Poll::Ready(Read::Bytes(count))
            }
            (Poll::Ready(Ok(())), _) if count > 0 => Poll::Ready(Read::Again),
            (Poll::Ready(_), Phase::Closing(ended) | Phase::Draining(ended)) => {
                Poll::Ready(Read::Ended(ended))
            }
            (Poll::Ready(_), _) => Poll::Ready(Read::Ended(Ended::Lost)),
        }
    }

    /// The socket was full: writes until it is full again (then this task is woken), or the session is
    /// current.
    fn poll_writable(&mut self, id: SessionId, context: &mut Context<'_>) {
        for _ in 0..WRITES_PER_TURN {
            let fell_out = |follow: &crate::session::Follow| {
                follow.join.is_none() && follow.at < self.rings[follow.ring as usize].base()
            };
            if self.sessions[id.slot as usize].follows.iter().any(fell_out) {
                self.close_slow(id.slot);
            }
            match self.write(id.slot, Scope::All, context) {
                // Asked once more, a full socket registers this task.
                Wrote::Some | Wrote::Part => {}
                Wrote::Nothing | Wrote::Broken => return,
                Wrote::All => return self.unblock(id.slot),
            }
        }
        wake_in_turn(context);
    }

    /// The tick may write to it again, and its rings may forget what they kept for it.
    fn unblock(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        session.blocked = false;
        let has_own = session.outbox.is_some();
        let rings: SmallVec<[u32; 2]> = session.follows.iter().map(|follow| follow.ring).collect();
        if has_own {
            self.queue(slot);
        }
        for ring in rings {
            if !self.rings[ring as usize].is_empty() {
                self.touch(ring);
            }
        }
    }
}
