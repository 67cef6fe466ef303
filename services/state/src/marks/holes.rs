//! Holes of mirrors: which one is asked for next, and what an answer makes of it (E21).
//!
//! A hole is left to the mirror for a grace time; then it is alarmed and the table is asked, round after
//! round, until the watermark has passed it. A round that leads nowhere is followed by a pause.

use std::time::Duration;

use sterna_proto::record::{Placed, Stored};
use sterna_stream::LogPos;
use sterna_stream::limits::{HOLE_AGAIN_MS, HOLE_GRACE_MS};
use sterna_stream::watermark::{Filled, Watermark};
use tokio::time::Instant;

use super::{Counters, Counts, Mirrored};
use crate::Inner;
use crate::fill::{Ask, Found, Round};

const GRACE: Duration = Duration::from_millis(HOLE_GRACE_MS);
const AGAIN: Duration = Duration::from_millis(HOLE_AGAIN_MS);

/// A hole of one mirror.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// Where it begins; if the mirror moves that, the grace time begins again.
    after: LogPos,
    /// When the table may be asked.
    next: Instant,
    /// Whether it is alarmed.
    told: bool,
}

/// What one round came to.
#[derive(Default)]
struct Came {
    moved: bool,
    wrong: bool,
    shown: Vec<(Stored, Placed)>,
}

impl Counts {
    /// The hole whose turn has come longest ago, and when it had.
    pub(crate) fn overdue(
        &mut self,
        role: &Inner,
        (partition, generation): (u16, u32),
    ) -> Option<(Instant, Ask)> {
        let now = Instant::now();
        let mut chosen: Option<(Instant, Ask)> = None;
        for (mirror, mirrored) in self.mirrors.iter_mut().enumerate() {
            let Some(due) = mirrored.look(role, partition, now) else { continue };
            let Some(hole) = mirrored.watermark.hole() else { continue };
            let (from, before) = (mirrored.watermark.filled_to(), hole.before);
            if chosen.as_ref().is_none_or(|(first, _)| due < *first) {
                chosen = Some((due, Ask { partition, generation, mirror, from, before }));
            }
        }
        chosen
    }

    /// The hole is being asked for.
    pub(crate) fn asked(&mut self, role: &Inner, ask: &Ask) {
        let Some(open) = self.mirrors.get_mut(ask.mirror).and_then(|mirrored| mirrored.open.as_mut()) else {
            return;
        };
        open.next = Instant::now() + AGAIN;
        role.mirrors().rounds += 1;
        if !std::mem::replace(&mut open.told, true) {
            role.mirrors().holes += 1;
            let mirrors = role.lives.mirrors();
            let origin = mirrors[ask.mirror].origin.as_str();
            tracing::error!(
                origin,
                partition = ask.partition,
                after = ask.from.n,
                before = ask.before.n,
                "alarm: a mirror lacks records; they are read from the table, the watermark waits"
            );
        }
    }

    /// A round was answered. Gives the segments that are to be shown.
    pub(crate) fn filled(&mut self, role: &Inner, round: Round) -> Vec<(Stored, Placed)> {
        let Round { ask, found, limited } = round;
        let Some(mirrored) = self.mirrors.get_mut(ask.mirror) else { return Vec::new() };
        let came = take(&mut mirrored.watermark, found);
        if let Some(open) = &mut mirrored.open {
            open.after = mirrored.watermark.pos();
            if came.moved && !came.wrong {
                open.next = Instant::now();
            }
        }
        let mirrors = role.lives.mirrors();
        let origin = mirrors[ask.mirror].origin.as_str();
        let partition = ask.partition;
        let counters = &mut *role.mirrors();
        counters.limited += u64::from(limited);
        if came.wrong {
            counters.wrong += 1;
            tracing::error!(
                origin,
                partition,
                "alarm: what the table holds does not lead to the log's running hash; the hole stays open"
            );
            return Vec::new();
        }
        if !came.moved {
            counters.lacking += 1;
            tracing::error!(
                origin,
                partition,
                after = ask.from.n,
                "alarm: the table does not hold yet what a mirror lacks; the hole stays open"
            );
        }
        counters.fetched += came.shown.len() as u64;
        came.shown
    }
}

fn take(watermark: &mut Watermark, found: Vec<Found>) -> Came {
    let mut came = Came::default();
    for found in found {
        let filled = match found {
            Found::Back(end) => {
                if watermark.go_back(end.at, end.hash) {
                    Filled::Kept
                } else {
                    Filled::NotNext
                }
            }
            Found::Record(counted, _) if watermark.covers(counted.pos) => continue,
            Found::Record(counted, segment) => {
                came.shown.extend(segment.map(|segment| *segment));
                watermark.fill(&counted)
            }
            Found::Proof(end) if watermark.covers(end.at) => continue,
            Found::Proof(end) => watermark.prove(end.at, end.hash),
        };
        match filled {
            Filled::Kept | Filled::Closed => came.moved = true,
            Filled::NotNext => return came,
            Filled::Wrong => {
                came.wrong = true;
                return came;
            }
        }
    }
    came
}

impl Mirrored {
    /// Notes what became of the hole. When the table may be asked for it, if that time has come.
    fn look(&mut self, role: &Inner, partition: u16, now: Instant) -> Option<Instant> {
        let Some(hole) = self.watermark.hole() else {
            if self.open.take().is_some_and(|open| open.told) {
                role.mirrors().closed += 1;
                tracing::info!(partition, "a hole of a mirror is closed");
            }
            return None;
        };
        let open = self.open.get_or_insert(Open { after: hole.after, next: now + GRACE, told: false });
        if open.after != hole.after {
            (open.after, open.next) = (hole.after, now + GRACE);
        }
        (open.next <= now).then_some(open.next)
    }
}

impl Inner {
    /// What was met in the mirrors, for one step.
    pub(crate) fn mirrors(&self) -> std::sync::MutexGuard<'_, Counters> {
        self.mirrors.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
