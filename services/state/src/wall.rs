//! The one wall of a region: its own clock, clamped into what the other regions' marks prove (E14).
//!
//! Whatever a region stamps, tells or judges by wall time reads this clock. The pure rules are
//! `sterna_stream::clock_watch`: state feeds it with the marks that it consumes and writes; everybody else
//! only reads the bounds that follow, which are offsets to the monotonic clock and so run on when marks stop.
//! Shared by the roles of one operating system process; a process without state would read its own clock.
//!
//! A partition's marks echo what came in that partition: whoever owns it here wrote what its owner there
//! answers, also where several processes share a region.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sterna_process::Clock;
use sterna_proto::v1;
use sterna_stream::clock_watch::{self, Bounds, ClockWatch, Echo, Heard, Now, Standing};
use sterna_stream::limits::CLOCK_BOUND_MS;
use sterna_stream::{Origin, Region};
use tokio::time::Instant;

/// See the file's head.
pub struct Wall {
    own: Arc<dyn Clock>,
    started: Instant,
    known: Mutex<Known>,
}

struct Known {
    watch: ClockWatch,
    /// Of each partition and other region the mark that came last, to be echoed.
    last: BTreeMap<(u16, Region), (Origin, Echo)>,
    bounds: Bounds,
    standing: Standing,
}

impl Wall {
    /// A wall that has heard of nobody: `own` as it stands.
    pub fn new(own: Arc<dyn Clock>) -> Arc<Self> {
        let (watch, bounds) = (ClockWatch::new(CLOCK_BOUND_MS), Bounds::default());
        let known = Known { watch, last: BTreeMap::new(), bounds, standing: Standing::Unproven };
        Arc::new(Self { own, started: Instant::now(), known: Mutex::new(known) })
    }

    /// What the region may claim about its own clock, as of the last mark or second.
    pub fn standing(&self) -> Standing {
        self.lock().standing
    }

    /// What a mark of the partition that is written now says of clocks, Unix milliseconds: the own one, which
    /// is not clamped, and whose marks came when.
    pub(crate) fn written(&self, partition: u16) -> (u64, Vec<v1::Echo>) {
        let now = self.now();
        let mut known = self.lock();
        known.watch.sent(now);
        let of = |((at, _), last): (&(u16, Region), &(Origin, Echo))| (*at == partition).then(|| echo(last));
        (now.wall_ms, known.last.iter().filter_map(of).collect())
    }

    /// A mark of the partition, of another region's state, came by mirror.
    pub(crate) fn heard(&self, own: &Origin, partition: u16, mark: &v1::Mark) {
        let Ok(origin) = mark.origin.parse::<Origin>() else { return };
        let now = self.now();
        let mut known = self.lock();
        let came = Echo { mark_ms: mark.wall_unix_ms, received_ms: now.wall_ms };
        known.last.insert((partition, origin.region()), (origin.clone(), came));
        let echo = mark.echoes.iter().find(|echo| echo.origin == own.as_str());
        let echo = echo.map(|e| Echo { mark_ms: e.mark_unix_ms, received_ms: e.received_unix_ms });
        let heard = Heard { wall_ms: mark.wall_unix_ms, echo };
        known.watch.heard(&origin.region(), heard, now);
        known.look(now);
    }

    /// A second has passed.
    pub(crate) fn look(&self) {
        let now = self.now();
        self.lock().look(now);
    }

    fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall_ms: self.own.wall_ms(), mono_ms }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn echo((origin, echo): &(Origin, Echo)) -> v1::Echo {
    v1::Echo { origin: origin.to_string(), mark_unix_ms: echo.mark_ms, received_unix_ms: echo.received_ms }
}

impl Known {
    fn look(&mut self, now: Now) {
        self.bounds = self.watch.bounds(now);
        let standing = self.watch.standing(now);
        let before = std::mem::replace(&mut self.standing, standing);
        match (before, standing) {
            (Standing::Apart { .. }, Standing::Apart { .. }) => {}
            (_, Standing::Apart { ahead_ms }) => tracing::error!(
                ahead_ms,
                "alarm: this region's clock contradicts the other regions'; what most of them prove counts \
                 instead, and health says that nobody is to be sent here until it is put right"
            ),
            (Standing::Apart { .. }, _) => {
                tracing::info!("this region's clock agrees with the others' again")
            }
            _ => {}
        }
    }
}

impl Clock for Wall {
    fn wall_ms(&self) -> u64 {
        let bounds = self.lock().bounds;
        clock_watch::clamped(self.now(), bounds)
    }

    fn is_apart(&self) -> bool {
        matches!(self.standing(), Standing::Apart { .. })
    }
}
