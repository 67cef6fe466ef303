//! A request to finish: raised once, watched by any number of tasks.
//!
//! Watchers are woken in the order in which they began to wait. (`tokio::sync::watch` wakes several receivers
//! in a random order, which would make two runs of one seed differ.)

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A cheap-clone signal that work should come to an end. It cannot be taken back.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    raised: AtomicBool,
    watchers: Notify,
}

impl Drain {
    /// A signal that has not been raised.
    pub fn new() -> Drain {
        Drain::default()
    }

    /// Asks every watcher to finish.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.watchers.notify_waiters();
    }

    /// Whether the signal was raised.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Returns once the signal is raised, at once if it was. Cancelling the wait is harmless.
    pub async fn raised(&self) {
        let mut woken = pin!(self.0.watchers.notified());
        woken.as_mut().enable();
        if !self.is_raised() {
            woken.await;
        }
    }
}
