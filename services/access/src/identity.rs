//! Who somebody is, as their token says.

use sterna_stream::{Refusal, UserId};

/// A verified token's subject. Tenant and user come from here and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The customer whose user it is.
    pub tenant: String,
    /// The user, unique within the tenant.
    pub user: UserId,
    /// When the token was issued, Unix milliseconds, in whole seconds; 0 if it does not say, as the oldest of
    /// all (A7).
    pub issued_ms: u64,
    /// When the token ends, Unix milliseconds.
    pub expires_ms: u64,
}

/// Turns a token into an [`Identity`]. The only way in.
pub trait Verifier: Send + Sync {
    /// The identity that `token` proves at `now_ms` (Unix milliseconds, the region's clamped wall).
    ///
    /// # Errors
    /// `token_expired` if it was good once, else `token_invalid`; nothing of the token is in the refusal.
    fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, Refusal>;
}
