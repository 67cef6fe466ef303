//! What a gateway shard is built from: made where the region is, taken to the thread on which the shard is to
//! live, and started there.

use std::sync::Arc;

use sterna_access::members::stored::StoredEvents;
use sterna_access::{GrantKey, MemberAuthorizer, TokenVerifier};
use sterna_gateway::gateway::{Config, Gateway, Parts};
use sterna_gateway::outward::Links;
use sterna_process::Process;
use sterna_stream::kind::Kinds;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::plan::Plan;

/// A shard that is not started yet. It may change its thread; the shard may not.
pub struct ShardSeed {
    config: Config,
    parts: Parts,
}

impl ShardSeed {
    pub(crate) fn new(plan: &Plan, shard: usize, process: &Process, links: Links) -> Self {
        let config = Config {
            name: format!("gateway-{shard}"),
            region: plan.region.clone(),
            origin: plan.origin(),
            partitions: plan.partitions,
            terms: plan.terms,
            endpoints: plan.endpoints.clone(),
            limits: plan.limits.clone(),
            clock_bound_ms: sterna_stream::limits::CLOCK_BOUND_MS,
            mirrored: !plan.peers.is_empty(),
        };
        let events = StoredEvents::new(links.persistence.clone());
        let clock = process.clock().clone();
        let authorizer = MemberAuthorizer::new(events, Kinds::standard(), clock, process.name());
        let parts = Parts {
            process: process.clone(),
            verifier: Arc::new(TokenVerifier::new(&plan.secrets.tokens)),
            authorizer: Arc::new(authorizer),
            grant_key: GrantKey::new(&plan.secrets.grants),
            links,
        };
        Self { config, parts }
    }

    /// Starts the shard on this thread, which runs a `LocalRuntime`: the one of its process.
    pub fn start<S: AsyncRead + AsyncWrite + Unpin + 'static>(self) -> Gateway<S> {
        Gateway::start(self.config, self.parts)
    }
}
