//! The machine's rules one by one, each as a short script. The model shows that they hold together.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;

use super::model::peek;
use super::takeover::{self, Checkpoint, Evidence, LogEnd, Place, Tail};
use super::*;
use crate::digest::{ContentHash, LogHash};
use crate::hlc::Hlc;
use crate::ids::{EventId, StreamId};
use crate::policy::Policy;
use crate::segment::{LogPos, Segment};

mod bounds;
mod rules;

const WALL_MS: u64 = 1_800_000_000_000;

/// A machine and what it asked for and was not yet taken.
struct Script {
    machine: Partition,
    asked: Vec<Action>,
}

fn stream(n: u32) -> StreamId {
    format!("acme/chat/room-{n}").parse().unwrap()
}

/// The record at `offset`; its id is that of `event`, minted at the wall's time.
fn record(offset: u64, room: u32, event: u128, resend: bool) -> Record {
    let id = EventId::mint(WALL_MS, event);
    let content = ContentHash([1; 16]);
    let mut body = id.to_bytes().to_vec();
    body.extend(content.0);
    body.push(u8::from(resend));
    Record {
        offset,
        stream: stream(room),
        id,
        content,
        resend,
        member: false,
        seen: Hlc::ZERO,
        policy: Policy::default(),
        body: Bytes::from(body),
    }
}

/// The event of the record at this offset, new.
fn new(offset: u64, room: u32) -> Record {
    record(offset, room, u128::from(offset), false)
}

impl Script {
    fn new(limits: Limits) -> Self {
        Self::resumed(0, limits)
    }

    fn resumed(resume: u64, limits: Limits) -> Self {
        Self::salted(resume, limits, 7)
    }

    fn salted(resume: u64, limits: Limits, salt: u64) -> Self {
        let place = Place { origin: "us-east-1".parse().unwrap(), incarnation: 1, partition: 3 };
        let ingress = 0..1_000;
        let checkpoint = Checkpoint { term: 0, number: 0, resume, log: LogEnd::default(), index: vec![] };
        let found = Evidence { place, checkpoint: Some(checkpoint), ingress, log: Tail::from(None) };
        let machine = Partition::new(takeover::open(found).unwrap(), limits, peek, salt);
        Self { machine, asked: Vec::new() }
    }

    fn hand(&mut self, input: Input) {
        self.machine.handle(input, WALL_MS, &mut self.asked);
    }

    fn feed(&mut self, records: impl IntoIterator<Item = Record>) {
        self.hand(Input::Records(records.into_iter().collect()));
    }

    /// Takes the first action that `pick` wants.
    fn take<T>(&mut self, pick: impl Fn(&Action) -> Option<T>) -> Option<T> {
        let at = self.asked.iter().position(|action| pick(action).is_some())?;
        pick(&self.asked.remove(at))
    }

    /// The streams whose head is asked for have no segment yet.
    fn answer_heads(&mut self) {
        while let Some(stream) = self.take(|action| match action {
            Action::ReadHead { stream, .. } => Some(stream.clone()),
            _ => None,
        }) {
            self.hand(Input::Head { stream, chain: vec![] });
        }
    }

    fn put(&mut self) -> Option<Arc<Segment>> {
        self.take(|action| match action {
            Action::Put(segment) => Some(segment.clone()),
            _ => None,
        })
    }

    fn answer_put(&mut self, segment: &Segment, answer: PutAnswer) {
        self.hand(Input::Put { stream: segment.stream.clone(), answer });
    }

    /// The next segment put, which is stored.
    fn stored(&mut self) -> Arc<Segment> {
        let segment = self.put().expect("something to put");
        self.answer_put(&segment, PutAnswer::Stored);
        segment
    }

    /// The next record to produce: position, what it continues, the segment if it is one.
    fn produce(&mut self) -> Option<(LogPos, Option<LogPos>, Option<Arc<Segment>>)> {
        self.take(|action| match action {
            Action::Produce { pos, continues, what: What::Segment(segment) } => {
                Some((*pos, *continues, Some(segment.clone())))
            }
            Action::Produce { pos, continues, what: What::Mark } => Some((*pos, *continues, None)),
            _ => None,
        })
    }

    /// The log acknowledges the next record.
    fn logged(&mut self) -> LogPos {
        let (pos, ..) = self.produce().expect("something to produce");
        self.hand(Input::Produced { pos, offset: Some(pos.n + 100) });
        pos
    }

    /// Stores, logs and loads until nothing more is asked.
    fn settle(&mut self) {
        loop {
            self.answer_heads();
            match self.put() {
                Some(segment) => self.answer_put(&segment, PutAnswer::Stored),
                None if self.asked.iter().any(|action| matches!(action, Action::Produce { .. })) => {
                    self.logged();
                }
                None => return,
            }
        }
    }

    fn checkpoint(&mut self) -> Option<Checkpoint> {
        self.take(|action| match action {
            Action::Checkpoint(checkpoint) => Some(Checkpoint::clone(checkpoint)),
            _ => None,
        })
    }

    fn duplicates(&self) -> usize {
        self.asked.iter().filter(|action| matches!(action, Action::Duplicate { .. })).count()
    }
}
