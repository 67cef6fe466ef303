//! Which call breaks, and how: chances drawn from a seed, switches, and a script of single faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Error;
use crate::memory::lock;

/// Most writes that wait to land late; further ones are lost instead.
pub const LATE_MAX: usize = 1_024;
/// Most scripted faults that wait for their write; further ones are ignored.
pub const SCRIPT_MAX: usize = 1_024;

/// What may happen to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not applied: `Unavailable`.
    Fail,
    /// Not applied: `Throttled`.
    Throttle,
    /// Applied, and reported `Unknown`. For a read: `Unavailable`.
    Unknown,
    /// Not applied, and reported `Unknown`. For a read: `Unavailable`.
    Lost,
    /// Reported `Unknown`, and applied when [`Chances::late_by`] has passed. For a read: `Unavailable`.
    Late,
}

/// How often each fault happens, per mille of calls, and how slow calls are.
#[derive(Clone, Copy, Debug)]
pub struct Chances {
    /// [`Fault::Fail`], reads and writes.
    pub fail: u32,
    /// [`Fault::Throttle`], reads and writes.
    pub throttle: u32,
    /// [`Fault::Unknown`], writes.
    pub unknown: u32,
    /// [`Fault::Lost`], writes.
    pub lost: u32,
    /// [`Fault::Late`], writes.
    pub late: u32,
    /// When late writes land.
    pub late_by: Duration,
    /// Every call takes at least this long …
    pub delay_min: Duration,
    /// … and at most this long, uniformly.
    pub delay_max: Duration,
}

/// How often each fault was really taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// `Unavailable`, by chance, script or switch.
    pub failed: u64,
    /// `Throttled`.
    pub throttled: u64,
    /// Applied and reported `Unknown`.
    pub unknown: u64,
    /// Not applied and reported `Unknown`.
    pub lost: u64,
    /// Reported `Unknown` and put aside.
    pub late: u64,
    /// Of those, landed.
    pub landed: u64,
}

/// The will of one store. Shared by its decorators and whoever throws the switches.
pub struct Faults {
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    rng: Pcg64Mcg,
    chances: Chances,
    down: bool,
    read_only: bool,
    hot: BTreeSet<Arc<str>>,
    script: VecDeque<Fault>,
    late: BTreeMap<(Instant, u64), BoxFuture<'static, ()>>,
    taken: Taken,
}

impl Default for Chances {
    /// No faults, no delay; late writes would land after 10 s.
    fn default() -> Self {
        Self {
            fail: 0,
            throttle: 0,
            unknown: 0,
            lost: 0,
            late: 0,
            late_by: Duration::from_secs(10),
            delay_min: Duration::ZERO,
            delay_max: Duration::ZERO,
        }
    }
}

impl Faults {
    /// No switch thrown; chances drawn from `seed`.
    pub fn new(chances: Chances, seed: u64) -> Arc<Self> {
        let state = State {
            rng: Pcg64Mcg::seed_from_u64(seed),
            chances,
            down: false,
            read_only: false,
            hot: BTreeSet::new(),
            script: VecDeque::new(),
            late: BTreeMap::new(),
            taken: Taken::default(),
        };
        Arc::new(Self { state: Mutex::new(state), wake: Notify::new() })
    }

    /// Changes the chances from now on.
    pub fn set_chances(&self, chances: Chances) {
        lock(&self.state).chances = chances;
    }

    /// Every call is `Unavailable`. Late writes still land.
    pub fn set_down(&self, down: bool) {
        lock(&self.state).down = down;
    }

    /// Every write is `Unavailable`; reads work.
    pub fn set_read_only(&self, read_only: bool) {
        lock(&self.state).read_only = read_only;
    }

    /// Throttles every write to one hash key (a table's), stream (tails') or user (sessions').
    pub fn set_hot(&self, hash: &str, hot: bool) {
        let mut state = lock(&self.state);
        if hot {
            state.hot.insert(Arc::from(hash));
        } else {
            state.hot.remove(hash);
        }
    }

    /// The next write that no switch refuses takes this fault; more are taken in the order given.
    pub fn next_write(&self, fault: Fault) {
        let mut state = lock(&self.state);
        if state.script.len() < SCRIPT_MAX {
            state.script.push_back(fault);
        }
    }

    /// What was taken so far.
    pub fn taken(&self) -> Taken {
        lock(&self.state).taken
    }

    /// Late writes that have not landed.
    pub fn waiting(&self) -> usize {
        lock(&self.state).late.len()
    }

