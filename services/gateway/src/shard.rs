//! A shard: the sessions and rings of one thread.
//!
//! [`Shard`] is a handle that everything on the thread may clone; there are no locks, and no method waits.
//! Whoever spawns tasks runs [`Shard::run`] once (it writes and keeps time) and [`Reader::run`] once per
//! session (it listens). Sockets are anything that can be read and written, so the same shard runs over
//! memory pipes.
//!
//! It holds no business rule and reads no client frame: messages go to the caller of [`Reader::run`], which
//! follows, delivers and closes through the handle.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sterna_stream::order::Place;
use sterna_stream::{Cursor, Segment, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::unconstrained;
use tokio::time::MissedTickBehavior;

use crate::contents::{Contents, Counters, Request};
use crate::limits::Limits;
use crate::reader::Reader;
use crate::seams::{Encode, Page, Upstream};
use crate::session::{Ended, SessionId};
use crate::wire::{self, Encoding, Frames, Messages};

#[cfg(test)]
pub(crate) mod tests;

/// Handle of one shard; clones name the same one.
pub struct Shard<S> {
    contents: Rc<RefCell<Contents<S>>>,
    upstream: Rc<dyn Upstream>,
}

/// Where a follower starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// What it has.
    pub cursor: Cursor,
    /// At most this many of the newest events it lacks, the rest as a gap.
    pub tail: Option<u32>,
    /// It does not know its cursor, which was stored for it: told first, by a gap from the beginning.
    pub tell: bool,
    /// What stands below is hidden from it (E24).
    pub floor: Option<Place>,
}

/// What a shard does not take on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// [`Limits::sessions`] are open.
    #[error("too many sessions on this shard")]
    Sessions,
    /// The session follows [`Limits::follows`] streams.
    #[error("too many streams followed")]
    Follows,
    /// There is no such session any more.
    #[error("session has ended")]
    Ended,
}

