//! `sterna serve`: one region over TCP, until it is told to stop.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sterna_cluster::{real, rebuild};
use sterna_gateway::leaving::Leaving;
use sterna_process::{Drain, Process, SystemClock};
use sterna_protocol::frame::Endpoint;

use crate::config::{self, Config};
use crate::handles;
use crate::metrics::Bounds;
use crate::operator;
use crate::site::{self, Site};
use crate::socket::Socket;

/// Why it does not serve, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The address.
    #[error("cannot listen on {0}: set [listen] address, or STERNA_LISTEN__ADDRESS, to a free one")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The operators' address.
    #[error(
        "cannot listen on {0}: set [operator] address, or STERNA_OPERATOR__ADDRESS, to a free one or to \"\""
    )]
    Operator(SocketAddr, #[source] std::io::Error),
    /// The stores.
    #[error("cannot start on these stores; `[stores] provision = true` makes what is missing")]
    Stores(#[source] real::Error),
    /// The stores are of another life of the region.
    #[error("cannot start in this life of the region")]
    Life(#[source] rebuild::Error),
    /// No thread.
    #[error("the system gives no thread for a gateway shard: set [listen] shards to fewer")]
    Shard(#[source] std::io::Error),
    /// No seed from the system.
    #[error("the system gives no randomness")]
    Random(#[from] getrandom::Error),
    /// A role ended by itself.
    #[error("a role ended by itself: {0}; the region was ended, start it again")]
    Role(String),
}

impl From<real::Error> for Error {
    fn from(error: real::Error) -> Self {
        match error {
            real::Error::Life(error) => Self::Life(error),
            error => Self::Stores(error),
        }
    }
}

/// What was bound.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For clients.
    pub clients: SocketAddr,
    /// For operators.
    pub operators: Option<SocketAddr>,
}

/// Serves until `stop` is raised, then ends in good order; `ready` is told the addresses that were bound.
///
/// # Errors
/// [`Error`].
pub async fn run(config: &Config, stop: &Drain, ready: impl FnOnce(Addresses)) -> Result<(), Error> {
    let mut plan = config.plan()?;
    plan.seed = getrandom::u64()?;
    let listening = |error| Error::Listen(config.listen.address, error);
    let listener = site::claim(config.listen.address).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    plan.endpoints = vec![Endpoint { region: plan.region.clone(), url: config.url_at(address).into() }];
    let desk = config.operator().map(|address| {
        let refused = |error| Error::Operator(address, error);
        let listener = operator::claim(address).map_err(refused)?;
        Ok::<_, Error>((listener.local_addr().map_err(refused)?, listener))
    });
    let desk = desk.transpose()?;
    let wanted = config.handles();
    for warning in config.warnings().into_iter().chain(handles::warning(handles::raise(wanted), wanted)) {
        tracing::warn!("{warning}");
    }
    let region = plan.region.clone();
    let stores = config.stores().open(&plan).await?;
    let (origins, limits, shards) = (config.origins(), config.edge_limits(), config.shards());
    let bounds = Bounds {
        sessions: plan.limits.sessions,
        connections: limits.connections,
        push_queue: plan.push_queue,
    };
    let watcher = Process::new(&format!("{region}/operator"), plan.seed, Arc::new(SystemClock));
    let site = Site::start(plan, stores, Arc::new(SystemClock), origins, limits);
    let site = Rc::new(site);
    for listener in site::beside(&listener, shards - 1).map_err(listening)? {
        site.add_shard(listener).await.map_err(Error::Shard)?;
    }
    site.edge().listen(listener, Socket::Tcp);
    let operators = desk.map(|(address, listener)| {
        operator::listen(listener, &watcher, site.clone(), bounds);
        address
    });
    tracing::info!(%address, region = region.as_str(), shards, "serving");
    ready(Addresses { clients: address, operators });
    let failed = tokio::select! {
        biased;
        () = stop.raised() => None,
        failed = site.failed() => Some(failed),
    };
    let leaving = config.drain.elsewhere.then(|| Leaving::deploy(region));
    let notice = Duration::from_secs(config.drain.notice_s.into());
    let (sessions, within) = site.remaining(notice, leaving.as_ref()).await;
    tracing::info!(
        notice_s = config.drain.notice_s,
        sessions,
        within_s = within.as_secs(),
        "stopping; a second Ctrl-C or SIGTERM ends at once"
    );
    let cut = site.drain(notice, leaving.as_ref()).await;
    watcher.kill();
    if !cut.is_empty() {
        tracing::warn!(?cut, "these did not end by themselves");
    }
    failed.map_or(Ok(()), |failed| Err(Error::Role(failed)))
}
