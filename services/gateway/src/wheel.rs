//! A timer wheel in whole seconds: one timer per shard instead of one per session.
//!
//! Entries are hints: whoever is woken looks at its own deadlines and enters itself again, so an entry that
//! is early (beyond the horizon) or stale costs one look and is never wrong. Late by at most one second.

/// Seconds that fit the wheel; later deadlines are looked at once per turn.
const SLOTS: u32 = 128;

/// Who wants to be looked at in which second.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    slots: Vec<Vec<T>>,
    now_s: u32,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), now_s: 0 }
    }

    /// Seconds since the wheel was made.
    pub(crate) fn now_s(&self) -> u32 {
        self.now_s
    }

    /// Enters `who` for second `at`, or the nearest one that the wheel has. Returns the second that it will
    /// be.
    pub(crate) fn enter(&mut self, at_s: u32, who: T) -> u32 {
        let at_s = at_s.clamp(self.now_s + 1, self.now_s + SLOTS - 1);
        self.slots[(at_s % SLOTS) as usize].push(who);
        at_s
    }

    /// One second passes: all that were entered for it.
    pub(crate) fn turn(&mut self) -> Vec<T> {
        self.now_s += 1;
        std::mem::take(&mut self.slots[(self.now_s % SLOTS) as usize])
    }
}
