//! Looking: what the window cannot tell, the chain itself must (E13). Only this stream waits meanwhile.

use std::sync::Arc;

use super::{Fate, Phase, Stream, Turn};
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::EventId;
use crate::map::Map;
use crate::segment::Segment;
use crate::sequencer::exchange::{Action, Known, Why};
use crate::sequencer::invariants;
use crate::sequencer::window::{self, Verdict};

/// A range that is being read for the records that the window was unclear about.
#[derive(Debug)]
pub(in crate::sequencer) struct Look {
    since: Hlc,
    /// Whom it is read for, and whether the range had it.
    asked: Map<(EventId, ContentHash), bool>,
    /// How many ids of each kind may still be remembered of it.
    ids_left: usize,
    resends_left: usize,
}

impl Stream {
    /// Asks for the part of the chain where the queue's unclear records may stand.
    pub(in crate::sequencer) fn look(&mut self, turn: &mut Turn) {
        debug_assert!(self.is_ready(), "a look waits for nothing else");
        let mut look = Look {
            since: Hlc(u64::MAX),
            asked: Map::default(),
            ids_left: turn.desk.limits.window_ids / 4,
            resends_left: turn.desk.limits.window_resends / 4,
        };
        for queued in &self.queue {
            if queued.judge(self.load, turn) == Verdict::Unclear {
                let oldest = window::oldest(queued.record.id).max(queued.clear);
                look.since = look.since.min(oldest);
                look.asked.insert((queued.record.id, queued.record.content), false);
            }
        }
        turn.desk.counters.looks += 1;
        turn.desk.window.begin_range(self.load);
        let (since, below) = (look.since, turn.desk.window.floor(self.load, true));
        self.phase = Phase::Looking(Box::new(look));
        turn.out.push(Action::ReadRange { stream: self.name.clone(), since, below, last: self.end.seq });
    }

    /// One page of the range. What fits is remembered, so that the next such record need not look; what was
    /// asked for is answered whether it fits or not.
    pub(in crate::sequencer) fn range(
        &mut self,
        page: &[Arc<Segment>],
        complete: bool,
        turn: &mut Turn,
    ) -> Result<bool, Why> {
        let Phase::Looking(look) = &mut self.phase else { return Ok(false) };
        let since = look.since;
        for segment in page {
            let broken = |broken| Why::Chain(self.name.clone(), broken);
            invariants::shape(segment, Hlc::ZERO).map_err(broken)?;
            for (_, stamp, body) in segment.events().filter(|(_, stamp, _)| *stamp >= since) {
                match (turn.desk.peek)(body) {
                    Some(known) => look.meet(self.load, known, stamp, turn),
                    None => turn.desk.counters.unreadable += 1,
                }
            }
        }
        if complete {
            self.looked(turn);
        }
        Ok(true)
    }

    fn looked(&mut self, turn: &mut Turn) {
        let Phase::Looking(look) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        turn.desk.window.end_range(self.load, look.since, look.ids_left > 0, look.resends_left > 0);
        for queued in &mut self.queue {
            match look.asked.get(&(queued.record.id, queued.record.content)) {
                Some(true) => queued.fate = Fate::Twin,
                Some(false) => queued.clear = self.end.hlc.successor(),
                None => {}
            }
        }
    }
}

impl Look {
    fn meet(&mut self, load: u64, event: Known, stamp: Hlc, turn: &mut Turn) {
        if let Some(found) = self.asked.get_mut(&(event.id, event.content)) {
            *found = true;
        }
        let left = if event.resend { &mut self.resends_left } else { &mut self.ids_left };
        if *left > 1 {
            turn.desk.window.remember(load, event, stamp);
        }
        *left = left.saturating_sub(1);
    }
}
