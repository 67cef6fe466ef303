//! Following every stream of a user, now and later (docs/protocol.md, rule 6).
//!
//! A session is marked first and listed then: whoever is added in between is in the list, because the index
//! is written before the member event, or is told by `state`, because the mark is there. What may have been
//! missed (another instance of `state` was attached) is listed again, a few sessions at a time. A stream that
//! the session left by itself stays left until it asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use sterna_access::Identity;
use sterna_proto::v1::notification_client::NotificationClient;
use sterna_proto::{refusal, v1};
use sterna_protocol::frame::Error;
use sterna_stream::limits::MINE_ADDED;
use sterna_stream::map::Map;
use sterna_stream::{Reason, Refusal, StreamId, UserId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::conversation::Rate;
use crate::encode;
use crate::gateway::Inner;
use crate::session::SessionId;
use crate::shard::{Refused, Start};

/// Sessions that are listed at once without having asked.
pub const LISTINGS: usize = 4;
/// Longest that one listing may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// `mine` may be asked so often in a second, and so many seconds' worth at once.
const ASKS: (u32, u32) = (1, 3);

/// Who follows all of theirs.
#[derive(Default)]
pub(crate) struct Mines {
    held: RefCell<Held>,
    wake: Notify,
}

#[derive(Default)]
struct Held {
    sessions: BTreeMap<SessionId, Mine>,
    of_user: Map<(String, UserId), BTreeSet<SessionId>>,
    /// To be listed.
    again: BTreeSet<SessionId>,
    /// To be listed when a second has passed.
    later: BTreeSet<SessionId>,
    added: VecDeque<(SessionId, StreamId)>,
}

struct Mine {
    who: (String, UserId),
    tail: Option<u32>,
    asks: Rate,
    /// Streams that it left by itself, at most as many as it may follow.
    left: BTreeSet<StreamId>,
}

enum Work {
    List(SessionId),
    Follow(SessionId, StreamId),
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A page of a user's streams.
    ///
    /// # Errors
    /// What notification refuses for.
    pub(crate) async fn my_streams(&self, request: v1::MineRequest) -> Result<v1::MineAnswer, Refusal> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(DEADLINE);
        let answer = NotificationClient::new(self.notification.clone()).mine(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal::from_status(&status))
    }

    /// `subscribe` with `mine`. Sent again it changes the tail of what is followed from now on.
    pub(crate) async fn follow_mine(&self, session: SessionId, tail: Option<u32>) {
        let Some(identity) = self.identity(session) else { return };
        if let Err(wait) = self.mines.held.borrow_mut().mark(session, &identity, tail) {
            let ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            let refusal = Reason::RateLimited.because("mine was asked for a moment ago").after_ms(ms);
            return self.send(session, &encode::error(refusal.into()));
        }
        self.list(session).await;
    }

    /// A stream was left by `unsubscribe`, or is asked for by name.
    pub(crate) fn left_by_itself(&self, session: SessionId, stream: &StreamId, left: bool) {
        let most = self.most_follows();
        let mut held = self.mines.held.borrow_mut();
        let Some(mine) = held.sessions.get_mut(&session) else { return };
        if !left {
            mine.left.remove(stream);
        } else if mine.left.len() < most {
            mine.left.insert(stream.clone());
        }
    }

    /// The session is gone.
    pub(crate) fn forget_mine(&self, session: SessionId) {
        self.mines.held.borrow_mut().forget(session);
    }

    /// `state` saw member events of a stream that name these users. Nobody here need follow it: who publishes
    /// to it without following it is decided anew, too.
    pub(crate) fn members_changed(&self, changed: &v1::MembersChanged) {
        let Ok(stream) = changed.stream.parse::<StreamId>() else { return };
        self.members_passed(&stream);
        let mut held = self.mines.held.borrow_mut();
        let users = changed.users.iter().filter_map(|user| user.parse().ok());
        let of_user = |user: UserId| held.of_user.get(&(stream.tenant().to_owned(), user));
        let concerned: Vec<SessionId> = users.filter_map(of_user).flatten().copied().collect();
        for session in concerned.into_iter().filter(|session| !self.shard.follows(*session, &stream)) {
            held.add(session, stream.clone());
        }
        drop(held);
        self.mines.wake.notify_waiters();
    }

    /// Something may have been missed: everybody is listed again.
    pub(crate) fn list_all_again(&self) {
        let mut held = self.mines.held.borrow_mut();
        let sessions: Vec<SessionId> = held.sessions.keys().copied().collect();
        sessions.into_iter().for_each(|session| held.list(session));
        drop(held);
        self.mines.wake.notify_waiters();
    }

    /// Once a second: what failed is tried again.
    pub(crate) fn list_later(&self) {
        let mut held = self.mines.held.borrow_mut();
        let later = std::mem::take(&mut held.later);
        if !later.is_empty() {
            later.into_iter().for_each(|session| held.list(session));
            drop(held);
            self.mines.wake.notify_waiters();
        }
    }

    async fn list(&self, session: SessionId) {
        if let Err(refusal) = self.try_list(session).await {
            tracing::info!(reason = refusal.reason.code(), "a user's streams are not readable now");
            self.mines.held.borrow_mut().later.insert(session);
        }
    }

    async fn try_list(&self, session: SessionId) -> Result<(), Refusal> {
        let Some((tenant, user)) = self.mines.held.borrow().who(session) else { return Ok(()) };
        let limit = self.config.terms.max_subscriptions;
        let request =
            v1::MineRequest { tenant, user: user.to_string(), limit, newest: true, ..Default::default() };
        let answer = self.my_streams(request).await?;
        let streams: Vec<StreamId> =
            answer.streams.iter().filter_map(|mine| mine.stream.parse().ok()).collect();
        let new: Vec<StreamId> =
            streams.into_iter().filter(|stream| !self.shard.follows(session, stream)).collect();
        let stored = self.stored_cursors(session, &new).await?;
        let unknown = || Reason::Unavailable.because("some streams' members cannot be read now");
        let mut failed = (!answer.unknown.is_empty()).then(unknown);
        let mut all = answer.next.is_empty();
        for stream in new {
            let cursor = stored.get(&stream).cloned().unwrap_or_default();
            match self.follow_member(session, &stream, cursor).await {
                Ok(taken) => all &= taken,
                Err(refusal) if refusal.reason == Reason::NotFound => {}
                // One stream that cannot be followed now keeps no other from being followed.
                Err(refusal) => failed = Some(refusal),
            }
        }
        if !all {
            let error = Error::new(Reason::LimitExceeded)
                .detail("more memberships than a session may follow: the most recently active are followed");
            self.send(session, &encode::error(error));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Follows a stream for a member. `false`: the session follows as many as it may.
    async fn follow_member(
        &self,
        session: SessionId,
        stream: &StreamId,
        cursor: sterna_stream::Cursor,
    ) -> Result<bool, Refusal> {
        let Some(identity) = self.identity(session) else { return Ok(true) };
        let mut decided = self.reads(&identity, stream).await;
        if decided.as_ref().is_err_and(|refusal| refusal.reason == Reason::NotFound) {
            // The fold may be a second old, and the membership younger.
            self.authorizer.passed(stream);
            decided = self.reads(&identity, stream).await;
        }
        let floor = decided?;
        let mine = self.mines.held.borrow().tail(session, stream);
        let Some(tail) = mine.filter(|_| !self.shard.follows(session, stream)) else { return Ok(true) };
        let most = self.config.terms.max_backlog;
        let start = Start { cursor, tail: Some(tail.unwrap_or(most).min(most)), tell: true, floor };
        Ok(self.shard.follow(session, stream, start) != Err(Refused::Follows))
    }

    /// A stream that the user was added to.
    async fn follow_added(&self, session: SessionId, stream: &StreamId) {
        let one = std::slice::from_ref(stream);
        let followed = match self.stored_cursors(session, one).await {
            Ok(mut stored) => {
                self.follow_member(session, stream, stored.remove(stream).unwrap_or_default()).await
            }
            Err(refusal) => Err(refusal),
        };
        match followed {
            Ok(true) => {}
            Ok(false) => {
                let refusal = Reason::LimitExceeded.because("a session follows no more streams");
                self.send(session, &encode::error(Error::from(refusal).of_stream(stream.as_str())));
            }
            // Not a member, or not any more.
            Err(refusal) if refusal.reason == Reason::NotFound => {}
            Err(_) => {
                self.mines.held.borrow_mut().later.insert(session);
            }
        }
    }

    pub(crate) fn most_follows(&self) -> usize {
        usize::try_from(self.config.terms.max_subscriptions).unwrap_or(usize::MAX)
    }
}

/// Lists and follows what nobody waits for, one thing after the other, for the shard's life.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin + 'static>(inner: Rc<Inner<S>>) {
    loop {
        let woken = inner.mines.wake.notified();
        let work = inner.mines.held.borrow_mut().work();
        match work {
            Some(Work::List(session)) => inner.list(session).await,
            Some(Work::Follow(session, stream)) => inner.follow_added(session, &stream).await,
            None => woken.await,
        }
    }
}

// === impl Held ===

impl Held {
    /// Marks a session; refused if it asks too often.
    fn mark(&mut self, session: SessionId, identity: &Identity, tail: Option<u32>) -> Result<(), Duration> {
        let who = (identity.tenant.clone(), identity.user.clone());
        let mine = self.sessions.entry(session).or_insert_with(|| {
            self.of_user.entry(who.clone()).or_default().insert(session);
            Mine { who, tail, asks: Rate::new(ASKS.0, ASKS.1), left: BTreeSet::new() }
        });
        mine.asks.take(Instant::now()).map_err(|too_fast| too_fast.wait)?;
        mine.tail = tail;
        mine.left.clear();
        Ok(())
    }

    fn forget(&mut self, session: SessionId) {
        let Some(mine) = self.sessions.remove(&session) else { return };
        if let Some(sessions) = self.of_user.get_mut(&mine.who) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.of_user.remove(&mine.who);
            }
        }
        self.later.remove(&session);
        self.again.remove(&session);
        self.added.retain(|(other, _)| *other != session);
    }

    fn who(&self, session: SessionId) -> Option<(String, UserId)> {
        self.sessions.get(&session).map(|mine| mine.who.clone())
    }

    /// The tail to follow a stream with; `None`: not by `mine`.
    fn tail(&self, session: SessionId, stream: &StreamId) -> Option<Option<u32>> {
        self.sessions.get(&session).filter(|mine| !mine.left.contains(stream)).map(|mine| mine.tail)
    }

    fn list(&mut self, session: SessionId) {
        self.again.insert(session);
    }

    fn add(&mut self, session: SessionId, stream: StreamId) {
        if self.added.len() < MINE_ADDED {
            self.added.push_back((session, stream));
        } else {
            self.list(session);
        }
    }

    fn work(&mut self) -> Option<Work> {
        let added = self.added.pop_front().map(|(session, stream)| Work::Follow(session, stream));
        added.or_else(|| self.again.pop_first().map(Work::List))
    }
}
