//! Tokens of the development issuer, for local work.

use std::path::Path;

use sterna_access::{DevelopmentIssuer, TokenVerifier, Verifier};
use sterna_process::Clock;
use sterna_stream::{Refusal, UserId};

use crate::config::{self, Config};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration whose secret signs.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// No region would take it.
    #[error("no region would take this token: choose another --tenant than {tenant:?} ({refusal:?})")]
    Refused {
        /// The tenant.
        tenant: String,
        /// What was said.
        refusal: Refusal,
    },
}

/// A token for `user` of `tenant`, good for `hours`.
///
/// # Errors
/// [`Error`].
pub fn issue(
    tenant: &str,
    user: &UserId,
    hours: u64,
    config: Option<&Path>,
    clock: &dyn Clock,
) -> Result<String, Error> {
    let plan = Config::read(config)?.plan()?;
    let refused = |refusal| Error::Refused { tenant: tenant.to_owned(), refusal };
    let secret = sterna_cluster::region::token_secret(&plan);
    let now_ms = clock.wall_ms();
    let issued = DevelopmentIssuer::new(secret).issue(tenant, user, now_ms, hours * 3_600_000);
    let token = issued.map_err(refused)?;
    TokenVerifier::new(secret).verify(&token, now_ms).map_err(refused)?;
    Ok(token)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sterna_process::SystemClock;

    #[test]
    fn a_token_is_one_that_a_region_takes() {
        let user = "ana".parse().unwrap();
        assert!(issue("acme", &user, 1, None, &SystemClock).is_ok());
        let refused = issue("system", &user, 1, None, &SystemClock).unwrap_err();
        assert!(refused.to_string().contains("another --tenant"), "{refused}");
    }
}
