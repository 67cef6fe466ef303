//! Time in seconds: pings, silence, stalled joins, sessions that do not finish closing, retries,
//! and sessions that said too much in the last one.
//!
//! One timer per shard. A session has at most one useful entry in the wheel, for the earliest of its
//! deadlines.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::contents::Contents;
use crate::limits::{CLOSE_S, Limits};
use crate::session::{Ended, Phase, SessionId};
use crate::wire;

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    /// One second passes: retries and sessions whose deadline may have come.
    pub(crate) fn second(&mut self) {
        let due = self.wheel.turn();
        self.read_again();
        for id in due {
            let now_s = self.wheel.now_s();
            if self.session(id).is_some_and(|session| session.look_s <= now_s) {
                self.sessions[id.slot as usize].look_s = u32::MAX;
                self.look(id.slot, now_s);
            }
        }
        let now_s = self.wheel.now_s();
        while self.retries.front().is_some_and(|(due_s, _)| *due_s <= now_s) {
            if let Some((_, retry)) = self.retries.pop_front() {
                self.retry(retry);
            }
        }
    }

    /// Sessions that were not read because they said too much are read on. They are not silent: what they
    /// said was waiting.
    fn read_again(&mut self) {
        let now_s = self.wheel.now_s();
        for id in std::mem::take(&mut self.held_back) {
            if let Some(session) = self.session(id) {
                session.heard_s = now_s;
            }
            self.resume(id);
        }
    }

    /// Looks at all deadlines of a session.
    fn look(&mut self, slot: u32, now_s: u32) {
        let stall_s = self.limits.stall_s;
        let session = &mut self.sessions[slot as usize];
        match session.phase {
            Phase::Gone(_) => return,
            Phase::Closing(ended) | Phase::Draining(ended) if now_s - session.took_s >= CLOSE_S => {
                return self.gone(slot, ended);
            }
            Phase::Closing(_) | Phase::Draining(_) => {
                let deadline_s = session.took_s + CLOSE_S;
                return self.look_at(slot, deadline_s);
            }
            Phase::Open => {}
        }
        let joining = session.follows.iter().any(|follow| follow.join.is_some());
        if session.blocked && joining && now_s - session.took_s >= stall_s {
            return self.close_slow(slot);
        }
        if now_s - session.heard_s >= Limits::silence_s(session.ping_s) {
            self.counters.silent += 1;
            let frame = wire::close(4100, "heartbeat_lost");
            return self.close_now(slot, Ended::Closed(4100), frame);
        }
        if now_s - session.pinged_s >= u32::from(session.ping_s) {
            session.pinged_s = now_s;
            let (ping, id) = (
                self.pings[session.encoding.index()].clone(),
                SessionId { slot, generation: session.generation },
            );
            if !self.deliver(id, ping) {
                return;
            }
        }
        self.look_later(slot);
    }

    /// Enters an open session's earliest deadline into the wheel.
    pub(crate) fn look_later(&mut self, slot: u32) {
        let session = &self.sessions[slot as usize];
        let mut at_s = session.pinged_s + u32::from(session.ping_s);
        at_s = at_s.min(session.heard_s + Limits::silence_s(session.ping_s));
        if session.blocked && session.follows.iter().any(|follow| follow.join.is_some()) {
            at_s = at_s.min(session.took_s + self.limits.stall_s);
        }
        self.look_at(slot, at_s);
    }

    pub(crate) fn look_at(&mut self, slot: u32, at_s: u32) {
        let session = &mut self.sessions[slot as usize];
        if at_s < session.look_s {
            let id = SessionId { slot, generation: session.generation };
            session.look_s = self.wheel.enter(at_s, id);
        }
    }
}
