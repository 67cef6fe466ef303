//! What the client's own threads tell: log lines, rebalances, that a queue has something.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::task::AtomicWaker;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// Hands the client's log lines on.
#[derive(Clone, Copy)]
pub(super) struct Reporting;

/// Hears of rebalances, and lets [`super::consumer`] answer them in its own time.
pub(super) struct Membership {
    /// Not yet looked at. The client waits for the answer to one before it sends the next.
    events: Mutex<VecDeque<Rebalance>>,
    /// The member is being closed: what comes now is answered at once.
    closing: AtomicBool,
}

/// A change of what a member holds.
pub(super) enum Rebalance {
    Assigned(Vec<u16>),
    Revoked { partitions: Vec<u16>, lost: bool },
}

/// Wakes the task that waits in `next`, and remembers which queues have something.
#[derive(Default)]
pub(super) struct Wake {
    pub(super) waker: AtomicWaker,
    ready: Mutex<BTreeSet<u64>>,
    rung: AtomicBool,
}

/// No section under these locks leaves its data half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(level: Level, facility: &str, line: &str) {
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => tracing::error!(facility, "{line}"),
        Level::Warning => tracing::warn!(facility, "{line}"),
        Level::Notice | Level::Info => tracing::info!(facility, "{line}"),
        Level::Debug => tracing::debug!(facility, "{line}"),
    }
}

// === impl Reporting ===

impl ClientContext for Reporting {
    fn log(&self, level: Level, facility: &str, line: &str) {
        report(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, "{reason}");
    }
}

impl ConsumerContext for Reporting {}

// === impl Membership ===

impl Membership {
    pub(super) fn new() -> Self {
        Self { events: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(super) fn take(&self) -> Option<Rebalance> {
        lock(&self.events).pop_front()
    }

    pub(super) fn waiting(&self) -> usize {
        lock(&self.events).len()
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Membership {
    fn log(&self, level: Level, facility: &str, line: &str) {
        report(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, "{reason}");
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        member: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            let _ = member.incremental_unassign(&TopicPartitionList::new());
            return;
        }
        let numbers = partitions.elements().iter().map(|one| one.partition() as u16).collect();
        lock(&self.events).push_back(match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assigned(numbers),
            _ => Rebalance::Revoked { partitions: numbers, lost: member.assignment_lost() },
        });
    }
}

// === impl Wake ===

impl Wake {
    /// Something happened that concerns no queue of its own.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// A queue has something.
    pub(super) fn ready(&self, queue: u64) {
        lock(&self.ready).insert(queue);
        self.waker.wake();
    }

    /// A queue that has something, the next one after `last` in turn.
    pub(super) fn next_ready(&self, last: u64) -> Option<u64> {
        let mut ready = lock(&self.ready);
        let next = ready.range(last + 1..).next().or_else(|| ready.first()).copied()?;
        ready.remove(&next);
        Some(next)
    }

    pub(super) fn forget(&self, queue: u64) {
        lock(&self.ready).remove(&queue);
    }

    /// Whether nothing has happened since the last look; to be asked after the waker is registered.
    pub(super) fn is_quiet(&self) -> bool {
        !self.rung.swap(false, Ordering::AcqRel) && lock(&self.ready).is_empty()
    }
}

/// A callback that marks a queue, for the client's threads.
pub(super) fn marks(wake: &Arc<Wake>, queue: u64) -> impl Fn() + Send + Sync + 'static {
    let wake = wake.clone();
    move || wake.ready(queue)
}
