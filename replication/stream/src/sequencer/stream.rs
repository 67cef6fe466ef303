//! One stream as its sequencer sees it: where its chain ends, what waits, what is in flight (E10 – E13).
//!
//! ```text
//! Loading ─ head ─► Idle ─ cut ─► Unconfirmed ─ stored, or another's found ─► Idle
//!                   Idle ─ unclear ─► Looking ─ range ─► Idle
//! ```
//! A record stays in the queue until it is settled or stands in a confirmed segment, so nothing has to be put
//! back when another writer's segment is adopted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::exchange::{Action, Known, PutAnswer, Record, Why};
use super::hot::Hot;
use super::invariants::{Broken, End};
use super::partition::Turn;
use super::streams::Slot;
use super::tickets::Ticket;
use super::window::Verdict;
use crate::hlc::Hlc;
use crate::ids::StreamId;
use crate::mutant;
use crate::segment::Segment;

mod draft;
mod look;

use draft::Draft;
use look::Look;

/// What is under way for a stream.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its head is not known; the read is wanted, or asked for with this resume offset. → Idle
    Loading(Option<u64>),
    /// Its head is known and nothing is in flight. → Unconfirmed, Looking
    Idle,
    /// This segment's put has no answer (E11). It holds events of the first `taken` records, all others of
    /// which are duplicates. → Idle
    Unconfirmed { segment: Arc<Segment>, taken: usize },
    /// The window cannot tell about some records: the range is being read. → Idle
    Looking(Box<Look>),
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) record: Record,
    ticket: Ticket,
    /// It does not stand in the chain below this stamp: a range was read.
    clear: Hlc,
    fate: Fate,
    /// Of its body, which stands in the unconfirmed segment if that has this event.
    bytes: usize,
}

/// What a queued record was found to be. All but `Twin` are found anew for each cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Undecided,
    /// The chain holds it.
    Twin,
    /// It is an event of the unconfirmed segment.
    Event,
    /// An event of the unconfirmed segment is the same.
    Repeat,
}

/// What a stream wants after a cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// Its first record needs a range to be read.
    Look,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    /// In one of the partition's lists, to be cut or read.
    pub(super) listed: bool,
    /// Used since the partition last looked for a stream to drop.
    pub(super) used: bool,
    pub(super) hot: Option<Box<Hot>>,
    name: StreamId,
    slot: Slot,
    load: u64,
    end: End,
    /// All offsets below are sequenced or proven duplicates: the chain's last comparable position, plus 1.
    covered: u64,
    /// The number of the log record after whose acknowledgement all of the chain is logged.
    logged_by: u64,
    queue: VecDeque<Queued>,
    bytes: usize,
}

