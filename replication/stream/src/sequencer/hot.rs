//! A stream whose queue was full: its records are skipped and read again, and nobody else waits (E8).
//!
//! While it skips, only re-read records are accepted, in offset order; when the re-reading has passed the
//! last record that was skipped, the stream takes fed records again, at once and without a hole. Re-read
//! records stand in a line of their own, for they are older than what the partition's line holds; the commit
//! stays below both.

use super::tickets::Tickets;

#[derive(Debug, Default)]
pub(super) struct Hot {
    /// Tickets of re-read records.
    pub(super) line: Tickets,
    skipping: Option<Skipping>,
}

#[derive(Clone, Copy, Debug)]
struct Skipping {
    /// The first offset that was not accepted: re-reading goes on here.
    wanted: u64,
    /// The last offset that was skipped.
    last: u64,
    /// The queue was full in the page at hand: the rest of it is of no use.
    blocked: bool,
}

impl Hot {
    /// The record at `offset` was not accepted, nor will be any later one but by re-reading.
    pub(super) fn skip(&mut self, offset: u64) {
        let skipping = self.skipping.get_or_insert(Skipping { wanted: offset, last: offset, blocked: false });
        skipping.last = skipping.last.max(offset);
    }

    /// Whether fed records are skipped.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipping.is_some()
    }

    /// Where re-reading must go on.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.skipping.map(|skipping| skipping.wanted)
    }

    /// Whether the record at `offset`, of a page that begins at `from`, is the next to accept.
    pub(super) fn wants(&self, offset: u64, from: u64) -> bool {
        self.skipping.is_some_and(|s| !s.blocked && s.wanted >= from && offset >= s.wanted)
    }

    /// That record was accepted.
    pub(super) fn accepted(&mut self, offset: u64) {
        if let Some(skipping) = &mut self.skipping {
            skipping.wanted = offset + 1;
        }
    }

    /// That record was not: the queue is full again.
    pub(super) fn refused(&mut self, offset: u64) {
        if let Some(skipping) = &mut self.skipping {
            (skipping.wanted, skipping.blocked) = (offset, true);
        }
    }

    /// The page `from .. next` is done; skipping may have ended.
    pub(super) fn turn_page(&mut self, from: u64, next: u64) {
        let Some(skipping) = &mut self.skipping else { return };
        if !skipping.blocked && skipping.wanted >= from {
            skipping.wanted = skipping.wanted.max(next);
        }
        skipping.blocked = false;
        if skipping.wanted > skipping.last {
            self.skipping = None;
        }
    }

    /// The first offset that is not settled, log records up to `acked` being acknowledged; `None`: nothing
    /// keeps this apart from other streams any more.
    pub(super) fn low(&mut self, acked: u64) -> Option<u64> {
        self.line.low(acked).or(self.wanted())
    }
}

/// Records and bytes that wait in all queues of a partition, and whether that is too much.
#[derive(Debug, Default)]
pub(super) struct Held {
    records: usize,
    bytes: usize,
}

impl Held {
    pub(super) fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }

    pub(super) fn sub(&mut self, bytes: usize) {
        self.records -= 1;
        self.bytes -= bytes;
    }

    /// Whether one of the bounds is reached.
    pub(super) fn reaches(&self, records: usize, bytes: usize) -> bool {
        self.records >= records || self.bytes >= bytes
    }
}
