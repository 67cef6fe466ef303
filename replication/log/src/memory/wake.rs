//! How a producer wakes the followers of a partition: a queue of ready slots and one waker per follower.
//!
//! A slot is queued once, however many records arrive, so the queue is bounded by the number of slots and an
//! append costs the same whether its follower sleeps or is behind.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// What one follower waits for.
pub(super) struct Wake {
    state: Mutex<State>,
}

struct State {
    ready: VecDeque<u32>,
    queued: Vec<bool>,
    news: bool,
    waker: Option<Waker>,
}

impl Wake {
    /// For a follower of `slots` partitions.
    pub(super) fn new(slots: usize) -> Self {
        let state = State {
            ready: VecDeque::with_capacity(slots),
            queued: vec![false; slots],
            news: false,
            waker: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// There may be records in `slot`. Gives the waker to call once the caller's own lock is released.
    pub(super) fn ready(&self, slot: u32) -> Option<Waker> {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.queued[slot as usize], true) {
            state.ready.push_back(slot);
        }
        state.waker.take()
    }

    /// The group has something to tell this member.
    pub(super) fn news(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.news = true;
        state.waker.take()
    }

    /// Whether the group had something to tell; asking forgets it.
    pub(super) fn take_news(&self) -> bool {
        std::mem::take(&mut lock(&self.state).news)
    }

    /// The slot that has been ready for longest.
    pub(super) fn take_ready(&self) -> Option<u32> {
        let mut state = lock(&self.state);
        let slot = state.ready.pop_front()?;
        state.queued[slot as usize] = false;
        Some(slot)
    }

    /// Leaves the waker to be called at the next event; false if there is one already.
    pub(super) fn park(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if state.news || !state.ready.is_empty() {
            return false;
        }
        match &mut state.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }
}

/// Locks; a panic elsewhere leaves plain data behind, which stays usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
