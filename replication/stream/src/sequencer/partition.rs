//! The machine: routes records and answers to streams, lets out no more than the bounds allow, commits.

use std::collections::VecDeque;
use std::sync::Arc;

use super::exchange::{Action, Counters, Input, Limits, Peek, PutAnswer, Why};
use super::hot::Held;
use super::journal::Journal;
use super::stream::Stream;
use super::streams::{Slot, Streams};
use super::takeover::{Opening, Place};
use super::tickets::Tickets;
use super::window::Window;
use crate::digest::LogHash;
use crate::ids::StreamId;
use crate::mutant;
use crate::segment::{LogPos, Segment};

mod advance;
mod feed;

/// One ingress partition, sequenced, for one term.
#[derive(Debug)]
pub struct Partition {
    streams: Streams,
    desk: Desk,
    /// Streams that wait for a read: of their head, or of a range.
    to_read: VecDeque<Slot>,
    /// Streams that have something to cut.
    to_cut: VecDeque<Slot>,
    /// Streams that may be dropped, least lately used first (a second chance for those used since).
    droppable: VecDeque<Slot>,
    /// Streams that stand alone (E8).
    hot: Vec<Slot>,
    /// Where the page of ingress that is being read again begins.
    rereading: Option<u64>,
    loads: u64,
    reads: usize,
    /// Whether the answer is awaited to whether a newer term was opened.
    asking_term: bool,
    /// Log records handed out since that was last asked.
    unasked: usize,
    /// The offset after the last record that was fed.
    consumed: u64,
    committed: u64,
    paused: bool,
    ended: bool,
}

/// What the streams of a partition share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) place: Place,
    pub(super) limits: Limits,
    pub(super) peek: Peek,
    pub(super) window: Window,
    pub(super) journal: Journal,
    pub(super) tickets: Tickets,
    pub(super) held: Held,
    pub(super) unconfirmed: usize,
    pub(super) counters: Counters,
}

/// One call of [`Partition::handle`].
pub(super) struct Turn<'a> {
    pub(super) desk: &'a mut Desk,
    pub(super) wall_ms: u64,
    pub(super) out: &'a mut Vec<Action>,
}

/// How a machine ends.
enum Halt {
    Restart,
    Stop(Why),
}

impl From<Why> for Halt {
    fn from(why: Why) -> Self {
        Self::Stop(why)
    }
}

impl Partition {
    /// The machine of one takeover, once its opening checkpoint is put. `peek` reads ids out of stored
    /// bodies. Clients choose ids: with a `salt` that they cannot know they cannot choose such as stand in
    /// each other's way.
    pub fn new(opening: Opening, limits: Limits, peek: Peek, salt: u64) -> Self {
        let desk = Desk {
            window: Window::new(limits.window_ids, limits.window_resends, salt),
            journal: Journal::new(&opening),
            place: opening.place,
            limits,
            peek,
            tickets: Tickets::default(),
            held: Held::default(),
            unconfirmed: 0,
            counters: Counters::default(),
        };
        Self {
            streams: Streams::default(),
            desk,
            to_read: VecDeque::new(),
            to_cut: VecDeque::new(),
            droppable: VecDeque::new(),
            hot: Vec::new(),
            rereading: None,
            loads: 0,
            reads: 0,
            asking_term: false,
            unasked: 0,
            consumed: opening.resume,
            committed: opening.resume,
            paused: false,
            ended: false,
        }
    }

    /// Takes in what happened, at the clamped wall time `wall_ms`; appends what must be done, in order.
    ///
    /// Never fails: what cannot go on ends the machine with [`Action::Restart`] or [`Action::Stop`], after
    /// which it takes nothing in any more.
    pub fn handle(&mut self, input: Input, wall_ms: u64, out: &mut Vec<Action>) {
        if self.ended {
            return;
        }
        let end = match self.take(input, wall_ms, out) {
            Ok(()) => return self.advance(wall_ms, out),
            Err(Halt::Restart) => Action::Restart,
            Err(Halt::Stop(why)) => Action::Stop(why),
        };
        self.ended = true;
        out.push(end);
    }

