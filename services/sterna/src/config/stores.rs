//! `[stores]`, `[kafka]` and `[dynamodb]`: where a region keeps what outlives its processes.
//!
//! Log and table are chosen together: one of them alone would come back without what the other rests on. Keys
//! are no part of a configuration: they come from the environment, under the names that the platform's own
//! tools read.

use serde::Deserialize;
use sterna_cluster::real::{self, Dynamo, Kafka};
use sterna_cluster::rebuild::may_start;
use sterna_cluster::{MemoryStores, Plan, Stores};

use super::Error;

/// `[stores]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoresConfig {
    kind: Kind,
    provision: bool,
}

/// Where data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// In this process.
    Memory,
    /// The log in Kafka, the table in DynamoDB.
    KafkaDynamodb,
}

/// `[kafka]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    brokers: String,
    replicas: u16,
    in_sync_min: u16,
}

/// `[dynamodb]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamoConfig {
    endpoint: String,
    region: String,
    prefix: String,
}

/// Stores that are described and not opened yet.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// In this process.
    Memory,
    /// The log in Kafka, the table in DynamoDB; tails and sessions in this process.
    Real(Kafka, Dynamo),
}

/// Reads a variable of the environment.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl StoresConfig {
    /// What is chosen, with everything checked that can be without a network.
    pub(super) fn choose(
        &self,
        kafka: &KafkaConfig,
        dynamodb: &DynamoConfig,
        variable: Variable<'_>,
    ) -> Result<Chosen, Error> {
        match self.kind {
            Kind::Memory => Ok(Chosen::Memory),
            Kind::KafkaDynamodb => {
                has_clients()?;
                let kafka = kafka.checked(self.provision)?;
                Ok(Chosen::Real(kafka, dynamodb.checked(self.provision, variable)?))
            }
        }
    }
}

fn has_clients() -> Result<(), Error> {
    let missing = match (real::KAFKA, real::DYNAMODB) {
        (true, true) => return Ok(()),
        (false, true) => "kafka",
        (true, false) => "dynamodb",
        (false, false) => "kafka,dynamodb",
    };
    let problem = format!(
        "this build lacks clients for it: \
         `cargo build --profile dist --features {missing},mimalloc` makes one with them"
    );
    Err(Error::Value { field: "stores.kind", problem })
}

impl KafkaConfig {
    fn checked(&self, provision: bool) -> Result<Kafka, Error> {
        let Self { brokers, replicas, in_sync_min } = self.clone();
        if brokers.is_empty() {
            return wrong("kafka.brokers", "none is named: write host:port, separated by commas");
        }
        if !(1..=replicas).contains(&in_sync_min) {
            return wrong("kafka.in_sync_min", "choose 1 to as many as kafka.replicas says");
        }
        Ok(Kafka { brokers, provision, replicas, in_sync_min })
    }
}

impl DynamoConfig {
    fn checked(&self, provision: bool, variable: Variable<'_>) -> Result<Dynamo, Error> {
        let Self { endpoint, region, prefix } = self.clone();
        if !endpoint.starts_with("http://") {
            let problem = "write http://host:port: TLS is not spoken yet, a proxy beside this process may";
            return wrong("dynamodb.endpoint", problem);
        }
        if region.is_empty() || prefix.is_empty() {
            return wrong("dynamodb", "region and prefix must be named: others may share the account");
        }
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (Some(id), Some(secret)) = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) else {
            let problem = "the environment must set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            return wrong("dynamodb", problem);
        };
        Ok(Dynamo { endpoint, region, prefix, provision, keys: (id, secret, set("AWS_SESSION_TOKEN")) })
    }
}

impl Chosen {
    /// Opens them, for a life of the region that may start on them (E1). Stores in memory are new; whoever
    /// asks for what is missing to be made says that all of them are.
    ///
    /// # Errors
    /// [`real::Error`]; of a life that may not start no topic was made.
    pub async fn open(&self, plan: &Plan) -> Result<Stores, real::Error> {
        let mut stores = MemoryStores::new(plan).stores();
        let are_new = match self {
            Self::Memory => true,
            Self::Real(_, dynamo) => {
                stores.table = real::table(dynamo, plan.seed).await?;
                dynamo.provision
            }
        };
        may_start(&*stores.table, &plan.origin(), are_new).await?;
        if let Self::Real(kafka, _) = self {
            stores.log = real::log(plan, kafka).await?;
        }
        Ok(stores)
    }

    /// What becomes of the data when the process ends.
    pub fn told(&self) -> &'static str {
        match self {
            Self::Memory => "stores in memory: what they hold is gone when this ends",
            Self::Real(..) => "the log in Kafka and the table in DynamoDB; tails and sessions in memory",
        }
    }

    /// What becomes of it when the process is ended at once.
    pub fn lost(&self) -> &'static str {
        match self {
            Self::Memory => "what the stores in memory held is gone; devices send again what was not acked",
            Self::Real(..) => {
                "what was acked is in Kafka, and goes on from there at the next start; devices send again \
                 what was not acked"
            }
        }
    }
}

fn wrong<T>(field: &'static str, problem: &str) -> Result<T, Error> {
    Err(Error::Value { field, problem: problem.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Whatever the build has: what lacks beside its clients.
    fn checked(brokers: &str, endpoint: &str, in_sync_min: u16) -> Result<(), String> {
        let kafka = KafkaConfig { brokers: brokers.to_owned(), replicas: 3, in_sync_min };
        let dynamodb = DynamoConfig {
            endpoint: endpoint.to_owned(),
            region: "us-east-1".to_owned(),
            prefix: "sterna-".to_owned(),
        };
        let both = kafka.checked(false).and_then(|_| dynamodb.checked(false, &|_| None));
        both.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_missing_for_real_stores_is_named_with_what_would_do() {
        for (brokers, endpoint, in_sync_min, says) in [
            ("", "http://there", 2, "kafka.brokers: none is named: write host:port"),
            ("b:1", "http://there", 4, "kafka.in_sync_min: choose 1 to as many"),
            ("b:1", "http://there", 0, "kafka.in_sync_min: choose 1 to as many"),
            ("b:1", "https://there", 2, "dynamodb.endpoint: write http://host:port: TLS is not spoken"),
            ("b:1", "http://there", 2, "must set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ] {
            let said = checked(brokers, endpoint, in_sync_min).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_build_without_the_clients_says_which_features_bring_them() {
        let said = has_clients().map_err(|error| error.to_string());
        match (real::KAFKA, real::DYNAMODB) {
            (true, true) => assert!(said.is_ok()),
            (false, false) => assert!(said.unwrap_err().contains("--features kafka,dynamodb")),
            _ => assert!(said.unwrap_err().contains("--features ")),
        }
    }
}
