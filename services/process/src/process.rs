//! One owner of all that a role instance runs.
//!
//! Guarantees (E34): every task of the instance, every handler of it (also where a caller's task polls it),
//! its server connections and its links' connections pass one gate, so that `kill` ends all of it, `pause`
//! freezes all of it, and `drain` ends it in good order within a bound. Deliberately absent: restarting.
//! Whoever built the instance learns by [`Process::exited`] that it is no longer whole and builds another
//! one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::gate::{Busy, Gate, Gated, Gone};
use crate::{Clock, Drain, Seeded};

/// The owner of a role instance's tasks, links, clock and randomness. Clones are the same owner.
#[derive(Clone)]
pub struct Process(Arc<Owned>);

struct Owned {
    name: Arc<str>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    rng: Seeded,
    gate: Gate,
    drain: Drain,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its code is polled.
    Running,
    /// Its code is not polled and answers nothing, but loses nothing: a stopped VM. Its timers fire on
    /// resume.
    Paused,
    /// Nothing of it runs or answers any more, for ever.
    Dead,
}

/// What the end of a task means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The instance is not whole without it: its end, unless draining, is reported by [`Process::exited`].
    Fatal,
    /// It may end at any time (a session, a connection). A panic is still reported.
    Expected,
}

/// Why an instance is no longer whole: the first thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A task spawned as [`End::Fatal`] under this name ended by itself.
    Ended(&'static str),
    /// A task or handler of this name panicked. It was dropped; the rest still runs until somebody kills it.
    Panicked(&'static str),
    /// [`Process::kill`], or the poll that `die_at_poll` waited for.
    Killed,
    /// [`Process::drain`].
    Drained,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Tasks and calls that were still there at the bound, and were cut. 0: everything ended by itself.
    pub cut: usize,
}

impl Process {
    /// An owner named `name` (unique in the run: it is part of the seed) for work on the current tokio
    /// runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(name: &str, seed: u64, clock: Arc<dyn Clock>) -> Process {
        Process::on(Handle::current(), name, seed, clock)
    }

    /// An owner as by [`Process::new`], for work on the given runtime.
    pub fn on(runtime: Handle, name: &str, seed: u64, clock: Arc<dyn Clock>) -> Process {
        Process(Arc::new(Owned {
            name: name.into(),
            runtime,
            clock,
            rng: Seeded::new(seed, name),
            gate: Gate::open(),
            drain: Drain::new(),
        }))
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The instance's wall clock. Monotonic time is tokio's.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The generator of the part `what` of this instance: the same one at every call and at every restart.
    pub fn rng(&self, what: &str) -> Seeded {
        self.0.rng.child(what)
    }

    /// What the process is doing now.
    pub fn state(&self) -> State {
        self.0.gate.state()
    }

    /// The signal that asks this instance's tasks to finish; raised by [`Process::drain`].
    pub fn drain_signal(&self) -> Drain {
        self.0.drain.clone()
    }

    /// Runs `future` as a task of this process, from any thread. On a dead process it is dropped unpolled.
    pub fn spawn<F>(&self, what: &'static str, end: End, future: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(Task::new(self, what, end, Some(self.0.gate.busy()), future))
    }

    /// Runs a `!Send` future as a task of this process, on this thread.
    ///
    /// # Panics
    /// Outside a `LocalRuntime` (simulation and shards use one).
    #[allow(clippy::disallowed_methods, reason = "this is the owner")]
    pub fn spawn_local<F>(&self, what: &'static str, end: End, future: F) -> AbortHandle
    where
        F: Future<Output = ()> + 'static,
    {
        let task = Task::new(self, what, end, Some(self.0.gate.busy()), future);
        tokio::task::spawn_local(task).abort_handle()
    }

    /// Runs what a link needs. It ends with the link or the process, and a drain does not wait for it.
    pub(crate) fn spawn_unwaited<F>(&self, what: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(Task::new(self, what, End::Expected, None, future));
    }

    #[allow(clippy::disallowed_methods, reason = "this is the owner")]
    fn start<F: Future<Output = ()> + Send + 'static>(&self, task: Task<F>) -> AbortHandle {
        self.0.runtime.spawn(task).abort_handle()
    }

    /// Freezes or resumes everything of this process. Callers wait, up to their own deadlines.
    pub fn pause(&self, on: bool) {
        self.0.gate.pause(on);
    }

    /// The crash: from here on nothing of this process is polled and nothing of it answers; callers get
    /// `unavailable`.
    pub fn kill(&self) {
        self.0.gate.kill();
    }

    /// Crashes at the n-th poll from now of anything of this process: "at any await". 0 is now.
    pub fn die_at_poll(&self, n: u64) {
        self.0.gate.die_at_poll(n);
    }

    /// Returns when the instance is no longer whole, and why.
    pub async fn exited(&self) -> Exit {
        self.0.gate.exited().await
    }

    /// Ends in good order: raises the drain signal, waits up to `bound` for tasks and calls to end, then
    /// kills the rest. Must not be awaited by a task of this process, which would wait for itself.
    pub async fn drain(&self, bound: Duration) -> Drained {
        self.0.drain.raise();
        let ended = tokio::time::timeout(bound, self.0.gate.idle()).await;
        let cut = if ended.is_ok() { 0 } else { self.0.gate.busy_count() };
        self.0.gate.report(Exit::Drained);
        self.kill();
        Drained { cut }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("name", &self.0.name).field("state", &self.state()).finish()
    }
}

pin_project! {
    /// A future with its owner and what its end means.
    struct Task<F> {
        #[pin]
        gated: Gated<F>,
        process: Process,
        what: &'static str,
        end: End,
        busy: Option<Busy>,
    }
}

impl<F> Task<F> {
    fn new(process: &Process, what: &'static str, end: End, busy: Option<Busy>, future: F) -> Task<F> {
        Task { gated: Gated::new(process.gate(), future), process: process.clone(), what, end, busy }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let owned = &this.process.0;
        match std::task::ready!(this.gated.poll(cx)) {
            Ok(()) if *this.end == End::Fatal && !owned.drain.is_raised() => {
                tracing::error!(
                    process = &*owned.name,
                    task = *this.what,
                    "a task without which a role cannot work ended"
                );
                owned.gate.report(Exit::Ended(this.what));
            }
            Ok(()) | Err(Gone::Dead) => {}
            Err(Gone::Panicked) => {
                tracing::error!(process = &*owned.name, task = *this.what, "a task panicked");
                owned.gate.report(Exit::Panicked(this.what));
            }
        }
        this.busy.take();
        Poll::Ready(())
    }
}

/// Hands the tasks of HTTP/2 connections to their owner; libraries would spawn them detached.
#[derive(Clone)]
pub(crate) struct OwnedExecutor {
    pub(crate) process: Process,
    pub(crate) what: &'static str,
    /// Whether a drain waits for these tasks.
    pub(crate) waited: bool,
}

impl<F> hyper::rt::Executor<F> for OwnedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.waited {
            self.process.spawn(self.what, End::Expected, future);
        } else {
            self.process.spawn_unwaited(self.what, future);
        }
    }
}

#[cfg(test)]
mod tests;
