//! The handle that decides which calls go wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Duration;

use crate::record::Topic;
use crate::seed::Seed;

/// How many of a thousand calls go wrong, and how. All zero at first.
#[derive(Clone, Debug)]
pub struct Chances {
    /// Produces that are not applied and answered `Unavailable`.
    pub produce_unavailable: u32,
    /// Produces that are not applied and answered `Refused`.
    pub produce_refused: u32,
    /// Produces that are applied and answered `Unknown`.
    pub produce_applied: u32,
    /// Produces that are never applied and answered `Unknown`.
    pub produce_lost: u32,
    /// Produces that are answered `Unknown` and applied after [`Chances::late_by`].
    pub produce_late: u32,
    /// Reads, describes and joins that are answered `Unavailable`.
    pub call_unavailable: u32,
    /// Calls of a consumer's `next` that are answered `Unavailable`.
    pub next_unavailable: u32,
    /// Commits that are not applied and answered `Unavailable`.
    pub commit_unavailable: u32,
    /// Commits that are applied and answered `Unknown`.
    pub commit_applied: u32,
    /// Calls whose answer takes up to [`Chances::slow_max`] longer.
    pub slow: u32,
    /// The longest such delay.
    pub slow_max: Duration,
    /// How late a late record lands.
    pub late_by: Duration,
    /// How long `Unknown` takes.
    pub unknown_after: Duration,
}

/// What happens to a produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceFault {
    /// Not applied, `Unavailable`.
    Unavailable,
    /// Not applied, `Refused`.
    Refused,
    /// Applied, `Unknown`.
    Applied,
    /// Never applied, `Unknown`.
    Lost,
    /// `Unknown`, and applied later.
    Late,
}

/// What went wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Produces with any fault.
    pub produces: u64,
    /// Of them, those that are or were to land late.
    pub late: u64,
    /// Other calls with any fault, delays not counted.
    pub calls: u64,
}

/// The shared handle. Cheap to clone; clones are the same switches.
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    down: watch::Sender<bool>,
}

struct State {
    chances: Chances,
    forced: Vec<Forced>,
    missing: Vec<Missing>,
    random: Seed,
    counts: Counts,
}

/// A topic that is there and of which so many answers say that it is not.
struct Missing {
    topic: Topic,
    of: Answers,
    left: u64,
}

/// Which answers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// To `join`, `read`, `last` and `describe`.
    Questions,
    /// Of a consumer's `next`, each in place of a batch; then the partition's topic is silent until it is
    /// started again (C6).
    Deliveries,
}

struct Forced {
    fault: ProduceFault,
    topic: Option<Topic>,
    left: u64,
}

// === impl Chances ===

impl Default for Chances {
    fn default() -> Self {
        Self {
            produce_unavailable: 0,
            produce_refused: 0,
            produce_applied: 0,
            produce_lost: 0,
            produce_late: 0,
            call_unavailable: 0,
            next_unavailable: 0,
            commit_unavailable: 0,
            commit_applied: 0,
            slow: 0,
            slow_max: Duration::from_millis(500),
            late_by: Duration::from_secs(10),
            unknown_after: Duration::ZERO,
        }
    }
}

// === impl Faults ===

