//! The keys for content of the tenants that one call serves.

use sterna_stream::map::recent::Recent;

use crate::config::Config;
use crate::content::ContentKey;

/// Tenants whose keys one call remembers.
const TENANTS: usize = 1_024;

/// Keys, each made once as long as it is used.
pub(super) struct Contents(Recent<String, ContentKey>);

impl Contents {
    pub(super) fn new() -> Self {
        Self(Recent::new(TENANTS))
    }

    /// The key of a tenant.
    pub(super) fn of(&mut self, config: &Config, tenant: &str) -> &ContentKey {
        self.0.get_or_insert_with(tenant, || ContentKey::of_tenant(&config.content_secret, tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::config;

    #[test]
    fn keys_for_content_are_remembered_up_to_the_bound() {
        let mut contents = Contents::new();
        for n in 0..TENANTS * 2 {
            contents.of(&config(), &n.to_string());
            assert!(contents.0.len() <= TENANTS);
        }
        assert!(contents.0.get("0").is_none());
        assert!(contents.0.get(&(TENANTS * 2 - 1).to_string()).is_some());
    }
}
