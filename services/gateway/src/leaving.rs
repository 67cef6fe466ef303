//! Sending sessions elsewhere before a shard goes: paced `move` frames, 4000 for who does not react
//! (docs/protocol.md, section 8, "Move").
//!
//! The shard goes on delivering and accepting meanwhile. Turns are handed out at the pace that the target
//! admits (G6), also to who says hello later; each session has the same patience after its turn. A client
//! that could not reach a target is offered the next one; after the last it stays until the process ends.

use std::collections::BTreeSet;
use std::time::Duration;

use sterna_protocol::close;
use sterna_protocol::frame::{Move, MoveFailed, ServerFrame};
use sterna_stream::Region;
use sterna_stream::map::Map;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::gateway::{Gateway, Inner};
use crate::session::SessionId;

/// How often a leaving shard looks at who is left.
const LOOK: Duration = Duration::from_millis(250);

/// How a shard is left.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// Where to. Further ones are for clients that could not reach those before.
    pub to: Vec<Region>,
    /// Why, in a word.
    pub reason: Box<str>,
    /// Sessions whose turn comes in each second (G6); at least 1.
    pub per_s: u32,
    /// How long a session may take from its turn on; then it is closed with 4000.
    pub patience: Duration,
}

/// Who was asked to go, and where to.
#[derive(Default)]
pub(crate) struct Departure {
    how: Option<Leaving>,
    /// When the next turn is free.
    next: Option<Instant>,
    invited: Map<SessionId, Invited>,
    due: BTreeSet<(Instant, SessionId)>,
}

struct Invited {
    /// The place of its target in [`Leaving::to`]; behind the last: it stays.
    target: usize,
    deadline: Instant,
}

impl Leaving {
    /// To another gateway of the same region, because this one is replaced.
    pub fn deploy(region: Region) -> Self {
        Self { to: vec![region], reason: "deploy".into(), per_s: 500, patience: Duration::from_secs(30) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Gateway<S> {
    /// Sends every session elsewhere, those that come later too, until the process ends. Returns when nobody
    /// is left who may still go. Call it before the process drains: whoever stayed is then closed with 1012.
    /// A further call replaces the first: its targets, its pace, new turns for all.
    pub async fn leave(&self, leaving: Leaving) {
        let inner = &self.0;
        inner.depart(leaving);
        while inner.may_go() {
            let left = inner.left.notified();
            // Woken by who leaves; by time because a session may also stop being waited for.
            let _ = tokio::time::timeout(LOOK, left).await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Inner<S> {
    fn depart(&self, leaving: Leaving) {
        *self.departure.borrow_mut() = Departure { how: Some(leaving), ..Departure::default() };
        let mut ids: Vec<SessionId> = self.conversations.borrow().keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter(|id| self.identity(*id).is_some()).for_each(|id| self.invite(id));
    }

    /// Somebody was greeted: if this shard is being left, they have their turn too.
    pub(crate) fn invite(&self, session: SessionId) {
        let mut departure = self.departure.borrow_mut();
        let asked = departure.turn(session, 0, Instant::now());
        drop(departure);
        if let Some(asked) = asked {
            self.register(session, true);
            self.send(session, &ServerFrame::Move(asked));
        }
    }

    /// A target could not be reached: the next one, if there is one. Of a move that nobody asked for it is
    /// nothing.
    pub(crate) fn move_failed(&self, session: SessionId, failed: &MoveFailed) {
        let mut departure = self.departure.borrow_mut();
        let Some(target) = departure.invited.get(&session).map(|invited| invited.target) else { return };
        let named = departure.how.as_ref().and_then(|how| how.to.get(target));
        if named != Some(&failed.to) {
            return;
        }
        let asked = departure.turn(session, target + 1, Instant::now());
        drop(departure);
        if let Some(asked) = asked {
            self.send(session, &ServerFrame::Move(asked));
        }
    }

    /// Once a second: 4000 to those whose time is over.
    pub(crate) fn close_departed(&self) {
        let now = Instant::now();
        loop {
            let mut departure = self.departure.borrow_mut();
            let Some(session) = departure.overdue(now) else { return };
            drop(departure);
            self.shard.close(session, close::MOVED, close::name(close::MOVED));
        }
    }

    /// The session is gone.
    pub(crate) fn departed(&self, session: SessionId) {
        self.departure.borrow_mut().forget(session);
    }

    fn may_go(&self) -> bool {
        let departure = self.departure.borrow();
        departure.invited.values().any(|invited| departure.is_offered(invited.target))
    }
}

// === impl Departure ===

impl Departure {
    /// The session's turn to go to the target in this place; `None` if there is no such target, or nobody is
    /// to go.
    fn turn(&mut self, session: SessionId, target: usize, now: Instant) -> Option<Move> {
        let how = self.how.as_ref()?;
        let to = how.to.get(target).cloned();
        let turn = self.next.map_or(now, |next| next.max(now));
        let deadline = turn + how.patience;
        let asked = to.map(|to| Move {
            to,
            after_ms: ms(turn - now),
            deadline_ms: ms(deadline - now),
            reason: how.reason.clone(),
            ticket: None,
        });
        let pace = Duration::from_secs(1) / how.per_s.max(1);
        self.forget(session);
        self.invited.insert(session, Invited { target, deadline });
        if asked.is_some() {
            self.next = Some(turn + pace);
            self.due.insert((deadline, session));
        }
        asked
    }

    fn is_offered(&self, target: usize) -> bool {
        self.how.as_ref().is_some_and(|how| target < how.to.len())
    }

    fn overdue(&mut self, now: Instant) -> Option<SessionId> {
        let (_, session) = self.due.first().copied().filter(|(deadline, _)| *deadline <= now)?;
        self.forget(session);
        Some(session)
    }

    fn forget(&mut self, session: SessionId) {
        if let Some(invited) = self.invited.remove(&session) {
            self.due.remove(&(invited.deadline, session));
        }
    }
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
