//! Following several partitions at once: what members of groups and mirrors have in common.
//!
//! A follower sleeps until a producer, a group, or a timer wakes it; it never polls. What it takes at once is
//! bounded by a [`Budget`], shared fairly: the slot that waited longest is served first.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::topic::{Budget, Fetched, TopicState};
use super::wake::Wake;
use crate::error::Error;
use crate::record::{Entry, Offset, Topic};

/// Positions in the partitions of some topics, and the means to wait for more.
pub(super) struct Follower {
    pub(super) wake: Arc<Wake>,
    topics: Vec<Arc<TopicState>>,
    partitions: u16,
    slots: Vec<Slot>,
    /// Slots whose next records are not durable yet.
    later: Vec<u32>,
    later_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Where to read next; none delivers nothing.
    position: Option<Offset>,
    paused: bool,
    /// Stands in `later`.
    later: bool,
}

/// Records, or why there are none, of one slot.
pub(super) enum Item {
    Batch { topic: usize, partition: u16, from: Offset, entries: Vec<Entry>, next: Offset },
    Gone(Error),
}

impl Follower {
    /// Of all partitions of `topics`, which all have `partitions` of them. Call it inside a runtime.
    pub(super) fn new(topics: Vec<Arc<TopicState>>, partitions: u16) -> Self {
        let slots = topics.len() * usize::from(partitions);
        Self {
            wake: Arc::new(Wake::new(slots)),
            topics,
            partitions,
            slots: vec![Slot::default(); slots],
            later: Vec::new(),
            later_at: None,
            timer: Box::pin(sleep_until(Instant::now())),
        }
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().map(|topic| &topic.name)
    }

    /// Reads (topic, partition) from `position` on; none stops it.
    pub(super) fn seek(&mut self, topic: usize, partition: u16, position: Option<Offset>) {
        if partition >= self.partitions {
            return;
        }
        let slot = self.slot(topic, partition);
        self.slots[slot as usize].position = position;
        let wake = self.wake.clone();
        let followed = self.topics[topic].with(partition, |log, _| match position {
            Some(_) => log.follow(&wake, slot),
            None => log.unfollow(&wake),
        });
        debug_assert!(followed.is_ok(), "all topics have the same partitions");
        self.wake.ready(slot);
    }

    /// Reads no topic of `partition` while `on`.
    pub(super) fn pause(&mut self, partition: u16, on: bool) {
        if partition >= self.partitions {
            return;
        }
        for topic in 0..self.topics.len() {
            let slot = self.slot(topic, partition);
            self.slots[slot as usize].paused = on;
            self.wake.ready(slot);
        }
    }

    /// Puts a slot back to where a batch that was not used began.
    pub(super) fn rewind(&mut self, topic: usize, partition: u16, from: Offset) {
        let slot = self.slot(topic, partition);
        self.slots[slot as usize].position = Some(from);
        self.wake.ready(slot);
    }

    /// Takes what can be read now, within the budget.
    pub(super) fn fetch(&mut self, mut budget: Budget, out: &mut VecDeque<Item>) {
        while budget.records > 0 && budget.bytes > 0 {
            let Some(slot) = self.wake.take_ready() else { return };
            let (topic, partition) = self.place(slot);
            let Slot { position: Some(from), paused: false, .. } = self.slots[slot as usize] else {
                continue;
            };
            let state = &self.topics[topic];
            match state.with(partition, |log, _| log.fetch(from, budget)) {
                Ok(Ok(fetched)) => {
                    self.note(slot, &fetched);
                    let Fetched { entries, next, .. } = fetched;
                    if entries.is_empty() {
                        continue;
                    }
                    budget.records -= entries.len();
                    let bytes = entries.iter().map(|entry| entry.record.size()).sum();
                    budget.bytes = budget.bytes.saturating_sub(bytes);
                    out.push_back(Item::Batch { topic, partition, from, entries, next });
                }
                Ok(Err(extent)) => {
                    out.push_back(Item::Gone(state.out_of_range(partition, from, extent)));
                    self.slots[slot as usize].position = None;
                }
                Err(missing) => out.push_back(Item::Gone(missing)),
            }
        }
    }

    fn note(&mut self, slot: u32, fetched: &Fetched) {
        self.slots[slot as usize].position = Some(fetched.next);
        if fetched.more {
            self.wake.ready(slot);
        } else if let Some(at) = fetched.later {
            if !std::mem::replace(&mut self.slots[slot as usize].later, true) {
                self.later.push(slot);
            }
            self.later_at = Some(self.later_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Ready when a slot or the group has something, or at `deadline`.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        if !self.wake.park(cx.waker()) {
            return Poll::Ready(());
        }
        let due = match (self.later_at, deadline) {
            (Some(later), Some(deadline)) => later.min(deadline),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return Poll::Pending,
        };
        if self.timer.deadline() != due {
            self.timer.as_mut().reset(due);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.later_at.is_some_and(|at| at <= due) {
            self.later_at = None;
            for slot in self.later.drain(..) {
                self.slots[slot as usize].later = false;
                self.wake.ready(slot);
            }
        }
        Poll::Ready(())
    }

    fn slot(&self, topic: usize, partition: u16) -> u32 {
        (topic * usize::from(self.partitions)) as u32 + u32::from(partition)
    }

    fn place(&self, slot: u32) -> (usize, u16) {
        let partitions = u32::from(self.partitions);
        ((slot / partitions) as usize, (slot % partitions) as u16)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for topic in &self.topics {
            for partition in 0..self.partitions {
                let _ = topic.with(partition, |log, _| log.unfollow(&self.wake));
            }
        }
    }
}
