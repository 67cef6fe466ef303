//! From the outbox to the socket, and what is never stored at all (P12 to P17, P22, P23).

use sterna_protocol::frame::{ClientFrame, Ephemeral};
use sterna_stream::Hlc;
use sterna_stream::limits::EPHEMERAL_BYTES;

use super::liveness::Verdict;
use super::socket::Phase;
use super::{Action, Draft, Machine, Now, SocketId};
use crate::config::{TYPING_MS, TYPING_STREAMS};
use crate::storage::Key;

impl Machine {
    /// The application publishes. What it was shown of the stream until now is what the event comes after
    /// (P16).
    pub(super) fn publish(&mut self, now: Now, key: Key, draft: Draft) {
        let seen = self.streams.get(&draft.stream).map(|stream| stream.seen).filter(|seen| *seen > Hlc::ZERO);
        let effects = self.outbox.offer(key, draft, seen);
        self.tell_all(effects);
        self.pump(now);
    }

    /// Sends what may be sent now. During a move nothing new goes to the first socket once the second is
    /// welcomed: what has not come back is sent again on the second, in order, before anything new (section
    /// 8).
    pub(super) fn pump(&mut self, now: Now) {
        let Some(id) = self.sends_on() else { return };
        // P19: before sending, the wall clock is asked whether the socket can still be alive.
        match self.main.as_mut().map(|socket| socket.life.check(now)) {
            Some(Verdict::Alive) => {}
            Some(Verdict::Ask) => return self.send(id, ClientFrame::Ping),
            Some(Verdict::Asked | Verdict::Silent) | None => return,
        }
        let effects = self.outbox.expire(now, &self.clock);
        self.tell_all(effects);
        while let Some((change, publish)) = self.outbox.next(now, &self.clock, &mut *self.random) {
            self.actions.extend(change.map(Action::Store));
            self.send(id, ClientFrame::Publish(publish));
        }
    }

    /// The socket that publishes go out on, if any.
    pub(super) fn sends_on(&self) -> Option<SocketId> {
        let leaves = self.beside.as_ref().is_some_and(|socket| socket.is_welcomed());
        let main = self.main.as_ref().filter(|socket| socket.phase == Phase::Live && !leaves);
        main.filter(|socket| !socket.life.in_doubt()).map(|socket| socket.id)
    }

    /// Sent if there is a session, else dropped: nobody waits for it. `typing` at most every 3 s (P23).
    pub(super) fn ephemeral(&mut self, now: Now, ephemeral: Ephemeral) {
        let size = ephemeral.payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
        let Some(id) = self.sends_on().filter(|_| size <= EPHEMERAL_BYTES) else { return };
        if ephemeral.kind.as_str() == "typing" {
            self.typed.retain(|_, at| now.mono_ms < *at + TYPING_MS);
            if self.typed.contains_key(&ephemeral.stream) || self.typed.len() >= TYPING_STREAMS {
                return;
            }
            self.typed.insert(ephemeral.stream.clone(), now.mono_ms);
        }
        self.send(id, ClientFrame::Ephemeral(ephemeral));
    }
}
