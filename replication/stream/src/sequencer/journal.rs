//! The log as this term writes it: dense numbers, the running hash, what is acknowledged, and the index of
//! the next checkpoint (E21).
//!
//! A record is numbered when it is queued, so numbers are in the order of the records whatever the window
//! lets out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::exchange::{Action, What};
use super::takeover::{Checkpoint, LogEnd, Logged, Opening, PLACED_BYTES_MAX, Placed};
use crate::digest::{LogHash, Prefix};
use crate::segment::{LogPos, Segment};

#[derive(Debug)]
struct Entry {
    /// The segment until it is handed out; `None` for a mark.
    segment: Option<Arc<Segment>>,
    /// What the checkpoint will say of it.
    name: Logged,
    after: LogHash,
    /// The log's own offset, once it is acknowledged.
    offset: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Journal {
    term: u64,
    /// What the term's first record continues, and that record's number.
    opened: LogPos,
    entries: VecDeque<Entry>,
    /// How many of the entries were handed out.
    sent: usize,
    /// All positions up to here are acknowledged.
    acked: LogEnd,
    tip: LogHash,
    index: Vec<Placed>,
    index_bytes: usize,
    checkpoints: u64,
}

impl Journal {
    pub(super) fn new(opening: &Opening) -> Self {
        Self {
            term: opening.term,
            opened: opening.log.at,
            entries: VecDeque::new(),
            sent: 0,
            acked: opening.log,
            tip: opening.log.hash,
            index: Vec::new(),
            index_bytes: 0,
            checkpoints: 1,
        }
    }

    /// Queues a segment, `after` being the prefix hash after it. Its number.
    pub(super) fn segment(&mut self, segment: Arc<Segment>, after: Prefix) -> u64 {
        let name = Logged::Segment { stream: segment.stream.clone(), first: segment.first };
        self.push(Some(segment), name, &after.0)
    }

    /// Queues a mark with this hash of its own.
    pub(super) fn mark(&mut self, own: &[u8; 32]) {
        self.push(None, Logged::Other { own: *own }, own);
    }

    fn push(&mut self, segment: Option<Arc<Segment>>, name: Logged, own: &[u8; 32]) -> u64 {
        let n = self.next();
        self.tip = self.tip.extend(n, own);
        self.entries.push_back(Entry { segment, name, after: self.tip, offset: None });
        n
    }

    /// The number that the next record gets, and the hash of all before it.
    pub(super) fn tip(&self) -> (LogPos, LogHash) {
        (LogPos { term: self.term, n: self.next() }, self.tip)
    }

    fn next(&self) -> u64 {
        self.acked.at.n + self.entries.len() as u64 + 1
    }

    /// Records queued and not acknowledged.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a mark is queued and not handed out yet: the log takes nothing for now.
    pub(super) fn is_mark_waiting(&self) -> bool {
        self.entries.iter().skip(self.sent).any(|entry| entry.segment.is_none())
    }

    /// The number of the last record that is acknowledged with all before it.
    pub(super) fn acked(&self) -> u64 {
        self.acked.at.n
    }

    /// Hands out what fits into `window` unacknowledged records. How many.
    pub(super) fn send(&mut self, window: usize, out: &mut Vec<Action>) -> usize {
        let (before, upto) = (self.sent, self.entries.len().min(window));
        while self.sent < upto {
            let n = self.acked.at.n + self.sent as u64 + 1;
            let what = self.entries[self.sent].segment.take().map_or(What::Mark, What::Segment);
            let continues = (n == self.opened.n + 1).then_some(self.opened);
            out.push(Action::Produce { pos: LogPos { term: self.term, n }, continues, what });
            self.sent += 1;
        }
        self.sent - before
    }

    /// Record `pos` is durable at `offset`. False if it was never handed out.
    pub(super) fn acknowledge(&mut self, pos: LogPos, offset: u64) -> bool {
        let at = pos.n.wrapping_sub(self.acked.at.n + 1);
        if pos.term != self.term || at >= self.sent as u64 {
            return false;
        }
        self.entries[at as usize].offset = Some(offset);
        true
    }

    /// Counts the next record if it is acknowledged together with all before it. Whether it is.
    pub(super) fn pop(&mut self) -> bool {
        let Some(offset) = self.entries.front().and_then(|entry| entry.offset) else { return false };
        let Some(entry) = self.entries.pop_front() else { return false };
        self.sent -= 1;
        let at = LogPos { term: self.term, n: self.acked.at.n + 1 };
        self.acked = LogEnd { at, hash: entry.after, offset };
        let placed = Placed { n: self.acked.at.n, what: entry.name };
        self.index_bytes += placed.bytes();
        self.index.push(placed);
        true
    }

    /// Whether the next checkpoint's index may not take any other record within so many bytes.
    pub(super) fn is_index_full(&self, bytes: usize) -> bool {
        self.index_bytes + PLACED_BYTES_MAX > bytes
    }

    /// The next checkpoint; offsets below `resume` are settled by what is acknowledged now.
    pub(super) fn checkpoint(&mut self, resume: u64) -> Checkpoint {
        let number = self.checkpoints;
        self.checkpoints += 1;
        self.index_bytes = 0;
        // The next one is about as long.
        let next = Vec::with_capacity(self.index.len());
        Checkpoint {
            term: self.term,
            number,
            resume,
            log: self.acked,
            index: std::mem::replace(&mut self.index, next),
        }
    }
}
