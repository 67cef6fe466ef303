//! `sterna serve`: one region over TCP, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use sterna_cluster::MemoryStores;
use sterna_gateway::leaving::Leaving;
use sterna_process::{Drain, SystemClock};
use tokio::net::TcpStream;

use crate::config::{self, Config, StoreKind};
use crate::site::{self, Site};

/// Why it does not serve, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The address.
    #[error("cannot listen on {0}: set [listen] address, or STERNA_LISTEN__ADDRESS, to a free one")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
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

/// Serves until `stop` is raised, then ends in good order; `ready` is told the address that was bound.
///
/// # Errors
/// [`Error`].
pub async fn run(
    config: &Config,
    stop: &Drain,
    ready: impl FnOnce(std::net::SocketAddr),
) -> Result<(), Error> {
    let mut plan = config.plan()?;
    plan.seed = getrandom::u64()?;
    let listening = |error| Error::Listen(config.listen.address, error);
    let listener = site::claim(config.listen.address).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let region = plan.region.clone();
    let stores = match config.stores.kind {
        StoreKind::Memory => MemoryStores::new(&plan).stores(),
    };
    let (origins, limits, shards) = (config.origins(), config.edge_limits(), config.shards());
    let site: Site<TcpStream> = Site::start(plan, stores, Arc::new(SystemClock), origins, limits);
    for listener in site::beside(&listener, shards - 1).map_err(listening)? {
        site.add_shard(listener).await.map_err(Error::Shard)?;
    }
    site.edge().listen(listener, std::convert::identity);
    tracing::info!(%address, region = region.as_str(), shards, "serving");
    ready(address);
    let failed = tokio::select! {
        biased;
        () = stop.raised() => None,
        failed = site.failed() => Some(failed),
    };
    tracing::info!("stopping");
    let leaving = config.drain.elsewhere.then(|| Leaving::deploy(region));
    let cut = site.drain(Duration::from_secs(config.drain.notice_s.into()), leaving.as_ref()).await;
    if !cut.is_empty() {
        tracing::warn!(?cut, "these did not end by themselves");
    }
    failed.map_or(Ok(()), |failed| Err(Error::Role(failed)))
}
