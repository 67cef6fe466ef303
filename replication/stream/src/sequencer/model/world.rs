//! The model's stores, and the steps of a case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::authors::{self, Authors, Event};
use super::check::Log;
use super::driver::{Produce, Stage, Writer};
use super::random::Random;
use crate::ids::{Origin, StreamId};
use crate::segment::Segment;
use crate::sequencer::exchange::{Action, Input, Limits, PutAnswer, Record, What, Why};
use crate::sequencer::takeover::{self, Checkpoint, Evidence, Place};
use crate::sequencer::{Counters, Partition};

mod act;

/// How often each rare path was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rare(pub(super) BTreeMap<&'static str, u64>);

#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) rare: Rare,
    pub(super) wall_ms: u64,
    pub(super) place: Place,
    pub(super) authors: Authors,
    limits: Limits,
    /// Whether things still fail.
    faults: bool,
    /// Survives all lives.
    pub(super) table: BTreeMap<(Origin, StreamId, u64), Arc<Segment>>,
    /// Events that each origin's ingresses held.
    pub(super) accepted: BTreeMap<Origin, BTreeSet<Event>>,
    /// By offset; holes are real.
    pub(super) ingress: Vec<Option<Record>>,
    pub(super) log: Log,
    pub(super) checkpoints: BTreeMap<(u64, u64), Checkpoint>,
    generation: u64,
    pub(super) writers: Vec<Writer>,
    late_puts: Vec<Arc<Segment>>,
    late_produces: Vec<Vec<Produce>>,
}

impl World {
    pub(super) fn new(mut random: Random) -> Self {
        let place = Place { origin: "us-east-1".parse().unwrap(), incarnation: 1, partition: 3 };
        let limits = Limits {
            queue_records: random.from(3, 30) as usize,
            queue_bytes: random.from(200, 3_000) as usize,
            held_records: random.from(20, 120) as usize,
            held_bytes: random.from(1_000, 9_000) as usize,
            window_ids: random.from(2, 64) as usize,
            window_resends: random.from(1, 24) as usize,
            loaded_streams: random.from(1, 4) as usize,
            unacked_records: random.from(2, 12) as usize,
            term_records: random.from(5, 40) as usize,
            reads: random.from(1, 4) as usize,
            segment_events: random.from(1, 8) as usize,
            segment_bytes: random.from(100, 600) as usize,
            checkpoint_bytes: random.from(300, 800) as usize,
        };
        Self {
            rare: Rare::default(),
            wall_ms: 1_800_000_000_000,
            authors: Authors::new(&mut random),
            place,
            limits,
            faults: true,
            table: BTreeMap::new(),
            accepted: BTreeMap::new(),
            ingress: Vec::new(),
            log: Log::default(),
            checkpoints: BTreeMap::new(),
            generation: 0,
            writers: Vec::new(),
            late_puts: Vec::new(),
            late_produces: Vec::new(),
            random,
        }
    }

    pub(super) fn took(&mut self, path: &'static str, times: u64) {
        *self.rare.0.entry(path).or_default() += times;
    }

    pub(super) fn rare(mut self) -> Rare {
        while !self.writers.is_empty() {
            self.remove(0);
        }
        self.rare
    }

    /// One random step.
    pub(super) fn step(&mut self) {
        self.wall_ms +=
            if self.random.chance(5) { self.random.below(900_000) } else { self.random.below(400) };
        match self.random.below(1_000) {
            0..150 => self.publish(),
            150..158 => self.assign(),
            158..163 => self.crash(),
            163..185 => self.land_late(),
            185..200 => self.revoke(),
            _ => self.work(),
        }
    }

    fn publish(&mut self) {
        let records = self.authors.publish(self.wall_ms, &mut self.random);
        for record in records {
            self.accept(record);
        }
    }

    fn accept(&mut self, record: Record) {
        while self.random.chance(15) {
            self.ingress.push(None);
        }
        let offset = self.ingress.len() as u64;
        let event = (record.stream.clone(), record.id, record.content);
        self.accepted.entry(self.place.origin.clone()).or_default().insert(event);
        self.ingress.push(Some(Record { offset, ..record }));
    }

    /// A random writer does one of the things that it can do.
    fn work(&mut self) {
        if self.writers.is_empty() {
            return self.assign();
        }
        let at = self.random.below(self.writers.len() as u64) as usize;
        if self.writers[at].machine().is_none() {
            return self.take_over(at);
        }
        match self.random.below(10) {
            0..2 => self.feed(at),
            2..5 => self.act(at),
            5..7 => self.produce(at),
            7 if self.random.chance(20) => self.tick(at),
            _ => self.deliver(at),
        }
    }

