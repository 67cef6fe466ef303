//! What one writer does in a step: feeds, carries out, produces, delivers answers.

use std::collections::VecDeque;

use super::{Action, Arc, Input, Produce, PutAnswer, Record, Segment, Stage, StreamId, What, Why, World};
use crate::hlc::Hlc;
use crate::sequencer::model::check;

impl World {
    /// Hands an input to a machine and takes what it asks for.
    pub(super) fn hand(&mut self, at: usize, input: Input) {
        let writer = &mut self.writers[at];
        let Stage::Running(machine) = &mut writer.stage else { return };
        if let Input::Put { stream, .. } = &input {
            writer.putting.remove(stream);
        }
        let mut out = Vec::new();
        machine.handle(input, self.wall_ms - 25_000 + writer.skew_ms, &mut out);
        for action in out {
            let writer = &mut self.writers[at];
            match action {
                Action::Restart | Action::Stop(Why::Stale) => {
                    let (term, newest) = (self.writers[at].term, self.newest_term());
                    self.took("newer term met", u64::from(newest > term));
                    return self.remove(at);
                }
                Action::Stop(why) => panic!("nothing was broken: {why}"),
                Action::Pause(pause) => writer.paused = pause,
                Action::Produce { pos, continues, what } => {
                    let before = writer.marked.filter(|_| matches!(what, What::Mark));
                    writer.produces.push_back(Produce { pos, continues, what, before });
                    assert!(writer.produces.len() <= self.limits.unacked_records, "E29: the log's window");
                }
                Action::Commit(offset) => {
                    self.check_commit(offset);
                    self.writers[at].asked.push(Action::Commit(offset));
                }
                Action::Put(segment) => {
                    let first = writer.putting.insert(segment.stream.clone());
                    assert!(first, "E11: two puts of {} are unconfirmed", segment.stream);
                    writer.asked.push(Action::Put(segment));
                }
                Action::Duplicate { .. } => {}
                other => writer.asked.push(other),
            }
        }
    }

    /// Feeds a batch, cut anywhere. A paused writer may still have fetched records.
    pub(super) fn feed(&mut self, at: usize) {
        let most = if self.random.chance(10) { 40 } else { 5 };
        let count = self.random.from(1, most);
        let writer = &mut self.writers[at];
        if writer.paused && (!self.faults || self.random.chance(70)) {
            return;
        }
        let end = (writer.fed + count).min(self.ingress.len() as u64);
        let start = std::mem::replace(&mut writer.fed, end);
        let records = self.page(start..end);
        if !records.is_empty() {
            self.hand(at, Input::Records(records));
        }
    }

    fn page(&self, offsets: std::ops::Range<u64>) -> Vec<Record> {
        self.ingress[offsets.start as usize..offsets.end as usize].iter().flatten().cloned().collect()
    }

    pub(super) fn tick(&mut self, at: usize) {
        let Some(tip) = self.writers[at].machine().map(|machine| machine.tip()) else { return };
        if let Some((_, hash)) = tip {
            self.writers[at].marked = Some(hash);
        }
        self.took("mark waits for the log", u64::from(tip.is_none()));
        self.hand(at, Input::Tick { mark: tip.map(|(pos, hash)| check::mark(pos, hash)) });
    }

    pub(super) fn deliver(&mut self, at: usize) {
        if let Some(answer) = self.writers[at].answer(&mut self.random) {
            self.hand(at, answer);
        }
    }

    /// Carries out one action and sends its answer on its way.
    pub(super) fn act(&mut self, at: usize) {
        let Some(action) = self.writers[at].pick(&mut self.random) else { return };
        let answers = match action {
            Action::ReadHead { stream, resume } => {
                let chain = self.read_head(&stream, resume);
                vec![Input::Head { stream, chain }]
            }
            Action::ReadRange { stream, since, below, .. } => self.read_range(&stream, since, below),
            Action::Put(segment) => {
                let stream = segment.stream.clone();
                let answer = self.put_somehow(at, segment);
                vec![Input::Put { stream, answer }]
            }
            Action::Reread { from, upto } => {
                let next = self.random.from(from + 1, upto);
                vec![Input::Reread { records: self.page(from..next), next }]
            }
            Action::Checkpoint(checkpoint) => {
                self.log.check_claim(&checkpoint);
                self.checkpoints.entry((checkpoint.term, checkpoint.number)).or_insert(*checkpoint);
                return;
            }
            Action::ReadTerm => vec![Input::Term { newer: self.newest_term() > self.writers[at].term }],
            Action::Commit(_) => return self.commit(at),
            other => panic!("not for here: {other:?}"),
        };
        self.writers[at].answers.push(VecDeque::from(answers));
    }

    fn commit(&mut self, at: usize) {
        let zombie = self.writers[at].generation < self.generation;
        self.took("zombie's commit fenced", u64::from(zombie));
    }

    fn put_somehow(&mut self, at: usize, segment: Arc<Segment>) -> PutAnswer {
        let zombie = self.writers[at].generation < self.generation;
        match self.random.below(100) {
            0..8 if self.faults => PutAnswer::Unknown,
            8..16 if self.faults => {
                self.late_puts.push(segment);
                PutAnswer::Unknown
            }
            16..26 if self.faults => {
                self.put(&segment);
                PutAnswer::Unknown
            }
            _ => match self.put(&segment) {
                Some(found) => PutAnswer::Found(found),
                None => {
                    self.took("zombie's put", u64::from(zombie));
                    PutAnswer::Stored
                }
            },
        }
    }

    fn read_head(&self, stream: &StreamId, resume: u64) -> Vec<Arc<Segment>> {
        let mut chain = Vec::new();
        for segment in self.chain_of(&self.place.origin, stream).rev() {
            chain.push(segment.clone());
            let here = segment.from.incarnation == self.place.incarnation
                && segment.from.partition == self.place.partition;
            if !here || segment.from.offset < resume {
                break;
            }
        }
        chain.reverse();
        chain
    }

    fn read_range(&mut self, stream: &StreamId, since: Hlc, below: Hlc) -> Vec<Input> {
        let within = |segment: &&Arc<Segment>| segment.max_hlc() >= since && segment.stamps[0] < below;
        let found: Vec<_> = self.chain_of(&self.place.origin, stream).filter(within).cloned().collect();
        let page = self.random.from(1, 4) as usize;
        let pages = found.chunks(page).map(|page| page.to_vec());
        let range = |segments| Input::Range { stream: stream.clone(), segments, complete: false };
        let mut pages: Vec<Input> = pages.map(range).collect();
        match pages.last_mut() {
            Some(Input::Range { complete, .. }) => *complete = true,
            _ => pages.push(Input::Range { stream: stream.clone(), segments: vec![], complete: true }),
        }
        pages
    }

    /// Produces the writer's next log record. A failure ends the session: nothing after it is applied.
    pub(super) fn produce(&mut self, at: usize) {
        let Some(produce) = self.writers[at].produces.pop_front() else { return };
        let pos = produce.pos;
        let offset = match self.random.below(100) {
            _ if self.writers[at].broken => None,
            fate @ 0..3 if self.faults => {
                self.writers[at].broken = true;
                self.took("produce failed", 1);
                match fate {
                    0 => {}
                    1 => drop(self.append(produce)),
                    _ => self.late_produces.push(vec![produce]),
                }
                None
            }
            _ => Some(self.append(produce)),
        };
        self.writers[at].answers.push(VecDeque::from([Input::Produced { pos, offset }]));
    }
}
