//! The session registry in memory: expiring, wipeable and forgetful as Redis may be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sterna_stream::UserId;
use sterna_stream::map::Map;
use tokio::time::Instant;

use crate::error::Error;
use crate::memory::{LOSABLE_WRITES, lock};
use crate::sessions::{
    GATEWAY_PAGE_MAX, Opened, RENEW_MAX, Session, Sessions, USER_SESSIONS_MAX, check, check_ttl,
};

/// The sessions of one region.
#[derive(Default)]
pub struct MemorySessions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: Map<Arc<str>, Held>,
    of_user: BTreeMap<(Arc<str>, UserId), BTreeSet<Arc<str>>>,
    of_gateway: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    ends: BTreeSet<(Instant, Arc<str>)>,
    /// What stood at an id before each of the last opens and closes, newest last.
    journal: VecDeque<(Arc<str>, Option<Held>)>,
}

#[derive(Clone)]
struct Held {
    session: Session,
    ends: Instant,
}

impl MemorySessions {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses everything.
    pub fn wipe(&self) {
        *lock(&self.state) = State::default();
    }

    /// Undoes the last `writes` opens and closes, at most [`LOSABLE_WRITES`], as a failover of Redis does.
    pub fn lose_last(&self, writes: usize) {
        let mut state = lock(&self.state);
        for _ in 0..writes {
            let Some((id, before)) = state.journal.pop_back() else { return };
            state.remove(&id);
            if let Some(held) = before {
                state.insert(held);
            }
        }
    }

    /// Sessions that are registered now.
    pub fn len(&self) -> usize {
        self.present(Instant::now()).sessions.len()
    }

    /// Whether none is registered now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state without what has ended.
    fn present(&self, now: Instant) -> std::sync::MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        while let Some((ends, id)) = state.ends.first().cloned()
            && ends <= now
        {
            state.ends.pop_first();
            state.remove(&id);
        }
        state
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn open(&self, session: Session, ttl: Duration) -> Result<Opened, Error> {
        check(&session, ttl)?;
        let now = Instant::now();
        let mut state = self.present(now);
        let user = (session.tenant.clone(), session.user.clone());
        let others =
            state.of_user.get(&user).map_or(0, |ids| ids.len() - usize::from(ids.contains(&session.id)));
        if others >= USER_SESSIONS_MAX {
            return Ok(Opened::Full);
        }
        let before = state.remove(&session.id);
        state.note(session.id.clone(), before);
        state.insert(Held { session, ends: now + ttl });
        Ok(Opened::Done)
    }

    async fn renew(&self, sessions: &[Session], ttl: Duration) -> Result<Vec<Session>, Error> {
        check_ttl(ttl)?;
        if sessions.len() > RENEW_MAX {
            return Err(Error::Limit { what: "sessions of one renew", limit: RENEW_MAX });
        }
        let now = Instant::now();
        let mut state = self.present(now);
        let mut lost = Vec::new();
        for session in sessions {
            match state.sessions.get_mut(&session.id) {
                Some(held) => {
                    let before = std::mem::replace(&mut held.ends, now + ttl);
                    state.ends.remove(&(before, session.id.clone()));
                    state.ends.insert((now + ttl, session.id.clone()));
                }
                None => lost.push(session.clone()),
            }
        }
        Ok(lost)
    }

    async fn close(&self, session: &Session) -> Result<(), Error> {
        let mut state = self.present(Instant::now());
        if let Some(held) = state.remove(&session.id) {
            state.note(session.id.clone(), Some(held));
        }
        Ok(())
    }

    async fn of_user(&self, tenant: &str, user: &UserId) -> Result<Vec<Session>, Error> {
        let state = self.present(Instant::now());
        let ids = state.of_user.get(&(Arc::from(tenant), user.clone()));
        Ok(ids.into_iter().flatten().filter_map(|id| state.session(id)).collect())
    }

    async fn of_gateway(
        &self,
        gateway: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Session>, Error> {
        if limit == 0 || limit > GATEWAY_PAGE_MAX {
            return Err(Error::Limit { what: "sessions of a page, at least 1", limit: GATEWAY_PAGE_MAX });
        }
        let state = self.present(Instant::now());
        let Some(ids) = state.of_gateway.get(gateway) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = ids.range::<str, _>((from, Bound::Unbounded)).take(limit);
        Ok(page.filter_map(|id| state.session(id)).collect())
    }
}

// === impl State ===

impl State {
    fn session(&self, id: &Arc<str>) -> Option<Session> {
        self.sessions.get(id).map(|held| held.session.clone())
    }

    fn insert(&mut self, held: Held) {
        let Session { id, tenant, user, gateway, .. } = &held.session;
        self.of_user.entry((tenant.clone(), user.clone())).or_default().insert(id.clone());
        self.of_gateway.entry(gateway.clone()).or_default().insert(id.clone());
        self.ends.insert((held.ends, id.clone()));
        self.sessions.insert(id.clone(), held);
    }

    fn remove(&mut self, id: &Arc<str>) -> Option<Held> {
        let held = self.sessions.remove(id)?;
        let Session { tenant, user, gateway, .. } = &held.session;
        self.ends.remove(&(held.ends, id.clone()));
        let user = (tenant.clone(), user.clone());
        if let Some(ids) = self.of_user.get_mut(&user) {
            ids.remove(id);
            if ids.is_empty() {
                self.of_user.remove(&user);
            }
        }
        if let Some(ids) = self.of_gateway.get_mut(gateway) {
            ids.remove(id);
            if ids.is_empty() {
                self.of_gateway.remove(gateway);
            }
        }
        Some(held)
    }

    fn note(&mut self, id: Arc<str>, before: Option<Held>) {
        self.journal.push_back((id, before));
        if self.journal.len() > LOSABLE_WRITES {
            self.journal.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