    // === who owns the partition ===

    fn assign(&mut self) {
        if self.writers.len() >= 3 {
            return;
        }
        self.generation += 1;
        self.writers.push(Writer {
            generation: self.generation,
            stage: Stage::Assigned,
            term: 0,
            asked: Vec::new(),
            answers: Vec::new(),
            produces: Default::default(),
            broken: false,
            putting: BTreeSet::new(),
            fed: 0,
            paused: false,
            marked: None,
            skew_ms: self.random.below(50_000),
        });
        self.took("takeover", 1);
    }

    /// A step of a takeover. One that is deposed on its way may still open its term: then it learns at once,
    /// or only after it has written.
    fn take_over(&mut self, at: usize) {
        let Stage::Reading(checkpoint) = &self.writers[at].stage else {
            let newest = self.checkpoints.last_key_value().map(|(_, checkpoint)| checkpoint.clone());
            self.writers[at].stage = Stage::Reading(newest);
            return;
        };
        let opening = takeover::open(Evidence {
            place: self.place.clone(),
            checkpoint: checkpoint.clone(),
            ingress: 0..self.ingress.len() as u64,
            log: self.log.tail(checkpoint.as_ref()),
        });
        let opening = opening.expect("nothing was taken from log or ingress");
        if self.checkpoints.contains_key(&(opening.term, 0)) {
            self.took("takeover lost to another", 1);
            return self.remove(at);
        }
        self.checkpoints.insert((opening.term, 0), opening.checkpoint());
        if self.writers[at].generation < self.generation {
            self.took("term opened by a zombie", 1);
            if self.random.chance(50) {
                return self.remove(at);
            }
        }
        let writer = &mut self.writers[at];
        writer.fed = opening.resume;
        writer.term = opening.term;
        let machine = Partition::new(opening, self.limits.clone(), authors::peek, 7);
        writer.stage = Stage::Running(Box::new(machine));
    }

    fn crash(&mut self) {
        if !self.writers.is_empty() {
            let at = self.random.below(self.writers.len() as u64) as usize;
            self.remove(at);
            self.took("crash", 1);
        }
    }

    fn revoke(&mut self) {
        let zombie = self.writers.iter().position(|writer| writer.generation < self.generation);
        let Some(at) = zombie else { return };
        match self.writers[at].machine() {
            Some(_) => self.hand(at, Input::Revoked),
            None => self.remove(at),
        }
    }

    /// A writer is gone; what it had under way may still land, each in its time.
    fn remove(&mut self, at: usize) {
        let writer = self.writers.swap_remove(at);
        for action in writer.asked {
            if let Action::Put(segment) = action
                && self.faults
                && self.random.chance(50)
            {
                self.late_puts.push(segment);
            }
        }
        let landing = self.random.below(writer.produces.len() as u64 + 1) as usize;
        if self.faults && landing > 0 && !writer.broken {
            self.late_produces.push(writer.produces.into_iter().take(landing).collect());
        }
        if let Stage::Running(machine) = writer.stage {
            self.count(machine.counters());
        }
    }

    fn count(&mut self, counters: &Counters) {
        assert_eq!(counters.unexpected, 0, "the driver answers only what was asked");
        assert_eq!(counters.unreadable, 0);
        let paths = [
            ("put of unknown outcome", counters.lost_puts),
            ("own put found", counters.found_own),
            ("adoption", counters.adopted),
            ("segment produced again", counters.reproduced),
            ("record replayed", counters.replayed),
            ("duplicate", counters.duplicates),
            ("late original after its resend", counters.late_originals),
            ("id re-used", counters.reused_ids),
            ("look", counters.looks),
            ("queue overflow", counters.overflows),
            ("page read again", counters.rereads),
            ("stream unloaded", counters.unloaded),
            ("feeding paused", counters.pauses),
        ];
        paths.into_iter().for_each(|(path, times)| self.took(path, times));
    }

    // === late landings ===

