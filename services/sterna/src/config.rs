//! The configuration of `serve`: the embedded defaults, a file, the environment, laid over each other in this
//! order, then checked as a whole.
//!
//! A key is a field here and a line in `default.toml` that explains it; [`Config::plan`] hands it on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use figment::Figment;
use figment::providers::Env;
use serde::Deserialize;
use sterna_cluster::{Plan, Secrets, Tenant};
use sterna_gateway::edge::{Limits, Origins};
use sterna_protocol::frame::Endpoint;
use sterna_stream::Region;

mod clients;
mod layer;
pub mod stores;

use layer::Layer;
use stores::{Chosen, DynamoConfig, KafkaConfig, StoresConfig, Variable};

/// The defaults, each explained.
pub const DEFAULT: &str = include_str!("default.toml");
/// What environment variables begin with.
const PREFIX: &str = "STERNA_";
/// Variables that are the command line's, or of the servers that `cargo xtask stack` starts.
const OF_OTHERS: &[&str] = &["log", "log_json", "token", "kafka", "dynamodb", "stack_cache"];
/// Shortest secret, bytes.
const SECRET_BYTES: usize = 16;
/// Most gateway shards.
const SHARDS: usize = 256;
/// Most partitions.
const PARTITIONS: u16 = 1_024;

/// Why a configuration is refused; each says where and what would do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file, or not to be read.
    #[error("cannot read {0}: `sterna config print` writes one to start from")]
    Read(PathBuf, #[source] std::io::Error),
    /// Not TOML.
    #[error("{0} is not TOML")]
    Form(PathBuf, #[source] toml::de::Error),
    /// A name unknown, a value of a wrong type.
    #[error("the configuration does not fit: see `sterna config print` for every name and its meaning")]
    Fit(#[source] Box<figment::Error>),
    /// A value out of its bounds.
    #[error("{field}: {problem}")]
    Value {
        /// Where.
        field: &'static str,
        /// What is wrong, and what would do.
        problem: String,
    },
}

/// A configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which region this is.
    pub region: RegionConfig,
    /// Where clients come.
    pub listen: Listen,
    /// Where it keeps what outlives processes.
    stores: StoresConfig,
    kafka: KafkaConfig,
    dynamodb: DynamoConfig,
    /// The stores, checked.
    #[serde(skip)]
    chosen: Option<Chosen>,
    /// What is not to be known.
    pub secrets: SecretsConfig,
    /// Where operators ask.
    pub operator: Operator,
    /// How it ends.
    pub drain: Drain,
    /// Whose streams it makes.
    #[serde(default)]
    tenants: Vec<TenantConfig>,
}

/// `[region]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionConfig {
    name: String,
    incarnation: u32,
    partitions: u16,
}

/// `[listen]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Where clients connect.
    pub address: SocketAddr,
    shards: usize,
    url: String,
    origins: Vec<String>,
    handshakes_per_s: u32,
    connections: usize,
    sessions: usize,
}

/// `[secrets]`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    content: String,
    grants: String,
    links: String,
    tokens: String,
}

/// `[operator]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    address: String,
}

/// `[[tenants]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantConfig {
    name: String,
    owner: String,
}

/// `[drain]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long health says so before sessions are sent away, seconds.
    pub notice_s: u32,
    /// Whether another gateway serves this region, to which sessions are sent before this one ends.
    pub elsewhere: bool,
}

// === impl Config ===

