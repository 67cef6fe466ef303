//! The model's log, and what must be true: at each append, at each commit, and when all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::authors::{self, Event};
use super::driver::Produce;
use super::world::World;
use crate::digest::LogHash;
use crate::hole::{self, Step};
use crate::ids::{Origin, StreamId};
use crate::segment::{LogPos, Segment};
use crate::sequencer::exchange::What;
use crate::sequencer::invariants::{self, LogOrder};
use crate::sequencer::takeover::{Checkpoint, LogEnd, Logged, Tail};
use crate::watermark::{Counted, Seen, Watermark};

/// One partition's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    records: Vec<Produce>,
    order: LogOrder,
    /// Events that it holds.
    events: BTreeSet<Event>,
    /// The last number of each term.
    terms: BTreeMap<u64, u64>,
}

/// The own hash of the mark that stands at `pos` and says that `before` is before it.
pub(super) fn mark(pos: LogPos, before: LogHash) -> [u8; 32] {
    LogHash::of_bytes(format!("{pos:?} {before:?}").as_bytes())
}

fn counted(produce: &Produce) -> Counted {
    let own = match &produce.what {
        What::Segment(segment) => segment.prefix_after().0,
        What::Mark => mark(produce.pos, produce.before.unwrap()),
    };
    let continues = produce.continues.map(|before| before.term);
    Counted { pos: produce.pos, continues, own, before: produce.before }
}

fn segment_of(produce: &Produce) -> Option<(&StreamId, u64)> {
    match &produce.what {
        What::Segment(segment) => Some((&segment.stream, segment.first)),
        What::Mark => None,
    }
}

fn events(segment: &Segment) -> impl Iterator<Item = Event> {
    segment.bodies.iter().map(|body| {
        let known = authors::peek(body).unwrap();
        (segment.stream.clone(), known.id, known.content)
    })
}

impl Log {
    /// An empty log of streams that already have these chains.
    pub(super) fn after(chain: Vec<Arc<Segment>>) -> Self {
        let mut log = Self::default();
        for segment in chain {
            assert_eq!(log.order.follow(&segment), Ok(true));
            log.events.extend(events(&segment));
        }
        log
    }

    /// Takes a record; its offset. E12: in seq order, repeats dropped. E21: numbers are dense within a term.
    pub(super) fn append(&mut self, produce: Produce) -> u64 {
        let LogPos { term, n } = produce.pos;
        let before = self.terms.insert(term, n);
        assert_eq!(
            before.is_none(),
            produce.continues.is_some(),
            "a term's first record names what it continues"
        );
        let before = before.or(produce.continues.map(|before| before.n)).unwrap();
        assert_eq!(n, before + 1, "E21: dense within term {term}");
        if let What::Segment(segment) = &produce.what {
            self.order.follow(segment).expect("E12: the log is in seq order");
            self.events.extend(events(segment));
        }
        self.records.push(produce);
        self.records.len() as u64 - 1
    }

    /// What a takeover reads.
    pub(super) fn tail(&self, checkpoint: Option<&Checkpoint>) -> Tail {
        let mut tail = Tail::from(checkpoint);
        let start = checkpoint.map_or(0, |checkpoint| checkpoint.log.offset);
        for (offset, record) in (0..).zip(&self.records).skip(start as usize) {
            tail.read(&counted(record), segment_of(record), offset);
        }
        tail
    }

    /// Segments that count for a reader: its watermark meets no hole (E21).
    fn counted(&self) -> BTreeSet<(StreamId, u64)> {
        let mut watermark = Watermark::default();
        for record in &self.records {
            let seen = watermark.seen(&counted(record));
            assert!(matches!(seen, Seen::Counted | Seen::Older), "E21: {seen:?} at {:?}", record.pos);
        }
        assert_eq!(watermark.hole(), None);
        let covered = self.records.iter().filter(|record| watermark.covers(record.pos));
        let segments = covered.filter_map(|record| match &record.what {
            What::Segment(segment) => Some((segment.stream.clone(), segment.first)),
            What::Mark => None,
        });
        segments.collect()
    }

