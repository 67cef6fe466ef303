//! A thread with a runtime of its own, for work that lives there and nowhere else: a gateway's shard.
//! [`runtime`] is that runtime, also for the thread a process begins with; [`paused`] the one of tests and
//! simulations, which share their thread with nobody.
//!
//! The work is one future; when it returns, the runtime ends and drops whatever it still held, on that
//! thread. Deliberately absent: stopping it from outside. Whoever starts one gives it a way to be told.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;
use tokio::time::Instant;

use rounds::Rounds;

pub(crate) mod rounds;

/// The runtime of one thread, which keeps its rounds apart when they are many ([`crate::ROUND`]). Its timers
/// and its wake-ups from other threads may so be late by as much.
///
/// # Errors
/// The system's: it gives none.
pub fn runtime() -> io::Result<LocalRuntime> {
    let rounds = Mutex::new(None::<Rounds>);
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            let now = Instant::now();
            let mut rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = rounds.get_or_insert_with(|| Rounds::new(now)).wait(now);
            if !wait.is_zero() {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "no task can run: this is the thread's own rest"
                )]
                std::thread::sleep(wait);
            }
        })
        .build_local(LocalOptions::default())
}

/// Runs `work` to its end on this thread, in paused time: when nothing can go on, time jumps to the next
/// timer. For tests and simulations; there are no sockets.
///
/// # Panics
/// If no runtime can be built, or `work` panics.
pub fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime without I/O needs nothing").block_on(work)
}

/// A running thread. Dropping it leaves the thread to itself.
#[derive(Debug)]
pub struct Thread {
    ended: oneshot::Receiver<()>,
}

impl Thread {
    /// Starts a thread called `name` (the system shows the first 15 bytes) that runs `work` on a
    /// `LocalRuntime`.
    ///
    /// # Errors
    /// The system's: it gives no thread, or no runtime.
    pub fn start<W, F>(name: &str, work: W) -> io::Result<Thread>
    where
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (end, ended) = oneshot::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(())));
            runtime.block_on(work());
            drop(runtime);
            // Nobody may wait for it.
            let _ = end.send(());
        })?;
        start.recv().map_err(|_| io::Error::other("the thread ended before it began"))??;
        Ok(Thread { ended })
    }

    /// Returns when the work has returned and all that its runtime held is dropped. False: it panicked.
    pub async fn ended(self) -> bool {
        self.ended.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{End, Process, SystemClock};

    /// What a runtime still holds is dropped before its thread is said to have ended.
    #[tokio::test]
    async fn the_end_of_a_thread_is_the_end_of_all_that_lives_there() {
        struct Held(Option<std::sync::mpsc::SyncSender<&'static str>>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.take().map(|told| told.send("dropped"));
            }
        }
        let (told, tells) = std::sync::mpsc::sync_channel(2);
        let thread = Thread::start("a test", move || async move {
            let process = Process::new("there", 1, Arc::new(SystemClock));
            let held = Held(Some(told));
            process.spawn_local("for ever", End::Expected, async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
        assert!(thread.unwrap().ended().await);
        assert_eq!(tells.try_recv(), Ok("dropped"));
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let thread = Thread::start("a test", || async { panic!("on purpose") });
        assert!(!thread.unwrap().ended().await);
    }
}
