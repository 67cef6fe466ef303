//! Whether whoever has a session may do anything at all (A7, A8): who is suspended in their tenant is told
//! by an `error` frame and closed with 1008.
//!
//! It is looked at when a change of the tenant's access stream names them, when they are greeted, and once
//! in [`STANDING_S`] seconds, because news of it may have been missed. Nobody waits for it: what a session
//! may do is decided stream by stream in any case. Who cannot be decided is looked at again every second, and
//! does nothing meanwhile that needs a decision.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sterna_access::Identity;
use sterna_protocol::close;
use sterna_stream::map::Map;
use sterna_stream::{Reason, fixed, partition};
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

    /// Ends those of a tenant's sessions, as far as `whom` is about them, whose users are suspended.
    pub(crate) async fn end_suspended(&self, tenant: &str, whom: &Whom, until: Instant) {
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
                Ok(Err(_)) | Err(_) => drop(self.undecided.borrow_mut().insert(session)),
            }
            if count % SLICE_SESSIONS == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// The second, of [`STANDING_S`], in which a tenant's sessions are looked at.
fn part_of(tenant: &str) -> u64 {
    let parts = u16::try_from(STANDING_S).unwrap_or(u16::MAX);
    fixed::access(tenant).map_or(0, |access| partition::of(&access, parts).into())
}
