//! The log as one process meets it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sterna_log::{Consumer, Description, Entry, Error, Group, Log, Offset, Page, Record, Topic};

use super::Witness;
use super::consumer::WitnessConsumer;
use crate::paths::Path;

/// A log with a witness before it.
pub struct WitnessLog {
    inner: Arc<dyn Log>,
    witness: Witness,
}

impl WitnessLog {
    /// `inner`, as the witness' process meets it.
    pub fn new(inner: Arc<dyn Log>, witness: Witness) -> Self {
        Self { inner, witness }
    }
}

#[async_trait]
impl Log for WitnessLog {
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        let witness = self.witness.clone();
        witness.calls("produce");
        // Marks have no key and come every second: they would hide the rest.
        let (topic, partition, key) = (record.topic.clone(), record.partition, record.key.clone());
        let answer = self.inner.produce(record);
        if key.is_empty() {
            return answer;
        }
        async move {
            let answer = answer.await;
            let stream = String::from_utf8_lossy(&key);
            match &answer {
                Ok(at) => witness.line("produced", format_args!("{topic}/{partition} {at} {stream}")),
                Err(error) => {
                    witness.line("did not produce", format_args!("{topic}/{partition} {stream}: {error}"));
                }
            }
            answer
        }
        .boxed()
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error> {
        self.witness.calls("join");
        let inner = self.inner.join(group, topics).await?;
        self.witness.line("joined", format_args!("{group}"));
        Ok(Box::new(WitnessConsumer::new(inner, group, self.witness.clone())))
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.witness.calls("read");
        if topic.as_str().starts_with("sterna-ingress") {
            self.witness.took(Path::Reread);
            self.witness.line("reads again", format_args!("{topic}/{partition} from {from}"));
        }
        self.inner.read(topic, partition, from, max_bytes).await
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error> {
        self.witness.calls("last");
        self.inner.last(topic, partition).await
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error> {
        self.witness.calls("describe");
        self.inner.describe(topic, group).await
    }
}