impl<S> Clone for Shard<S> {
    fn clone(&self) -> Self {
        Self { contents: self.contents.clone(), upstream: self.upstream.clone() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shard<S> {
    /// An empty shard.
    pub fn new(limits: Limits, encode: Rc<dyn Encode>, upstream: Rc<dyn Upstream>) -> Self {
        Self { contents: Rc::new(RefCell::new(Contents::new(limits, encode))), upstream }
    }

    /// Takes a session on. It lives as long as the reader does.
    ///
    /// # Errors
    /// [`Refused::Sessions`]; the socket is dropped.
    pub fn open(&self, socket: S, encoding: Encoding) -> Result<Reader<S>, Refused> {
        let id = self.with(|contents| contents.open(socket, encoding))?;
        Ok(Reader::new(self.clone(), id))
    }

    /// Makes `session` a follower of `stream`, in place of what it was to it before (docs/protocol.md,
    /// section 8).
    ///
    /// # Errors
    /// [`Refused::Follows`], [`Refused::Ended`].
    pub fn follow(&self, session: SessionId, stream: &StreamId, start: Start) -> Result<(), Refused> {
        self.with(|contents| contents.follow(session, stream, start))
    }

    /// Ends following; nothing of the stream is begun to be sent after it.
    pub fn unfollow(&self, session: SessionId, stream: &StreamId) {
        self.with(|contents| contents.unfollow(session, stream));
    }

    /// Sets below which place a stream that `session` follows is hidden from it (E24).
    pub fn set_floor(&self, session: SessionId, stream: &StreamId, floor: Option<Place>) {
        self.with(|contents| contents.set_floor(session, stream, floor));
    }

    /// `state`'s answer to interest, and to a comparison that found more: its copy goes to `head`,
    /// everything after comes as pushes; the logs are known to go to `known`.
    pub fn joined(&self, stream: &StreamId, head: &Cursor, known: &Cursor) {
        self.with(|contents| contents.joined(stream, head, known));
    }

    /// A segment from `state`, by push or pull. Old ones are dropped, a gap is pulled (E16).
    pub fn push(&self, segment: Segment) {
        self.with(|contents| contents.push(segment));
    }

    /// Waits until half of the session's outbox is free for frames of its own, or the session has ended.
    pub(crate) async fn room(&self, session: SessionId) {
        poll_fn(|context| self.with(|contents| contents.poll_room(session, context))).await;
    }

    /// Of what is pulled, all up to here was lost with its origins' lives: what comes behind it is pushed
    /// after this, and followers are told a gap before it.
    pub fn lost(&self, stream: &StreamId, upto: &Cursor) {
        self.with(|contents| contents.lose(stream, upto));
    }

    /// The answer to an `Ask`.
    pub fn page(&self, session: SessionId, stream: &StreamId, page: &Page) {
        self.with(|contents| contents.page(session, stream, page));
    }

    /// Sends frames to one session. Says whether it was taken: a session whose outbox is full is closed with
    /// 4001.
    pub fn deliver(&self, session: SessionId, messages: Messages) -> bool {
        self.with(|contents| contents.deliver(session, messages.finish()))
    }

    /// Sends what may be left out: nothing to a session whose socket or outbox is behind. Says whether it was
    /// taken.
    pub(crate) fn offer(&self, session: SessionId, frames: &Frames) -> bool {
        self.with(|contents| contents.offer(session, frames))
    }

    /// Closes a session after what waits in its outbox.
    pub fn close(&self, session: SessionId, code: u16, reason: &str) {
        let frame = wire::close(code, reason);
        self.with(|contents| contents.close(session, Ended::Closed(code), frame));
    }

    /// Sets how often a session is pinged, seconds; its silence limit follows from that.
    pub fn ping_every(&self, session: SessionId, ping_s: u16) {
        self.with(|contents| contents.ping_every(session, ping_s));
    }

    /// Goes on reading a session that a message handler paused.
    pub fn resume(&self, session: SessionId) {
        self.with(|contents| contents.resume(session));
    }

    /// All streams that sessions here follow, each with its ring's heads: what is compared with `state` on a
    /// timer.
    pub fn heads(&self) -> Vec<(StreamId, Cursor)> {
        self.with(|contents| contents.heads())
    }

    /// How far a stream's ring is, if `state` has answered for it.
    pub(crate) fn joined_head(&self, stream: &StreamId) -> Option<Cursor> {
        self.with(|contents| contents.joined_head(stream))
    }

    /// Whether somebody follows `stream`, and `state`'s answer `head` is its first or is beyond the ring's.
    pub(crate) fn learns(&self, stream: &StreamId, head: &Cursor) -> bool {
        self.with(|contents| contents.learns(stream, head))
    }

    /// Who follows a stream: to look at their access again when its members change.
    pub fn followers(&self, stream: &StreamId) -> Vec<SessionId> {
        self.with(|contents| contents.followers(stream))
    }

    /// Whether `session` follows `stream`.
    pub fn follows(&self, session: SessionId, stream: &StreamId) -> bool {
        self.with(|contents| contents.follows(session, stream))
    }

    /// Whether `session` is neither closed nor being closed.
    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.with(|contents| contents.is_open(session))
    }

    /// The ring's heads of a stream that `session` follows.
    pub(crate) fn head(&self, session: SessionId, stream: &StreamId) -> Option<Cursor> {
        self.with(|contents| contents.head(session, stream))
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.with(|contents| contents.counters)
    }

    /// Writes and keeps time, for ever. Run it as a task, never as the root of `block_on`.
    pub async fn run(self) {
        unconstrained(self.ticks()).await;
    }

    async fn ticks(self) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        second.tick().await;
        loop {
            tokio::select! {
                biased;
                _ = second.tick() => self.with(|contents| contents.second()),
                () = self.dirty() => {
                    // Others go first: what they find to be written goes out together, and wakes a reader
                    // that sleeps once instead of each time.
                    tokio::task::yield_now().await;
                    self.with(|contents| contents.slice());
                }
            }
        }
    }

    /// Waits until somebody has something to be written.
    async fn dirty(&self) {
        poll_fn(|context| {
            let mut contents = self.contents.borrow_mut();
            if contents.is_dirty() {
                return Poll::Ready(());
            }
            contents.tick = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Runs `change`, then sends what it asks for: outside of the borrow, so that an answer may come at once.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Contents<S>) -> R) -> R {
        let (result, requests) = {
            let mut contents = self.contents.borrow_mut();
            let result = change(&mut contents);
            contents.wake_if_dirty();
            (result, std::mem::take(&mut contents.requests))
        };
        for request in requests {
            match request {
                Request::Interest(stream, on) => self.upstream.interest(&stream, on),
                Request::Pull(stream, from, wanted) => self.upstream.pull(&stream, &from, &wanted),
                Request::Backlog(ask) => self.upstream.backlog(ask),
            }
        }
        result
    }
}
