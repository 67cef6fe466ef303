//! `subscribe`: which streams a session follows, from where (docs/protocol.md, rules 4 and 5).

use std::rc::Rc;

use sterna_protocol::frame::{Error, Subscribe, Subscription};
use sterna_stream::{Reason, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::encode;
use crate::gateway::Inner;
use crate::session::SessionId;
use crate::shard::{Refused, Start};
use crate::stored::StoredCursors;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    pub(super) async fn subscribe(self: Rc<Self>, session: SessionId, subscribe: Subscribe) {
        if subscribe.mine {
            self.follow_mine(session, subscribe.tail).await;
        }
        for text in &subscribe.malformed {
            self.shard.room(session).await;
            self.send(session, &encode::error(Error::no_stream(text)));
        }
        let mut streams: Vec<Subscription> = Vec::with_capacity(subscribe.streams.len());
        for asked in subscribe.streams {
            self.shard.room(session).await;
            if self.may_ask(session, &asked.stream) {
                streams.push(asked);
            }
        }
        let without = streams.iter().filter(|subscription| subscription.cursor.is_none());
        let without: Vec<StreamId> = without.map(|subscription| subscription.stream.clone()).collect();
        // Read before anything is decided: nothing may pass between a decision and what it allows.
        let stored = self.stored_cursors(session, &without).await;
        for subscription in streams {
            self.shard.room(session).await;
            match &stored {
                Err(refusal) if subscription.cursor.is_none() => {
                    self.shard.unfollow(session, &subscription.stream);
                    self.refuse_stream(session, &subscription.stream, refusal.clone());
                }
                stored => self.follow(session, subscription, stored.as_ref().ok()).await,
            }
        }
    }

    /// Whether the session's rate allows one more stream to be asked for; if not, it is told.
    fn may_ask(&self, session: SessionId, stream: &StreamId) -> bool {
        let mut conversations = self.conversations.borrow_mut();
        let Some(open) = conversations.get_mut(&session).and_then(|c| c.open.as_mut()) else { return false };
        let Err(too_fast) = open.subscriptions.take(Instant::now()) else { return true };
        drop(conversations);
        let ms = u32::try_from(too_fast.wait.as_millis()).unwrap_or(u32::MAX);
        let refusal = Reason::RateLimited.because("so many streams were asked for at once");
        self.shard.unfollow(session, stream);
        self.refuse_stream(session, stream, refusal.after_ms(ms));
        false
    }

    async fn follow(&self, session: SessionId, subscription: Subscription, stored: Option<&StoredCursors>) {
        let Some(identity) = self.identity(session) else { return };
        let stream = subscription.stream;
        let floor = match self.reads(&identity, &stream).await {
            Ok(floor) => floor,
            Err(refusal) => {
                self.shard.unfollow(session, &stream);
                return self.refuse_stream(session, &stream, refusal);
            }
        };
        let most = self.config.terms.max_backlog;
        let tail = Some(subscription.tail.unwrap_or(most).min(most));
        let tell = subscription.cursor.is_none();
        let stored = stored.and_then(|stored| stored.get(&stream)).cloned();
        let cursor = subscription.cursor.or(stored).unwrap_or_default();
        let start = Start { cursor, tail, tell, floor };
        match self.shard.follow(session, &stream, start) {
            Ok(()) => {
                self.left_by_itself(session, &stream, false);
                self.watch(session, &stream, subscription.presence);
            }
            Err(refused) => self.refused(session, &stream, refused),
        }
    }

    fn refused(&self, session: SessionId, stream: &StreamId, refused: Refused) {
        if refused == Refused::Follows {
            let refusal =
                Reason::LimitExceeded.because("a session follows no more streams than welcome says");
            self.refuse_stream(session, stream, refusal);
        }
    }
}
