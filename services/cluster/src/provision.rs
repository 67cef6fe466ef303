//! Provisioning of tenants from the configuration: the one way to streams with fixed names (E3).
//!
//! A tenant's access stream is founded by an event that names its root owner. Any region may do it, all at
//! once and again: a region that holds a founding does nothing, and foundings that cross are one. So it
//! needs no order among regions and no other region to be there.

use std::future::ready;

use bytes::Bytes;
use futures_util::stream;
use sterna_access::members::stored::StoredEvents;
use sterna_access::members::{Folds, payload};
use sterna_access::{Grant, GrantKey};
use sterna_gateway::outward::Links;
use sterna_process::Process;
use sterna_proto::v1::messaging_client::MessagingClient;
use sterna_proto::v1::publish_down::Outcome;
use sterna_proto::{refusal, v1};
use sterna_stream::kind::MEMBER;
use sterna_stream::member::{Change, Role};
use sterna_stream::{EventId, Reason, Refusal, StreamId, UserId, fixed, partition};
use tokio::time::{Duration, sleep, timeout};

#[cfg(test)]
mod tests;

/// Longest wait for messaging's answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause before the table is looked at again: doubled from the first to the last.
const LOOK: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];
/// How long a founding may take to be readable before it is sent again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tenant, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name: the first part of its streams' ids.
    pub name: String,
    /// Its root owner, whom no event of the tenant removes. Equal in all regions.
    pub owner: UserId,
}

/// What provisioning goes through: one region's messaging and persistence.
pub struct Provisioner {
    process: Process,
    links: Links,
    partitions: u16,
    grants: GrantKey,
    folds: Folds<StoredEvents>,
}

impl Tenant {
    /// A tenant.
    ///
    /// # Errors
    /// What is wrong, and what would do.
    pub fn new(name: &str, owner: &str) -> Result<Self, String> {
        if !sterna_access::is_tenant(name) {
            let form =
                "1 to 64 of a-z, 0-9, dot, underscore, dash; \"system\", \".\" and \"..\" are reserved";
            return Err(format!("{name:?} is no tenant's name: {form}"));
        }
        let no_user = || format!("{owner:?} owns no tenant: name a user, the subject of their tokens");
        let owner: UserId = owner.parse().map_err(|_| no_user())?;
        if fixed::is_reserved(&owner) {
            return Err(no_user());
        }
        Ok(Self { name: name.to_owned(), owner })
    }
}

impl Provisioner {
    /// Over these links; tasks and randomness are `process`'.
    pub fn new(process: &Process, links: Links, partitions: u16, grants: GrantKey) -> Self {
        let folds = Folds::new(StoredEvents::new(links.persistence.clone()));
        Self { process: process.clone(), links, partitions, grants, folds }
    }

    /// Provisions `tenants`, and tries until all are; one that cannot be now keeps no other waiting.
    pub async fn all(self, mut tenants: Vec<Tenant>) {
        let mut pause = LOOK[0];
        loop {
            let mut left = Vec::new();
            for tenant in tenants {
                if let Err(refusal) = self.provision(&tenant).await {
                    let (name, reason) = (&tenant.name, refusal.reason.code());
                    tracing::warn!(
                        tenant = name,
                        reason,
                        "a tenant is not provisioned yet; it is tried again"
                    );
                    left.push(tenant);
                }
            }
            if left.is_empty() {
                return;
            }
            tenants = left;
            sleep(pause).await;
            pause = (pause * 2).min(LOOK[1]);
        }
    }

    /// Sees to it that the tenant's fixed streams are there, and readable in this region. Returns the root
    /// owner, who is another than the tenant's if other regions were told another.
    ///
    /// # Errors
    /// The region cannot now; what was done so far does no harm.
    pub async fn provision(&self, tenant: &Tenant) -> Result<UserId, Refusal> {
        let stream = fixed::access(&tenant.name).map_err(|_| Reason::BadStream.because("no tenant"))?;
        if let Some(owner) = self.owner(&stream).await? {
            return Ok(told(tenant, owner));
        }
        let clock = self.process.clock();
        let random = self.process.rng(&tenant.name).event_id(&**clock);
        self.found(tenant, &stream, EventId::mint(clock.wall_ms(), random)).await?;
        let readable = async {
            let mut pause = LOOK[0];
            loop {
                if let Some(owner) = self.owner(&stream).await? {
                    return Ok(told(tenant, owner));
                }
                sleep(pause).await;
                pause = (pause * 2).min(LOOK[1]);
            }
        };
        let late = || Reason::Unavailable.because("the founding is not readable yet");
        timeout(PATIENCE, readable).await.unwrap_or_else(|_| Err(late()))
    }

    /// Who owns the tenant, as far as this region's table says.
    async fn owner(&self, stream: &StreamId) -> Result<Option<UserId>, Refusal> {
        self.folds.passed(stream);
        Ok(self.folds.of(stream).await?.members.root().cloned())
    }

    async fn found(&self, tenant: &Tenant, stream: &StreamId, id: EventId) -> Result<(), Refusal> {
        let now_ms = self.process.clock().wall_ms();
        let grant = Grant::founding(self.process.name(), &tenant.name, now_ms)?;
        let owner =
            payload::Payload { user: tenant.owner.clone(), change: Change::Add(Role::Owner), history: None };
        let up = v1::PublishUp {
            tag: 1,
            grant: self.grants.seal(&grant),
            event_id: Bytes::copy_from_slice(&id.to_bytes()),
            kind: MEMBER.to_owned(),
            payload: Bytes::from(payload::json(&owner)),
            resend: true,
            request_id: grant.id().to_owned(),
            ..v1::PublishUp::default()
        };
        let instances = &self.links.messaging;
        let at = usize::from(partition::of(stream, self.partitions)) % instances.len().max(1);
        let open = || Reason::Unavailable.because("no answer to the founding");
        let link = instances.get(at).ok_or_else(open)?.clone();
        let call = async {
            let answer = MessagingClient::new(link).publish(stream::once(ready(up))).await;
            let mut downs = answer.map_err(|status| refusal::from_status(&status))?.into_inner();
            let down = downs.message().await.map_err(|status| refusal::from_status(&status))?;
            match down.and_then(|down| down.outcome).ok_or_else(open)? {
                Outcome::Accepted(_) => Ok(()),
                Outcome::Refused(refused) => Err(refused.into()),
            }
        };
        timeout(ANSWER, call).await.unwrap_or_else(|_| Err(open()))
    }
}

fn told(tenant: &Tenant, owner: UserId) -> UserId {
    if owner != tenant.owner {
        let (tenant, configured) = (&tenant.name, tenant.owner.as_str());
        tracing::error!(
            tenant,
            configured,
            owner = owner.as_str(),
            "alarm: a tenant was provisioned with another owner, who stays: make the configurations equal"
        );
    }
    owner
}
