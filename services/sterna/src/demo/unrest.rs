//! Whether something is broken, was a moment ago, or has not been made good yet.
//!
//! It is calm when nothing is broken, everybody is connected, everything that was said before the last fault
//! ended is on every screen, and half a second has passed since. Latencies of calm moments stand apart, and
//! how long it took from a fault's end until then is the fault's recovery.

use serde::Serialize;
use tokio::time::{Duration, Instant};

/// After everything is made good, how long before latencies count as calm again.
const CALM_AFTER: Duration = Duration::from_millis(500);

/// How a fault went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// What was broken.
    pub fault: String,
    /// For how long.
    pub lasted_ms: u64,
    /// From its end until everybody was connected and had all that had been said meanwhile; `None`: the next
    /// fault or the end of talking came first.
    pub recovered_ms: Option<u64>,
}

/// What is known of the present moment.
#[derive(Debug)]
pub struct Unrest {
    /// What is broken, and since when.
    broken: Option<(String, Instant)>,
    /// When the last fault ended.
    healed: Instant,
    good_since: Option<Instant>,
    recoveries: Vec<Recovery>,
}

impl Unrest {
    /// Nothing was broken until `now`.
    pub fn new(now: Instant) -> Self {
        Self { broken: None, healed: now, good_since: None, recoveries: Vec::new() }
    }

    /// Something breaks.
    pub fn breaks(&mut self, fault: String, now: Instant) {
        self.broken = Some((fault, now));
        self.good_since = None;
    }

    /// It is made whole.
    pub fn heals(&mut self, now: Instant) {
        let Some((fault, since)) = self.broken.take() else { return };
        let lasted_ms = millis(now - since);
        self.recoveries.push(Recovery { fault, lasted_ms, recovered_ms: None });
        (self.healed, self.good_since) = (now, None);
    }

    /// A look: whether everybody is connected, and when the oldest event was sent that is not everywhere.
    /// Says whether it is calm.
    pub fn look(&mut self, all_live: bool, unsettled_since: Option<Instant>, now: Instant) -> bool {
        let made_good = all_live && unsettled_since.is_none_or(|since| since >= self.healed);
        if self.broken.is_some() || (self.good_since.is_none() && !made_good) {
            return false;
        }
        let since = *self.good_since.get_or_insert(now);
        if let Some(last) = self.recoveries.last_mut() {
            last.recovered_ms.get_or_insert(millis(since - self.healed));
        }
        now - since >= CALM_AFTER
    }

    /// How every fault went.
    pub fn into_recoveries(self) -> Vec<Recovery> {
        self.recoveries
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_calm_once_what_was_said_in_a_fault_is_everywhere() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut unrest = Unrest::new(start);
        assert!(!unrest.look(true, None, at(0)));
        assert!(unrest.look(true, Some(at(1)), at(500)), "what is on its way disturbs nobody");
        unrest.breaks("a role".to_owned(), at(1_000));
        assert!(!unrest.look(true, None, at(1_400)));
        unrest.heals(at(1_500));
        assert!(!unrest.look(true, Some(at(1_200)), at(1_900)), "something said meanwhile is missing");
        assert!(!unrest.look(false, None, at(2_000)), "somebody is not connected");
        assert!(!unrest.look(true, Some(at(1_600)), at(2_200)));
        assert!(!unrest.look(true, None, at(2_699)));
        assert!(unrest.look(true, None, at(2_700)));
        unrest.breaks("another".to_owned(), at(3_000));
        unrest.heals(at(3_100));
        let told = unrest.into_recoveries();
        assert_eq!((told[0].lasted_ms, told[0].recovered_ms), (500, Some(700)));
        assert_eq!((told[1].lasted_ms, told[1].recovered_ms), (100, None));
    }
}
