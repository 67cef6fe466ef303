//! A member of a group in memory.
//!
//! It imitates a Kafka client at its worst: what has been fetched is handed out before the group is listened
//! to, so a member that wakes after its session ended first works on records that are no longer its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::time::{Duration, Instant};

use super::follow::{Follower, Item};
use super::group::{Event, GroupState, MemberId, beat_interval, wake_all};
use super::topic::{Budget, TopicState, Wakers};
use super::wake::lock;
use crate::error::Error;
use crate::log::{Batch, Consumer, Polled};
use crate::record::{Offset, Topic};

/// See the file's head.
pub(super) struct MemoryConsumer {
    group: Arc<Mutex<GroupState>>,
    id: MemberId,
    topics: Vec<Topic>,
    follower: Follower,
    /// Generation of each partition held.
    owned: BTreeMap<u16, u32>,
    /// Fetched and not yet handed out; at most one budget.
    prefetched: VecDeque<Item>,
    /// Told and not yet handed out: what was lost; at most one per partition.
    told: VecDeque<Polled>,
    /// Told to let go; the next call of `next` does.
    leaving: Option<u16>,
    settings: Settings,
    beat_at: Instant,
    /// Another member's session may end then.
    expiry_at: Option<Instant>,
}

/// What of the configuration a member keeps.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) session: Duration,
    pub(super) prefetch: Budget,
    pub(super) leave_on_drop: bool,
}

impl MemoryConsumer {
    pub(super) fn join(
        group: Arc<Mutex<GroupState>>,
        topics: Vec<Arc<TopicState>>,
        partitions: u16,
        settings: Settings,
    ) -> Self {
        let follower = Follower::new(topics, partitions);
        let now = Instant::now();
        let mut consumer = Self {
            group,
            id: 0,
            topics: follower.topics().cloned().collect(),
            follower,
            owned: BTreeMap::new(),
            prefetched: VecDeque::new(),
            told: VecDeque::new(),
            leaving: None,
            settings,
            beat_at: now,
            expiry_at: None,
        };
        consumer.enter(now);
        consumer
    }

    fn enter(&mut self, now: Instant) {
        let (wake, session) = (self.follower.wake.clone(), self.settings.session);
        self.id = self.with_group(|group, wakers| group.join(wake, session, now, wakers));
        self.beat_at = now + beat_interval(session);
    }

