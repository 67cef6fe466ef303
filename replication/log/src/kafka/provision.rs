//! Makes topics, with the settings that the contract rests on. A deployment may make them by its templates
//! instead; then those say the same.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::time::{Instant, sleep};

use super::context::Reporting;
use super::settings::{BATCH_BYTES, Config};
use super::{KafkaLog, errors};
use crate::error::Error;
use crate::log::Log as _;
use crate::record::Topic;

/// How long a new topic may take until every partition can be asked.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);

/// How topics are made.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Partitions of each; they can never change, because keys would move (E28).
    pub partitions: u16,
    /// Replicas of each partition.
    pub replicas: u16,
    /// Replicas that must be in sync for a produce; 1 allows single copies (E9). Not above `replicas`: the
    /// brokers silently ask for no more than there are.
    pub in_sync_min: u16,
    /// How long records are kept, ms; none: for ever. At least the longest cut between regions that is
    /// tolerated (E21).
    pub retention_ms: Option<u64>,
}

/// Makes those of `topics` that are not there, and waits until they can be used. One that exists stays as it
/// is.
///
/// # Errors
/// `Refused` if one exists with another number of partitions, if more replicas are to be in sync than there
/// are, or if the cluster refuses; `Unavailable`.
pub async fn provision(config: &Config, topics: &[Topic], layout: Layout) -> Result<(), Error> {
    if layout.in_sync_min > layout.replicas {
        let problem = "more replicas in sync than there are: the brokers would ask for fewer";
        return Err(Error::Refused(problem.into()));
    }
    let admin: AdminClient<Reporting> = config
        .admin()
        .create_with_context(Reporting)
        .map_err(|error| Error::Unavailable(errors::said(&error)))?;
    let retention = layout.retention_ms.map_or("-1".to_owned(), |ms| ms.to_string());
    let in_sync = layout.in_sync_min.to_string();
    // A batch of small records must fit as a whole.
    let largest = (BATCH_BYTES * 4).to_string();
    let new = topics.iter().map(|topic| {
        let replication = TopicReplication::Fixed(i32::from(layout.replicas));
        NewTopic::new(topic.as_str(), i32::from(layout.partitions), replication)
            .set("min.insync.replicas", &in_sync)
            .set("retention.ms", &retention)
            .set("cleanup.policy", "delete")
            .set("message.timestamp.type", "CreateTime")
            .set("unclean.leader.election.enable", "false")
            .set("max.message.bytes", &largest)
    });
    let new: Vec<_> = new.collect();
    let options = AdminOptions::new().operation_timeout(Some(config.request_timeout));
    let made = admin.create_topics(&new, &options).await;
    for one in made.map_err(|error| Error::Unavailable(errors::said(&error)))? {
        match one {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::Refused(format!("topic {topic}: {code}").into())),
        }
    }
    let log = KafkaLog::connect(config.clone())?;
    for topic in topics {
        usable(&log, topic, layout.partitions).await?;
    }
    Ok(())
}

async fn usable(log: &KafkaLog, topic: &Topic, partitions: u16) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let problem = match log.describe(topic, None).await {
            Ok(found) if found.partitions.len() == usize::from(partitions) => return Ok(()),
            Ok(found) => {
                let count = found.partitions.len();
                return Err(Error::Refused(
                    format!("{topic} has {count} partitions, not {partitions}").into(),
                ));
            }
            Err(error) => error,
        };
        if Instant::now() > deadline {
            return Err(problem);
        }
        sleep(GLANCE).await;
    }
}
