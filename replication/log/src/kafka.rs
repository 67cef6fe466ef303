//! One region's log in Kafka: librdkafka's clients behind the port. Made by [`KafkaLog::connect`].
//!
//! What it needs of the cluster: topics made as [`provision`] makes them (all of a join with equal partition
//! counts), `auto.create.topics.enable=false` (else producing to a topic that does not exist makes one), and
//! `group.min.session.timeout.ms` at or below [`Config::session_timeout`].
//!
//! What it does not promise, beyond what [`crate::Log`] leaves open:
//! - The first topic of a join is the one that the group is formed on; it must be the first for all members.
//! - Generations are the group's own number. It starts anew when the cluster has forgotten the group, which
//!   needs days without a member; who must be safe from that has terms (E21).
//! - A commit is fenced by membership. A member that was the last one, and left because it did not poll, may
//!   in the instant of leaving still store a commit, if nobody has taken its partitions over.
//! - Retention and truncation below a running member are noticed when the cluster refuses the position; a
//!   topic made anew whose offsets happen to cover the position is not noticed by members, only by
//!   `describe` (E1).
//! - A timestamp of 0 is read back as the time of the produce, and one more than an hour ahead of the
//!   broker's clock is refused together with all that travelled in its batch: check times before.
//! - Brokers never ask for more replicas in sync than a topic has, whatever its `min.insync.replicas` says:
//!   a topic of one replica is acknowledged as a single copy. `describe` tells it (E9).
//! - Too few replicas in sync are refused by the brokers for [`Config::produce_timeout`]; then the outcome is
//!   `Unknown`, because an earlier attempt may have been applied.
//!
//! Reading order: [`settings`], [`produce`], [`reader`], [`consumer`], [`follow`], [`context`], [`native`].

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::error::Error;
use crate::log::{Consumer, Description, Log, Page};
use crate::record::{Entry, Group, Offset, Record, Topic};
use consumer::KafkaConsumer;
use produce::Producer;
use reader::Reader;

mod consumer;
mod context;
mod convert;
mod errors;
mod follow;
mod native;
mod produce;
mod provision;
mod reader;
mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use provision::{Layout, provision};
pub use reader::QUESTIONS_MAX;
pub use settings::{BATCH_BYTES, Config};

/// The log of one region, in its Kafka cluster.
pub struct KafkaLog {
    config: Config,
    producer: Producer,
    reader: Reader,
}

impl KafkaLog {
    /// Makes the clients; they look for the cluster by themselves, and again when they lose it. Needs a
    /// tokio runtime with time when it is used.
    ///
    /// # Errors
    /// `Unavailable` if a setting is not one that the client knows.
    pub fn connect(config: Config) -> Result<Self, Error> {
        let producer = Producer::new(config.clone())?;
        Ok(Self { reader: Reader::new(config.clone()), config, producer })
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, Error>> {
        self.producer.produce(record)
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, Error> {
        let mut distinct: Vec<Topic> = Vec::with_capacity(topics.len());
        for topic in topics {
            if !distinct.contains(topic) {
                distinct.push(topic.clone());
            }
        }
        let counts = self.reader.partitions(distinct.clone()).await?;
        match counts.first() {
            None => Err(Error::Refused("no topic".into())),
            Some(first) if counts.iter().any(|count| count != first) => {
                Err(Error::Refused("topics have different partition counts".into()))
            }
            Some(_) => Ok(Box::new(KafkaConsumer::join(&self.config, group, self.reader.clone(), distinct)?)),
        }
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.reader.read((topic.clone(), partition), from, max_bytes).await
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, Error> {
        self.reader.last(topic.clone(), partition).await
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, Error> {
        self.reader.describe(topic.clone(), group.cloned()).await
    }
}
