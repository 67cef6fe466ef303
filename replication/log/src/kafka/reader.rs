//! Questions that are asked without a group: pages, the newest record, extents, what was committed.
//!
//! The client answers these while it blocks a thread. Each question takes a client of its own from a small
//! pool and runs on a thread that waits for nothing else; the pool bounds both.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tokio::sync::Semaphore;

use super::context::{Reporting, lock};
use super::settings::Config;
use super::{convert, errors, native};
use crate::error::Error;
use crate::log::{Description, Extent, Identity, Page};
use crate::record::{Entry, Group, Offset, Topic};

/// Questions that are asked at the same time; more wait.
pub const QUESTIONS_MAX: usize = 4;
/// Clients that are kept to ask what groups have committed.
const INSPECTORS_MAX: usize = 4;
/// How long one look for a message may take.
const GLANCE: Duration = Duration::from_millis(50);

type Client = BaseConsumer<Reporting>;

/// Asks the cluster.
#[derive(Clone)]
pub(super) struct Reader(Arc<Shared>);

struct Shared {
    config: Config,
    idle: Mutex<Vec<Client>>,
    inspectors: Mutex<Vec<(Group, Client)>>,
    turns: Arc<Semaphore>,
}

/// Runs work that blocks on a thread for it.
#[allow(
    clippy::disallowed_methods,
    reason = "the client's questions block; each is awaited where it is asked"
)]
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Unknown("a call was cut off".into())))
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(config: Config) -> Self {
        Self(Arc::new(Shared {
            config,
            idle: Mutex::default(),
            inspectors: Mutex::default(),
            turns: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        }))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared, &Client) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.0.clone();
        let turn = shared.turns.clone().acquire_owned().await;
        blocking(move || {
            let _turn = turn;
            let idle = lock(&shared.idle).pop();
            let client = match idle {
                Some(client) => client,
                None => create(&shared.config.reader())?,
            };
            let answer = question(&shared, &client);
            lock(&shared.idle).push(client);
            answer
        })
        .await
    }

    /// A page of records.
    pub(super) async fn read(
        &self,
        (topic, partition): (Topic, u16),
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        self.ask(move |shared, client| {
            shared.check(client, &topic, partition)?;
            shared.read(client, (&topic, partition), from, max_bytes)
        })
        .await
    }

    /// The newest record. Looks further and further back, because the end may be a hole.
    pub(super) async fn last(&self, topic: Topic, partition: u16) -> Result<Option<Entry>, Error> {
        self.ask(move |shared, client| {
            shared.check(client, &topic, partition)?;
            let (earliest, end) = shared.extent(client, &topic, partition)?;
            let mut back = 1;
            loop {
                let from = end.saturating_sub(back).max(earliest);
                let page = shared.read(client, (&topic, partition), from, usize::MAX)?;
                match page.entries.into_iter().next_back() {
                    Some(last) => return Ok(Some(last)),
                    None if from == earliest => return Ok(None),
                    None => back *= 8,
                }
            }
        })
        .await
    }

    /// A topic, and what a group has committed there.
    pub(super) async fn describe(&self, topic: Topic, group: Option<Group>) -> Result<Description, Error> {
        self.ask(move |shared, client| {
            let described = native::describe(client, topic.as_str(), shared.config.request_timeout);
            let described = described.map_err(|code| errors::asked(Some(code), &topic, 0))?;
            let count = described.partitions.len() as u16;
            let committed = match group {
                Some(group) => shared.committed(&group, &topic, count)?,
                None => vec![None; usize::from(count)],
            };
            let mut partitions = Vec::with_capacity(usize::from(count));
            for (partition, (replicas, committed)) in (0..).zip(described.partitions.iter().zip(committed)) {
                let (earliest, end) = shared.extent(client, &topic, partition)?;
                partitions.push(Extent { earliest, end, committed, in_sync: replicas.1 });
            }
            let replicas = described.partitions.iter().map(|(replicas, _)| *replicas).min().unwrap_or(0);
            Ok(Description { identity: Identity(described.id), replicas, partitions })
        })
        .await
    }

    /// How many partitions each of these topics has.
    pub(super) async fn partitions(&self, topics: Vec<Topic>) -> Result<Vec<u16>, Error> {
        self.ask(move |shared, client| topics.iter().map(|topic| shared.count(client, topic)).collect()).await
    }

    /// The first offset of a partition and the one after its end.
    pub(super) async fn extent(&self, topic: Topic, partition: u16) -> Result<(Offset, Offset), Error> {
        self.ask(move |shared, client| {
            shared.check(client, &topic, partition)?;
            shared.extent(client, &topic, partition)
        })
        .await
    }
}

// === impl Shared ===

impl Shared {
    fn count(&self, client: &Client, topic: &Topic) -> Result<u16, Error> {
        let metadata = client.fetch_metadata(Some(topic.as_str()), self.config.request_timeout);
        let metadata = metadata.map_err(|error| errors::asked(error.rdkafka_error_code(), topic, 0))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else {
            return Err(Error::MissingTopic(topic.clone(), 0));
        };
        match found.error() {
            Some(code) => Err(errors::asked(Some(code.into()), topic, 0)),
            None => Ok(found.partitions().len() as u16),
        }
    }

