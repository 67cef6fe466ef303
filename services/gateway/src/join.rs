//! Following a stream: interest, history page by page, and the step into the ring (docs/protocol.md, section
//! 8).
//!
//! Guarantee: for each origin, what a session is sent tiles from its cursor on, without a hole. (a) A ring
//! has interest and fills before anything is read for it; (e) a session goes live in one step, in which the
//! ring's entries that it lacks are put into its outbox, and only if with them it has *all* that the ring
//! ever entered; (f) otherwise it asks for the next page. One page at a time per session, however many
//! streams it joins. Overlap is allowed, clients drop it.
//!
//! It decides nothing about access and does not read history itself.

use sterna_stream::{Cursor, Segment, StreamId, mutant};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::contents::{Contents, Request, Retry};
use crate::limits::RETRY_S;
use crate::ring::{Member, Offered, Ring};
use crate::session::{Follow, Join, SessionId, Step};
use crate::shard::{Refused, Start};
use crate::wire::{Encoding, Messages};

mod floors;
mod steps;

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    // === followers ===

    pub(crate) fn follow(&mut self, id: SessionId, stream: &StreamId, start: Start) -> Result<(), Refused> {
        let most = self.limits.follows;
        self.session(id).filter(|session| session.is_open()).ok_or(Refused::Ended)?;
        self.unfollow(id, stream);
        if self.sessions[id.slot as usize].follows.len() >= most {
            return Err(Refused::Follows);
        }
        let ring_id = self.ring(stream);
        let ring = &mut self.rings[ring_id as usize];
        let session = &mut self.sessions[id.slot as usize];
        let place = ring.add(Member { session: id.slot, follow: session.follows.len() as u32 });
        ring.set_floor(id.slot, start.floor);
        let (since, joined) = (ring.base(), ring.joined);
        ring.pass.low = ring.pass.low.min(since);
        let join = Join {
            sent: start.cursor,
            tail: start.tail,
            since,
            step: Step::Interest,
            waiting_s: None,
            told_waiting: false,
            tell: start.tell,
        };
        session.follows.push(Follow { ring: ring_id, place, at: 0, join: Some(Box::new(join)) });
        if joined || mutant!("history_before_attach") {
            self.begin(id.slot, ring_id);
        }
        Ok(())
    }

    pub(crate) fn unfollow(&mut self, id: SessionId, stream: &StreamId) {
        let Some(&ring_id) = self.by_stream.get(stream) else { return };
        if let Some(place) = self.session(id).and_then(|session| session.follow_of(ring_id)) {
            self.leave(id.slot, place);
        }
    }

    pub(crate) fn leave_all(&mut self, slot: u32) {
        while let Some(last) = self.sessions[slot as usize].follows.len().checked_sub(1) {
            self.leave(slot, last);
        }
    }

    /// Ends the follow in this place, and with the last member the ring.
    fn leave(&mut self, slot: u32, place: usize) {
        let session = &mut self.sessions[slot as usize];
        let follow = session.follows.swap_remove(place);
        let moved = session.follows.get(place).map(|follow| (follow.ring, follow.place));
        if let Some((ring, member)) = moved {
            self.rings[ring as usize].members[member as usize].follow = place as u32;
        }
        let ring = &mut self.rings[follow.ring as usize];
        ring.set_floor(slot, None);
        for (member, place) in ring.remove(follow.place) {
            self.sessions[member.session as usize].follows[member.follow as usize].place = place;
        }
        if ring.members.is_empty() {
            let ring = self.rings.remove(follow.ring as usize);
            self.dirty.remove(follow.ring);
            self.by_stream.remove(&ring.stream);
            self.requests.push(Request::Interest(ring.stream, false));
        } else if !ring.is_empty() {
            self.touch(follow.ring);
        }
        self.join_over(slot, follow.ring);
    }

    fn ring(&mut self, stream: &StreamId) -> u32 {
        if let Some(&ring_id) = self.by_stream.get(stream) {
            return ring_id;
        }
        let ring_id = self.rings.insert(Ring::new(stream.clone())) as u32;
        self.by_stream.insert(stream.clone(), ring_id);
        self.requests.push(Request::Interest(stream.clone(), true));
        ring_id
    }

    // === what `state` sends ===

    pub(crate) fn joined(&mut self, stream: &StreamId, head: &Cursor, known: &Cursor) {
        let Some(&ring_id) = self.by_stream.get(stream) else { return };
        let (head, known) = (self.interned(head), self.interned(known));
        let ring = &mut self.rings[ring_id as usize];
        let fresh = !ring.joined;
        if ring.join(&head, &known) {
            self.pull(ring_id);
        }
        if !fresh {
            return;
        }
        for at in 0..self.rings[ring_id as usize].members.len() {
            let Some(&Member { session, .. }) = self.rings[ring_id as usize].members.get(at) else { break };
            self.begin(session, ring_id);
        }
    }

    pub(crate) fn push(&mut self, segment: Segment) {
        let ring_id = self.by_stream.get(&segment.stream).copied();
        let Some(ring_id) = ring_id.filter(|&ring_id| self.rings[ring_id as usize].joined) else {
            self.counters.unwanted += 1;
            return;
        };
        let end = self.rings[ring_id as usize].end();
        match self.rings[ring_id as usize].offer(segment, &self.limits) {
            Offered::Entered { evicted } => {
                self.counters.entered += 1;
                self.counters.evicted += u64::from(evicted);
                self.hide(ring_id, end);
                // Its last follower may have been cut off for that.
                if self.rings.contains(ring_id as usize) {
                    self.touch(ring_id);
                }
            }
            Offered::Old => self.counters.old += 1,
            Offered::Gap { pull: false } => {}
            Offered::Gap { pull: true } => self.pull(ring_id),
        }
    }

    pub(crate) fn lose(&mut self, stream: &StreamId, upto: &Cursor) {
        if let Some(&ring_id) = self.by_stream.get(stream) {
            self.rings[ring_id as usize].lose(upto);
        }
    }

    fn pull(&mut self, ring_id: u32) {
        let due_s = self.wheel.now_s() + RETRY_S;
        let ring = &mut self.rings[ring_id as usize];
        ring.pulled(due_s);
        self.counters.pulls += 1;
        self.requests.push(Request::Pull(ring.stream.clone(), ring.heads.clone(), ring.wanted()));
        self.retries.push_back((due_s, Retry::Pull(ring.stream.clone())));
    }

    pub(crate) fn retry(&mut self, retry: Retry) {
        match retry {
            Retry::Pull(stream) => {
                let now_s = self.wheel.now_s();
                let ring_id = self.by_stream.get(&stream).copied();
                if let Some(ring_id) = ring_id.filter(|&id| self.rings[id as usize].is_pull_due(now_s)) {
                    self.tell_late(ring_id);
                    self.pull(ring_id);
                }
            }
            Retry::Join(id, stream) => {
                let Some(&ring_id) = self.by_stream.get(&stream) else { return };
                if let Some(join) = self.join_of(id, ring_id).filter(|join| join.step == Step::Waiting) {
                    join.step = Step::Queued;
                    self.tell_waiting(id.slot, ring_id);
                    self.take_turn(id.slot, ring_id);
                }
            }
        }
    }

    /// Rule 9, to those who are live; who joins is told by its own clock.
    fn tell_late(&mut self, ring_id: u32) {
        let now_s = self.wheel.now_s();
        let ring = &mut self.rings[ring_id as usize];
        let Some(gap) = ring.late(now_s) else { return };
        let frames = Encoding::ALL.map(|encoding| {
            let mut out = Messages::new(encoding);
            self.encode.gap(&ring.stream, &gap, &mut out);
            out.finish()
        });
        for Member { session: slot, follow } in ring.members.clone() {
            let session = &mut self.sessions[slot as usize];
            if session.follows[follow as usize].join.is_none() {
                session.put(frames[session.encoding.index()].clone());
                self.queue(slot);
            }
        }
    }
}
