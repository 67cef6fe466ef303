//! The port `Sessions`: which devices are connected to this region, at which gateway (E16).
//!
//! Soft state with expiry: Redis may lose its last writes or everything; each gateway owns the truth about
//! its own sockets and opens again what `renew` reports as lost. The suite `contract::sessions` is its
//! specification (S1 … S10).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sterna_stream::UserId;

use crate::error::Error;

/// Most sessions of one user that the registry holds; the policy of sessions a user or device is the
/// caller's.
pub const USER_SESSIONS_MAX: usize = 64;
/// Most sessions of one `renew`.
pub const RENEW_MAX: usize = 1_000;
/// Most sessions of one page of `of_gateway`.
pub const GATEWAY_PAGE_MAX: usize = 1_000;
/// Longest time to live.
pub const TTL_MAX: Duration = Duration::from_secs(3_600);
/// Longest session, tenant, device and gateway name, bytes.
pub const NAME_BYTES: usize = 255;
/// Longest note, bytes.
pub const NOTE_BYTES: usize = 1_024;

/// One connected device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unique within the region.
    pub id: Arc<str>,
    /// Whose customer.
    pub tenant: Arc<str>,
    /// Who.
    pub user: UserId,
    /// On which device.
    pub device: Arc<str>,
    /// At which gateway shard.
    pub gateway: Arc<str>,
    /// Wall milliseconds when it was opened: which of a device's sessions is the oldest.
    pub opened_ms: u64,
    /// The caller's own, opaque.
    pub note: Bytes,
}

/// What became of an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Registered until its time to live ends.
    Done,
    /// The user has [`USER_SESSIONS_MAX`] others; nothing changed.
    Full,
}

/// The session registry of a region. Shared as `Arc<dyn Sessions>`.
///
/// - S1 an opened session is found by its user and by its gateway, with all its fields.
/// - S2 opening an id again replaces what was there, and its time to live.
/// - S3 a session that is not renewed is gone when its time to live has ended, from both views.
/// - S4 `renew` sets a new time to live and returns the sessions that are not registered.
/// - S5 `close` takes a session from both views and touches no other; closing an unknown one is no error.
/// - S6 users of different tenants are apart, even of one name.
/// - S7 both views are in order of id; `of_gateway` pages after an id.
/// - S8 a user's session beyond [`USER_SESSIONS_MAX`] is `Full`, except one that replaces another of its id.
/// - S9 overlong names, notes, lists and times are refused with [`Error::Limit`].
/// - S10 concurrent opens and closes lose none: 5 workers × 10 opens of one user and gateway make 50.
///
/// The two views live in two places: when a writer dies between them they differ until the session expires.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Registers a session for `ttl`.
    async fn open(&self, session: Session, ttl: Duration) -> Result<Opened, Error>;
    /// Keeps sessions registered for `ttl` from now; returns those that must be opened again.
    async fn renew(&self, sessions: &[Session], ttl: Duration) -> Result<Vec<Session>, Error>;
    /// Removes a session.
    async fn close(&self, session: &Session) -> Result<(), Error>;
    /// A user's sessions in this region.
    async fn of_user(&self, tenant: &str, user: &UserId) -> Result<Vec<Session>, Error>;
    /// A page of a gateway's sessions: those with ids above `after`, at most `limit`. Fewer than `limit`: the
    /// end.
    async fn of_gateway(
        &self,
        gateway: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Session>, Error>;
}

/// Refuses a session that no registry holds.
pub(crate) fn check(session: &Session, ttl: Duration) -> Result<(), Error> {
    for name in [&session.id, &session.tenant, &session.device, &session.gateway] {
        if name.is_empty() || name.len() > NAME_BYTES {
            return Err(Error::Limit { what: "bytes of a name, at least 1", limit: NAME_BYTES });
        }
    }
    if session.note.len() > NOTE_BYTES {
        return Err(Error::Limit { what: "bytes of a note", limit: NOTE_BYTES });
    }
    check_ttl(ttl)
}

pub(crate) fn check_ttl(ttl: Duration) -> Result<(), Error> {
    if ttl > TTL_MAX {
        return Err(Error::Limit { what: "seconds to live", limit: TTL_MAX.as_secs() as usize });
    }
    Ok(())
}
