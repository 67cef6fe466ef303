//! The tick: who is behind gets one write, a slice at a time.
//!
//! Guarantees: a slice is at most [`SLICE_SESSIONS`] visits, and dirty rings take turns of [`TURN_SESSIONS`]
//! in it, so a huge room never holds up small ones; a session whose socket is full costs no system call until
//! it is writable; a session that fell out of a ring is cut off in the same pass.

use std::task::{Context, Waker};

use sterna_stream::mutant;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::contents::Contents;
use crate::flush::{self, Scope, Wrote};
use crate::limits::{SLICE_SESSIONS, TURN_SESSIONS};
use crate::ring::Member;
use crate::session::{Ended, SessionId};

pub(crate) mod dirty;

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || !self.dirty.is_empty()
    }

    pub(crate) fn wake_if_dirty(&mut self) {
        if self.is_dirty()
            && let Some(tick) = self.tick.take()
        {
            tick.wake();
        }
    }

    /// Has the session's own frames written in the next slice.
    pub(crate) fn queue(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        if !session.queued {
            session.queued = true;
            self.pending.push_back(SessionId { slot, generation: session.generation });
        }
    }

    /// Has the ring's members visited, from now or once more.
    pub(crate) fn touch(&mut self, ring_id: u32) {
        if !self.dirty.insert(ring_id) {
            self.rings[ring_id as usize].pass.again = true;
        }
    }

    /// At most [`SLICE_SESSIONS`] visits: own frames first, up to half of them; then dirty rings in turns.
    pub(crate) fn slice(&mut self) {
        let mut left = SLICE_SESSIONS;
        while left > SLICE_SESSIONS / 2
            && let Some(id) = self.pending.pop_front()
        {
            left -= 1;
            if let Some(session) = self.session(id) {
                session.queued = false;
                self.visit(id.slot, Scope::Own);
            }
        }
        while left > 0
            && let Some(ring) = self.dirty.next()
        {
            left -= self.turn(ring, left.min(TURN_SESSIONS));
        }
    }

    /// One turn of a dirty ring; returns how many visits it cost, at least one.
    fn turn(&mut self, ring_id: u32, most: usize) -> usize {
        let ring = &mut self.rings[ring_id as usize];
        if ring.pass.next == 0 {
            ring.pass.low = u64::MAX;
            ring.pass.began = ring.end();
        }
        for visits in 1..=most {
            let ring = &mut self.rings[ring_id as usize];
            let Some(&member) = ring.members.get(ring.pass.next as usize) else {
                self.pass_ended(ring_id);
                return visits;
            };
            ring.pass.next += 1;
            self.visit_member(ring_id, member);
            if !self.rings.contains(ring_id as usize) {
                return visits;
            }
        }
        self.dirty.again(ring_id);
        most
    }

    /// Everybody was visited: forget what nobody needs.
    fn pass_ended(&mut self, ring_id: u32) {
        let ring = &mut self.rings[ring_id as usize];
        ring.pass.next = 0;
        ring.pass.settled = ring.pass.began;
        let low = ring.pass.low.min(ring.pass.began);
        ring.trim(low);
        if std::mem::take(&mut ring.pass.again) {
            self.dirty.again(ring_id);
        } else {
            self.dirty.remove(ring_id);
        }
    }

    fn visit_member(&mut self, ring_id: u32, member: Member) {
        let Member { session: slot, follow: place } = member;
        let session = &self.sessions[slot as usize];
        let follow = &session.follows[place as usize];
        if let Some(join) = &follow.join {
            let pass = &mut self.rings[ring_id as usize].pass;
            pass.low = pass.low.min(join.since);
            return;
        }
        let (at, encoding, blocked) = (follow.at, session.encoding, session.blocked);
        let ring = &mut self.rings[ring_id as usize];
        if at < ring.base() {
            if !mutant!("kept_after_eviction") {
                return self.close_slow(slot);
            }
            self.sessions[slot as usize].follows[place as usize].at = ring.base();
            return;
        }
        if at < ring.end() && !blocked {
            ring.prepare(encoding, &*self.encode);
            self.visit(slot, Scope::Ring(place));
        }
        let now_at = self.sessions[slot as usize].follows.get(place as usize).map(|follow| follow.at);
        if let (Some(ring), Some(at)) = (self.rings.get_mut(ring_id as usize), now_at) {
            ring.pass.low = ring.pass.low.min(at);
            ring.pass.again |= at < ring.pass.began && !self.sessions[slot as usize].blocked;
        }
    }

    /// Writes to a session that takes bytes, without waiting.
    fn visit(&mut self, slot: u32, scope: Scope) {
        if self.sessions[slot as usize].blocked {
            return;
        }
        let wrote = self.write(slot, scope, &mut Context::from_waker(Waker::noop()));
        match wrote {
            Wrote::Some if scope == Scope::Own => self.queue(slot),
            Wrote::Part | Wrote::Nothing => {
                let now_s = self.wheel.now_s();
                let session = &mut self.sessions[slot as usize];
                session.blocked = true;
                session.took_s = now_s;
                session.wake();
                self.look_later(slot);
            }
            _ => {}
        }
    }

    /// Writes once and draws the conclusions.
    pub(crate) fn write(&mut self, slot: u32, scope: Scope, context: &mut Context<'_>) -> Wrote {
        let session = &mut self.sessions[slot as usize];
        let (wrote, taken) = flush::write(session, scope, (&self.rings, &self.dirty), &*self.encode, context);
        if taken > 0 {
            session.took_s = self.wheel.now_s();
            self.counters.writes += 1;
            self.counters.bytes += taken as u64;
        }
        match wrote {
            Wrote::Broken => self.gone(slot, Ended::Lost),
            Wrote::Part | Wrote::Nothing => self.counters.blocked += 1,
            Wrote::All | Wrote::Some => {}
        }
        self.drained(slot);
        wrote
    }
}
