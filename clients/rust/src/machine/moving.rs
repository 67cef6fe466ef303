//! Changing region without a gap: the second socket beside the first (section 8, "Move").
//!
//! The first goes on delivering until every stream is current on the second; both feed one cursor, so what
//! both bring is shown once. The address is looked up by region name; a region that is not known is not gone
//! to.

use sterna_protocol::close::{self, Advice};
use sterna_protocol::frame::{ClientFrame, Move, MoveFailed};
use sterna_stream::Region;

use super::socket::Phase;
use super::{Action, End, Failure, Machine, Now, SocketId, State};

/// A move under way.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    to: Region,
    /// When its turn comes, monotonic.
    pub(super) at_ms: u64,
    /// When the first socket goes, monotonic.
    pub(super) deadline_ms: u64,
}

impl Machine {
    /// `move`: → Moving. A second one replaces the first.
    pub(super) fn asked_to_move(&mut self, now: Now, id: SocketId, asked: Move) {
        if self.is_beside(id) || self.endpoints.url_of(&asked.to).is_none() {
            return;
        }
        if let Some(earlier) = self.beside.take() {
            self.actions.push(Action::Close(earlier.id, close::DONE));
        }
        self.ticket = asked.ticket.map(|ticket| (asked.to.clone(), ticket));
        self.moving = Some(Moving {
            to: asked.to,
            at_ms: now.mono_ms + u64::from(asked.after_ms),
            deadline_ms: now.mono_ms + u64::from(asked.deadline_ms),
        });
        self.set_state(State::Moving);
        self.try_beside(now);
    }

    /// Opens the second socket when its turn has come and a fresh token is there.
    pub(super) fn try_beside(&mut self, now: Now) {
        let due = self.moving.as_ref().filter(|moving| self.beside.is_none() && now.mono_ms >= moving.at_ms);
        let Some(to) = due.map(|moving| moving.to.clone()) else { return };
        if self.token.fresh(now.mono_ms).is_none() {
            self.ask_for_token(now);
            return;
        }
        match self.endpoints.url_of(&to) {
            Some(url) => self.beside = Some(self.open(now, Some(to), url)),
            // A later `welcome` no longer names it.
            None => self.move_failed(now, End::Failed(Failure::Unreachable)),
        }
    }

    /// The second socket did not come to anything: the gateway is told and offers the next region.
    pub(super) fn move_failed(&mut self, now: Now, end: End) {
        let Some(moving) = self.moving.take() else { return };
        self.ticket = None;
        let reason = match end {
            End::TimedOut => "timeout".to_owned(),
            End::NoToken => "no_token".to_owned(),
            End::Failed(Failure::Unreachable) => "unreachable".to_owned(),
            End::Failed(Failure::Refused { status, .. }) => format!("http_{status}"),
            End::Closed(code) => format!("closed_{code}"),
        };
        let Some(main) = &self.main else { return };
        let (id, phase) = (main.id, main.phase);
        self.send(id, ClientFrame::MoveFailed(MoveFailed { to: moving.to, reason: reason.into() }));
        self.set_state(state_of(phase));
        self.pump(now);
    }

    /// Every stream is current on the second socket, or the deadline has come: it is the first from now on.
    pub(super) fn switch(&mut self, now: Now) {
        if let Some(old) = self.main.take() {
            self.actions.push(Action::Close(old.id, close::DONE));
        }
        self.take_over(now);
    }

    /// The first socket is gone: goes on with the second, or remembers where to come back. Says whether it
    /// went on.
    pub(super) fn take_over(&mut self, now: Now) -> bool {
        let Some(moving) = self.moving.take() else { return false };
        self.endpoints.moved(moving.to, now.mono_ms);
        let Some(beside) = self.beside.take() else { return false };
        self.set_state(state_of(beside.phase));
        let answered = beside.answered_streams();
        self.main = Some(beside);
        for stream in answered {
            self.check_complete(&stream);
        }
        self.check_current(now);
        true
    }

    /// The deadline: the second socket takes over if it was welcomed; else 4000 is on its way, and is not
    /// waited for.
    pub(super) fn move_deadline(&mut self, now: Now) {
        if self.beside.as_ref().is_some_and(|socket| socket.is_welcomed()) {
            self.switch(now);
            return;
        }
        if let Some(beside) = self.beside.take() {
            self.actions.push(Action::Close(beside.id, close::DONE));
        }
        if let Some(main) = &self.main {
            let id = main.id;
            self.actions.push(Action::Close(id, close::DONE));
            self.ended(now, id, End::Closed(close::MOVED), Advice::AtOnce);
        }
    }
}

/// The state that a first socket in `phase` stands for.
fn state_of(phase: Phase) -> State {
    match phase {
        Phase::Opening => State::Connecting,
        Phase::Greeting => State::Greeting,
        Phase::CatchingUp => State::CatchingUp,
        Phase::Live => State::Live,
    }
}
