//! What a region consists of.

use bytes::Bytes;
use sterna_gateway::limits::Limits;
use sterna_protocol::Limits as Terms;
use sterna_protocol::frame::Endpoint;
use sterna_stream::{Origin, Region, limits};

use crate::provision::Tenant;

/// The plan of one region.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub region: Region,
    /// Its life; 1 is the first (E1).
    pub incarnation: u32,
    /// The other regions, whose logs are mirrored here, in their present lives.
    pub peers: Vec<Origin>,
    /// Partitions of ingress and log; equal in all regions, never changed (E28).
    pub partitions: u16,
    /// Instances of messaging.
    pub messaging: usize,
    /// Instances of state.
    pub state: usize,
    /// Gateway shards.
    pub shards: usize,
    /// What the deployment and the region keep secret.
    pub secrets: Secrets,
    /// What `welcome` announces.
    pub terms: Terms,
    /// Each shard's bounds.
    pub limits: Limits,
    /// Each sequencer's bounds.
    pub sequencer: sterna_stream::sequencer::Limits,
    /// Whether segments go to, and are taken from, other regions by express, ahead of the mirrors (E19).
    pub express: bool,
    /// Messages that may wait for one shard at one instance of state.
    pub push_queue: usize,
    /// The regions' endpoints, for `welcome`.
    pub endpoints: Vec<Endpoint>,
    /// The tenants that are provisioned when the region starts; equal in all regions (E3).
    pub tenants: Vec<Tenant>,
    /// Where all randomness of the region comes from (E35).
    pub seed: u64,
}

/// Secrets, each at least 16 bytes.
#[derive(Clone)]
pub struct Secrets {
    /// Of content hashes; equal in all regions (E4).
    pub content: Bytes,
    /// Of grants; the region's own (E32).
    pub grants: Bytes,
    /// Of links between roles; equal in all regions.
    pub links: Bytes,
    /// Of the development issuer's tokens; equal in all regions.
    pub tokens: Bytes,
}

impl Plan {
    /// A region with one instance of everything.
    pub fn small(region: Region, seed: u64) -> Self {
        Self {
            region,
            incarnation: 1,
            peers: Vec::new(),
            partitions: 4,
            messaging: 1,
            state: 1,
            shards: 1,
            secrets: Secrets::development(),
            terms: Terms::default(),
            limits: Limits::default(),
            sequencer: sterna_stream::sequencer::Limits::default(),
            express: true,
            push_queue: limits::PUSH_QUEUE,
            endpoints: Vec::new(),
            tenants: Vec::new(),
            seed,
        }
    }

    /// The region's origin.
    pub fn origin(&self) -> Origin {
        Origin::of(&self.region, self.incarnation)
    }
}

impl Secrets {
    /// The same for everybody: for the demo, tests and local work, never where strangers come.
    pub fn development() -> Self {
        let secret = |what: &str| Bytes::from(format!("sterna development {what}"));
        Self {
            content: secret("content"),
            grants: secret("grants"),
            links: secret("links"),
            tokens: secret("tokens"),
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}
