//! Messaging: takes commands into the region's ingress, and sequences them.
//!
//! Two halves that share nothing but topics and a bound:
//! [`Publish`](v1::messaging_server::Messaging::publish) admits a command, produces it and acks; the
//! sequencer consumes the ingress and turns each partition into segments. Either half may be down without an
//! error to the other's users: accepted events wait.
//!
//! Reading order: `admit` (what is refused), `publish`, `load`; then `sequencer` and its `driver`,
//! `takeover`, `appends` (puts), `stored`. The rules of sequencing are `sterna_stream::sequencer`; this
//! crate decides nothing about them.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sterna_access::GrantKey;
use sterna_log::Log;
use sterna_process::{Caller, End, Link, Process};
use sterna_proto::v1;
use sterna_proto::v1::messaging_server::{Messaging as Service, MessagingServer};
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_storage::Table;
use sterna_stream::kind::Kinds;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

mod admit;
pub mod config;
pub mod content;
mod ingress;
mod load;
mod missing;
mod publish;
mod sequencer;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use sequencer::{Alarms, Machines};

/// What the role is made of.
pub struct Parts {
    /// The owner of its tasks.
    pub process: Process,
    /// The region's log.
    pub log: Arc<dyn Log>,
    /// The region's table, for checkpoints.
    pub table: Arc<dyn Table>,
    /// The way to persistence.
    pub persistence: Link,
    /// The kinds of streams.
    pub kinds: Kinds,
}

/// The role.
#[derive(Clone)]
pub struct Messaging(Arc<Inner>);

pub(crate) struct Inner {
    process: Process,
    config: Arc<Config>,
    log: Arc<dyn Log>,
    kinds: Kinds,
    grant_key: GrantKey,
    load: load::Load,
    machines: Arc<Machines>,
    alarms: Arc<Alarms>,
}

impl Messaging {
    /// Starts the role: its sequencer joins the ingress' consumer group.
    pub fn start(config: Config, parts: Parts) -> Self {
        let (machines, alarms) = (Arc::new(Machines::default()), Arc::new(Alarms::default()));
        let config = Arc::new(config);
        let inner = Arc::new(Inner {
            process: parts.process.clone(),
            log: parts.log.clone(),
            kinds: parts.kinds,
            grant_key: GrantKey::new(&config.grant_secret),
            load: load::Load::new(config.partitions, config.lag_max, config.accept_single_copy),
            machines: machines.clone(),
            alarms: alarms.clone(),
            config: config.clone(),
        });
        let shared = Arc::new(sequencer::Shared {
            process: parts.process.clone(),
            config,
            log: parts.log,
            table: parts.table,
            appends: PersistenceClient::new(parts.persistence.own_connection()),
            persistence: PersistenceClient::new(parts.persistence),
            machines,
            alarms,
        });
        let (sequencer, inbox) = sequencer::Sequencer::new(shared);
        parts.process.spawn("the ingress consumer", End::Fatal, sequencer.run(inbox));
        parts.process.spawn("the ingress' load", End::Fatal, load::watch(inner.clone()));
        Self(inner)
    }

    /// Its services, to be served or linked directly.
    pub fn routes(&self) -> Routes {
        Routes::new(MessagingServer::new(self.clone()))
    }

    /// What the sequencer of each partition counted since its term began.
    pub fn counters(&self) -> Vec<(u16, sterna_stream::sequencer::Counters)> {
        self.0.machines.counters()
    }

    /// Partitions of this instance that nothing may sequence any more.
    pub fn alarms(&self) -> &Alarms {
        &self.0.alarms
    }
}

#[tonic::async_trait]
impl Service for Messaging {
    type PublishStream = Pin<Box<dyn Stream<Item = Result<v1::PublishDown, Status>> + Send>>;

    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishUp>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        Caller::of(&request)?.must_be(&["gateway"])?;
        let publishing = publish::Publishing::new(self.0.clone(), request.into_inner());
        Ok(Response::new(Box::pin(publishing)))
    }
}
