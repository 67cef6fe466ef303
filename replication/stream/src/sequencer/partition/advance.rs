//! What follows from an input: cuts, reads, acknowledged log records, re-reading, the commit; each within its
//! bound.

use super::{Partition, Turn};
use crate::segment::LogPos;
use crate::sequencer::exchange::Action;
use crate::sequencer::stream::Wants;

impl Partition {
    /// Does what the bounds allow now.
    pub(super) fn advance(&mut self, wall_ms: u64, out: &mut Vec<Action>) {
        self.cut(wall_ms, out);
        self.read(wall_ms, out);
        self.unasked += self.desk.journal.send(self.desk.limits.unacked_records, out);
        if self.unasked >= self.desk.limits.term_records {
            self.ask_term(out);
        }
        self.commit(out);
        self.pause(out);
        self.reread(wall_ms, out);
    }

    /// Whether another put, or a load, keeps the log's unacknowledged records within their bound.
    fn has_room(&self) -> bool {
        self.desk.unconfirmed + self.desk.journal.len() < self.desk.limits.unacked_records
    }

    fn cut(&mut self, wall_ms: u64, out: &mut Vec<Action>) {
        while !self.to_cut.is_empty() && self.has_room() {
            let Some(slot) = self.to_cut.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(slot) else { continue };
            let mut turn = Turn { desk: &mut self.desk, wall_ms, out };
            stream.listed = false;
            let wants = if stream.is_ready() { stream.cut(&mut turn) } else { Wants::Nothing };
            if wants == Wants::Look {
                stream.listed = true;
                self.to_read.push_back(slot);
            }
        }
    }

    fn read(&mut self, wall_ms: u64, out: &mut Vec<Action>) {
        if self.to_read.is_empty() {
            return;
        }
        let resume = self.low();
        while self.reads < self.desk.limits.reads && self.has_room() {
            let Some(slot) = self.to_read.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(slot) else { continue };
            let mut turn = Turn { desk: &mut self.desk, wall_ms, out };
            stream.listed = false;
            if stream.is_loading() {
                stream.read_head(resume, &mut turn);
            } else {
                stream.look(&mut turn);
            }
            self.reads += 1;
        }
    }

    // === the log's answers ===

    pub(super) fn produced(&mut self, pos: LogPos, offset: u64, out: &mut Vec<Action>) {
        if !self.desk.journal.acknowledge(pos, offset) {
            self.desk.counters.unexpected += 1;
            return;
        }
        while self.desk.journal.pop() {
            if self.desk.journal.is_index_full(self.desk.limits.checkpoint_bytes) {
                self.commit(out);
                out.push(Action::Checkpoint(Box::new(self.desk.journal.checkpoint(self.committed))));
            }
        }
    }

    /// Marks go out under any load, or second acks would wait for a pause (E9): one may be queued above the
    /// bound.
    pub(super) fn may_mark(&self) -> bool {
        !self.ended && !self.desk.journal.is_mark_waiting()
    }

    pub(super) fn tick(&mut self, mark: Option<&[u8; 32]>, out: &mut Vec<Action>) {
        if let Some(mark) = mark.filter(|_| self.may_mark()) {
            self.desk.journal.mark(mark);
        }
        out.push(Action::Checkpoint(Box::new(self.desk.journal.checkpoint(self.committed))));
        self.ask_term(out);
    }

    /// Asks whether somebody, deposed before it could write, left an opening of a higher term behind (E21).
    fn ask_term(&mut self, out: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.asking_term, true) {
            self.unasked = 0;
            out.push(Action::ReadTerm);
        }
    }

    // === the ingress ===

    /// Moves the commit to the first offset that is not settled, in the partition's line or a hot stream's.
    fn commit(&mut self, out: &mut Vec<Action>) {
        let mut low = self.low();
        if !self.hot.is_empty() {
            low = low.min(self.low_of_hot());
        }
        debug_assert!(low >= self.committed, "what is settled stays settled");
        if low > self.committed {
            self.committed = low;
            out.push(Action::Commit(low));
        }
    }

    /// The first offset in the partition's line that is not settled.
    fn low(&mut self) -> u64 {
        self.desk.tickets.low(self.desk.journal.acked()).unwrap_or(self.consumed)
    }

    /// The first offset of streams that stand alone that is not settled. Those that have none do not stand
    /// alone any more.
    fn low_of_hot(&mut self) -> u64 {
        let (mut low, acked) = (u64::MAX, self.desk.journal.acked());
        let streams = &mut self.streams;
        self.hot.retain(|slot| {
            let Some(stream) = streams.get_mut(*slot) else { return false };
            let held = stream.hot.as_mut().and_then(|hot| hot.low(acked));
            low = low.min(held.unwrap_or(low));
            if held.is_none() {
                stream.hot = None;
            }
            held.is_some()
        });
        low
    }

    fn pause(&mut self, out: &mut Vec<Action>) {
        let (limits, held) = (&self.desk.limits, &self.desk.held);
        let pause = match self.paused {
            false => held.reaches(limits.held_records, limits.held_bytes),
            true => held.reaches(limits.held_records.div_ceil(2), limits.held_bytes.div_ceil(2)),
        };
        if pause != self.paused {
            self.paused = pause;
            self.desk.counters.pauses += u64::from(pause);
            out.push(Action::Pause(pause));
        }
    }

    /// Reads skipped records again, once their queues have room.
    fn reread(&mut self, wall_ms: u64, out: &mut Vec<Action>) {
        if self.hot.is_empty() || self.rereading.is_some() || self.paused {
            return;
        }
        let turn = Turn { desk: &mut self.desk, wall_ms, out };
        let hot = self.hot.iter().filter_map(|slot| self.streams.get(*slot));
        let waiting = hot.filter(|stream| stream.has_room(&turn));
        let wanted = waiting.filter_map(|stream| stream.hot.as_ref().and_then(|hot| hot.wanted()));
        if let Some(from) = wanted.min() {
            self.rereading = Some(from);
            turn.desk.counters.rereads += 1;
            turn.out.push(Action::Reread { from, upto: self.consumed });
        }
    }
}
