//! Real backends for one region's stores: its log in a Kafka cluster, its table in DynamoDB. Each is there in
//! a build with the feature of its name alone ([`KAFKA`], [`DYNAMODB`]).
//!
//! A region starts on what is there and fits, or not at all: topics with the plan's partitions, every table
//! within reach. What is missing is made only where that is asked for.

use std::sync::Arc;

use sterna_log::{Log, Topic};
use sterna_storage::Table;
use sterna_storage::key::Name;
use sterna_storage::table::Range;

use crate::plan::Plan;
use crate::rebuild;
use crate::stores::{ingress, own_log};

/// Whether this build has the Kafka client.
pub const KAFKA: bool = cfg!(feature = "kafka");
/// Whether this build has the DynamoDB client.
pub const DYNAMODB: bool = cfg!(feature = "dynamodb");

/// A region's Kafka cluster, without TLS.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Brokers to ask first: `host:port`, separated by commas.
    pub brokers: String,
    /// Whether missing topics are made, in the following way.
    pub provision: bool,
    /// Replicas of each partition.
    pub replicas: u16,
    /// Replicas that must be in sync for a produce (E9).
    pub in_sync_min: u16,
}

/// A region's tables in DynamoDB, without TLS.
#[derive(Clone)]
pub struct Dynamo {
    /// `http://host:port`.
    pub endpoint: String,
    /// The platform's name of the region.
    pub region: String,
    /// Stands before every table's name.
    pub prefix: String,
    /// Whether missing tables are made, paid for by request.
    pub provision: bool,
    /// Access key id, secret, and a session's token if it has one.
    pub keys: (String, String, Option<String>),
}

/// Why a region cannot start on these stores.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build lacks the client.
    #[error("this build has no client for it: build with `--features {0}`")]
    Absent(&'static str),
    /// The cluster.
    #[error("the log cannot be used: are the brokers there, and the topics made?")]
    Log(#[from] sterna_log::Error),
    /// A topic of another shape.
    #[error(
        "topic {topic} has {is} partitions, the region {should}: set [region] partitions to what is there"
    )]
    Partitions {
        /// Which.
        topic: Topic,
        /// What it has.
        is: usize,
        /// What the plan says.
        should: u16,
    },
    /// The tables.
    #[error("the table cannot be used: is its endpoint right, are the tables made, are the keys good?")]
    Table(#[from] sterna_storage::Error),
    /// What they hold is of another life than the plan's.
    #[error(transparent)]
    Life(#[from] rebuild::Error),
}

/// The region's log.
///
/// # Errors
/// [`Error`]; nothing was made that was not asked for.
pub async fn log(plan: &Plan, at: &Kafka) -> Result<Arc<dyn Log>, Error> {
    let origin = plan.origin();
    let topics = [ingress(&origin), own_log(&origin)];
    let log = connect(plan, at, &topics).await?;
    for topic in topics {
        let is = log.describe(&topic, None).await?.partitions.len();
        if is != usize::from(plan.partitions) {
            return Err(Error::Partitions { topic, is, should: plan.partitions });
        }
    }
    Ok(log)
}

/// The region's table; `seed` is of the pauses between repetitions.
///
/// # Errors
/// [`Error`]; nothing was made that was not asked for.
pub async fn table(at: &Dynamo, seed: u64) -> Result<Arc<dyn Table>, Error> {
    let table = open(at, seed).await?;
    for name in Name::ALL {
        table.query(Range::new(name, "is it there").limit(1)).await?;
    }
    Ok(table)
}

#[cfg(feature = "kafka")]
async fn connect(plan: &Plan, at: &Kafka, topics: &[Topic]) -> Result<Arc<dyn Log>, Error> {
    use sterna_log::kafka::{Config, KafkaLog, Layout, provision};
    let config = Config::new(&at.brokers);
    if at.provision {
        let Kafka { replicas, in_sync_min, .. } = *at;
        let layout = Layout { partitions: plan.partitions, replicas, in_sync_min, retention_ms: None };
        provision(&config, topics, layout).await?;
    }
    Ok(Arc::new(KafkaLog::connect(config)?))
}

#[cfg(not(feature = "kafka"))]
async fn connect(_: &Plan, _: &Kafka, _: &[Topic]) -> Result<Arc<dyn Log>, Error> {
    Err(Error::Absent("kafka"))
}

#[cfg(feature = "dynamodb")]
async fn open(at: &Dynamo, seed: u64) -> Result<Arc<dyn Table>, Error> {
    use sterna_storage::dynamodb::{Config, DynamoTable, Throughput, plain, provision};
    let (id, secret, session) = &at.keys;
    let client = plain(&at.endpoint, &at.region, (id, secret, session.as_deref()));
    if at.provision {
        provision(&client, &at.prefix, Throughput::OnDemand).await?;
    }
    Ok(Arc::new(DynamoTable::new(client, Config::new(at.prefix.clone(), seed))))
}

#[cfg(not(feature = "dynamodb"))]
async fn open(_: &Dynamo, _: u64) -> Result<Arc<dyn Table>, Error> {
    Err(Error::Absent("dynamodb"))
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, region, prefix, .. } = self;
        f.debug_struct("Dynamo")
            .field("endpoint", endpoint)
            .field("region", region)
            .field("prefix", prefix)
            .finish()
    }
}