    /// E21: checkpoints name, without a gap, every record that counts up to the newest one's, and no other.
    pub(super) fn check_trail<'a>(&self, checkpoints: impl Iterator<Item = &'a Checkpoint> + Clone) {
        let Some(newest) = checkpoints.clone().last() else { return };
        let stands = |pos: LogPos| self.records.iter().find(|record| record.pos == pos).map(counted);
        let mut end = LogEnd::default();
        for step in hole::steps(LogPos::default(), checkpoints.map(|checkpoint| (0, checkpoint.clone()))) {
            match step {
                Step::Back(end) => panic!("nothing was counted beyond {:?}", end.at),
                Step::Proof(proof) => assert_eq!((proof.at, proof.hash), (end.at, end.hash)),
                Step::Record { pos, continues, .. } => {
                    let record = stands(pos).unwrap_or_else(|| panic!("{pos:?} is named and not in the log"));
                    assert_eq!(record.continues, continues);
                    end = LogEnd { at: pos, hash: end.hash.extend(pos.n, &record.own), offset: 0 };
                }
            }
        }
        assert!(end.at.n >= newest.log.at.n, "named up to {:?} of {:?}", end.at, newest.log.at);
    }

    /// E21: a checkpoint claims only what the log has.
    pub(super) fn check_claim(&self, checkpoint: &Checkpoint) {
        let LogEnd { at, hash: _, offset } = checkpoint.log;
        assert!(at.n == 0 || self.records[offset as usize].pos == at, "{checkpoint:?}");
        for placed in &checkpoint.index {
            let stands = self.records.iter().any(|record| {
                let what = Logged::of(segment_of(record), counted(record).own);
                (record.pos.n, what) == (placed.n, placed.what.clone())
            });
            assert!(stands, "{placed:?} is indexed and not in the log");
        }
    }
}

impl World {
    pub(super) fn chain_of(
        &self,
        origin: &Origin,
        stream: &StreamId,
    ) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        let from = (origin.clone(), stream.clone(), 0);
        self.table.range(from..=(origin.clone(), stream.clone(), u64::MAX)).map(|(_, segment)| segment)
    }

    pub(super) fn chain(&self, origin: &Origin) -> Vec<Arc<Segment>> {
        let streams = self.authors.streams().iter();
        streams.flat_map(|stream| self.chain_of(origin, stream)).cloned().collect()
    }

    pub(super) fn events(&self, origin: &Origin) -> BTreeSet<Event> {
        self.chain(origin).iter().flat_map(|segment| events(segment)).collect()
    }

    /// E12: no commit passes a record that the log does not have.
    pub(super) fn check_commit(&self, offset: u64) {
        for record in self.ingress[..offset as usize].iter().flatten() {
            let event = (record.stream.clone(), record.id, record.content);
            assert!(self.log.events.contains(&event), "commit {offset} passes {}", record.offset);
        }
    }

    /// What must be true when everything has got through.
    pub(super) fn check(&self) {
        for origin in self.accepted.keys() {
            let mut count = 0;
            for stream in self.authors.streams() {
                let end = invariants::chain(self.chain_of(origin, stream).map(|segment| &**segment));
                count += end.expect("segments tile, stamps rise").seq;
            }
            let events = self.events(origin);
            assert_eq!(events.len() as u64, count, "E13: an event stands twice in {origin}");
            assert!(events.is_subset(&self.accepted[origin]), "nothing comes from nowhere");
        }
        let here = &self.place.origin;
        let accepted = self.accepted.get(here).cloned().unwrap_or_default();
        assert_eq!(self.events(here), accepted, "E5: every record is an event or a proven duplicate");
        self.log.check_trail(self.checkpoints.values());
        let counted = self.log.counted();
        for segment in self.chain(here) {
            let of_this_log = self.place.position(segment.from.offset) == segment.from;
            let stands = counted.contains(&(segment.stream.clone(), segment.first));
            assert!(stands || !of_this_log, "E12: {} {} is not in the log", segment.stream, segment.first);
        }
    }
}
