//! What `state` tells passes here on its way to the rings, and waits where who may read has to be settled
//! first (E24, A8).
//!
//! A segment that changes members, and an answer to interest that says more than is known here, the first one
//! always, hold up all that follows of their stream until everybody on it here is authorised again: nobody is
//! sent a byte from behind a removal, and nobody joins on a decision that a removal overtook unseen. State
//! takes it that everybody is authorised against the head that it answered.

use std::rc::Rc;

use sterna_process::End;
use sterna_stream::limits::RECHECK_SEGMENTS;
use sterna_stream::{Cursor, Segment, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::conversation::DECISION;
use crate::gateway::Inner;

/// What of one stream waits until its sessions are authorised again.
#[derive(Default)]
pub(crate) struct Held {
    /// What began it, then what came behind.
    passing: Vec<Passing>,
    /// What found no place.
    dropped: Cursor,
}

enum Passing {
    /// An answer to interest: head and known.
    Joined(Cursor, Cursor),
    /// A segment, with whether it rests on member events that came by the table alone, or on access events.
    Segment(Segment, bool),
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    /// `state` answered interest, or a comparison of heads.
    pub(crate) fn joined(self: &Rc<Self>, stream: StreamId, head: Cursor, known: Cursor) {
        if let Some(held) = self.held.borrow_mut().get_mut(&stream) {
            return held.add(Passing::Joined(head, known));
        }
        if !self.shard.learns(&stream, &head) {
            return self.shard.joined(&stream, &head, &known);
        }
        self.hold(stream, Passing::Joined(head, known));
    }

    /// A segment from `state`, by push or pull. `recheck`: it rests on member events that came by the table
    /// alone, or on access events of the tenant.
    pub(crate) fn pushed(self: &Rc<Self>, segment: Segment, recheck: bool) {
        self.outward.stamped(&segment.stream, segment.max_hlc());
        if let Some(held) = self.held.borrow_mut().get_mut(&segment.stream) {
            return held.add(Passing::Segment(segment, recheck));
        }
        // One decision holds for all that rests on no more than what it was made against: without that a page
        // of history would be decided segment by segment.
        let recheck = recheck && !self.outward.settled(&segment.stream, &segment.policy);
        if segment.members.is_empty() && !recheck {
            return self.shard.push(segment);
        }
        self.hold(segment.stream.clone(), Passing::Segment(segment, recheck));
    }

    fn hold(self: &Rc<Self>, stream: StreamId, first: Passing) {
        if let Passing::Segment(segment, _) = &first {
            self.authorizer.must_know(&stream, &segment.policy.access);
        }
        self.held.borrow_mut().insert(stream.clone(), Held { passing: vec![first], ..Held::default() });
        self.members_passed(&stream);
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
        let mut passing = held.passing.into_iter();
        match passing.next() {
            Some(Passing::Joined(head, known)) => self.shard.joined(&stream, &head, &known),
            Some(Passing::Segment(first, _)) => {
                self.outward.settle(&stream, &first.policy);
                self.shard.push(first);
            }
            None => {}
        }
        passing.for_each(|one| match one {
            Passing::Joined(head, known) => self.joined(stream.clone(), head, known),
            Passing::Segment(segment, recheck) => self.pushed(segment, recheck),
        });
        if !held.dropped.is_empty() {
            self.joined(stream, held.dropped.clone(), held.dropped);
        }
    }
}

impl Held {
    fn add(&mut self, one: Passing) {
        if self.passing.len() < RECHECK_SEGMENTS {
            return self.passing.push(one);
        }
        match one {
            Passing::Joined(head, _) => self.dropped.merge(&head),
            Passing::Segment(segment, _) => {
                self.dropped.advance(&segment.origin, segment.last());
            }
        }
    }
}
