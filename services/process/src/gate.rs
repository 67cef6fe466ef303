//! The gate in front of every poll of a role's code, and the switch behind `Process::{pause, kill,
//! die_at_poll}`.
//!
//! Guarantees (E34): after `kill` returns no poll of anything behind the gate begins any more, and bodies
//! that a caller holds are dropped at once; whoever waits is woken to see it. While paused nothing is polled
//! and nothing is lost. A poll that is under way on another thread ends at its next await. While running, a
//! pass is one atomic load.
//!
//! `die_at_poll` never kills within a poll of the same role: whoever polls could not be stopped there and
//! would go on as a dead process. Polls are nested where a role's task polls a call whose body is the role's.

mod body;
mod gated;

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Waker};

use slab::Slab;
use tokio::sync::Notify;
use tonic::Status;

pub(crate) use body::GatedBody;
pub(crate) use gated::{Gated, Gone};

use crate::{Exit, State};

const RUNNING: u8 = 0;
/// Running, but each poll is counted: `die_at_poll` is armed.
const COUNTING: u8 = 1;
const PAUSED: u8 = 2;
const DEAD: u8 = 3;

/// The answer of whatever is behind a gate that was closed for good.
pub(crate) fn unavailable() -> Status {
    Status::unavailable("the role that would answer is gone")
}

#[derive(Clone)]
pub(crate) struct Gate(Arc<Shared>);

struct Shared {
    state: AtomicU8,
    inside: Mutex<Inside>,
    /// Tasks and calls that a drain waits for.
    busy: AtomicUsize,
    idle: Notify,
    exit: OnceLock<Exit>,
    exited: Notify,
}

#[derive(Default)]
struct Inside {
    dead: bool,
    paused: bool,
    polls_left: Option<u64>,
    /// Counted polls that have begun and not ended.
    under_way: usize,
    seats: Slab<Entry>,
}

#[derive(Default)]
struct Entry {
    waker: Option<Waker>,
    body: Option<Weak<dyn Sever>>,
}

/// Something that is dropped by `kill` itself, because nobody may poll it ever again.
pub(crate) trait Sever: Send + Sync {
    fn sever(&self);
}

/// What a poll may do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Go,
    /// As `Go`, but whoever polls says afterwards that the poll is over: [`Gate::polled`].
    Counted,
    Wait,
    Dead,
}

impl Gate {
    pub(crate) fn open() -> Gate {
        Gate(Arc::new(Shared {
            state: AtomicU8::new(RUNNING),
            inside: Mutex::default(),
            busy: AtomicUsize::new(0),
            idle: Notify::new(),
            exit: OnceLock::new(),
            exited: Notify::new(),
        }))
    }

