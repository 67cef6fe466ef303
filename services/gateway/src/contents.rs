//! What a shard consists of: opening, delivering, closing.
//!
//! Every change is synchronous; whoever calls holds the shard alone. Joining streams is [`crate::join`]'s,
//! writing [`crate::tick`]'s, deadlines are [`crate::beat`]'s.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use sterna_stream::limits::CURSOR_ORIGINS;
use sterna_stream::map::Map;
use sterna_stream::{Cursor, Origin, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits::{CLOSE_S, Limits, SPARE_FRAMES, SPARE_OUTBOXES};
use crate::ring::Ring;
use crate::seams::{Ask, Encode};
use crate::session::{Ended, Outbox, Phase, Session, SessionId};
use crate::shard::Refused;
use crate::tick::dirty::Dirty;
use crate::wheel::Wheel;
use crate::wire::{self, Encoding, Frames, Messages};

/// What happened on a shard since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments entered into rings.
    pub entered: u64,
    /// Segments dropped because the ring had them.
    pub old: u64,
    /// Segments of streams that nobody here follows.
    pub unwanted: u64,
    /// Entries pushed out of a full ring.
    pub evicted: u64,
    /// Pulls because of a gap, repeats included.
    pub pulls: u64,
    /// Backlog pages asked for.
    pub asked: u64,
    /// Pages not used: too large, or with a hole.
    pub bad_pages: u64,
    /// Joins completed.
    pub joins: u64,
    /// Sessions closed with 4001: fell out of a ring, outbox full, or stalled in backlog mode.
    pub slow: u64,
    /// Sessions closed with 4100.
    pub silent: u64,
    /// Times that a session had said as many frames as it may and was not read until the next second.
    pub held_back: u64,
    /// Writes that took bytes.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Writes that left something behind because the socket was full.
    pub blocked: u64,
}

/// What a change asks of the upstream.
#[derive(Debug)]
pub(crate) enum Request {
    Interest(StreamId, bool),
    Pull(StreamId, Cursor, Cursor),
    Backlog(Ask),
}

/// What is tried again after a while.
#[derive(Debug)]
pub(crate) enum Retry {
    Pull(StreamId),
    Join(SessionId, StreamId),
}