    /// The client would wait for a partition that does not exist until its patience ends.
    fn check(&self, client: &Client, topic: &Topic, partition: u16) -> Result<(), Error> {
        if partition < self.count(client, topic)? {
            return Ok(());
        }
        Err(Error::MissingTopic(topic.clone(), partition))
    }

    fn extent(&self, client: &Client, topic: &Topic, partition: u16) -> Result<(Offset, Offset), Error> {
        let found =
            client.fetch_watermarks(topic.as_str(), i32::from(partition), self.config.request_timeout);
        let (earliest, end) =
            found.map_err(|error| errors::asked(error.rdkafka_error_code(), topic, partition))?;
        Ok((earliest as Offset, end as Offset))
    }

    fn committed(&self, group: &Group, topic: &Topic, count: u16) -> Result<Vec<Option<Offset>>, Error> {
        let known = {
            let mut inspectors = lock(&self.inspectors);
            let place = inspectors.iter().position(|(known, _)| known == group);
            place.map(|place| inspectors.remove(place))
        };
        let (group, client) = match known {
            Some(known) => known,
            None => (group.clone(), create(&self.config.inspector(group))?),
        };
        let mut asked = TopicPartitionList::new();
        for partition in 0..count {
            asked.add_partition(topic.as_str(), i32::from(partition));
        }
        let answer = committed(&client, asked, self.config.request_timeout);
        let mut inspectors = lock(&self.inspectors);
        inspectors.push((group, client));
        let oldest = (inspectors.len() > INSPECTORS_MAX).then(|| inspectors.remove(0));
        drop(inspectors);
        // Closing it takes its time: not under the lock.
        drop(oldest);
        let answer = answer?;
        Ok((0..count).map(|partition| offset_of(&answer, topic, partition)).collect())
    }

    fn read(
        &self,
        client: &Client,
        (topic, partition): (&Topic, u16),
        from: Offset,
        max_bytes: usize,
    ) -> Result<Page, Error> {
        let (earliest, end) = self.extent(client, topic, partition)?;
        let outside = || Error::OutOfRange { topic: topic.clone(), partition, asked: from, earliest, end };
        if from < earliest || from > end {
            return Err(outside());
        }
        if from == end {
            return Ok(Page { entries: Vec::new(), next: from });
        }
        let mut at = TopicPartitionList::new();
        let failed = |error: KafkaError| errors::asked(error.rdkafka_error_code(), topic, partition);
        at.add_partition_offset(topic.as_str(), i32::from(partition), At::Offset(from as i64))
            .map_err(failed)?;
        client.assign(&at).map_err(|error| Error::Unavailable(errors::said(&error)))?;
        let page = self.collect(client, (topic, partition), (from, end), max_bytes);
        client.unassign().map_err(|error| Error::Unavailable(errors::said(&error)))?;
        page.map_err(|error| if errors::is_out_of_range(&error) { outside() } else { failed(error) })
    }

    /// Takes messages until the page is full or the end is reached.
    fn collect(
        &self,
        client: &Client,
        (topic, partition): (&Topic, u16),
        (from, end): (Offset, Offset),
        max_bytes: usize,
    ) -> Result<Page, KafkaError> {
        let mut page = Page { entries: Vec::new(), next: from };
        let mut bytes = 0;
        let mut glances = self.config.request_timeout.as_millis() / GLANCE.as_millis();
        while page.next < end {
            match client.poll(GLANCE) {
                Some(Ok(message)) => {
                    if message.topic() != topic.as_str() || message.partition() != i32::from(partition) {
                        continue;
                    }
                    let entry = convert::entry(topic, partition, &message);
                    bytes += entry.record.size();
                    if bytes > max_bytes && !page.entries.is_empty() {
                        break;
                    }
                    page.next = entry.offset + 1;
                    page.entries.push(entry);
                }
                // What is left up to the end is a hole.
                Some(Err(KafkaError::PartitionEOF(_))) => page.next = page.next.max(end),
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
                None if glances == 0 && page.entries.is_empty() => {
                    return Err(KafkaError::MessageConsumption(Code::OperationTimedOut));
                }
                None if glances == 0 => break,
                None => glances -= 1,
            }
        }
        Ok(page)
    }
}

/// Whether the client gets over this by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure | Code::AllBrokersDown | Code::NotLeaderForPartition | Code::Resolve
        )
    )
}

fn create(config: &rdkafka::ClientConfig) -> Result<Client, Error> {
    config.create_with_context(Reporting).map_err(|error| Error::Unavailable(errors::said(&error)))
}

/// Asks what a member's group, or an inspector's, has committed. Blocks.
pub(super) fn committed<C: rdkafka::consumer::ConsumerContext>(
    client: &BaseConsumer<C>,
    asked: TopicPartitionList,
    timeout: Duration,
) -> Result<TopicPartitionList, Error> {
    client.committed_offsets(asked, timeout).map_err(|error| Error::Unavailable(errors::said(&error)))
}

/// What a list of committed offsets says of a partition.
pub(super) fn offset_of(list: &TopicPartitionList, topic: &Topic, partition: u16) -> Option<Offset> {
    match list.find_partition(topic.as_str(), i32::from(partition))?.offset() {
        At::Offset(offset) => u64::try_from(offset).ok(),
        _ => None,
    }
}
