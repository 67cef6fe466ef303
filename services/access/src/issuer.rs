//! Tokens of a development issuer: JWTs signed with a shared secret (HS256), checked like any other issuer's.
//!
//! For the demo, tests and local work. A production issuer brings its own keys; claims and checks are the
//! same: `iss`, `aud`, `sub`, `tenant`, `exp`, and `iat`, without which a token is older than any other, and
//! `nbf`, before which it is not good yet; times are in whole seconds. Time is compared here, with the
//! caller's clock: the library that checks signatures would read the machine's (E35). No extension of the
//! header is understood, so a token with `crit` is refused, whatever it names (RFC 7515, section 4.1.11).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sterna_stream::limits::CLOCK_BOUND_MS;
use sterna_stream::{Reason, Refusal, StreamId, UserId, fixed};

use crate::hs256;
use crate::identity::{Identity, Verifier};

/// Longest token that is looked at, bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;
/// Longest tenant name, bytes.
pub const TENANT_BYTES: usize = 64;

/// Latest second that a token may name: a greater number is not exact in JSON, so not every reader has the
/// same.
const SECOND_MAX: u64 = (1 << 53) - 1;

const ISSUER: &str = "sterna-development";
const AUDIENCE: &str = "sterna";

/// Signs tokens for any user of any tenant. Never run one where strangers reach it.
pub struct DevelopmentIssuer {
    key: EncodingKey,
}

/// Checks tokens of a [`DevelopmentIssuer`] that has the same secret.
pub struct TokenVerifier {
    key: DecodingKey,
    checks: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: String,
    #[serde(default)]
    iat: u64,
    #[serde(default, skip_serializing_if = "is_absent")]
    nbf: u64,
    exp: u64,
}

// === impl DevelopmentIssuer ===

impl DevelopmentIssuer {
    /// An issuer with this secret.
    pub fn new(secret: &[u8]) -> Self {
        hs256::install();
        Self { key: EncodingKey::from_secret(secret) }
    }

    /// A token for `user` of `tenant`, issued at `issued_ms` and good for `lasts_ms` (Unix milliseconds; both
    /// its times are rounded down to seconds).
    ///
    /// # Errors
    /// `internal` if the claims cannot be signed.
    pub fn issue(
        &self,
        tenant: &str,
        user: &UserId,
        issued_ms: u64,
        lasts_ms: u64,
    ) -> Result<String, Refusal> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.to_string(),
            tenant: tenant.to_owned(),
            iat: issued_ms / 1_000,
            nbf: 0,
            exp: issued_ms.saturating_add(lasts_ms) / 1_000,
        };
        let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key);
        signed.map_err(|_| Reason::Internal.because("the token could not be signed"))
    }
}

// === impl TokenVerifier ===

impl TokenVerifier {
    /// A verifier of tokens signed with this secret.
    pub fn new(secret: &[u8]) -> Self {
        hs256::install();
        let mut checks = Validation::new(Algorithm::HS256);
        checks.set_issuer(&[ISSUER]);
        checks.set_audience(&[AUDIENCE]);
        checks.validate_exp = false;
        checks.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        Self { key: DecodingKey::from_secret(secret), checks }
    }
}

impl Verifier for TokenVerifier {
    fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, Refusal> {
        let foreign = || invalid("the token is not one of this service's issuer");
        if token.len() > TOKEN_BYTES {
            return Err(foreign());
        }
        let decoded =
            jsonwebtoken::decode::<Claims>(token, &self.key, &self.checks).map_err(|_| foreign())?;
        if decoded.header.crit.is_some() {
            return Err(invalid("no critical header is understood here: issue tokens without crit"));
        }
        decoded.claims.identity(now_ms)
    }
}

// === impl Claims ===

impl Claims {
    /// Who they name, if they may be named and the time is right.
    fn identity(self, now_ms: u64) -> Result<Identity, Refusal> {
        let user: Result<UserId, _> = self.sub.parse();
        let Some(user) = user.ok().filter(|user| !fixed::is_reserved(user)) else {
            return Err(invalid("sub is no user: expected 1 to 128 bytes without control characters"));
        };
        if !is_tenant(&self.tenant) {
            return Err(invalid(
                "no such tenant can be: expected 1 to 64 of a-z, 0-9, dot, underscore and dash, \
                 not a dot or two alone, not system",
            ));
        }
        if self.exp.max(self.nbf).max(self.iat) > SECOND_MAX {
            return Err(invalid("exp, nbf and iat are seconds since 1970, below 2^53"));
        }
        let [issued_ms, begins_ms, expires_ms] = [self.iat, self.nbf, self.exp].map(|second| second * 1_000);
        if expires_ms <= now_ms {
            return Err(Reason::TokenExpired.because("the token has ended: get a new one"));
        }
        // An issuer's clock may lead as far as a region's may: a token just issued is good.
        if begins_ms > now_ms.saturating_add(CLOCK_BOUND_MS) {
            return Err(invalid(
                "the token is not good yet: use it from its nbf on, or set the issuer's clock",
            ));
        }
        Ok(Identity { tenant: self.tenant, user, issued_ms, expires_ms })
    }
}

/// Whether a tenant other than the engine's own may have this name, in tokens and in a configuration. It
/// stands in addresses, where a dot or two alone would be taken for a way through them.
pub fn is_tenant(name: &str) -> bool {
    let stands = StreamId::new(name, "chat", "x").is_ok() && name.len() <= TENANT_BYTES;
    stands && !matches!(name, "system" | "." | "..")
}

