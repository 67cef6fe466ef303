//! Grants: decisions that can be handed on, because whoever receives one can check it (E32).
//!
//! The seal is an HMAC under a key that all services of one region share, so a grant means nothing in another
//! region. It guards clients' operations; calls between roles are guarded by the caller's identity on the
//! link.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use prost::Message;
use sha2::Sha256;
use sterna_proto::grant::Parts;
use sterna_proto::{convert, v1};
use sterna_stream::limits::GRANT_MS;
use sterna_stream::{Policy, Reason, Refusal, StreamId, UserId, fixed};

/// What a grant allows. Each includes nothing of the others: a publisher asks for `Publish`, a reader for
/// `Read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Follow and read.
    Read,
    /// Publish events other than member events.
    Publish,
    /// Publish member events.
    Manage,
    /// Publish the stream's first event.
    Create,
    /// Publish member events that take something from their author.
    Leave,
}

/// One decision. Made by an authoriser, by [`Grant::founding`], or opened from a seal, never assembled by a
/// caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    id: String,
    subject: UserId,
    permission: Permission,
    resource: StreamId,
    policy: Policy,
    expires_ms: u64,
}

/// The key under which a region seals its grants.
#[derive(Clone)]
pub struct GrantKey(Hmac<Sha256>);

// === impl Grant ===

impl Grant {
    /// For authorisers of this crate alone.
    pub(crate) fn new(
        id: String,
        subject: UserId,
        what: Permission,
        on: StreamId,
        policy: Policy,
        now_ms: u64,
    ) -> Self {
        Self { id, subject, permission: what, resource: on, policy, expires_ms: now_ms + GRANT_MS }
    }

    /// The grant by which a region's own start, which nobody authorises, founds the access stream of `tenant`
    /// (E3); `by` is unique in the region.
    ///
    /// # Errors
    /// `bad_request`: no tenant has such a name.
    pub fn founding(by: &str, tenant: &str, now_ms: u64) -> Result<Self, Refusal> {
        let on =
            fixed::access(tenant).map_err(|_| Reason::BadRequest.because("no tenant has such a name"))?;
        let provisioner = fixed::PROVISIONER.parse().map_err(|_| Reason::Internal.because("no user"))?;
        let id = format!("{by}-founding-{tenant}");
        Ok(Self::new(id, provisioner, Permission::Create, on, Policy::default(), now_ms))
    }

    /// Its id, for the audit trail.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The customer; the resource's tenant.
    pub fn tenant(&self) -> &str {
        self.resource.tenant()
    }

    /// Who may.
    pub fn subject(&self) -> &UserId {
        &self.subject
    }

    /// May what.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// On which stream.
    pub fn resource(&self) -> &StreamId {
        &self.resource
    }

    /// What the decision rests on (E24).
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// When it ends, Unix milliseconds.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

// === impl GrantKey ===

impl GrantKey {
    /// The key made of this configured secret, of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The grant on the wire.
    pub fn seal(&self, grant: &Grant) -> Bytes {
        let inner = v1::Grant {
            id: grant.id.clone(),
            tenant: grant.tenant().to_owned(),
            subject: grant.subject.to_string(),
            permission: v1::Permission::from(grant.permission).into(),
            resource: grant.resource.to_string(),
            policy: convert::policy_field(&grant.policy),
            expires_unix_ms: grant.expires_ms,
        };
        let bytes = Bytes::from(inner.encode_to_vec());
        let mac = self.0.clone().chain_update(&bytes).finalize().into_bytes();
        v1::SealedGrant { grant: bytes, mac: Bytes::copy_from_slice(&mac) }.encode_to_vec().into()
    }

    /// The grant under a seal, if it is this region's and has not ended at `now_ms`.
    ///
    /// # Errors
    /// `forbidden`; a caller that holds good grants never sees it.
    pub fn open(&self, sealed: &Bytes, now_ms: u64) -> Result<Grant, Refusal> {
        let forged = || Reason::Forbidden.because("the grant is not this region's");
        let inner = sterna_proto::grant::unsealed(sealed, |grant, mac| self.read(grant, mac));
        let grant = inner.flatten().ok_or_else(forged)?;
        if grant.expires_ms <= now_ms {
            return Err(Reason::Forbidden.because("the grant has ended"));
        }
        Ok(grant)
    }