impl Config {
    /// Reads the defaults, `file` and the environment.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        Self::read_with(file, &|name| std::env::var(name).ok())
    }

    /// As [`Config::read`]; the keys of stores are asked from `variable`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_with(file: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let text = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| Error::Read(path.into(), error))?;
                Some((path, text))
            }
            None => None,
        };
        let laid_over = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        let environment = Env::prefixed(PREFIX).ignore(OF_OTHERS).split("__");
        Self::from_layers(laid_over, environment, variable)
    }

    fn from_layers(
        file: Option<(&Path, &str)>,
        environment: Env,
        variable: Variable<'_>,
    ) -> Result<Self, Error> {
        let parse = |path: &Path, text: &str| {
            toml::from_str::<toml::Table>(text).map_err(|error| Error::Form(path.into(), error))
        };
        let mut layers = Figment::new();
        let defaults = Path::new("the defaults");
        layers = layers.merge(Layer { from: defaults, table: parse(defaults, DEFAULT)? });
        if let Some((path, text)) = file {
            layers = layers.merge(Layer { from: path, table: parse(path, text)? });
        }
        let mut config: Self =
            layers.merge(environment).extract().map_err(|error| Error::Fit(Box::new(error)))?;
        config.plan()?;
        config.chosen = Some(config.stores.choose(&config.kafka, &config.dynamodb, variable)?);
        Ok(config)
    }

    /// The plan of the region, with everything checked.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn plan(&self) -> Result<Plan, Error> {
        let value = |field, problem: String| Err(Error::Value { field, problem });
        let RegionConfig { name, incarnation, partitions } = &self.region;
        let Ok(region) = name.parse::<Region>() else {
            return value("region.name", format!("{name:?} is no region name: choose one like us-east-1"));
        };
        if *incarnation == 0 {
            return value("region.incarnation", "0 is none: the first is 1".to_owned());
        }
        if !(1..=PARTITIONS).contains(partitions) {
            return value("region.partitions", format!("{partitions} is out of 1 to {PARTITIONS}"));
        }
        for (field, secret) in self.secrets.all() {
            if secret.len() < SECRET_BYTES {
                return value(
                    field,
                    format!("shorter than {SECRET_BYTES} bytes: `openssl rand -hex 32` makes one"),
                );
            }
        }
        if self.listen.handshakes_per_s == 0 || self.listen.connections == 0 || self.listen.sessions == 0 {
            return value("listen", "a limit of 0 would let nobody in: choose 1 or more".to_owned());
        }
        let operator = &self.operator.address;
        if !operator.is_empty() && self.operator().is_none() {
            let problem = format!("{operator:?} is no address: write 127.0.0.1:9464, or nothing for none");
            return value("operator.address", problem);
        }
        if self.listen.shards > SHARDS {
            return value("listen.shards", format!("{} is more than {SHARDS}", self.listen.shards));
        }
        self.reachable()?;
        let mut plan = Plan::small(region, 0);
        (plan.incarnation, plan.partitions) = (*incarnation, *partitions);
        plan.limits.sessions = self.listen.sessions.div_ceil(self.shards());
        plan.endpoints = vec![Endpoint { region: plan.region.clone(), url: self.url().into() }];
        plan.secrets = self.secrets.secrets();
        plan.tenants = self.tenants()?;
        Ok(plan)
    }

    fn tenants(&self) -> Result<Vec<Tenant>, Error> {
        let refused = |problem| Error::Value { field: "tenants", problem };
        let mut tenants: Vec<Tenant> = Vec::with_capacity(self.tenants.len());
        for TenantConfig { name, owner } in &self.tenants {
            if tenants.iter().any(|tenant| tenant.name == *name) {
                return Err(refused(format!("{name:?} stands there twice: keep one")));
            }
            tenants.push(Tenant::new(name, owner).map_err(refused)?);
        }
        Ok(tenants)
    }

    /// Where data is kept.
    pub fn stores(&self) -> Chosen {
        self.chosen.clone().unwrap_or(Chosen::Memory)
    }

    /// How clients come here.
    pub fn url(&self) -> String {
        self.url_at(self.listen.address)
    }

    /// The same, once `address` was bound: of port 0 the system makes one.
    pub fn url_at(&self, address: SocketAddr) -> String {
        if self.listen.url.is_empty() {
            format!("ws://{address}/v1/connect")
        } else {
            self.listen.url.clone()
        }
    }

    /// Whose pages may connect.
    pub fn origins(&self) -> Origins {
        let listed = &self.listen.origins;
        if listed.iter().any(|one| one == "*") { Origins::Any } else { Origins::Listed(listed.clone()) }
    }

    /// Where operators ask; `None`: nowhere.
    pub fn operator(&self) -> Option<SocketAddr> {
        // What is no address was refused when the configuration was read.
        self.operator.address.parse().ok()
    }

    /// How many gateway shards, one at least: as many as cores unless it is said.
    pub fn shards(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(SHARDS);
        if self.listen.shards == 0 { cores() } else { self.listen.shards }
    }

    /// File handles that all of what `[listen]` allows would take.
    pub fn handles(&self) -> u64 {
        let sockets = self.listen.sessions.saturating_add(self.listen.connections) as u64;
        sockets.saturating_add(crate::handles::RESERVE)
    }

    /// The bounds of each shard's edge: its part of the region's.
    pub fn edge_limits(&self) -> Limits {
        let Listen { handshakes_per_s, connections, .. } = self.listen;
        let shards = self.shards();
        let handshakes_per_s = handshakes_per_s.div_ceil(u32::try_from(shards).unwrap_or(u32::MAX));
        Limits { handshakes_per_s, connections: connections.div_ceil(shards) }
    }

    /// What should not be so where strangers come.
    pub fn warnings(&self) -> Vec<String> {
        let public = !self.listen.address.ip().is_loopback();
        let known =
            self.secrets.all().into_iter().filter(|(_, secret)| secret.starts_with("sterna development"));
        let warn = |(field, _)| {
            format!(
                "{field} is the one everybody knows, and {} is not loopback: set your own",
                self.listen.address
            )
        };
        let mut warnings: Vec<String> = known.filter(|_| public).map(warn).collect();
        warnings.extend(self.unreachable());
        if let Some(operator) = self.operator().filter(|address| !address.ip().is_loopback()) {
            warnings
                .push(format!("whoever reaches {operator} may read the metrics: no token is asked there"));
        }
        warnings
    }
}

// === impl SecretsConfig ===