    /// The position that the next log record gets and the running hash of all before it: what a mark says.
    /// `None` while a mark waits to be handed out: no other one is due then.
    pub fn tip(&self) -> Option<(LogPos, LogHash)> {
        self.may_mark().then(|| self.desk.journal.tip())
    }

    /// Whether publishes to `stream` are to be answered `overloaded` (E8).
    pub fn overloaded(&self, stream: &StreamId) -> bool {
        let stream = self.streams.find(stream).and_then(|slot| self.streams.get(slot));
        let hot = stream.and_then(|stream| stream.hot.as_ref());
        self.paused || hot.is_some_and(|hot| hot.is_skipping())
    }

    /// The offset after the last record that was fed.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Every record below this offset is settled.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// How often each path was taken.
    pub fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// What it remembers of ids.
    #[cfg(test)]
    pub(super) fn window(&self) -> &Window {
        &self.desk.window
    }

    fn take(&mut self, input: Input, wall_ms: u64, out: &mut Vec<Action>) -> Result<(), Halt> {
        match input {
            Input::Records(records) => self.feed(records, wall_ms, out),
            Input::Reread { records, next } => self.feed_again(records, next, wall_ms, out),
            Input::Head { stream, chain } => {
                let asked = self.answer(&stream, wall_ms, out, |stream, turn| stream.loaded(&chain, turn))?;
                self.reads -= usize::from(asked);
            }
            Input::Range { stream, segments, complete } => {
                self.range(&stream, &segments, complete, wall_ms, out)?;
            }
            Input::Put { stream, answer } => self.put(&stream, answer, wall_ms, out)?,
            Input::Produced { pos, offset: Some(offset) } => self.produced(pos, offset, out),
            Input::Produced { offset: None, .. } => return Err(Halt::Restart),
            Input::Tick { mark } => self.tick(mark.as_ref(), out),
            Input::Term { newer } => {
                self.desk.counters.unexpected += u64::from(!std::mem::take(&mut self.asking_term));
                // Its opening is what the next takeover goes by: what is written here would not be counted.
                if newer && !mutant!("ignore_newer_term") {
                    return Err(Halt::Restart);
                }
            }
            Input::Revoked => return Err(Halt::Stop(Why::Stale)),
        }
        Ok(())
    }

    // === answers ===

    /// Hands an answer to its stream and lists the stream if it can go on. False if nobody had asked.
    fn answer(
        &mut self,
        name: &StreamId,
        wall_ms: u64,
        out: &mut Vec<Action>,
        then: impl FnOnce(&mut Stream, &mut Turn) -> Result<bool, Why>,
    ) -> Result<bool, Halt> {
        let mut asked = false;
        if let Some(stream) = self.streams.find(name).and_then(|slot| self.streams.get_mut(slot)) {
            let mut turn = Turn { desk: &mut self.desk, wall_ms, out };
            asked = then(stream, &mut turn)?;
            list(stream, &mut self.to_cut);
        }
        self.desk.counters.unexpected += u64::from(!asked);
        Ok(asked)
    }

    fn range(
        &mut self,
        name: &StreamId,
        page: &[Arc<Segment>],
        complete: bool,
        wall_ms: u64,
        out: &mut Vec<Action>,
    ) -> Result<(), Halt> {
        let asked = self.answer(name, wall_ms, out, |stream, turn| stream.range(page, complete, turn))?;
        self.reads -= usize::from(asked && complete);
        Ok(())
    }

    fn put(
        &mut self,
        name: &StreamId,
        answer: PutAnswer,
        wall_ms: u64,
        out: &mut Vec<Action>,
    ) -> Result<(), Halt> {
        self.answer(name, wall_ms, out, |stream, turn| stream.answered(answer, turn)).map(drop)
    }
}

/// Lists the stream if it has something to cut.
fn list(stream: &mut Stream, to_cut: &mut VecDeque<Slot>) {
    if stream.is_ready() && !stream.listed {
        stream.listed = true;
        to_cut.push_back(stream.slot());
    }
}
