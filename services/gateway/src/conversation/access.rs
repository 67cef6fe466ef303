//! Decisions: asked of the authoriser, never for longer than a client waits, and again when members change
//! (E24, E32).

use sterna_access::{Action, Grant, Identity};
use sterna_stream::{Reason, Refusal, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, timeout_at};

use crate::gateway::Inner;
use crate::session::SessionId;

/// Time for a decision, and for all that follow from one change of members; then it is `unavailable`.
pub(crate) const DECISION: Duration = Duration::from_secs(5);
/// How often a decision is made again because members changed while it was made.
const DECISIONS: usize = 4;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// A decision that no change of members passed by while it was made.
    pub(crate) async fn decide(
        &self,
        who: &Identity,
        what: &Action,
        on: &StreamId,
    ) -> Result<Grant, Refusal> {
        let until = Instant::now() + DECISION;
        let changes = self.outward.changes.watch(on);
        for _ in 0..DECISIONS {
            let before = changes.count();
            let grant = self.decide_until(until, who, what, on).await?;
            if changes.count() == before {
                return Ok(grant);
            }
        }
        Err(Reason::Unavailable.because("members change all the time"))
    }

    async fn decide_until(
        &self,
        until: Instant,
        who: &Identity,
        what: &Action,
        on: &StreamId,
    ) -> Result<Grant, Refusal> {
        let decided = timeout_at(until, self.authorizer.authorize(who, what, on)).await;
        decided.unwrap_or_else(|_| Err(Reason::Unavailable.because("no decision in time")))
    }

    /// Members of `stream` changed, or may have: nothing decided before counts any more, kept grants and
    /// decisions that are being made included.
    pub(crate) fn members_passed(&self, stream: &StreamId) {
        self.outward.changes.passed(stream);
        self.authorizer.passed(stream);
        for conversation in self.conversations.borrow_mut().values_mut() {
            if let Some(open) = &mut conversation.open {
                open.grants.retain(|granted| granted.stream != *stream);
            }
        }
    }

    /// Changes of members may have been missed: of no stream does anything decided before count any more.
    pub(crate) fn members_unheard(&self) {
        self.outward.changes.all_passed();
        for conversation in self.conversations.borrow_mut().values_mut() {
            if let Some(open) = &mut conversation.open {
                open.grants.clear();
            }
        }
    }

    /// Members of `stream` changed: who may not read it any more, or cannot be decided, stops following,
    /// before anything later (A8).
    pub(crate) async fn authorize_again(&self, session: SessionId, stream: &StreamId, until: Instant) {
        let Some(identity) = self.identity(session) else { return };
        if let Err(refusal) = self.decide_until(until, &identity, &Action::Read, stream).await {
            self.shard.unfollow(session, stream);
            self.refuse_stream(session, stream, refusal);
        }
    }
}
