//! The grants that one call has opened, and the keys for content of their tenants.

use std::sync::Arc;

use bytes::Bytes;
use sterna_access::{Grant, GrantKey};
use sterna_stream::Refusal;
use sterna_stream::map::recent::Recent;

use crate::config::Config;
use crate::content::ContentKey;

/// Opened grants that one call remembers.
const GRANTS: usize = 4_096;
/// Tenants whose keys one call remembers.
const TENANTS: usize = 1_024;

/// What was opened, by its seal.
pub(super) struct Grants {
    opened: Recent<Bytes, Arc<Opened>>,
    contents: Recent<String, ContentKey>,
}

pub(super) struct Opened {
    pub(super) grant: Grant,
    pub(super) content: ContentKey,
}

impl Grants {
    pub(super) fn new() -> Self {
        Self { opened: Recent::new(GRANTS), contents: Recent::new(TENANTS) }
    }

    /// The grant under a seal, if it is this region's and has not ended at `now_ms`.
    pub(super) fn open(
        &mut self,
        key: &GrantKey,
        config: &Config,
        sealed: &Bytes,
        now_ms: u64,
    ) -> Result<Arc<Opened>, Refusal> {
        if let Some(opened) = self.opened.get(sealed).filter(|opened| opened.grant.expires_ms() > now_ms) {
            return Ok(opened.clone());
        }
        let grant = key.open(sealed, now_ms)?;
        let content = self.content(config, grant.tenant());
        let opened = Arc::new(Opened { grant, content });
        // A piece of the message would keep all of its buffer.
        self.opened.insert(Bytes::copy_from_slice(sealed), opened.clone());
        Ok(opened)
    }

    fn content(&mut self, config: &Config, tenant: &str) -> ContentKey {
        if let Some(content) = self.contents.get(tenant) {
            return content.clone();
        }
        let content = ContentKey::of_tenant(&config.content_secret, tenant);
        self.contents.insert(tenant.to_owned(), content.clone());
        content
    }
}

#[cfg(test)]
mod tests {
    use sterna_access::Permission;

    use super::*;
    use crate::tests::{NOW, config, sealed};

    /// E29, E32: a remembered grant ends when it ends, and no more than the bound are kept.
    #[test]
    fn grants_are_remembered_up_to_the_bound_and_no_longer_than_they_last() {
        let (config, stream) = (config(), "acme/chat/a".parse().unwrap());
        let key = GrantKey::new(&config.grant_secret);
        let mut grants = Grants::new();
        for n in 0..GRANTS + 1 {
            let sealed = sealed(&config.grant_secret, Permission::Publish, &stream, NOW + 10, &n.to_string());
            let first = grants.open(&key, &config, &sealed, NOW).unwrap();
            let again = grants.open(&key, &config, &sealed, NOW + 9).unwrap();
            assert!(Arc::ptr_eq(&first, &again), "it is remembered");
            assert!(grants.open(&key, &config, &sealed, NOW + 10).is_err());
            assert!(grants.opened.len() <= GRANTS);
        }
        assert!(grants.opened.len() > GRANTS / 2, "{}", grants.opened.len());
    }

    #[test]
    fn keys_for_content_are_remembered_up_to_the_bound() {
        let mut grants = Grants::new();
        for n in 0..TENANTS * 2 {
            grants.content(&config(), &n.to_string());
            assert!(grants.contents.len() <= TENANTS);
        }
        assert!(grants.contents.get("0").is_none());
        assert!(grants.contents.get(&(TENANTS * 2 - 1).to_string()).is_some());
    }

    /// A remembered seal does not hold the buffer that it came in.
    #[test]
    fn a_remembered_seal_stands_alone() {
        let (config, stream) = (config(), "acme/chat/a".parse().unwrap());
        let mut grants = Grants::new();
        let sealed = sealed(&config.grant_secret, Permission::Publish, &stream, NOW + 10, "1");
        grants.open(&GrantKey::new(&config.grant_secret), &config, &sealed, NOW).unwrap();
        assert!(sealed.is_unique());
    }
}