impl SecretsConfig {
    fn all(&self) -> [(&'static str, &str); 4] {
        let Self { content, grants, links, tokens } = self;
        [
            ("secrets.content", content),
            ("secrets.grants", grants),
            ("secrets.links", links),
            ("secrets.tokens", tokens),
        ]
    }

    fn secrets(&self) -> Secrets {
        let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        let Self { content, grants, links, tokens } = self;
        Secrets { content: bytes(content), grants: bytes(grants), links: bytes(links), tokens: bytes(tokens) }
    }
}

impl std::fmt::Debug for SecretsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretsConfig(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    pub(super) fn read(text: &str) -> Result<Config, String> {
        let none = Env::prefixed("STERNA_TEST_OF_CONFIG_");
        Config::from_layers(Some((Path::new("region.toml"), text)), none, &|_| None).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}")
        })
    }

    #[test]
    fn the_defaults_stand_and_a_file_is_laid_over_them() {
        let config = read("").unwrap();
        assert_eq!(config.url(), "ws://127.0.0.1:8080/v1/connect");
        assert_eq!((config.origins(), config.warnings().len()), (Origins::Listed(vec![]), 0));
        let file = "[region]\nname = \"eu-west-1\"\n[listen]\naddress = \"0.0.0.0:80\"\norigins = [\"*\"]";
        let config = read(file).unwrap();
        let plan = config.plan().unwrap();
        assert_eq!((plan.region.as_str(), plan.partitions), ("eu-west-1", 16));
        assert_eq!((config.origins(), config.warnings().len()), (Origins::Any, 5));
    }

    #[test]
    fn an_operators_address_that_others_reach_is_told() {
        let [near, far] = ["127.0.0.1:9464", "0.0.0.0:9464"]
            .map(|address| read(&format!("[operator]\naddress = \"{address}\"")).unwrap().warnings());
        assert!(near.is_empty(), "{near:?}");
        assert!(far.len() == 1 && far[0].contains("0.0.0.0:9464 may read the metrics"), "{far:?}");
    }

    /// E3: tenants are provisioned as the configuration names them.
    #[test]
    fn tenants_are_named_with_their_root_owners() {
        assert_eq!(read("").unwrap().plan().unwrap().tenants, []);
        let file =
            "[[tenants]]\nname = \"acme\"\nowner = \"ops@acme\"\n[[tenants]]\nname = \"b\"\nowner = \"bo\"";
        let tenants = read(file).unwrap().plan().unwrap().tenants;
        assert_eq!(tenants, [Tenant::new("acme", "ops@acme").unwrap(), Tenant::new("b", "bo").unwrap()]);
    }

    #[test]
    fn each_shard_has_its_part_of_what_the_region_takes_on() {
        let config =
            read("[listen]\nshards = 3\nsessions = 10\nhandshakes_per_s = 7\nconnections = 6").unwrap();
        assert_eq!((config.shards(), config.plan().unwrap().limits.sessions), (3, 4));
        let Limits { handshakes_per_s, connections } = config.edge_limits();
        assert_eq!((handshakes_per_s, connections), (3, 2));
        assert!(read("").unwrap().shards() >= 1, "a shard per core, unless it is said");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_do() {
        let real = sterna_cluster::real::KAFKA && sterna_cluster::real::DYNAMODB;
        for (file, says) in [
            ("[region]\nnmae = \"x\"", "nmae"),
            ("[region]\nnmae = \"x\"", "for key \"region.nmae\" in region.toml"),
            ("[regions]", "regions"),
            ("[region]\npartitions = \"many\"", "partitions"),
            ("[region]\nname = \"No Region\"", "choose one like us-east-1"),
            ("[region]\nincarnation = 0", "the first is 1"),
            ("[region]\npartitions = 0", "1 to 1024"),
            ("[secrets]\nlinks = \"short\"", "secrets.links: shorter than 16 bytes"),
            ("[listen]\naddress = \"here\"", "address"),
            ("[listen]\nsessions = 0", "choose 1 or more"),
            ("[listen]\nconnections = 0", "choose 1 or more"),
            ("[listen]\nhandshakes_per_s = 0", "choose 1 or more"),
            ("[listen]\nshards = 257", "listen.shards: 257 is more than 256"),
            ("[stores]\nkind = \"tape\"", "tape"),
            ("[stores]\nkind = \"kafka-dynamodb\"", if real { "kafka.brokers" } else { "--features" }),
            ("[operator]\naddress = \"9464\"", "operator.address: \"9464\" is no address"),
            ("[[tenants]]\nname = \"acme\"", "owner"),
            (
                "[[tenants]]\nname = \"No Tenant\"\nowner = \"ops\"",
                "tenants: \"No Tenant\" is no tenant's name",
            ),
            ("[[tenants]]\nname = \"system\"\nowner = \"ops\"", "are reserved"),
            ("[[tenants]]\nname = \"..\"\nowner = \"ops\"", "tenants: \"..\" is no tenant's name"),
            ("[[tenants]]\nname = \"acme\"\nowner = \"\"", "tenants: \"\" owns no tenant"),
            (
                concat!(
                    "[[tenants]]\nname = \"acme\"\nowner = \"ops\"\n",
                    "[[tenants]]\nname = \"acme\"\nowner = \"ana\""
                ),
                "tenants: \"acme\" stands there twice",
            ),
            ("region", "region.toml is not TOML"),
        ] {
            let error = read(file).unwrap_err();
            assert!(error.contains(says), "{file}: {error}");
        }
    }
}
