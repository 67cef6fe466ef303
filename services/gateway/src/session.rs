//! One connected device, as lean as it can be: 10,000 of them cost what their sockets cost.
//!
//! A session owns no queue of events: per stream it has an index into the shared ring. Its own frames (acks,
//! errors, pings, backlog) wait in an outbox that exists only while there are some.

use std::collections::VecDeque;
use std::task::Waker;

use smallvec::SmallVec;
use sterna_stream::Cursor;

use crate::wire::{Encoding, Frames};

/// Names a session for as long as its shard lives; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// This side closed it, with this code.
    Closed(u16),
    /// The client closed it, with its code if it gave one.
    Left(Option<u16>),
    /// The connection broke.
    Lost,
}

/// `Open → Closing → Draining → Gone`, or from anywhere straight to `Gone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Follows, is sent to, is listened to.
    Open,
    /// The close frame is the last one in the outbox; nothing is listened to.
    Closing(Ended),
    /// All is sent and the sending side shut; waits for the client's end.
    Draining(Ended),
    /// Nothing is left but the socket, which its reader drops.
    Gone(Ended),
}

/// A place in a ring.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) ring: u32,
    /// This session's place among the ring's members.
    pub(crate) place: u32,
    /// Index of the next entry to send; unused in backlog mode.
    pub(crate) at: u64,
    /// Backlog mode: how far the join is. `None` = live.
    pub(crate) join: Option<Box<Join>>,
}

/// A follow in backlog mode (docs/protocol.md, section 8).
#[derive(Debug)]
pub(crate) struct Join {
    /// All up to here is in the client's hands or in the outbox.
    pub(crate) sent: Cursor,
    /// Until a page has come.
    pub(crate) tail: Option<u32>,
    /// The ring keeps entries from here on for this join, as long as its bound allows.
    pub(crate) since: u64,
    pub(crate) step: Step,
    /// Since when the next event is not to be had, in shard seconds.
    pub(crate) waiting_s: Option<u32>,
    pub(crate) told_waiting: bool,
    /// Where it starts is to be told first, by a gap from the beginning.
    pub(crate) tell: bool,
}

/// `Interest → Queued → Asked → Sending → (live | Asked | Waiting → Queued)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits for `state` to say where pushes begin.
    Interest,
    /// Waits for the session's other joins: one page at a time.
    Queued,
    /// Waits for a page.
    Asked,
    /// The page is in the outbox; `true` if it brought anything.
    Sending(bool),
    /// What comes next is not readable yet; asks again on a timer.
    Waiting,
}

/// Frames for one session alone, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) frames: VecDeque<Queued>,
    /// Bytes of all of them.
    pub(crate) bytes: usize,
    /// Count and bytes of frames that were delivered singly; pages and joins are bounded by their own limits.
    pub(crate) own_frames: usize,
    pub(crate) own_bytes: usize,
    /// Rings whose joins wait for their turn; the first has it.
    pub(crate) joins: VecDeque<u32>,
    /// Who has more to deliver when its own frames are written, or will never be.
    pub(crate) waits: Option<Waker>,
}

/// Frames in an outbox.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) frames: Frames,
    /// Delivered singly, and counted as such.
    pub(crate) own: bool,
}

/// Frames of which a part is written: nothing else may be written before their end, and the ring may forget
/// them.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) frames: Frames,
    pub(crate) written: u32,
}

impl Outbox {
    /// Takes the oldest frames off.
    pub(crate) fn pop(&mut self) -> Option<Frames> {
        let Queued { frames, own } = self.frames.pop_front()?;
        self.bytes -= frames.len();
        if own {
            self.own_frames -= 1;
            self.own_bytes -= frames.len();
            if self.own_frames == 0 {
                self.give_room();
            }
        }
        Some(frames)
    }

    /// Lets whoever waits go on.
    fn give_room(&mut self) {
        if let Some(waits) = self.waits.take() {
            waits.wake();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.give_room();
    }
}

#[derive(Debug)]
pub(crate) struct Session<S> {
    pub(crate) socket: S,
    pub(crate) follows: SmallVec<[Follow; 2]>,
    pub(crate) partial: Option<Partial>,
    pub(crate) outbox: Option<Box<Outbox>>,
    pub(crate) reader: Option<Waker>,
    pub(crate) generation: u32,
    /// Shard seconds: last byte received, last ping sent, last byte taken, next look by the wheel.
    pub(crate) heard_s: u32,
    pub(crate) pinged_s: u32,
    pub(crate) took_s: u32,
    pub(crate) look_s: u32,
    pub(crate) ping_s: u16,
    pub(crate) encoding: Encoding,
    pub(crate) phase: Phase,
    /// The socket takes nothing: its reader waits for writability, everybody else leaves it alone.
    pub(crate) blocked: bool,
    /// In the queue of sessions with frames of their own.
    pub(crate) queued: bool,
    pub(crate) paused: bool,
}

impl<S> Session<S> {
    pub(crate) fn new(socket: S, encoding: Encoding, generation: u32, now_s: u32, ping_s: u16) -> Self {
        Self {
            socket,
            follows: SmallVec::new(),
            partial: None,
            outbox: None,
            reader: None,
            generation,
            heard_s: now_s,
            pinged_s: now_s,
            took_s: now_s,
            look_s: u32::MAX,
            ping_s,
            encoding,
            phase: Phase::Open,
            blocked: false,
            queued: false,
            paused: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Wakes the task that reads this session's socket.
    pub(crate) fn wake(&self) {
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    /// Whoever waits for room in the outbox goes on, and sees what became of the session.
    pub(crate) fn give_room(&mut self) {
        if let Some(outbox) = &mut self.outbox {
            outbox.give_room();
        }
    }

    /// Puts frames of a page or a join behind all others.
    pub(crate) fn put(&mut self, frames: Frames) {
        if !frames.is_empty() {
            let outbox = self.outbox.get_or_insert_default();
            outbox.bytes += frames.len();
            outbox.frames.push_back(Queued { frames, own: false });
        }
    }

    /// Puts a frame of its own behind all others.
    pub(crate) fn put_own(&mut self, frames: Frames) {
        let outbox = self.outbox.get_or_insert_default();
        outbox.bytes += frames.len();
        outbox.own_frames += 1;
        outbox.own_bytes += frames.len();
        outbox.frames.push_back(Queued { frames, own: true });
    }

    /// Whether so much waits to be written that nothing is to be added which the session asked for.
    pub(crate) fn is_full(&self, most_bytes: usize) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.bytes >= most_bytes)
    }

    pub(crate) fn follow_of(&self, ring: u32) -> Option<usize> {
        self.follows.iter().position(|follow| follow.ring == ring)
    }

    /// Gives up the outbox when nothing is in it.
    pub(crate) fn tidy(&mut self) -> Option<Box<Outbox>> {
        let mut outbox = self.outbox.take_if(|o| o.frames.is_empty() && o.joins.is_empty())?;
        outbox.give_room();
        Some(outbox)
    }
}