    /// Those that wait to land late never do: what they were to land in was destroyed.
    pub fn forget_late(&self) {
        lock(&self.state).late.clear();
    }

    /// Lands late writes as they become due, for ever. Dropped, those that wait are kept for the next run.
    pub async fn run(&self) {
        loop {
            let next = self.step(Instant::now()).await;
            let Some(next) = next else {
                self.wake.notified().await;
                continue;
            };
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Lands what is due at `now`; says when the next late write is.
    pub async fn step(&self, now: Instant) -> Option<Instant> {
        loop {
            let due = {
                let mut state = lock(&self.state);
                let (at, _) = *state.late.keys().next()?;
                if at > now {
                    return Some(at);
                }
                state.late.pop_first()
            };
            if let Some((_, write)) = due {
                write.await;
                lock(&self.state).taken.landed += 1;
            }
        }
    }

    /// Carries out a write, or a fault in its place.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        hash: &str,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (fault, delay) = lock(&self.state).judge_write(hash);
        wait(delay).await;
        match fault {
            None => call.await,
            Some(Fault::Unknown) => {
                // Whatever it would have said is what the caller must not learn.
                let _ = call.await;
                Err(Error::unknown("no answer in time"))
            }
            Some(Fault::Late) => {
                self.put_aside(Box::pin(async move {
                    let _ = call.await;
                }));
                Err(Error::unknown("no answer in time"))
            }
            Some(Fault::Lost) => Err(Error::unknown("no answer in time")),
            Some(Fault::Throttle) => Err(Error::Throttled),
            Some(Fault::Fail) => Err(Error::unavailable("injected")),
        }
    }

    /// Carries out a read, or a fault in its place.
    pub(crate) async fn read<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (fault, delay) = lock(&self.state).judge_read();
        wait(delay).await;
        match fault {
            None => call.await,
            Some(Fault::Throttle) => Err(Error::Throttled),
            Some(_) => Err(Error::unavailable("injected")),
        }
    }

    fn put_aside(&self, write: BoxFuture<'static, ()>) {
        let mut state = lock(&self.state);
        if state.late.len() >= LATE_MAX {
            state.taken.lost += 1;
            return;
        }
        state.taken.late += 1;
        let place = (Instant::now() + state.chances.late_by, state.taken.late);
        state.late.insert(place, write);
        drop(state);
        self.wake.notify_one();
    }
}

// === impl State ===

impl State {
    fn judge_write(&mut self, hash: &str) -> (Option<Fault>, Duration) {
        let fault = if self.down || self.read_only {
            Some(Fault::Fail)
        } else if !self.hot.is_empty() && self.hot.contains(hash) {
            Some(Fault::Throttle)
        } else if let Some(scripted) = self.script.pop_front() {
            Some(scripted)
        } else {
            let Chances { fail, throttle, unknown, lost, late, .. } = self.chances;
            let chances = [
                (fail, Fault::Fail),
                (throttle, Fault::Throttle),
                (unknown, Fault::Unknown),
                (lost, Fault::Lost),
                (late, Fault::Late),
            ];
            self.draw(&chances)
        };
        self.count(fault);
        (fault, self.delay())
    }

    fn judge_read(&mut self) -> (Option<Fault>, Duration) {
        let Chances { fail, throttle, .. } = self.chances;
        let fault = if self.down {
            Some(Fault::Fail)
        } else {
            self.draw(&[(fail, Fault::Fail), (throttle, Fault::Throttle)])
        };
        self.count(fault);
        (fault, self.delay())
    }

    fn draw(&mut self, chances: &[(u32, Fault)]) -> Option<Fault> {
        if chances.iter().all(|(chance, _)| *chance == 0) {
            return None;
        }
        let mut drawn = self.rng.random_range(0..1_000u32);
        for &(chance, fault) in chances {
            if drawn < chance {
                return Some(fault);
            }
            drawn -= chance;
        }
        None
    }

    fn delay(&mut self) -> Duration {
        let (min, max) = (self.chances.delay_min, self.chances.delay_max);
        if max <= min {
            return min;
        }
        min + Duration::from_micros(self.rng.random_range(0..=(max - min).as_micros() as u64))
    }

    // Late writes are counted where it is decided whether there is room for them.
    fn count(&mut self, fault: Option<Fault>) {
        match fault {
            Some(Fault::Fail) => self.taken.failed += 1,
            Some(Fault::Throttle) => self.taken.throttled += 1,
            Some(Fault::Unknown) => self.taken.unknown += 1,
            Some(Fault::Lost) => self.taken.lost += 1,
            Some(Fault::Late) | None => {}
        }
    }
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
