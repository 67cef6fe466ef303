//! Decisions: asked of the authoriser, never for longer than a client waits, and again when members change
//! (E24, E32).

use sterna_access::{Action, Grant, Identity, View};
use sterna_stream::order::Place;
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
        self.unchanged(on, async || self.authorizer.authorize(who, what, on).await).await
    }

    /// The same for reading: below which place the stream is hidden from `who`, if any (E24).
    pub(crate) async fn reads(&self, who: &Identity, on: &StreamId) -> Result<Option<Place>, Refusal> {
        let view = self.unchanged(on, async || self.authorizer.view(who, on).await).await?;
        Ok(start(&view, who))
    }

    async fn unchanged<T>(
        &self,
        on: &StreamId,
        ask: impl AsyncFn() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let until = Instant::now() + DECISION;
        let changes = self.outward.changes.watch(on);
        for _ in 0..DECISIONS {
            let before = changes.count();
            let decided = timeout_at(until, ask()).await.unwrap_or_else(|_| Err(late()))?;
            if changes.count() == before {
                return Ok(decided);
            }
        }
        Err(Reason::Unavailable.because("members change all the time"))
    }

    /// Members of `stream` changed, or may have: nothing decided before counts any more, kept grants and
    /// decisions that are being made included.
    pub(crate) fn members_passed(&self, stream: &StreamId) {
        self.outward.changes.passed(stream);
        self.authorizer.passed(stream);
    }

    /// Members of `stream` changed: who may not read it any more, or cannot be decided, stops following,
    /// before anything later (A8); others may start elsewhere now.
    pub(crate) async fn authorize_again(&self, session: SessionId, stream: &StreamId, until: Instant) {
        let Some(identity) = self.identity(session) else { return };
        let decided = timeout_at(until, self.authorizer.view(&identity, stream)).await;
        match decided.unwrap_or_else(|_| Err(late())) {
            Ok(view) => self.shard.set_floor(session, stream, start(&view, &identity)),
            Err(refusal) => {
                self.shard.unfollow(session, stream);
                self.refuse_stream(session, stream, refusal);
            }
        }
    }
}

fn start(view: &View, who: &Identity) -> Option<Place> {
    view.fold.members.start(&who.user, view.history).cloned()
}

fn late() -> Refusal {
    Reason::Unavailable.because("no decision in time")
}
