//! Records in: which stream takes them, which are skipped, which stream makes room.

use super::{Partition, Turn, list};
use crate::ids::StreamId;
use crate::sequencer::exchange::{Action, Record};
use crate::sequencer::streams::Slot;
use crate::sequencer::tickets::Ticket;

/// Idle streams looked at for one that may be dropped, per stream that is loaded.
const DROP_TRIES: usize = 8;

impl Partition {
    pub(super) fn feed(&mut self, records: Vec<Record>, wall_ms: u64, out: &mut Vec<Action>) {
        for record in records {
            if record.offset < self.consumed {
                self.desk.counters.unexpected += 1;
                continue;
            }
            self.consumed = record.offset + 1;
            let known = self.streams.find(&record.stream);
            let slot = known.unwrap_or_else(|| self.load(&record.stream, wall_ms, out));
            let Some(stream) = self.streams.get_mut(slot) else { continue };
            let mut turn = Turn { desk: &mut self.desk, wall_ms, out };
            let skipping = stream.hot.as_ref().is_some_and(|hot| hot.is_skipping());
            if skipping || stream.is_full(&record, &turn) {
                turn.desk.counters.overflows += u64::from(!skipping);
                turn.desk.counters.skipped += 1;
                if stream.hot.is_none() {
                    self.hot.push(slot);
                }
                stream.hot.get_or_insert_default().skip(record.offset);
                continue;
            }
            let ticket = Ticket { number: turn.desk.tickets.draw(record.offset), own_line: false };
            stream.accept(record, ticket, &mut turn);
            list(stream, &mut self.to_cut);
        }
    }

    pub(super) fn feed_again(
        &mut self,
        records: Vec<Record>,
        next: u64,
        wall_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(from) = self.rereading.take() else {
            self.desk.counters.unexpected += 1;
            return;
        };
        let mut turn = Turn { desk: &mut self.desk, wall_ms, out };
        for record in records {
            let stream = self.streams.find(&record.stream).and_then(|slot| self.streams.get_mut(slot));
            let Some(stream) = stream else { continue };
            let Some(mut hot) = stream.hot.take_if(|hot| hot.wants(record.offset, from)) else { continue };
            if stream.is_full(&record, &turn) {
                hot.refused(record.offset);
                stream.hot = Some(hot);
                continue;
            }
            let ticket = Ticket { number: hot.line.draw(record.offset), own_line: true };
            hot.accepted(record.offset);
            stream.hot = Some(hot);
            stream.accept(record, ticket, &mut turn);
            list(stream, &mut self.to_cut);
        }
        for slot in &self.hot {
            let hot = self.streams.get_mut(*slot).and_then(|stream| stream.hot.as_mut());
            hot.into_iter().for_each(|hot| hot.turn_page(from, next));
        }
    }

    /// Makes a stream known that is not, for which another may have to be dropped.
    fn load(&mut self, name: &StreamId, wall_ms: u64, out: &mut Vec<Action>) -> Slot {
        if self.streams.len() >= self.desk.limits.loaded_streams {
            self.drop_one(wall_ms, out);
        }
        self.loads += 1;
        let slot = self.streams.insert(name, self.loads);
        self.to_read.push_back(slot);
        self.droppable.push_back(slot);
        slot
    }

    fn drop_one(&mut self, wall_ms: u64, out: &mut Vec<Action>) {
        let turn = &mut Turn { desk: &mut self.desk, wall_ms, out };
        for _ in 0..DROP_TRIES {
            let Some(slot) = self.droppable.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(slot) else { continue };
            if !std::mem::take(&mut stream.used) && stream.is_at_rest(turn) {
                stream.drop_window(turn);
                turn.desk.counters.unloaded += 1;
                self.streams.remove(slot);
                return;
            }
            self.droppable.push_back(slot);
        }
    }
}
