//! A decorator that makes the calls of any log go wrong, within what the contract allows.
//!
//! What goes wrong is decided by a shared handle: seeded chances, and single faults forced by a test. It
//! never breaks the contract: only produces that were answered `Unknown` come late or out of order. Damage to
//! the cluster itself (recreate, truncate, expire, forget offsets, lose replicas) is done with the methods of
//! [`crate::MemoryLog`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::error::Error;
use crate::log::{Consumer, Description, Log, Page};
use crate::record::{Entry, Group, Offset, Record, Topic};
use consumer::FaultyConsumer;
pub use switches::{Answers, Chances, Counts, Faults, ProduceFault};

mod consumer;
mod switches;

#[cfg(test)]
mod tests;

/// Records that may be on their way late; of more, the newest is lost instead.
pub const LATE_RECORDS_MAX: usize = 4_096;

/// Any log, with faults.
#[derive(Clone)]
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    faults: Faults,
    late: Arc<Late>,
}

/// Records on their way late, by when they arrive and in which order they left.
#[derive(Default)]
struct Late {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    left: u64,
    records: BTreeMap<(Instant, u64), Record>,
}

// === impl FaultyLog ===

impl FaultyLog {
    /// `inner`, with what `faults` says. Somebody must run [`FaultyLog::late`], or late records never land.
    pub fn new(inner: Arc<dyn Log>, faults: Faults) -> Self {
        Self { inner, faults, late: Arc::default() }
    }

    /// Lands late records, for as long as it is polled. It belongs to the network, not to a role that may
    /// crash.
    pub fn late(&self) -> impl Future<Output = ()> + Send + 'static {
        let (inner, late) = (self.inner.clone(), self.late.clone());
        async move {
            loop {
                let changed = late.changed.notified();
                let first = late.lock().records.first_key_value().map(|(at, _)| at.0);
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                        let record = late.lock().records.pop_first();
                        if let Some((_, record)) = record {
                            // Whatever becomes of it: its producer was told that nobody knows.
                            let _ = inner.produce(record).await;
                        }
                    }
                }
            }
        }
    }

    /// What a question about these topics meets.
    async fn gate(&self, topics: &[Topic], partition: u16) -> Result<(), Error> {
        if let Some(slow) = self.faults.slow() {
            sleep(slow).await;
        }
        if self.faults.call_fails() {
            return Err(unavailable());
        }
        match topics.iter().find(|topic| self.faults.misses(topic, Answers::Questions)) {
            Some(missing) => Err(Error::MissingTopic(missing.clone(), partition)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Log for FaultyLog {
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        let slow = self.faults.slow().unwrap_or_default();
        let fault = self.faults.produce(&record.topic);
        let timeout = self.faults.chances().unknown_after;
        match fault {
            None => {
                let answer = self.inner.produce(record);
                if slow.is_zero() {
                    return answer;
                }
                async move {
                    let answer = answer.await;
                    sleep(slow).await;
                    answer
                }
                .boxed()
            }
            Some(ProduceFault::Unavailable) => ready(Err(unavailable())).boxed(),
            Some(ProduceFault::Refused) => ready(Err(Error::Refused("injected".into()))).boxed(),
            Some(ProduceFault::Applied) => {
                let answer = self.inner.produce(record);
                async move {
                    answer.await?;
                    sleep(timeout).await;
                    Err(unknown())
                }
                .boxed()
            }
            Some(ProduceFault::Lost) => nobody_knows(timeout),
            Some(ProduceFault::Late) => {
                self.late.add(Instant::now() + self.faults.chances().late_by, record);
                nobody_knows(timeout)
            }
        }
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error> {
        self.gate(topics, 0).await?;
        let inner = self.inner.join(group, topics).await?;
        Ok(Box::new(FaultyConsumer::new(inner, self.faults.clone())))
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.gate(std::slice::from_ref(topic), partition).await?;
        self.inner.read(topic, partition, from, max_bytes).await
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error> {
        self.gate(std::slice::from_ref(topic), partition).await?;
        self.inner.last(topic, partition).await
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error> {
        self.gate(std::slice::from_ref(topic), 0).await?;
        self.inner.describe(topic, group).await
    }
}

// === impl Late ===

impl Late {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at: Instant, record: Record) {
        let mut queue = self.lock();
        if queue.records.len() < LATE_RECORDS_MAX {
            let number = queue.left;
            queue.left += 1;
            queue.records.insert((at, number), record);
        }
        drop(queue);
        self.changed.notify_one();
    }
}

fn nobody_knows(timeout: Duration) -> BoxFuture<'static, Result<Offset, Error>> {
    async move {
        sleep(timeout).await;
        Err(unknown())
    }
    .boxed()
}

fn unavailable() -> Error {
    Error::Unavailable("injected".into())
}

fn unknown() -> Error {
    Error::Unknown("injected".into())
}
