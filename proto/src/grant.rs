//! Reads grants and their seals straight from their bytes: each publish brings one, and reading it through
//! owned messages would cost more than its check.

use prost::Message;
use sterna_stream::Policy;

use crate::fields::{self, Fields};
use crate::{convert, v1};

/// The texts and numbers of a grant; nothing of them is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its id.
    pub id: &'a str,
    /// The customer.
    pub tenant: &'a str,
    /// Who may.
    pub subject: &'a str,
    /// May what: a [`v1::Permission`].
    pub permission: i32,
    /// On which stream.
    pub resource: &'a str,
    /// What the decision rests on.
    pub policy: Policy,
    /// When it ends, Unix milliseconds.
    pub expires_unix_ms: u64,
}

/// Hands the grant under a seal and the seal's mac to `see`; `None` if the bytes are no sealed grant.
pub fn unsealed<R>(sealed: &[u8], see: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
    if let Some((grant, mac)) = sealed_straight(sealed) {
        return Some(see(grant, mac));
    }
    let outer = v1::SealedGrant::decode(sealed).ok()?;
    Some(see(&outer.grant, &outer.mac))
}

/// Hands a grant's parts to `see`; `None` if the bytes are no grant.
pub fn parts<R>(grant: &[u8], see: impl FnOnce(Parts<'_>) -> R) -> Option<R> {
    if let Some(parts) = parts_straight(grant) {
        return Some(see(parts));
    }
    let message = v1::Grant::decode(grant).ok()?;
    let policy = convert::policy(message.policy.as_ref()).ok()?;
    Some(see(Parts {
        id: &message.id,
        tenant: &message.tenant,
        subject: &message.subject,
        permission: message.permission,
        resource: &message.resource,
        policy,
        expires_unix_ms: message.expires_unix_ms,
    }))
}

fn sealed_straight(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields(sealed);
    let (grant, mac) = (fields.bytes(1)?, fields.bytes(2)?);
    fields.end()?;
    Some((grant, mac))
}

fn parts_straight(grant: &[u8]) -> Option<Parts<'_>> {
    let mut fields = Fields(grant);
    let parts = Parts {
        id: fields.text(1).unwrap_or_default(),
        tenant: fields.text(2).unwrap_or_default(),
        subject: fields.text(3).unwrap_or_default(),
        permission: i32::try_from(fields.number(4).unwrap_or_default()).ok()?,
        resource: fields.text(5).unwrap_or_default(),
        policy: fields.bytes(6).map_or_else(|| Some(Policy::default()), fields::policy)?,
        expires_unix_ms: fields.number(7).unwrap_or_default(),
    };
    fields.end()?;
    Some(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant() -> v1::Grant {
        let policy = Policy {
            access: "eu-west-1:9".parse().unwrap(),
            member: "eu-west-1:2,us-east-1:4".parse().unwrap(),
        };
        v1::Grant {
            id: "g1".into(),
            tenant: "acme".into(),
            subject: "ana".into(),
            permission: v1::Permission::Publish.into(),
            resource: "acme/chat/general".into(),
            policy: convert::policy_field(&policy),
            expires_unix_ms: 1_795_214_400_000,
        }
    }

    fn owned(parts: &Parts<'_>) -> v1::Grant {
        v1::Grant {
            id: parts.id.into(),
            tenant: parts.tenant.into(),
            subject: parts.subject.into(),
            permission: parts.permission,
            resource: parts.resource.into(),
            policy: convert::policy_field(&parts.policy),
            expires_unix_ms: parts.expires_unix_ms,
        }
    }

    /// E32: what is written is read straight, with and without what may be left out.
    #[test]
    fn what_is_written_is_read_straight() {
        for grant in [grant(), v1::Grant { policy: None, id: String::new(), ..grant() }] {
            let bytes = grant.encode_to_vec();
            assert_eq!(owned(&parts_straight(&bytes).unwrap()), grant);
            let sealed = v1::SealedGrant { grant: bytes.clone().into(), mac: vec![7; 32].into() };
            let sealed = sealed.encode_to_vec();
            assert_eq!(sealed_straight(&sealed), Some((&bytes[..], &[7; 32][..])));
        }
    }

    /// E27: a field of a later version is no damage.
    #[test]
    fn another_form_is_read_the_general_way() {
        let mut bytes = grant().encode_to_vec();
        bytes.extend([15 << 3, 1]);
        assert!(parts_straight(&bytes).is_none());
        assert_eq!(parts(&bytes, |parts| owned(&parts)), Some(grant()));
        let mut sealed =
            v1::SealedGrant { grant: bytes.clone().into(), mac: vec![7; 32].into() }.encode_to_vec();
        sealed.extend([15 << 3, 1]);
        assert!(sealed_straight(&sealed).is_none());
        assert!(unsealed(&sealed, |grant, mac| grant == bytes && mac == [7; 32]).unwrap());
    }

    proptest! {
        /// E32: what is read straight from changed bytes is what the general way reads.
        #[test]
        fn damaged_bytes_are_never_read_otherwise(at in 0usize..200, to in any::<u8>(), cut in 0usize..200) {
            let mut bytes = grant().encode_to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(bytes.len() - cut % bytes.len());
            if let Some(parts) = parts_straight(&bytes) {
                let general = v1::Grant::decode(&bytes[..]).unwrap();
                let policy = convert::policy(general.policy.as_ref()).unwrap();
                prop_assert_eq!(&parts.policy, &policy);
                let policy = convert::policy_field(&policy);
                prop_assert_eq!(owned(&parts), v1::Grant { policy, ..general });
            }
        }
    }
}