impl Stream {
    /// A stream that is listed to have its head read.
    pub(super) fn new(name: StreamId, slot: Slot, load: u64) -> Self {
        Self {
            phase: Phase::Loading(None),
            listed: true,
            used: true,
            hot: None,
            name,
            slot,
            load,
            end: End::default(),
            covered: 0,
            logged_by: 0,
            queue: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn name(&self) -> &StreamId {
        &self.name
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    // === accepting ===

    /// Whether its queue has no room for `record`. An empty queue always has.
    pub(super) fn is_full(&self, record: &Record, turn: &Turn) -> bool {
        let limits = &turn.desk.limits;
        let full =
            self.queue.len() >= limits.queue_records || self.bytes + record.body.len() > limits.queue_bytes;
        full && !self.queue.is_empty()
    }

    /// Takes the stream's next record in offset order.
    pub(super) fn accept(&mut self, record: Record, ticket: Ticket, turn: &mut Turn) {
        self.used = true;
        if record.offset < self.covered {
            turn.desk.counters.replayed += 1;
            self.settle(ticket, turn);
            return;
        }
        let bytes = record.body.len();
        self.bytes += bytes;
        turn.desk.held.add(bytes);
        self.queue.push_back(Queued { record, ticket, clear: Hlc::ZERO, fate: Fate::Undecided, bytes });
    }

    /// Whether something waits that a cut could move.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Idle) && !self.queue.is_empty()
    }

    pub(super) fn is_loading(&self) -> bool {
        matches!(self.phase, Phase::Loading(_))
    }

    /// Whether a hot stream's queue has drained enough to read again.
    pub(super) fn has_room(&self, turn: &Turn) -> bool {
        let limits = &turn.desk.limits;
        self.queue.len() <= limits.queue_records / 2 && self.bytes <= limits.queue_bytes / 2
    }

    /// Whether nothing would be lost by dropping it: it can be loaded again from what is below `resume`
    /// offsets.
    pub(super) fn is_at_rest(&self, turn: &Turn) -> bool {
        let idle = matches!(self.phase, Phase::Idle) && self.queue.is_empty() && !self.listed;
        idle && self.hot.is_none() && self.logged_by <= turn.desk.journal.acked()
    }

    pub(super) fn drop_window(&self, turn: &mut Turn) {
        turn.desk.window.close(self.load);
    }

    // === settling ===

    /// The record is in the chain: it is settled when the log has all of that.
    fn settle(&mut self, ticket: Ticket, turn: &mut Turn) {
        let by = if mutant!("commit_before_produce") { 0 } else { self.logged_by };
        match &mut self.hot {
            Some(hot) if ticket.own_line => hot.line.done(ticket.number, by),
            _ => turn.desk.tickets.done(ticket.number, by),
        }
    }

    /// Takes the first `count` records, all in the chain now, off the queue.
    fn take(&mut self, count: usize, turn: &mut Turn) {
        for _ in 0..count {
            let Some(Queued { record, ticket, fate, bytes, .. }) = self.queue.pop_front() else { break };
            self.bytes -= bytes;
            turn.desk.held.sub(bytes);
            self.settle(ticket, turn);
            if matches!(fate, Fate::Twin | Fate::Repeat) {
                turn.desk.counters.duplicates += 1;
                turn.desk.counters.late_originals += u64::from(!record.resend);
                let Record { stream, id, offset, .. } = record;
                turn.out.push(Action::Duplicate { stream, id, offset });
            }
        }
    }

    /// Queues a segment that the table holds for the log.
    fn log(&mut self, segment: Arc<Segment>, turn: &mut Turn) {
        self.logged_by = turn.desk.journal.segment(segment, self.end.prefix);
    }

    /// The queue's first records that the chain covers are settled.
    fn take_covered(&mut self, turn: &mut Turn) {
        let count = self.queue.iter().take_while(|queued| queued.record.offset < self.covered).count();
        turn.desk.counters.replayed += count as u64;
        self.take(count, turn);
    }

    // === loading (E10) ===

    /// Asks for the chain's end. Whatever stands at `resume` or later may be missing in the log.
    pub(super) fn read_head(&mut self, resume: u64, turn: &mut Turn) {
        self.phase = Phase::Loading(Some(resume));
        turn.out.push(Action::ReadHead { stream: self.name.clone(), resume });
    }

    /// The chain's end is here. Segments that may be missing in the log are produced again, never only
    /// recognised: the put may have been done and the produce not.
    pub(super) fn loaded(&mut self, chain: &[Arc<Segment>], turn: &mut Turn) -> Result<bool, Why> {
        let Phase::Loading(Some(resume)) = self.phase else { return Ok(false) };
        self.phase = Phase::Idle;
        if let Some(oldest) = chain.first() {
            self.end = End {
                seq: oldest.first.saturating_sub(1),
                hlc: Hlc::ZERO,
                prefix: oldest.prefix,
                member: oldest.member_before,
            };
        }
        let floor = chain.first().filter(|oldest| oldest.first > 1).and_then(|s| s.stamps.first().copied());
        turn.desk.window.open(self.load, floor.unwrap_or(Hlc::ZERO));
        for segment in chain {
            self.append(segment, turn)?;
            let comparable = turn.desk.place.comparable(segment.from);
            if comparable.is_some_and(|offset| offset >= resume) && !mutant!("replay_without_reproduce") {
                turn.desk.counters.reproduced += 1;
                self.log(segment.clone(), turn);
            }
        }
        self.take_covered(turn);
        Ok(true)
    }

    /// Takes a segment that the table holds as the chain's next.
    fn append(&mut self, segment: &Arc<Segment>, turn: &mut Turn) -> Result<(), Why> {
        let foreign = segment.stream != self.name || segment.origin != turn.desk.place.origin;
        let fits = if foreign { Err(Broken::Foreign) } else { self.end.admits(segment) };
        fits.map_err(|broken| Why::Chain(self.name.clone(), broken))?;
        self.end = End::of(segment);
        if let Some(offset) = turn.desk.place.comparable(segment.from) {
            self.covered = self.covered.max(offset + 1);
        }
        for (_, stamp, body) in segment.events() {
            match (turn.desk.peek)(body) {
                Some(known) => self.remember(known, stamp, turn),
                None => turn.desk.counters.unreadable += 1,
            }
        }
        Ok(())
    }

    fn remember(&self, event: Known, hlc: Hlc, turn: &mut Turn) {
        let reused = turn.desk.window.remember(self.load, event, hlc);
        turn.desk.counters.reused_ids += u64::from(reused);
    }

    // === cutting and confirming (E11, E12) ===

    /// Makes the next segment of what waits, and settles what turns out to be in the chain already.
    pub(super) fn cut(&mut self, turn: &mut Turn) -> Wants {
        let mut draft = Draft::new(self.end.hlc, self.queue.len());
        let mut taken = 0;
        for queued in &mut self.queue {
            match queued.judge(self.load, turn) {
                Verdict::Unclear => break,
                Verdict::Duplicate => queued.fate = Fate::Twin,
                Verdict::New if draft.repeats(&queued.record) => queued.fate = Fate::Repeat,
                Verdict::New => {
                    if draft.is_full(&queued.record, &turn.desk.limits) {
                        break;
                    }
                    draft.add(&mut queued.record, turn.wall_ms);
                    queued.fate = Fate::Event;
                }
            }
            taken += 1;
        }
        if let Some(segment) = draft.finish(&self.name, &self.end, &turn.desk.place) {
            turn.desk.unconfirmed += 1;
            turn.out.push(Action::Put(segment.clone()));
            self.phase = Phase::Unconfirmed { segment, taken };
            if mutant!("two_puts") {
                self.confirm(turn);
            }
            return Wants::Nothing;
        }
        self.take(taken, turn);
        if self.queue.is_empty() { Wants::Nothing } else { Wants::Look }
    }

    /// The put's answer.
    pub(super) fn answered(&mut self, answer: PutAnswer, turn: &mut Turn) -> Result<bool, Why> {
        let Phase::Unconfirmed { segment, .. } = &self.phase else { return Ok(mutant!("two_puts")) };
        match answer {
            PutAnswer::Unknown => {
                turn.desk.counters.lost_puts += 1;
                turn.out.push(Action::Put(segment.clone()));
            }
            PutAnswer::Stored => self.confirm(turn),
            PutAnswer::Found(found) if *found == **segment => {
                turn.desk.counters.found_own += 1;
                self.confirm(turn);
            }
            PutAnswer::Found(found) => self.adopt(found, turn)?,
        }
        Ok(true)
    }

    fn confirm(&mut self, turn: &mut Turn) {
        let Phase::Unconfirmed { segment, taken } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        turn.desk.unconfirmed -= 1;
        turn.desk.counters.segments += 1;
        turn.desk.counters.events += segment.stamps.len() as u64;
        self.covered = segment.from.offset + 1;
        let mut stamps = segment.stamps.iter();
        for queued in self.queue.iter().take(taken).filter(|queued| queued.fate == Fate::Event) {
            let stamp = stamps.next().copied().unwrap_or_default();
            self.remember(queued.record.known(), stamp, turn);
        }
        // Hashing comes last: it makes up for the waiting for memory that remembering is.
        self.end = End::of(&segment);
        self.log(segment, turn);
        self.take(taken, turn);
    }

    /// Nothing is unconfirmed any more, and what was, waits again with its bodies.
    fn take_back(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let Phase::Unconfirmed { segment, taken } = phase else { return };
        let events = self.queue.iter_mut().take(taken).filter(|queued| queued.fate == Fate::Event);
        for (queued, body) in events.zip(&segment.bodies) {
            queued.record.body = body.clone();
        }
    }

    /// Another writer was first. Its segment is the chain's next: head, stamp and position come from it, and
    /// its bytes go to the log before anything later of the stream. By the invariant of every writer it
    /// covers what we have up to its position; the rest goes into a segment of our own.
    fn adopt(&mut self, found: Arc<Segment>, turn: &mut Turn) -> Result<(), Why> {
        self.take_back();
        turn.desk.unconfirmed -= 1;
        turn.desk.counters.adopted += 1;
        self.append(&found, turn)?;
        if !mutant!("forget_adopt") {
            self.log(found, turn);
        }
        self.take_covered(turn);
        Ok(())
    }
}

impl Queued {
    fn judge(&self, load: u64, turn: &Turn) -> Verdict {
        match self.fate {
            Fate::Twin => Verdict::Duplicate,
            _ => turn.desk.window.judge(load, self.record.known(), self.clear),
        }
    }
}

impl Record {
    fn known(&self) -> Known {
        Known { id: self.id, content: self.content, resend: self.resend }
    }
}
