//! `subscribe`: which streams a session follows, from where (docs/protocol.md, rules 4 and 5).

use std::rc::Rc;

use sterna_access::Action;
use sterna_protocol::frame::{Error, Subscribe, Subscription};
use sterna_stream::{Reason, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};

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
            let error = Error::new(Reason::BadStream).of_stream(text).detail("not a stream id");
            self.send(session, &encode::error(error));
        }
        let without = subscribe.streams.iter().filter(|subscription| subscription.cursor.is_none());
        let without: Vec<StreamId> = without.map(|subscription| subscription.stream.clone()).collect();
        // Read before anything is decided: nothing may pass between a decision and what it allows.
        let stored = self.stored_cursors(session, &without).await;
        for subscription in subscribe.streams {
            match &stored {
                Err(refusal) if subscription.cursor.is_none() => {
                    self.shard.unfollow(session, &subscription.stream);
                    self.refuse_stream(session, &subscription.stream, refusal.clone());
                }
                stored => self.follow(session, subscription, stored.as_ref().ok()).await,
            }
        }
    }

    async fn follow(&self, session: SessionId, subscription: Subscription, stored: Option<&StoredCursors>) {
        let Some(identity) = self.identity(session) else { return };
        let stream = subscription.stream;
        if let Err(refusal) = self.decide(&identity, &Action::Read, &stream).await {
            self.shard.unfollow(session, &stream);
            return self.refuse_stream(session, &stream, refusal);
        }
        let most = self.config.terms.max_backlog;
        let tail = Some(subscription.tail.unwrap_or(most).min(most));
        let tell = subscription.cursor.is_none();
        let stored = stored.and_then(|stored| stored.get(&stream)).cloned();
        let cursor = subscription.cursor.or(stored).unwrap_or_default();
        let start = Start { cursor, tail, tell };
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