pub(crate) struct Contents<S> {
    pub(crate) limits: Limits,
    pub(crate) encode: Rc<dyn Encode>,
    pub(crate) sessions: Slab<Session<S>>,
    pub(crate) rings: Slab<Ring>,
    pub(crate) by_stream: Map<StreamId, u32>,
    pub(crate) requests: Vec<Request>,
    pub(crate) counters: Counters,
    pub(crate) tick: Option<Waker>,
    /// In order of time, because all wait equally long.
    pub(crate) retries: VecDeque<(u32, Retry)>,
    pub(crate) wheel: Wheel<SessionId>,
    /// Who has said too much for this second; each at most once, as nobody here is read.
    pub(crate) held_back: Vec<SessionId>,
    /// One buffer for all reads of this thread; out while somebody decodes from it.
    pub(crate) buffer: Option<Box<[u8]>>,
    origins: Vec<Origin>,
    generation: u32,
    /// Rings with members behind.
    pub(crate) dirty: Dirty,
    /// Sessions with frames of their own; each at most once.
    pub(crate) pending: VecDeque<SessionId>,
    /// Empty outboxes for the next acks.
    #[expect(clippy::vec_box, reason = "they move into sessions as they are")]
    pub(crate) spare: Vec<Box<Outbox>>,
    pub(crate) pings: [Frames; 2],
}

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    pub(crate) fn new(limits: Limits, encode: Rc<dyn Encode>) -> Self {
        let pings = Encoding::ALL.map(|encoding| {
            let mut out = Messages::new(encoding);
            encode.ping(&mut out);
            out.finish()
        });
        Self {
            limits,
            encode,
            sessions: Slab::new(),
            rings: Slab::new(),
            by_stream: Map::default(),
            requests: Vec::new(),
            counters: Counters::default(),
            tick: None,
            retries: VecDeque::new(),
            wheel: Wheel::new(),
            held_back: Vec::new(),
            buffer: None,
            origins: Vec::new(),
            generation: 0,
            dirty: Dirty::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            pings,
        }
    }

    pub(crate) fn open(&mut self, socket: S, encoding: Encoding) -> Result<SessionId, Refused> {
        if self.sessions.len() >= self.limits.sessions {
            return Err(Refused::Sessions);
        }
        self.generation += 1;
        let now_s = self.wheel.now_s();
        let session = Session::new(socket, encoding, self.generation, now_s, self.limits.ping_s);
        let slot = self.sessions.insert(session) as u32;
        self.look_later(slot);
        Ok(SessionId { slot, generation: self.generation })
    }

    /// The session, unless it has ended and its place is another's.
    pub(crate) fn session(&mut self, id: SessionId) -> Option<&mut Session<S>> {
        self.sessions.get_mut(id.slot as usize).filter(|session| session.generation == id.generation)
    }

    pub(crate) fn deliver(&mut self, id: SessionId, frames: Frames) -> bool {
        let (most_frames, most_bytes) = (self.limits.outbox_frames, self.limits.outbox_bytes);
        let Some(session) = self.session(id).filter(|session| session.is_open()) else { return false };
        if session.outbox.is_none() {
            self.sessions[id.slot as usize].outbox = Some(self.spare.pop().unwrap_or_default());
        }
        let session = &mut self.sessions[id.slot as usize];
        let outbox = session.outbox.get_or_insert_default();
        if outbox.own_frames >= most_frames || outbox.own_bytes + frames.len() > most_bytes {
            self.close_slow(id.slot);
            return false;
        }
        session.put_own(frames);
        self.queue(id.slot);
        true
    }

    /// Ready when half of the session's outbox is free for frames of its own, or it is closed. Whoever
    /// answers one frame with many waits for this between them, so that a session is slow only if it does
    /// not read.
    pub(crate) fn poll_room(&mut self, id: SessionId, context: &mut Context<'_>) -> Poll<()> {
        let (most_frames, most_bytes) = (self.limits.outbox_frames / 2, self.limits.outbox_bytes / 2);
        let session = self.session(id).filter(|session| session.is_open());
        let Some(outbox) = session.and_then(|session| session.outbox.as_mut()) else {
            return Poll::Ready(());
        };
        if outbox.own_frames < most_frames && outbox.own_bytes < most_bytes {
            return Poll::Ready(());
        }
        outbox.waits = Some(context.waker().clone());
        Poll::Pending
    }

    /// Delivers to a session that is not behind, and leaves three quarters of its outbox to what must be
    /// delivered.
    pub(crate) fn offer(&mut self, id: SessionId, frames: &Frames) -> bool {
        let (most_frames, most_bytes) = (self.limits.outbox_frames / 4, self.limits.outbox_bytes / 4);
        let Some(session) = self.session(id).filter(|session| session.is_open() && !session.blocked) else {
            return false;
        };
        let (own, bytes) =
            session.outbox.as_ref().map_or((0, 0), |outbox| (outbox.own_frames, outbox.own_bytes));
        if own >= most_frames || bytes + frames.len() > most_bytes {
            return false;
        }
        session.put_own(frames.clone());
        self.queue(id.slot);
        true
    }

    /// Frees a session's outbox when nothing is in it. A few are kept: nearly every ack would make one.
    pub(crate) fn tidy(&mut self, slot: u32) {
        if let Some(outbox) = self.sessions[slot as usize].tidy()
            && self.spare.len() < SPARE_OUTBOXES
            && outbox.frames.capacity().max(outbox.joins.capacity()) <= SPARE_FRAMES
        {
            debug_assert_eq!((outbox.bytes, outbox.own_frames, outbox.own_bytes), (0, 0, 0));
            self.spare.push(outbox);
        }
    }

    pub(crate) fn close(&mut self, id: SessionId, ended: Ended, frame: Frames) {
        if self.session(id).is_some_and(|session| session.is_open()) {
            self.close_now(id.slot, ended, frame);
        }
    }

    /// G9, rule 21: cut off, never served with something left out.
    pub(crate) fn close_slow(&mut self, slot: u32) {
        self.counters.slow += 1;
        self.sessions[slot as usize].outbox = None;
        self.close_now(slot, Ended::Closed(4001), wire::close(4001, "slow"));
    }

    pub(crate) fn close_now(&mut self, slot: u32, ended: Ended, frame: Frames) {
        let now_s = self.wheel.now_s();
        let session = &mut self.sessions[slot as usize];
        session.phase = Phase::Closing(ended);
        session.took_s = now_s;
        session.put_own(frame);
        session.give_room();
        self.leave_all(slot);
        self.queue(slot);
        self.look_at(slot, now_s + CLOSE_S);
    }

    /// The connection is of no use any more; its reader takes it away.
    pub(crate) fn gone(&mut self, slot: u32, ended: Ended) {
        let session = &mut self.sessions[slot as usize];
        session.phase = Phase::Gone(ended);
        session.partial = None;
        session.outbox = None;
        session.wake();
        self.leave_all(slot);
    }

    /// The reader is gone, and the socket with it.
    pub(crate) fn remove(&mut self, id: SessionId) {
        if let Some(session) = self.session(id) {
            session.phase = Phase::Gone(Ended::Lost);
            self.leave_all(id.slot);
            self.sessions.remove(id.slot as usize);
        }
    }

    pub(crate) fn ping_every(&mut self, id: SessionId, ping_s: u16) {
        if let Some(session) = self.session(id) {
            session.ping_s = ping_s.max(1);
            self.look_later(id.slot);
        }
    }

    pub(crate) fn resume(&mut self, id: SessionId) {
        if let Some(session) = self.session(id) {
            session.paused = false;
            session.wake();
        }
    }

    pub(crate) fn follows(&mut self, id: SessionId, stream: &StreamId) -> bool {
        let Some(&ring_id) = self.by_stream.get(stream) else { return false };
        self.session(id).is_some_and(|session| session.follow_of(ring_id).is_some())
    }

    pub(crate) fn head(&mut self, id: SessionId, stream: &StreamId) -> Option<Cursor> {
        let ring_id = self.by_stream.get(stream).copied()?;
        self.session(id)?.follow_of(ring_id)?;
        Some(self.rings[ring_id as usize].heads.clone())
    }

    pub(crate) fn joined_head(&self, stream: &StreamId) -> Option<Cursor> {
        let ring = self.by_stream.get(stream).map(|&ring_id| &self.rings[ring_id as usize])?;
        ring.joined.then(|| ring.heads.clone())
    }

    pub(crate) fn learns(&self, stream: &StreamId, head: &Cursor) -> bool {
        let ring = self.by_stream.get(stream).map(|&ring_id| &self.rings[ring_id as usize]);
        ring.is_some_and(|ring| !ring.joined || !ring.heads.covers(head))
    }

    pub(crate) fn heads(&self) -> Vec<(StreamId, Cursor)> {
        self.rings.iter().map(|(_, ring)| (ring.stream.clone(), ring.heads.clone())).collect()
    }

    pub(crate) fn followers(&self, stream: &StreamId) -> Vec<SessionId> {
        let members = self.by_stream.get(stream).map(|&ring_id| &self.rings[ring_id as usize].members);
        let id = |slot: u32| SessionId { slot, generation: self.sessions[slot as usize].generation };
        members.into_iter().flatten().map(|member| id(member.session)).collect()
    }

    /// The same cursor with origins' names that are shared by all rings.
    pub(crate) fn interned(&mut self, cursor: &Cursor) -> Cursor {
        let mut shared = Cursor::new();
        for (origin, seq) in cursor.iter() {
            let known = self.origins.iter().find(|known| *known == origin).cloned();
            if known.is_none() && self.origins.len() < CURSOR_ORIGINS {
                self.origins.push(origin.clone());
            }
            shared.advance(&known.unwrap_or_else(|| origin.clone()), seq);
        }
        shared
    }
}
