//! One writer: a machine and what it has asked for. It carries out in any order what the machine left
//! unordered.

use std::collections::{BTreeSet, VecDeque};

use super::random::Random;
use crate::digest::LogHash;
use crate::ids::StreamId;
use crate::segment::LogPos;
use crate::sequencer::Partition;
use crate::sequencer::exchange::{Action, Input, What};
use crate::sequencer::takeover::Checkpoint;

/// A log record on its way.
#[derive(Clone, Debug)]
pub(super) struct Produce {
    pub(super) pos: LogPos,
    pub(super) continues: Option<LogPos>,
    pub(super) what: What,
    /// In a mark: the hash of the log before it.
    pub(super) before: Option<LogHash>,
}

#[derive(Debug)]
pub(super) struct Writer {
    /// Of its group assignment; a higher one makes it a zombie.
    pub(super) generation: u64,
    pub(super) stage: Stage,
    /// Of its machine.
    pub(super) term: u64,
    /// Actions to carry out, those that may happen in any order.
    pub(super) asked: Vec<Action>,
    /// Answers on their way back; each list in its order.
    pub(super) answers: Vec<VecDeque<Input>>,
    /// Log records to produce, in order.
    pub(super) produces: VecDeque<Produce>,
    /// A produce failed: the producer lets nothing through any more.
    pub(super) broken: bool,
    /// Streams with an unanswered put (E11).
    pub(super) putting: BTreeSet<StreamId>,
    /// The next ingress offset to feed.
    pub(super) fed: u64,
    pub(super) paused: bool,
    /// What its newest mark says of the log before it.
    pub(super) marked: Option<LogHash>,
    /// Its own clock is off by so much.
    pub(super) skew_ms: u64,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Assigned; nothing is read.
    Assigned,
    /// The newest checkpoint is read; the log's end is not.
    Reading(Option<Checkpoint>),
    /// Sequencing.
    Running(Box<Partition>),
}

impl Writer {
    pub(super) fn machine(&self) -> Option<&Partition> {
        match &self.stage {
            Stage::Running(machine) => Some(machine),
            Stage::Assigned | Stage::Reading(_) => None,
        }
    }

    /// One of the things to carry out.
    pub(super) fn pick(&mut self, random: &mut Random) -> Option<Action> {
        let count = self.asked.len() as u64;
        let at = (count > 0).then(|| random.below(count) as usize)?;
        if !matches!(self.asked[at], Action::Checkpoint(_)) {
            return Some(self.asked.swap_remove(at));
        }
        // Checkpoints stand one after the other.
        let number = |action: &Action| match action {
            Action::Checkpoint(checkpoint) => checkpoint.number,
            _ => u64::MAX,
        };
        let first = (0..self.asked.len()).min_by_key(|&at| number(&self.asked[at]))?;
        Some(self.asked.swap_remove(first))
    }

    /// One of the answers that have arrived.
    pub(super) fn answer(&mut self, random: &mut Random) -> Option<Input> {
        let count = self.answers.len() as u64;
        if count == 0 {
            return None;
        }
        let at = random.below(count) as usize;
        let answer = self.answers[at].pop_front();
        if self.answers[at].is_empty() {
            self.answers.swap_remove(at);
        }
        answer
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.asked.is_empty() && self.answers.is_empty() && self.produces.is_empty()
    }
}