    pub(crate) fn state(&self) -> State {
        match self.0.state.load(Ordering::Acquire) {
            RUNNING | COUNTING => State::Running,
            PAUSED => State::Paused,
            _ => State::Dead,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == DEAD
    }

    /// Asked before every poll.
    #[inline]
    pub(crate) fn pass(&self) -> Pass {
        if self.0.state.load(Ordering::Acquire) == RUNNING { Pass::Go } else { self.pass_slowly() }
    }

    #[cold]
    fn pass_slowly(&self) -> Pass {
        let mut inside = self.lock();
        if inside.dead {
            return Pass::Dead;
        }
        if inside.paused {
            return Pass::Wait;
        }
        let Some(left) = &mut inside.polls_left else { return Pass::Go };
        *left = left.saturating_sub(1);
        if *left == 0 && inside.under_way == 0 {
            drop(inside);
            self.kill();
            return Pass::Dead;
        }
        inside.under_way += 1;
        Pass::Counted
    }

    /// A counted poll is over. A death that fell due within it happens now.
    pub(crate) fn polled(&self) {
        let mut inside = self.lock();
        inside.under_way = inside.under_way.saturating_sub(1);
        let due = inside.under_way == 0 && inside.polls_left == Some(0);
        drop(inside);
        if due {
            self.kill();
        }
    }

    pub(crate) fn pause(&self, on: bool) {
        let mut inside = self.lock();
        inside.paused = on;
        self.settle(&inside);
        let wakers = if on { Vec::new() } else { inside.wakers() };
        drop(inside);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn die_at_poll(&self, n: u64) {
        if n == 0 {
            return self.kill();
        }
        let mut inside = self.lock();
        inside.polls_left = Some(n);
        self.settle(&inside);
    }

    pub(crate) fn kill(&self) {
        let mut inside = self.lock();
        inside.dead = true;
        self.settle(&inside);
        let bodies: Vec<_> = inside.seats.iter_mut().filter_map(|(_, entry)| entry.body.take()).collect();
        let wakers = inside.wakers();
        drop(inside);
        // Outside the lock: what is dropped here gives its own seats back.
        bodies.iter().filter_map(Weak::upgrade).for_each(|body| body.sever());
        wakers.into_iter().for_each(Waker::wake);
        self.report(Exit::Killed);
    }

    /// Keeps the first reason for which the role is no longer whole.
    pub(crate) fn report(&self, exit: Exit) {
        if self.0.exit.set(exit).is_ok() {
            self.0.exited.notify_waiters();
        }
    }

    pub(crate) async fn exited(&self) -> Exit {
        let mut woken = std::pin::pin!(self.0.exited.notified());
        woken.as_mut().enable();
        if self.0.exit.get().is_none() {
            woken.await;
        }
        self.0.exit.get().copied().unwrap_or(Exit::Killed)
    }

    /// Marks something that a drain should wait for, until the returned token is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    pub(crate) fn busy_count(&self) -> usize {
        self.0.busy.load(Ordering::Acquire)
    }

    pub(crate) async fn idle(&self) {
        loop {
            let mut woken = std::pin::pin!(self.0.idle.notified());
            woken.as_mut().enable();
            if self.busy_count() == 0 {
                return;
            }
            woken.await;
        }
    }

    fn settle(&self, inside: &Inside) {
        let state = match inside {
            Inside { dead: true, .. } => DEAD,
            Inside { paused: true, .. } => PAUSED,
            Inside { polls_left: Some(_), .. } => COUNTING,
            _ => RUNNING,
        };
        self.0.state.store(state, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn wakers(&self) -> Vec<Waker> {
        self.seats.iter().filter_map(|(_, entry)| entry.waker.clone()).collect()
    }
}

/// Counted by [`Gate::idle`] until dropped.
pub(crate) struct Busy(Gate);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.idle.notify_waiters();
        }
    }
}

/// One waiter's place at the gate: who is to be woken when the state changes. Taken at the first `Pending`,
/// so that what completes at once never touches the lock.
pub(crate) struct Seat {
    pub(crate) gate: Gate,
    key: Option<usize>,
    waker: Option<Waker>,
}

impl Seat {
    pub(crate) fn new(gate: &Gate) -> Seat {
        Seat { gate: gate.clone(), key: None, waker: None }
    }

    /// Registers something to be dropped by `kill`. False: the gate is dead already.
    pub(crate) fn hold(&mut self, body: Weak<dyn Sever>) -> bool {
        let mut inside = self.gate.lock();
        if inside.dead {
            return false;
        }
        self.key = Some(inside.seats.insert(Entry { waker: None, body: Some(body) }));
        true
    }

    /// Sees to it that this task is woken by a change of state. False: the gate is dead, do not wait.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) -> bool {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return !self.gate.is_dead();
        }
        let mut inside = self.gate.lock();
        if inside.dead {
            return false;
        }
        let key = *self.key.get_or_insert_with(|| inside.seats.insert(Entry::default()));
        inside.seats[key].waker = Some(cx.waker().clone());
        drop(inside);
        self.waker = Some(cx.waker().clone());
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let entry = self.gate.lock().seats.try_remove(key);
        drop(entry);
    }
}

#[cfg(test)]
mod tests;
