//! Names of one case on a cluster that many share: a log that puts a prefix before every topic and group.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt};

use crate::error::Error;
use crate::log::{Batch, Consumer, Description, Log, Page, Polled};
use crate::record::{Entry, Group, Offset, Record, Topic};

/// A log within a shared one: `contract-one` is `<space>contract-one` there.
pub struct Space {
    inner: Arc<dyn Log>,
    prefix: Arc<str>,
}

struct Member {
    inner: Box<dyn Consumer>,
    prefix: Arc<str>,
}

impl Space {
    /// Names within `inner` that begin with `prefix`.
    pub fn new(inner: Arc<dyn Log>, prefix: &str) -> Self {
        Self { inner, prefix: prefix.into() }
    }

    /// The topic's name in the shared log.
    pub fn outside(prefix: &str, topic: &Topic) -> Topic {
        format!("{prefix}{topic}").parse().expect("a valid name")
    }

    fn group(&self, group: &Group) -> Group {
        format!("{}{group}", self.prefix).parse().expect("a valid name")
    }
}

fn inside(prefix: &str, topic: &Topic) -> Topic {
    topic.as_str().strip_prefix(prefix).unwrap_or(topic.as_str()).parse().expect("a valid name")
}

fn error(prefix: &str, error: Error) -> Error {
    match error {
        Error::MissingTopic(topic, partition) => Error::MissingTopic(inside(prefix, &topic), partition),
        Error::OutOfRange { topic, partition, asked, earliest, end } => {
            Error::OutOfRange { topic: inside(prefix, &topic), partition, asked, earliest, end }
        }
        other => other,
    }
}

fn entry(prefix: &str, mut entry: Entry) -> Entry {
    entry.record.topic = inside(prefix, &entry.record.topic);
    entry
}

#[async_trait]
impl Log for Space {
    fn produce(&self, mut record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        record.topic = Self::outside(&self.prefix, &record.topic);
        let prefix = self.prefix.clone();
        self.inner.produce(record).map(move |done| done.map_err(|e| error(&prefix, e))).boxed()
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error> {
        let topics: Vec<Topic> = topics.iter().map(|topic| Self::outside(&self.prefix, topic)).collect();
        let inner = self.inner.join(&self.group(group), &topics).await;
        let inner = inner.map_err(|e| error(&self.prefix, e))?;
        Ok(Box::new(Member { inner, prefix: self.prefix.clone() }))
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let topic = Self::outside(&self.prefix, topic);
        let page = self.inner.read(&topic, partition, from, max_bytes).await;
        let mut page = page.map_err(|e| error(&self.prefix, e))?;
        page.entries = page.entries.into_iter().map(|one| entry(&self.prefix, one)).collect();
        Ok(page)
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error> {
        let last = self.inner.last(&Self::outside(&self.prefix, topic), partition).await;
        Ok(last.map_err(|e| error(&self.prefix, e))?.map(|one| entry(&self.prefix, one)))
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error> {
        let group = group.map(|group| self.group(group));
        let described = self.inner.describe(&Self::outside(&self.prefix, topic), group.as_ref()).await;
        described.map_err(|e| error(&self.prefix, e))
    }
}

impl Member {
    fn outside(&self, at: &[(Topic, Offset)]) -> Vec<(Topic, Offset)> {
        at.iter().map(|(topic, offset)| (Space::outside(&self.prefix, topic), *offset)).collect()
    }
}

#[async_trait]
impl Consumer for Member {
    async fn next(&mut self) -> Result<Polled, Error> {
        let prefix = &self.prefix;
        match self.inner.next().await.map_err(|e| error(prefix, e))? {
            Polled::Assigned { partition, generation, committed } => {
                let committed =
                    committed.into_iter().map(|(t, offset)| (inside(prefix, &t), offset)).collect();
                Ok(Polled::Assigned { partition, generation, committed })
            }
            Polled::Records(batch) => {
                let entries = batch.entries.into_iter().map(|one| entry(prefix, one)).collect();
                Ok(Polled::Records(Batch { topic: inside(prefix, &batch.topic), entries, ..batch }))
            }
            revoked @ Polled::Revoked { .. } => Ok(revoked),
        }
    }

    fn start(&mut self, partition: u16, at: &[(Topic, Offset)]) {
        self.inner.start(partition, &self.outside(at));
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
        let upto = self.outside(upto);
        self.inner.commit(partition, generation, &upto).await
    }
}
