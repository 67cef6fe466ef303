//! The sessions of a shard, as `state` registers them: told when they open and close, again every half
//! minute, and closed when `state` says so (docs/engine.md, E16).
//!
//! A session is served before it is registered and whether or not it ever is: the registry answers later, and
//! if it is away nobody is refused.

use sterna_proto::v1;
use sterna_protocol::close;
use sterna_stream::Reason;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::gateway::Inner;
use crate::session::SessionId;

/// Every session is told of again within so many seconds, a part of them each second.
pub const RENEW_S: u64 = 30;
/// Sessions named in one message.
pub const ROWS: usize = 200;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A session was greeted, or is to be counted as leaving from now on.
    pub(crate) fn register(&self, session: SessionId, leaving: bool) {
        if let Some(row) = self.row(session, leaving) {
            self.outward.registered(row, true);
        }
    }

    /// A session is gone.
    pub(crate) fn unregister(&self, session: SessionId) {
        if let Some(row) = self.row(session, false) {
            self.outward.registered(row, false);
        }
    }

    /// Once a second: this second's part of all sessions.
    pub(crate) fn renew_sessions(&self, second: u64) {
        let part = second % RENEW_S;
        let mut due: Vec<SessionId> = self.conversations.borrow().keys().copied().collect();
        // One that is being closed is not kept, or it would count against its user's next one.
        due.retain(|session| u64::from(session.slot) % RENEW_S == part && self.shard.is_open(*session));
        due.sort_unstable();
        let rows: Vec<v1::SessionRow> =
            due.into_iter().filter_map(|session| self.row(session, false)).collect();
        for rows in rows.chunks(ROWS) {
            self.outward.renewed(rows);
        }
    }

    fn row(&self, session: SessionId, leaving: bool) -> Option<v1::SessionRow> {
        let (identity, device, opened_unix_ms) = self.registered(session)?;
        Some(v1::SessionRow {
            // A gateway that starts anew counts its sessions from the beginning: the time tells them apart.
            session: format!("{session}.{opened_unix_ms}"),
            tenant: identity.tenant,
            user: identity.user.to_string(),
            device: device.to_string(),
            opened_unix_ms,
            leaving,
        })
    }

    /// `state` ends a session: its device has newer ones, or its user too many.
    pub(crate) fn end_registered(&self, ended: &v1::EndSession) {
        let Some((session, opened_ms)) = named(&ended.session) else { return };
        if self.registered(session).is_none_or(|(_, _, opened)| opened != opened_ms) {
            return;
        }
        let code = u16::try_from(ended.code).unwrap_or(close::INTERNAL);
        if code == close::TOO_MANY_SESSIONS {
            return self.end(session, Reason::LimitExceeded, "this user has too many sessions", code);
        }
        self.shard.close(session, code, close::name(code));
    }
}

/// The session of this name, and when it was opened.
fn named(name: &str) -> Option<(SessionId, u64)> {
    let mut parts = name.split('.');
    let (slot, generation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((SessionId { slot, generation }, parts.next()?.parse().ok()?))
}