    fn land_late(&mut self) {
        if !self.late_puts.is_empty() && self.random.chance(50) {
            let at = self.random.below(self.late_puts.len() as u64) as usize;
            let segment = self.late_puts.swap_remove(at);
            if self.put(&segment).is_none() {
                self.took("late put landed", 1);
            }
        } else if let Some(session) = self.late_produces.pop() {
            self.took("late produce landed", session.len() as u64);
            for produce in session {
                self.append(produce);
            }
        }
    }

    /// Put if absent; what stands there otherwise.
    fn put(&mut self, segment: &Arc<Segment>) -> Option<Arc<Segment>> {
        let key = (segment.origin.clone(), segment.stream.clone(), segment.first);
        if let Some(found) = self.table.get(&key) {
            return Some(found.clone());
        }
        self.table.insert(key, segment.clone());
        None
    }

    fn append(&mut self, produce: Produce) -> u64 {
        self.log.append(produce)
    }

    // === quiescence and the next life ===

    /// Nothing fails any more; all that was accepted gets through; then everything is checked.
    pub(super) fn quiesce(&mut self) {
        self.faults = false;
        while !self.late_puts.is_empty() || !self.late_produces.is_empty() {
            self.land_late();
        }
        if self.random.chance(50) {
            while !self.writers.is_empty() {
                self.remove(0);
            }
        }
        for _ in 0..20_000 {
            let owner = self.writers.iter().position(|writer| writer.generation == self.generation);
            if owner.is_none() {
                self.assign_anyway();
            }
            if self.is_quiet() {
                break;
            }
            for at in (0..self.writers.len()).rev() {
                if at < self.writers.len() {
                    self.drain(at);
                }
            }
        }
        assert!(self.is_quiet(), "everything gets through once nothing fails: {:?}", self.stuck());
        self.check();
        self.faults = true;
    }

    fn assign_anyway(&mut self) {
        while self.writers.len() >= 3 {
            self.remove(0);
        }
        self.assign();
    }

    fn drain(&mut self, at: usize) {
        if self.writers[at].machine().is_none() {
            return self.take_over(at);
        }
        if !self.is_newest(at) && self.writers[at].is_quiet() {
            self.tick(at);
        }
        let steps: [fn(&mut Self, usize); 4] = [Self::feed, Self::act, Self::produce, Self::deliver];
        for step in steps {
            if at < self.writers.len() {
                step(self, at);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let end = self.ingress.iter().rposition(|record| record.is_some()).map_or(0, |at| at as u64 + 1);
        self.writers.iter().all(|writer| {
            let machine = writer.machine();
            let done = machine.is_some_and(|m| m.committed() >= end && m.consumed() >= end);
            writer.is_quiet() && (done || writer.generation < self.generation)
        }) && (0..self.writers.len())
            .any(|at| self.writers[at].generation == self.generation && self.is_newest(at))
    }

    /// Whether nobody opened a term after this writer's (E21).
    fn is_newest(&self, at: usize) -> bool {
        self.newest_term() == self.writers[at].term
    }

    pub(super) fn newest_term(&self) -> u64 {
        self.checkpoints.last_key_value().map_or(0, |((term, _), _)| *term)
    }

    fn stuck(&self) -> Vec<(u64, Option<(u64, u64)>)> {
        let at = |writer: &Writer| writer.machine().map(|machine| (machine.committed(), machine.consumed()));
        self.writers.iter().map(|writer| (writer.generation, at(writer))).collect()
    }

    /// Either the region is rebuilt: a new incarnation, with a new ingress that begins with what was
    /// unsequenced (E1); or the stream's partition becomes another one, whose offsets mean nothing here
    /// (E10).
    pub(super) fn begin_another_life(&mut self) {
        let rebuilt = self.random.chance(50);
        if rebuilt {
            for _ in 0..self.random.below(120) {
                self.step();
            }
        }
        while !self.writers.is_empty() {
            self.remove(0);
        }
        let ingress = std::mem::take(&mut self.ingress);
        self.checkpoints.clear();
        self.late_produces.clear();
        if !rebuilt {
            self.took("another partition", 1);
            self.place.partition += 1;
            self.log = Log::after(self.chain(&self.place.origin));
            return;
        }
        self.took("new incarnation", 1);
        let sequenced = self.events(&self.place.origin);
        self.place.incarnation += 1;
        self.place.origin = Origin::of(&self.place.origin.region(), self.place.incarnation);
        self.log = Log::default();
        for record in ingress.iter().flatten() {
            if !sequenced.contains(&(record.stream.clone(), record.id, record.content)) {
                self.accept(authors::resent(record));
            }
        }
    }
}
