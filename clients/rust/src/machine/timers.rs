//! Everything that time alone does, in one place: what is due, and when to look again.

use sterna_protocol::close::{self, Advice};

use super::socket::Phase;
use super::{Action, End, Machine, Now, SocketId, State};

impl Machine {
    /// When [`super::Input::Tick`] is due at the latest, monotonic; earlier ticks do no harm.
    pub fn deadline(&self) -> Option<u64> {
        let mut due = Vec::new();
        match self.state {
            State::Connecting if self.main.is_none() => {
                due.extend(self.token.overdue_ms().or(Some(self.due_ms)));
            }
            State::Waiting => due.push(self.due_ms),
            _ => {}
        }
        for socket in [&self.main, &self.beside].into_iter().flatten() {
            // The second socket of a move may catch up until the move's deadline.
            let catches_up = socket.phase == Phase::CatchingUp && self.is_beside(socket.id);
            due.extend(socket.phase_ends_ms().filter(|_| !catches_up));
            if socket.is_welcomed() {
                due.push(socket.life.deadline());
            }
        }
        if let Some(moving) = &self.moving {
            due.push(moving.deadline_ms);
            if self.beside.is_none() {
                due.push(self.token.overdue_ms().unwrap_or(moving.at_ms));
            }
        }
        if self.main.as_ref().is_some_and(|socket| socket.is_welcomed()) {
            due.extend(self.token.renew_ms());
            due.extend(self.token.overdue_ms());
            due.extend((!self.unreported.is_empty()).then_some(self.report_ms));
            due.extend(self.streams.values().filter_map(|stream| stream.again_ms).min());
        }
        due.extend(self.outbox.deadline(self.sends_on().is_some()));
        due.into_iter().min()
    }

    pub(super) fn tick(&mut self, now: Now) {
        if self.token.overdue_ms().is_some_and(|at| now.mono_ms >= at) {
            self.token.came(None, now.mono_ms);
            self.no_token(now);
        }
        if self.state == State::Waiting && now.mono_ms >= self.due_ms {
            self.begin(now, 0);
        }
        self.try_open(now);
        self.check_phases(now);
        self.check_life(now);
        if let Some(moving) = self.moving.clone() {
            if now.mono_ms >= moving.deadline_ms {
                self.move_deadline(now);
            } else {
                self.try_beside(now);
            }
        }
        if self.main.as_ref().is_some_and(|socket| socket.is_welcomed()) {
            self.renew(now);
            self.subscribe_again(now);
            if !self.unreported.is_empty() && now.mono_ms >= self.report_ms {
                self.report(now);
            }
        }
        self.outbox.tick(now.mono_ms);
        self.pump(now);
    }

    /// Attempts and catching up have their limits.
    fn check_phases(&mut self, now: Now) {
        let over =
            |socket: &&super::socket::Socket| socket.phase_ends_ms().is_some_and(|end| now.mono_ms >= end);
        let ids =
            [&self.main, &self.beside].map(|socket| socket.as_ref().filter(over).map(|s| (s.id, s.phase)));
        for (id, phase) in ids.into_iter().flatten() {
            match phase {
                Phase::Opening | Phase::Greeting => self.give_up(now, id, close::PEER_SILENT, End::TimedOut),
                // The second socket of a move has until the deadline.
                Phase::CatchingUp if self.is_beside(id) => {}
                Phase::CatchingUp => self.go_live(now),
                Phase::Live => {}
            }
        }
    }

    /// P24: at 80 % of its life the token is renewed on the socket.
    fn renew(&mut self, now: Now) {
        if !self.token.renew_due(now.mono_ms) || !self.token.ask(now.mono_ms) {
            return;
        }
        for socket in [&mut self.main, &mut self.beside].into_iter().flatten() {
            socket.renewing = true;
        }
        self.actions.push(Action::NeedToken);
    }

    /// P25: a refusal with a time to wait is over.
    fn subscribe_again(&mut self, now: Now) {
        let due = |at: Option<u64>| at.is_some_and(|at| now.mono_ms >= at);
        let mut again = Vec::new();
        for (name, stream) in self.streams.iter_mut().filter(|(_, stream)| due(stream.again_ms)) {
            stream.again_ms = None;
            again.push(name.clone());
        }
        let ids = [&self.main, &self.beside].map(|socket| socket.as_ref().map(|socket| socket.id));
        for id in ids.into_iter().flatten().filter(|_| !again.is_empty()) {
            self.subscribe(id, &again);
        }
    }

    /// No token is to be had: an attempt that waits for it has failed; a session goes on with the old one.
    pub(super) fn no_token(&mut self, now: Now) {
        if self.state == State::Connecting && self.main.is_none() {
            self.backoff.started(now.mono_ms);
            self.wait(now, End::NoToken, Advice::BackOff { at_least_ms: 0 }, 0);
        }
        if self.moving.as_ref().is_some_and(|moving| self.beside.is_none() && now.mono_ms >= moving.at_ms) {
            self.move_failed(now, End::NoToken);
        }
        for socket in [&mut self.main, &mut self.beside].into_iter().flatten() {
            socket.renewing = false;
        }
    }

    /// Names the sockets there are, for whoever drives this.
    pub fn sockets(&self) -> impl Iterator<Item = SocketId> + '_ {
        [&self.main, &self.beside].into_iter().flatten().map(|socket| socket.id)
    }
}