    fn read(&self, grant: &[u8], mac: &[u8]) -> Option<Grant> {
        self.0.clone().chain_update(grant).verify_slice(mac).ok()?;
        sterna_proto::grant::parts(grant, parse).flatten()
    }
}

fn parse(parts: Parts<'_>) -> Option<Grant> {
    let permission = v1::Permission::try_from(parts.permission).ok()?;
    let grant = Grant {
        id: parts.id.to_owned(),
        subject: parts.subject.parse().ok()?,
        permission: permission.try_into().ok()?,
        resource: parts.resource.parse().ok()?,
        policy: parts.policy,
        expires_ms: parts.expires_unix_ms,
    };
    (grant.tenant() == parts.tenant).then_some(grant)
}

impl From<Permission> for v1::Permission {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Read => Self::Read,
            Permission::Publish => Self::Publish,
            Permission::Manage => Self::Manage,
            Permission::Create => Self::Create,
            Permission::Leave => Self::Leave,
        }
    }
}

impl TryFrom<v1::Permission> for Permission {
    type Error = ();

    fn try_from(message: v1::Permission) -> Result<Self, ()> {
        match message {
            v1::Permission::Unspecified => Err(()),
            v1::Permission::Read => Ok(Self::Read),
            v1::Permission::Publish => Ok(Self::Publish),
            v1::Permission::Manage => Ok(Self::Manage),
            v1::Permission::Create => Ok(Self::Create),
            v1::Permission::Leave => Ok(Self::Leave),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_214_400_000;

    fn grant() -> Grant {
        let policy = Policy { member: "us-east-1:4".parse().unwrap(), ..Policy::default() };
        let stream = "acme/chat/general".parse().unwrap();
        Grant::new("g1".into(), "ana".parse().unwrap(), Permission::Publish, stream, policy, NOW)
    }

    /// E32: a grant comes back whole from its seal, within its minute.
    #[test]
    fn a_sealed_grant_opens_whole_until_it_ends() {
        let key = GrantKey::new(b"region key");
        let sealed = key.seal(&grant());
        assert_eq!(key.open(&sealed, NOW), Ok(grant()));
        assert_eq!(key.open(&sealed, NOW + GRANT_MS - 1), Ok(grant()));
        assert_eq!(key.open(&sealed, NOW + GRANT_MS).unwrap_err().reason, Reason::Forbidden);
    }

    /// E32: no byte of a seal can be changed, and another region's key opens nothing.
    #[test]
    fn a_changed_or_foreign_seal_opens_nothing() {
        let key = GrantKey::new(b"region key");
        let sealed = key.seal(&grant());
        for at in 0..sealed.len() {
            let mut bytes = sealed.to_vec();
            bytes[at] ^= 1;
            let opened = key.open(&Bytes::from(bytes), NOW);
            assert!(opened.is_err(), "byte {at}");
        }
        assert!(GrantKey::new(b"other").open(&sealed, NOW).is_err());
        assert!(key.open(&Bytes::new(), NOW).is_err());
    }

    /// E32: neither a part of a seal's code nor a longer one stands for it.
    #[test]
    fn a_code_of_another_length_opens_nothing() {
        let key = GrantKey::new(b"region key");
        let whole = v1::SealedGrant::decode(key.seal(&grant())).unwrap();
        let with = |mac: &[u8]| v1::SealedGrant { mac: Bytes::copy_from_slice(mac), ..whole.clone() };
        let opens = |mac: &[u8]| key.open(&with(mac).encode_to_vec().into(), NOW).is_ok();
        assert!(opens(&whole.mac));
        for len in 0..whole.mac.len() {
            assert!(!opens(&whole.mac[..len]), "{len} bytes");
        }
        assert!(!opens(&[&whole.mac[..], &[0]].concat()));
        assert!(!opens(&whole.mac.repeat(2)));
    }
}
