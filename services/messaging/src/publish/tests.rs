//! The bound of the grants that one call remembers.

use sterna_access::{GrantKey, Permission};

use super::{GRANTS, Grants};
use crate::tests::{NOW, config, sealed};

/// E29, E32: a remembered grant ends when it ends, and no more than the bound are kept.
#[test]
fn grants_are_remembered_up_to_the_bound_and_no_longer_than_they_last() {
    let (config, stream) = (config(), "acme/chat/a".parse().unwrap());
    let key = GrantKey::new(&config.grant_secret);
    let mut grants = Grants::default();
    for n in 0..GRANTS {
        let sealed = sealed(&config.grant_secret, Permission::Publish, &stream, NOW + 10, &n.to_string());
        grants.open(&key, &config, &sealed, NOW).unwrap();
        grants.open(&key, &config, &sealed, NOW + 9).unwrap();
        assert!(grants.open(&key, &config, &sealed, NOW + 10).is_err());
        assert_eq!(grants.0.len(), n + 1);
    }
    let one_more = sealed(&config.grant_secret, Permission::Publish, &stream, NOW + 10, "one more");
    grants.open(&key, &config, &one_more, NOW).unwrap();
    assert_eq!(grants.0.len(), 1);
}