impl Faults {
    /// No fault yet; the chances' dice follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            chances: Chances::default(),
            forced: Vec::new(),
            missing: Vec::new(),
            random: Seed::named(seed, "faults"),
            counts: Counts::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), down: watch::Sender::new(false) }
    }

    /// Changes the chances.
    pub fn set(&self, change: impl FnOnce(&mut Chances)) {
        change(&mut self.lock().chances);
    }

    /// Ends every chance, forced fault and outage. Late records still land.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.chances = Chances::default();
        state.forced.clear();
        state.missing.clear();
        drop(state);
        self.set_down(false);
    }

    /// The next `times` produces, of one topic or of any, go wrong in this way.
    pub fn force(&self, fault: ProduceFault, topic: Option<&Topic>, times: u64) {
        self.lock().forced.push(Forced { fault, topic: topic.cloned(), left: times });
    }

    /// The next `times` answers about a topic say that it is missing, as a broker's may whose metadata is
    /// stale (L11).
    pub fn miss(&self, topic: &Topic, of: Answers, times: u64) {
        self.lock().missing.push(Missing { topic: topic.clone(), of, left: times });
    }

    /// While down every call is `Unavailable`, and `next` waits.
    pub fn set_down(&self, on: bool) {
        self.down.send_replace(on);
    }

    /// What went wrong so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(super) fn chances(&self) -> Chances {
        self.lock().chances.clone()
    }

    /// The fate of a produce.
    pub(super) fn produce(&self, topic: &Topic) -> Option<ProduceFault> {
        let down = *self.down.borrow();
        let mut state = self.lock();
        let fault = if down { Some(ProduceFault::Unavailable) } else { state.produce(topic) };
        state.counts.produces += u64::from(fault.is_some());
        state.counts.late += u64::from(fault == Some(ProduceFault::Late));
        fault
    }

    /// How much longer an answer takes.
    pub(super) fn slow(&self) -> Option<Duration> {
        let mut state = self.lock();
        let (chance, longest) = (state.chances.slow, state.chances.slow_max);
        let micros = longest.as_micros() as u64;
        state.random.chance(chance).then(|| Duration::from_micros(state.random.below(micros + 1)))
    }

    pub(super) fn call_fails(&self) -> bool {
        self.fails(|chances| chances.call_unavailable)
    }

    pub(super) fn next_fails(&self) -> bool {
        self.fails(|chances| chances.next_unavailable)
    }

    pub(super) fn commit_fails(&self) -> bool {
        self.fails(|chances| chances.commit_unavailable)
    }

    pub(super) fn commit_unknown(&self) -> bool {
        self.fails(|chances| chances.commit_applied)
    }

    /// Waits until the log is up.
    pub(super) async fn up(&self) {
        // The sender lives as long as `self`.
        let _ = self.down.subscribe().wait_for(|down| !down).await;
    }

    /// Whether this answer about a topic says that it is missing.
    pub(super) fn misses(&self, topic: &Topic, of: Answers) -> bool {
        let mut state = self.lock();
        let meant = |missing: &Missing| missing.of == of && missing.topic == *topic;
        let Some(at) = state.missing.iter().position(meant) else { return false };
        state.missing[at].left = state.missing[at].left.saturating_sub(1);
        state.missing.retain(|missing| missing.left > 0);
        state.counts.calls += 1;
        true
    }

    fn fails(&self, of: impl FnOnce(&Chances) -> u32) -> bool {
        let down = *self.down.borrow();
        let mut state = self.lock();
        let chance = of(&state.chances);
        let fails = down || state.random.chance(chance);
        state.counts.calls += u64::from(fails);
        fails
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn produce(&mut self, topic: &Topic) -> Option<ProduceFault> {
        let meant = |forced: &Forced| forced.topic.as_ref().is_none_or(|of| of == topic);
        if let Some(at) = self.forced.iter().position(meant) {
            let forced = &mut self.forced[at];
            let fault = forced.fault;
            forced.left = forced.left.saturating_sub(1);
            if forced.left == 0 {
                self.forced.remove(at);
            }
            return Some(fault);
        }
        let chances = [
            (self.chances.produce_unavailable, ProduceFault::Unavailable),
            (self.chances.produce_refused, ProduceFault::Refused),
            (self.chances.produce_applied, ProduceFault::Applied),
            (self.chances.produce_lost, ProduceFault::Lost),
            (self.chances.produce_late, ProduceFault::Late),
        ];
        chances.into_iter().find(|(chance, _)| self.random.chance(*chance)).map(|(_, fault)| fault)
    }
}