fn is_absent(second: &u64) -> bool {
    *second == 0
}

fn invalid(detail: &str) -> Refusal {
    Reason::TokenInvalid.because(detail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_214_400_000;

    fn token(secret: &[u8], tenant: &str, lasts_ms: u64) -> String {
        DevelopmentIssuer::new(secret).issue(tenant, &"ana".parse().unwrap(), NOW, lasts_ms).unwrap()
    }

    fn verdict(token: &str) -> Result<Identity, Reason> {
        TokenVerifier::new(b"secret").verify(token, NOW).map_err(|refusal| refusal.reason)
    }

    /// E32, E35: the caller's clock decides, not the machine's.
    #[test]
    fn a_token_is_good_until_its_end_by_the_callers_clock() {
        let identity = verdict(&token(b"secret", "acme", 1_000)).unwrap();
        assert_eq!((identity.tenant.as_str(), identity.user.as_str()), ("acme", "ana"));
        assert_eq!((identity.issued_ms, identity.expires_ms), (NOW, NOW + 1_000));
        assert_eq!(verdict(&token(b"secret", "acme", 0)), Err(Reason::TokenExpired));
    }

    /// A7: whatever makes tokens before a moment void makes one void that does not say when it was issued.
    #[test]
    fn a_token_without_its_time_is_older_than_all() {
        let claims = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "tenant": "acme", "exp": NOW / 1_000 + 1,
        });
        let key = DevelopmentIssuer::new(b"secret").key;
        let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        assert_eq!(verdict(&signed).unwrap().issued_ms, 0);
    }

    /// A token of the right issuer with these claims changed, under this header.
    fn signed(header: &Header, change: serde_json::Value) -> String {
        let mut claims = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "tenant": "acme", "exp": NOW / 1_000 + 600,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        jsonwebtoken::encode(header, &claims, &DevelopmentIssuer::new(b"secret").key).unwrap()
    }

    /// But for what an issuer's clock may lead by.
    #[test]
    fn a_token_is_not_good_before_its_beginning() {
        let header = Header::new(Algorithm::HS256);
        let from = |second: u64| verdict(&signed(&header, serde_json::json!({ "nbf": second })));
        let last = (NOW + CLOCK_BOUND_MS) / 1_000;
        assert!(from(NOW / 1_000).is_ok() && from(last).is_ok());
        assert_eq!(from(last + 1).map(drop), Err(Reason::TokenInvalid));
        let refusal = TokenVerifier::new(b"secret")
            .verify(&signed(&header, serde_json::json!({ "nbf": last + 1 })), NOW);
        assert!(refusal.unwrap_err().detail.contains("nbf"), "it says what to change");
    }

    /// RFC 7515, section 4.1.11.
    #[test]
    fn a_token_with_a_critical_header_is_invalid() {
        for names in [vec!["exp"], vec!["https://example.com/unknown"], vec![]] {
            let crit = Some(names.iter().map(|name: &&str| (*name).to_owned()).collect());
            let header = Header { crit, ..Header::new(Algorithm::HS256) };
            let verdict = verdict(&signed(&header, serde_json::json!({})));
            assert_eq!(verdict.map(drop), Err(Reason::TokenInvalid), "{names:?}");
        }
    }

    #[test]
    fn times_end_where_javascript_ends() {
        let header = Header::new(Algorithm::HS256);
        let with = |claim: &str, second: u64| {
            verdict(&signed(&header, serde_json::json!({ claim: second }))).map(drop)
        };
        assert_eq!(with("exp", SECOND_MAX), Ok(()));
        for claim in ["exp", "nbf", "iat"] {
            for second in [SECOND_MAX + 1, u64::MAX] {
                assert_eq!(with(claim, second), Err(Reason::TokenInvalid), "{claim} {second}");
            }
        }
    }

    #[test]
    fn what_others_signed_or_nobody_did_is_invalid() {
        let good = token(b"secret", "acme", 60_000);
        let other_tenant = token(b"other", "acme", 60_000);
        let body = good.split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        let long = "x".repeat(TOKEN_BYTES + 1);
        for bad in [other_tenant.as_str(), &unsigned, &good[..good.len() - 2], "", "a.b.c", &long] {
            assert_eq!(verdict(bad), Err(Reason::TokenInvalid), "{bad}");
        }
    }

    /// E3: nobody founds a tenant's streams but a region's own start.
    #[test]
    fn no_token_names_the_provisioner() {
        let provisioner = fixed::PROVISIONER.parse().unwrap();
        let token = DevelopmentIssuer::new(b"secret").issue("acme", &provisioner, NOW, 60_000).unwrap();
        assert_eq!(verdict(&token), Err(Reason::TokenInvalid));
    }

    #[test]
    fn no_token_speaks_for_the_reserved_tenant_or_an_impossible_one() {
        for tenant in ["system", "", ".", "..", "a/b", "Acme", &"x".repeat(65)] {
            assert_eq!(verdict(&token(b"secret", tenant, 60_000)), Err(Reason::TokenInvalid), "{tenant}");
        }
        for tenant in ["a.b", "...", "x"] {
            assert!(verdict(&token(b"secret", tenant, 60_000)).is_ok(), "{tenant}");
        }
    }
}
