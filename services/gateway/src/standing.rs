//! Whether whoever has a session may do anything at all (A7, A8): who is suspended in their tenant is told
//! by an `error` frame and closed with 1008; whose token the tenant made void, as if it had ended, with 4200.
//!
//! It is looked at when a change of the tenant's access stream names them, when they are greeted, and once
//! in [`STANDING_S`] seconds, because news of it may have been missed. Nobody waits for it: what a session
//! may do is decided stream by stream in any case. Who cannot be decided is looked at again every second, and
//! does nothing meanwhile that needs a decision. A decision that finds the token void ends the session as
//! well: what it asked is not answered, for it may be asked again with a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sterna_access::Identity;
use sterna_protocol::close;
use sterna_stream::map::Map;
use sterna_stream::{Reason, Refusal, fixed, partition};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::gateway::Inner;
use crate::limits::{SLICE_SESSIONS, STANDING_S};
use crate::session::SessionId;
use crate::tenant::Whom;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// Once a second: who could not be decided, and this second's part of all tenants.
    pub(crate) fn look_at_standings(self: &Rc<Self>, second: u64) {
        let part = second % STANDING_S;
        let mut due: BTreeMap<String, BTreeSet<SessionId>> = BTreeMap::new();
        let undecided = self.undecided.take();
        let mut turns: Map<String, bool> = Map::default();
        self.each_identity(|session, who| {
            let is_its_turn = match turns.get(&who.tenant) {
                Some(is) => *is,
                None => *turns.entry(who.tenant.clone()).or_insert(part_of(&who.tenant) == part),
            };
            if is_its_turn || undecided.contains(&session) {
                due.entry(who.tenant.clone()).or_default().insert(session);
            }
        });
        for (tenant, sessions) in due {
            self.look_at(&tenant, Whom::sessions(sessions));
        }
    }

    /// Ends those of a tenant's sessions, as far as `whom` is about them, that may do nothing: their users
    /// are suspended, or their tokens void.
    pub(crate) async fn end_revoked(&self, tenant: &str, whom: &Whom, until: Instant) {
        let mut concerned: Vec<(SessionId, Identity)> = Vec::new();
        self.each_identity(|session, who| {
            if who.tenant == tenant && whom.is_about(session, who.user.as_str()) {
                concerned.push((session, who.clone()));
            }
        });
        concerned.sort_unstable_by_key(|(session, _)| *session);
        for (count, (session, who)) in (1..).zip(concerned) {
            match timeout_at(until, self.authorizer.admit(&who)).await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) if refusal.reason == Reason::Forbidden => {
                    self.end(session, Reason::Forbidden, &refusal.detail, close::REVOKED);
                }
                Ok(Err(refusal)) if self.ends_void(session, &refusal) => {}
                Ok(Err(_)) | Err(_) => drop(self.undecided.borrow_mut().insert(session)),
            }
            if count % SLICE_SESSIONS == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether a decision was refused because the session's token is void; then this ends it.
    pub(crate) fn ends_void(&self, session: SessionId, refusal: &Refusal) -> bool {
        let void = refusal.reason == Reason::TokenExpired;
        if void {
            self.end(session, Reason::TokenExpired, &refusal.detail, close::TOKEN_EXPIRED);
        }
        void
    }
}

/// The second, of [`STANDING_S`], in which a tenant's sessions are looked at.
fn part_of(tenant: &str) -> u64 {
    let parts = u16::try_from(STANDING_S).unwrap_or(u16::MAX);
    fixed::access(tenant).map_or(0, |access| partition::of(&access, parts).into())
}
