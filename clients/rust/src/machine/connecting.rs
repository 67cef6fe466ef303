//! From nothing to an upgraded socket, and what follows when one ends (section 5, section 7).

use sterna_protocol::close::{self, Advice};
use sterna_protocol::frame::ClientFrame;
use sterna_stream::Region;

use super::backoff::{self, Backoff};
use super::liveness::Verdict;
use super::socket::{Phase, Socket};
use super::{Action, End, Failure, Machine, Notice, Now, SocketId, State};
use crate::config::BACK_OFF_MS;

impl Machine {
    /// Idle, Stopped → Connecting. Also wakes a waiting client, as a hint of the network does.
    pub(super) fn connect(&mut self, now: Now) {
        if !matches!(self.state, State::Idle | State::Stopped) {
            self.hint(now);
            return;
        }
        self.endpoints.restart(now.mono_ms);
        self.token.forgive();
        self.last_error = None;
        let jitter = Backoff::first(&mut *self.random);
        self.begin(now, jitter);
    }

    /// Any → Idle. The outbox stays.
    pub(super) fn disconnect(&mut self, now: Now) {
        self.report(now);
        self.close_all(close::DONE);
        self.set_state(State::Idle);
    }

    /// Waiting, Idle, Stopped → Connecting, after a jitter of `after_ms`.
    pub(super) fn begin(&mut self, now: Now, after_ms: u64) {
        self.due_ms = now.mono_ms + after_ms;
        self.due_at_least_ms = now.mono_ms;
        self.set_state(State::Connecting);
        self.try_open(now);
    }

    /// Opens the first socket once its jitter is over and a fresh token is there.
    pub(super) fn try_open(&mut self, now: Now) {
        if self.state != State::Connecting || self.main.is_some() {
            return;
        }
        if self.token.fresh(now.mono_ms).is_none() {
            self.ask_for_token(now);
            return;
        }
        if now.mono_ms >= self.due_ms {
            self.backoff.started(now.mono_ms);
            let (target, url) = (self.endpoints.at().cloned(), self.endpoints.url());
            self.main = Some(self.open(now, target, url));
        }
    }

    pub(super) fn open(&mut self, now: Now, target: Option<Region>, url: Box<str>) -> Socket {
        self.sockets += 1;
        let id = SocketId(self.sockets);
        self.actions.push(Action::Open(id, url));
        Socket::new(id, target, now, self.ping_interval_ms())
    }

    pub(super) fn ping_interval_ms(&self) -> u32 {
        if self.foreground { self.config.ping_foreground_ms } else { self.config.ping_background_ms }
    }

    pub(super) fn ask_for_token(&mut self, now: Now) {
        if self.token.ask(now.mono_ms) {
            self.actions.push(Action::NeedToken);
        }
    }

    /// A socket is upgraded: Connecting → Greeting; beside the first, the state stays Moving.
    pub(super) fn opened(&mut self, now: Now, id: SocketId) {
        let Some(socket) = self.socket(id).filter(|socket| socket.phase == Phase::Opening) else { return };
        socket.enter(Phase::Greeting, now);
        if !self.is_beside(id) {
            self.set_state(State::Greeting);
        }
        self.greet(id);
    }

    pub(super) fn failed(&mut self, now: Now, id: SocketId, failure: Failure) {
        let advice = match failure {
            Failure::Unreachable => Advice::BackOff { at_least_ms: 0 },
            Failure::Refused { status, retry_after_s } => close::http_advice(status, retry_after_s),
        };
        self.ended(now, id, End::Failed(failure), advice);
    }

    pub(super) fn closed(&mut self, now: Now, id: SocketId, code: u16) {
        self.ended(now, id, End::Closed(code), close::advice(code));
    }

    /// This client closes a socket of its own accord and comes back.
    pub(super) fn give_up(&mut self, now: Now, id: SocketId, code: u16, end: End) {
        self.actions.push(Action::Close(id, code));
        self.ended(now, id, end, Advice::BackOff { at_least_ms: 0 });
    }

    /// A socket is gone, by whichever side.
    pub(super) fn ended(&mut self, now: Now, id: SocketId, end: End, advice: Advice) {
        if self.is_beside(id) {
            self.beside = None;
            self.move_failed(now, end);
            return;
        }
        let Some(lost) = self.main.take_if(|socket| socket.id == id) else { return };
        if advice == Advice::Stop {
            self.stop(end);
            return;
        }
        let live_ms = lost.live_ms(now.mono_ms);
        // An overloaded region is alive and asks to wait; a refused token says nothing about the endpoint.
        let overloaded = end == End::Closed(close::OVERLOADED);
        let mut advice = advice;
        if !lost.is_welcomed()
            && !overloaded
            && matches!(advice, Advice::BackOff { .. })
            && self.endpoints.failed(now.mono_ms)
        {
            // How long the one left behind asked to wait says nothing about the next.
            advice = Advice::BackOff { at_least_ms: 0 };
        }
        if let (Advice::NewToken, End::Closed(code)) = (advice, end)
            && self.token.refused(code)
        {
            self.stop(end);
            return;
        }
        if self.take_over(now) {
            return;
        }
        self.wait(now, end, advice, live_ms);
    }

    /// → Waiting.
    pub(super) fn wait(&mut self, now: Now, end: End, advice: Advice, live_ms: u64) {
        let wait = self.backoff.ended(now.mono_ms, end, advice, live_ms, &mut *self.random);
        self.due_ms = now.mono_ms + wait.for_ms;
        self.due_at_least_ms = now.mono_ms + wait.at_least_ms;
        if let Some(attempts) = wait.struggling {
            self.tell(Notice::Struggling { end, attempts });
        }
        self.set_state(State::Waiting);
    }

    /// → Stopped: nothing is tried again by itself.
    fn stop(&mut self, end: End) {
        self.close_all(close::DONE);
        self.set_state(State::Stopped);
        let error = self.last_error.take();
        self.tell(Notice::Stopped { end, error });
    }

    fn close_all(&mut self, code: u16) {
        let ids = [self.main.take(), self.beside.take()].into_iter().flatten().map(|socket| socket.id);
        self.actions.extend(ids.map(|id| Action::Close(id, code)));
        (self.moving, self.ticket) = (None, None);
    }

    /// The network is back, or the application in front: a wait is cut short, a socket is looked at (P19).
    pub(super) fn hint(&mut self, now: Now) {
        if self.state == State::Waiting {
            let remaining = self.due_ms.saturating_sub(now.mono_ms);
            let redrawn = backoff::jitter(remaining.min(BACK_OFF_MS), &mut *self.random);
            self.due_ms = (now.mono_ms + redrawn).max(self.due_at_least_ms);
        }
        self.check_life(now);
    }

    /// Looks at every socket's silence; says nothing if all is well.
    pub(super) fn check_life(&mut self, now: Now) {
        let ids = [&self.main, &self.beside].map(|socket| socket.as_ref().map(|socket| socket.id));
        for id in ids.into_iter().flatten() {
            let Some(socket) = self.socket(id).filter(|socket| socket.is_welcomed()) else { continue };
            match socket.life.check(now) {
                Verdict::Ask => self.send(id, ClientFrame::Ping),
                Verdict::Silent => {
                    self.give_up(now, id, close::PEER_SILENT, End::Closed(close::PEER_SILENT));
                }
                Verdict::Alive | Verdict::Asked => {}
            }
        }
    }
}