    /// Runs `change` under the group's lock, then wakes the members it concerns.
    fn with_group<T>(&self, change: impl FnOnce(&mut GroupState, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::new();
        let answer = change(&mut lock(&self.group), &mut wakers);
        wake_all(wakers);
        answer
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Polled, Error>> {
        loop {
            if let Some(item) = self.prefetched.pop_front() {
                return Poll::Ready(self.hand_out(item));
            }
            if let Some(polled) = self.told.pop_front() {
                return Poll::Ready(Ok(polled));
            }
            if self.beat() {
                continue;
            }
            if let Some(polled) = self.news() {
                return Poll::Ready(Ok(polled));
            }
            self.follower.fetch(self.settings.prefetch, &mut self.prefetched);
            if self.prefetched.is_empty() {
                let due = self.expiry_at.map_or(self.beat_at, |at| at.min(self.beat_at));
                std::task::ready!(self.follower.poll_wait(cx, Some(due)));
            }
        }
    }

    fn hand_out(&mut self, item: Item) -> Result<Polled, Error> {
        match item {
            Item::Gone(error) => Err(error),
            Item::Batch { topic, partition, entries, next, .. } => {
                let topic = self.topics[topic].clone();
                let generation = self.owned.get(&partition).copied().unwrap_or_default();
                Ok(Polled::Records(Batch { topic, partition, generation, entries, next }))
            }
        }
    }

    /// Shows the group that this member lives; true if the session had ended and it has joined anew.
    fn beat(&mut self) -> bool {
        let now = Instant::now();
        if now < self.beat_at && self.expiry_at.is_none_or(|at| now < at) {
            return false;
        }
        let id = self.id;
        let (alive, expiry) =
            self.with_group(|group, wakers| (group.heartbeat(id, now, wakers), group.next_expiry(id)));
        // A session ends only after its last instant.
        self.expiry_at = expiry.map(|at| at + Duration::from_millis(1));
        self.beat_at = now + beat_interval(self.settings.session);
        if alive {
            return false;
        }
        self.leaving = None;
        for (partition, generation) in std::mem::take(&mut self.owned) {
            self.stop(partition);
            self.told.push_back(Polled::Revoked { partition, generation, lost: true });
        }
        self.enter(now);
        true
    }

    /// The next thing that the group has to tell.
    fn news(&mut self) -> Option<Polled> {
        if !self.follower.wake.take_news() {
            return None;
        }
        let id = self.id;
        let group = self.group.clone();
        let mut group = lock(&group);
        let Some((event, more)) = group.event(id) else {
            // Nothing to tell: perhaps the session has ended, which the next heartbeat finds out.
            self.beat_at = self.beat_at.min(Instant::now());
            return None;
        };
        if more {
            self.follower.wake.news();
        }
        match event {
            Event::Assigned { partition, generation } => {
                let of = |topic: &Topic| (topic.clone(), group.committed(topic, partition));
                let committed = self.topics.iter().map(of).collect();
                self.owned.insert(partition, generation);
                self.follower.pause(partition, false);
                Some(Polled::Assigned { partition, generation, committed })
            }
            Event::Revoked { partition, generation } => {
                self.stop(partition);
                self.leaving = Some(partition);
                Some(Polled::Revoked { partition, generation, lost: false })
            }
        }
    }

    /// Delivers nothing more of a partition.
    fn stop(&mut self, partition: u16) {
        for topic in 0..self.topics.len() {
            self.follower.seek(topic, partition, None);
        }
        self.forget_prefetched(partition, false);
    }

    /// Takes back what was fetched of a partition and not handed out.
    fn forget_prefetched(&mut self, partition: u16, rewind: bool) {
        let mut kept = VecDeque::with_capacity(self.prefetched.len());
        // From the newest to the oldest, so that each slot ends where its oldest batch began.
        for item in self.prefetched.drain(..).rev() {
            match item {
                Item::Batch { topic, partition: of, from, .. } if of == partition => {
                    if rewind {
                        self.follower.rewind(topic, partition, from);
                    }
                }
                other => kept.push_front(other),
            }
        }
        self.prefetched = kept;
    }

    /// Gives away what the last call told was revoked.
    fn let_go(&mut self) {
        if let Some(partition) = self.leaving.take() {
            self.owned.remove(&partition);
            let id = self.id;
            self.with_group(|group, wakers| group.release(id, partition, wakers));
        }
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Polled, Error> {
        tokio::task::coop::consume_budget().await;
        self.let_go();
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]) {
        if !self.owned.contains_key(&partition) || self.leaving == Some(partition) {
            return;
        }
        self.forget_prefetched(partition, false);
        for topic in 0..self.topics.len() {
            let position = at.iter().find(|(name, _)| *name == self.topics[topic]).map(|(_, offset)| *offset);
            self.follower.seek(topic, partition, position);
        }
    }

    fn pause(&mut self, partition: u16, on: bool) {
        if !self.owned.contains_key(&partition) || self.leaving == Some(partition) {
            return;
        }
        if on {
            self.forget_prefetched(partition, true);
        }
        self.follower.pause(partition, on);
    }

    async fn commit(
        &mut self,
        partition: u16,
        generation: u32,
        upto: &[(Topic, Offset)],
    ) -> Result<(), Error> {
        let now = Instant::now();
        let id = self.id;
        self.with_group(|group, wakers| group.commit(id, (partition, generation), upto, now, wakers))
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        if self.settings.leave_on_drop {
            let id = self.id;
            self.with_group(|group, wakers| group.leave(id, wakers));
        }
    }
}
