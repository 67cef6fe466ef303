//! A consumer with faults.

use async_trait::async_trait;
use tokio::time::{Duration, sleep};

use super::switches::{Answers, Faults};
use super::{unavailable, unknown};
use crate::error::Error;
use crate::log::{Consumer, Polled};
use crate::record::{Offset, Topic};

/// How long a failing `next` takes, so that a caller who repeats at once does not spin.
const NEXT_FAILS_AFTER: Duration = Duration::from_millis(20);

/// See the file's head.
pub(super) struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    faults: Faults,
    /// What was said to be missing and was not started again.
    silent: Vec<(Topic, u16)>,
}

impl FaultyConsumer {
    pub(super) fn new(inner: Box<dyn Consumer>, faults: Faults) -> Self {
        Self { inner, faults, silent: Vec::new() }
    }
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Result<Polled, Error> {
        self.faults.up().await;
        if self.faults.next_fails() {
            sleep(NEXT_FAILS_AFTER).await;
            return Err(unavailable());
        }
        loop {
            let polled = self.inner.next().await?;
            let Polled::Records(batch) = &polled else { return Ok(polled) };
            let place = (batch.topic.clone(), batch.partition);
            if self.silent.contains(&place) {
                continue;
            }
            if !self.faults.misses(&batch.topic, Answers::Deliveries) {
                return Ok(polled);
            }
            self.silent.push(place.clone());
            return Err(Error::MissingTopic(place.0, place.1));
        }
    }

    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]) {
        self.silent.retain(|(_, of)| *of != partition);
        self.inner.start(partition, at);
    }

    fn pause(&mut self, partition: u16, on: bool) {
        self.inner.pause(partition, on);
    }

    async fn commit(
        &mut self,
        partition: u16,
        generation: u32,
        upto: &[(Topic, Offset)],
    ) -> Result<(), Error> {
        if let Some(slow) = self.faults.slow() {
            sleep(slow).await;
        }
        if self.faults.commit_fails() {
            return Err(unavailable());
        }
        self.inner.commit(partition, generation, upto).await?;
        if self.faults.commit_unknown() { Err(unknown()) } else { Ok(()) }
    }
}
