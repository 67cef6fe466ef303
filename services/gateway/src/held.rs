//! What `state` tells passes here on its way to the rings, and waits where who may read has to be settled
//! first (E24, A8).
//!
//! A segment that changes members, and the first answer to interest, hold up all that follows of their stream
//! until everybody on it here is authorised again: nobody is sent a byte from behind a removal, and nobody
//! joins on a decision that a removal overtook unseen.

use std::rc::Rc;

use sterna_process::End;
use sterna_stream::{Cursor, Segment, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::conversation::DECISION;
use crate::gateway::Inner;

/// Segments of one stream that wait; later ones are dropped and pulled.
pub const HELD_SEGMENTS: usize = 256;

/// What of one stream waits until its sessions are authorised again.
#[derive(Default)]
pub(crate) struct Held {
    /// The first answer to interest: head and known.
    joined: Option<(Cursor, Cursor)>,
    /// Each with whether it rests on member events that came by the table alone.
    segments: Vec<(Segment, bool)>,
    /// What found no place.
    dropped: Cursor,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// `state` answered interest, or a comparison of heads.
    pub(crate) fn joined(self: &Rc<Self>, stream: StreamId, head: Cursor, known: Cursor) {
        if self.held.borrow().contains_key(&stream) || !self.shard.awaits(&stream) {
            return self.shard.joined(&stream, &head, &known);
        }
        self.hold(stream, Held { joined: Some((head, known)), ..Held::default() });
    }

    /// A segment from `state`, by push or pull. `recheck`: it rests on member events that came by the table
    /// alone.
    pub(crate) fn pushed(self: &Rc<Self>, segment: Segment, recheck: bool) {
        self.outward.stamped(&segment.stream, segment.max_hlc());
        if let Some(held) = self.held.borrow_mut().get_mut(&segment.stream) {
            if held.segments.len() < HELD_SEGMENTS {
                held.segments.push((segment, recheck));
            } else {
                held.dropped.advance(&segment.origin, segment.last());
            }
            return;
        }
        // One decision holds for all that rests on no more than what it was made against: without that a page
        // of history would be decided segment by segment.
        let recheck = recheck && !self.outward.settled(&segment.stream, &segment.policy.member);
        if segment.members.is_empty() && !recheck {
            return self.shard.push(segment);
        }
        self.hold(segment.stream.clone(), Held { segments: vec![(segment, recheck)], ..Held::default() });
    }

    fn hold(self: &Rc<Self>, stream: StreamId, held: Held) {
        self.held.borrow_mut().insert(stream.clone(), held);
        self.outward.changed(&stream);
        self.authorizer.passed(&stream);
        self.drop_grants(&stream);
        let inner = self.clone();
        self.process.spawn_local("authorising again", End::Expected, async move {
            inner.settle_members(stream).await;
        });
    }

    /// Authorises everybody on `stream` again, then lets pass what was held.
    async fn settle_members(self: Rc<Self>, stream: StreamId) {
        let until = Instant::now() + DECISION;
        for session in self.shard.followers(&stream) {
            self.authorize_again(session, &stream, until).await;
        }
        let Some(held) = self.held.borrow_mut().remove(&stream) else { return };
        let mut segments = held.segments.into_iter();
        if let Some((head, known)) = held.joined {
            self.shard.joined(&stream, &head, &known);
        } else if let Some((first, _)) = segments.next() {
            self.outward.settle(&stream, &first.policy.member);
            self.shard.push(first);
        }
        segments.for_each(|(segment, recheck)| self.pushed(segment, recheck));
        if !held.dropped.is_empty() {
            self.shard.joined(&stream, &held.dropped, &held.dropped);
        }
    }
}
