//! How long to wait before the next attempt (docs/protocol.md, section 5).
//!
//! Full jitter, also before the first try; the step returns to its beginning only after a session that
//! lasted; five quick attempts that end in one way are a message to the application and a long wait. It does
//! not say whether to come back at all: that is the close code's.

use sterna_protocol::close::Advice;

use super::{End, Random};
use crate::config::{
    AT_ONCE_MS, BACK_OFF_MAX_MS, BACK_OFF_MS, PROVEN_MS, QUICK_ATTEMPTS, QUICK_MS, STRUGGLING_MS,
};

/// What attempts so far say about the next.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Attempts since the last session that lasted.
    step: u32,
    /// When the present attempt began.
    started_ms: u64,
    /// How the latest quick attempts ended, and how many.
    row: Option<(End, u32)>,
    /// When "at once" was last followed.
    at_once_ms: Option<u64>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// From now, milliseconds.
    pub(super) for_ms: u64,
    /// What no hint of the network shortens, from now.
    pub(super) at_least_ms: u64,
    /// How many quick attempts ended alike, if that is worth telling.
    pub(super) struggling: Option<u32>,
}

/// A number in 0..=`most`.
pub(super) fn jitter(most: u64, random: &mut dyn Random) -> u64 {
    random.next_u64() % (most + 1)
}

impl Backoff {
    /// The wait before the first try, and what a hint of the network makes of a wait.
    pub(super) fn first(random: &mut dyn Random) -> u64 {
        jitter(BACK_OFF_MS, random)
    }

    /// An attempt begins.
    pub(super) fn started(&mut self, now_ms: u64) {
        self.started_ms = now_ms;
    }

    /// The attempt that began last ended so, after `live_ms` of live session.
    pub(super) fn ended(
        &mut self,
        now_ms: u64,
        end: End,
        advice: Advice,
        live_ms: u64,
        random: &mut dyn Random,
    ) -> Wait {
        if live_ms >= PROVEN_MS {
            self.step = 0;
        }
        let struggling = self.count(now_ms, end);
        let mut wait = match advice {
            Advice::AtOnce if self.first_in_a_while(now_ms) => {
                Wait { for_ms: jitter(AT_ONCE_MS, random), at_least_ms: 0, struggling }
            }
            Advice::BackOff { at_least_ms } => self.step(u64::from(at_least_ms), struggling, random),
            Advice::AtOnce | Advice::NewToken | Advice::Stop => self.step(0, struggling, random),
        };
        if struggling.is_some() {
            wait.for_ms += STRUGGLING_MS.saturating_sub(wait.at_least_ms);
            wait.at_least_ms = wait.at_least_ms.max(STRUGGLING_MS);
        }
        wait
    }

    fn step(&mut self, at_least_ms: u64, struggling: Option<u32>, random: &mut dyn Random) -> Wait {
        let most = (BACK_OFF_MS << self.step.min(16)).min(BACK_OFF_MAX_MS);
        self.step += 1;
        Wait { for_ms: at_least_ms + jitter(most, random), at_least_ms, struggling }
    }

    /// Whether "at once" was not followed within the last minute; it is now.
    fn first_in_a_while(&mut self, now_ms: u64) -> bool {
        let last = self.at_once_ms.replace(now_ms);
        last.is_none_or(|last| now_ms - last >= PROVEN_MS)
    }

    fn count(&mut self, now_ms: u64, end: End) -> Option<u32> {
        if now_ms.saturating_sub(self.started_ms) >= QUICK_MS {
            self.row = None;
            return None;
        }
        let alike = self.row.filter(|(way, _)| *way == end).map_or(0, |(_, count)| count) + 1;
        self.row = Some((end, alike));
        (alike >= QUICK_ATTEMPTS).then_some(alike)
    }
}
