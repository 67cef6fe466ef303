//! What a change of a tenant's access stream does to its sessions here (E24, A7, A8).
//!
//! Nothing decided before counts any more. Whom it names is looked at as a whole: who is suspended, or has a
//! void token, is told so and closed ([`crate::standing`]); others are authorised again on every stream that
//! they follow. What rests on the change waits for that by itself ([`crate::held`]); what does not rest on it
//! may still pass until then.
//!
//! One task a tenant does it, in rounds: whom changes name while it is at work it takes up in the next one,
//! all of them together. A round is bounded by [`DECISION`] as a whole, so that whoever is named is decided,
//! or follows no more, within twice that.

use std::collections::BTreeSet;
use std::rc::Rc;

use sterna_process::End;
use sterna_proto::v1;
use sterna_stream::map::Map;
use sterna_stream::{StreamId, fixed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::conversation::DECISION;
use crate::gateway::Inner;
use crate::limits::CHANGED_USERS;
use crate::session::SessionId;

/// Whom the next round of each tenant is about, of those that have a task.
#[derive(Default)]
pub(crate) struct Changed(Map<String, Whom>);

/// Users of a tenant, or everybody in it; and single sessions, of which only their standing is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Whom {
    users: BTreeSet<String>,
    everyone: bool,
    sessions: BTreeSet<SessionId>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// `state` saw events of a stream that name these users; of an access stream it is about all they do.
    pub(crate) fn tenant_changed(self: &Rc<Self>, changed: &v1::MembersChanged) {
        let Ok(access) = changed.stream.parse::<StreamId>() else { return };
        if !fixed::is_access(&access) {
            return;
        }
        self.authorizer.passed(&access);
        self.outward.changes.tenant_passed(access.tenant());
        self.look_at(access.tenant(), Whom::named(changed));
    }

    /// The tenant's next round is about these, too.
    pub(crate) fn look_at(self: &Rc<Self>, tenant: &str, whom: Whom) {
        if self.changed.borrow_mut().add(tenant, whom) {
            let (inner, tenant) = (self.clone(), tenant.to_owned());
            self.process.spawn_local("authorising a tenant's users again", End::Expected, async move {
                inner.settle_tenant(&tenant).await;
            });
        }
    }

    async fn settle_tenant(&self, tenant: &str) {
        loop {
            let Some(whom) = self.changed.borrow_mut().next(tenant) else { return };
            // One bound for all that follows.
            let until = Instant::now() + DECISION;
            self.end_revoked(tenant, &whom, until).await;
            if !whom.is_named() {
                continue;
            }
            let followed = self.shard.heads().into_iter().map(|(stream, _)| stream);
            for stream in followed.filter(|stream| stream.tenant() == tenant) {
                for session in self.shard.followers(&stream) {
                    if self.identity(session).is_some_and(|who| whom.names(who.user.as_str())) {
                        self.authorize_again(session, &stream, until).await;
                    }
                }
            }
        }
    }
}

impl Changed {
    /// Whom a change names is in the tenant's next round. Whether a task must begin, for the tenant has none.
    fn add(&mut self, tenant: &str, more: Whom) -> bool {
        if let Some(whom) = self.0.get_mut(tenant) {
            whom.merge(more);
            return false;
        }
        let somebody = more != Whom::default();
        if somebody {
            let mut whom = Whom::default();
            whom.merge(more);
            self.0.insert(tenant.to_owned(), whom);
        }
        somebody
    }

    /// Whom the tenant's next round is about. `None`: nobody, and its task ends.
    fn next(&mut self, tenant: &str) -> Option<Whom> {
        let whom = std::mem::take(self.0.get_mut(tenant)?);
        if whom == Whom::default() {
            self.0.remove(tenant);
            return None;
        }
        Some(whom)
    }
}

impl Whom {
    /// Whom a change of the access stream names.
    fn named(changed: &v1::MembersChanged) -> Self {
        let users = changed.users.iter().cloned().collect();
        Self { users, everyone: changed.everyone, sessions: BTreeSet::new() }
    }

    /// These sessions, whoever they are.
    pub(crate) fn sessions(sessions: impl IntoIterator<Item = SessionId>) -> Self {
        Self { sessions: sessions.into_iter().collect(), ..Self::default() }
    }

    fn merge(&mut self, more: Self) {
        self.users.extend(more.users);
        self.sessions.extend(more.sessions);
        self.everyone |= more.everyone || self.users.len() > CHANGED_USERS;
        if self.everyone {
            self.users.clear();
        }
    }

    /// Whether a change names somebody.
    fn is_named(&self) -> bool {
        self.everyone || !self.users.is_empty()
    }

    fn names(&self, user: &str) -> bool {
        self.everyone || self.users.contains(user)
    }

    /// Whether it is about this session of `user`'s.
    pub(crate) fn is_about(&self, session: SessionId, user: &str) -> bool {
        self.sessions.contains(&session) || self.names(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(users: impl IntoIterator<Item = String>, everyone: bool) -> Whom {
        Whom { users: users.into_iter().collect(), everyone, ..Whom::default() }
    }

    /// E24, E29: a tenant has one task, and whom changes name meanwhile is named by its next round; more than
    /// can be remembered are everybody.
    #[test]
    fn a_tenant_has_one_task_and_remembers_a_bounded_number() {
        let mut changed = Changed::default();
        assert!(!changed.add("acme", naming([], false)), "about nobody");
        assert!(changed.add("acme", naming(["bo".into()], false)));
        assert!(!changed.add("acme", naming(["ana".into(), "bo".into()], false)));
        assert!(changed.add("other", naming([], true)), "another tenant has its own");
        let whom = changed.next("acme").unwrap();
        assert_eq!(["ana", "bo", "cy"].map(|user| whom.names(user)), [true, true, false]);
        let number = |n: usize| format!("u{n:05}");
        assert!(!changed.add("acme", naming((0..CHANGED_USERS).map(number), false)), "the task goes on");
        assert!(!changed.add("acme", naming([number(0)], false)));
        assert!(!changed.0["acme"].names("ana") && changed.0["acme"].users.len() == CHANGED_USERS);
        assert!(!changed.add("acme", naming([number(CHANGED_USERS)], false)));
        let whom = changed.next("acme").unwrap();
        assert!(whom.names("ana") && whom.users.is_empty(), "nobody who was named is forgotten");
        assert_eq!(changed.next("acme"), None);
        assert!(changed.add("acme", naming([], true)), "the task had ended");
    }

    /// A7: who is named by a session alone is looked at as a whole, and keeps what they follow.
    #[test]
    fn a_session_is_about_itself_alone() {
        let [one, other] = [1, 2].map(|generation| SessionId { slot: 0, generation });
        let mut whom = Whom::sessions([one]);
        assert!(!whom.is_named() && whom.is_about(one, "ana") && !whom.is_about(other, "ana"));
        whom.merge(naming(["ana".into()], false));
        assert!(whom.is_named() && whom.is_about(other, "ana") && !whom.is_about(other, "bo"));
    }
}
