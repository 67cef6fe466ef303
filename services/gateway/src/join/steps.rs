//! A join, step by step: `subscribed`, page after page, the step into the ring; one at a time per session.

use sterna_protocol::frame::GapReason;
use sterna_stream::order::Place;
use sterna_stream::{Cursor, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};

use super::floors::frames_for;
use crate::contents::{Contents, Request, Retry};
use crate::floor;
use crate::limits::{RETRY_S, WAITING_TOLD_S};
use crate::seams::{Ask, Gap, Page};
use crate::session::{Join, Phase, SessionId, Step};
use crate::wire::{Frames, Messages};

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    pub(super) fn join_of(&mut self, id: SessionId, ring_id: u32) -> Option<&mut Join> {
        let session = self.session(id)?;
        let place = session.follow_of(ring_id)?;
        session.follows[place].join.as_deref_mut()
    }

    fn id(&self, slot: u32) -> SessionId {
        SessionId { slot, generation: self.sessions[slot as usize].generation }
    }

    /// (a) is true; (b) answer `subscribed`, then wait for the session's turn.
    pub(super) fn begin(&mut self, slot: u32, ring_id: u32) {
        let id = self.id(slot);
        let Some(join) = self.join_of(id, ring_id).filter(|join| join.step == Step::Interest) else { return };
        join.step = Step::Queued;
        let told = std::mem::take(&mut join.tell).then(|| join.sent.clone());
        let ring = &self.rings[ring_id as usize];
        let mut known = ring.heads.clone();
        if let Some(beyond) = &ring.known {
            known.merge(beyond);
        }
        let mut out = Messages::new(self.sessions[slot as usize].encoding);
        self.encode.subscribed(&ring.stream, &ring.heads, &known, &mut out);
        if let Some(to) = told.filter(|to| !to.is_empty()) {
            let gap = Gap { reason: GapReason::Skipped, from: Cursor::new(), to };
            self.encode.gap(&ring.stream, &gap, &mut out);
        }
        self.sessions[slot as usize].put(out.finish());
        self.queue(slot);
        self.take_turn(slot, ring_id);
    }

    /// Lines up for the session's one page; goes on at once if nobody else has it.
    pub(super) fn take_turn(&mut self, slot: u32, ring_id: u32) {
        let joins = &mut self.sessions[slot as usize].outbox.get_or_insert_default().joins;
        joins.push_back(ring_id);
        if joins.len() == 1 {
            self.advance(slot, true);
        }
    }

    /// The first join in line goes live, or asks for its next page if that may bring something; else it waits
    /// aside.
    fn advance(&mut self, slot: u32, mut ask: bool) {
        loop {
            let session = &self.sessions[slot as usize];
            // When it has taken what waits for it, the first in line goes on ([`Contents::drained`]).
            if session.is_full(self.limits.outbox_bytes) {
                return;
            }
            let first = session.outbox.as_ref().and_then(|outbox| outbox.joins.front().copied());
            let Some(ring_id) = first else { return };
            if !self.go_live(slot, ring_id) {
                if ask {
                    return self.ask(slot, ring_id);
                }
                self.wait(slot, ring_id);
            }
            if let Some(outbox) = &mut self.sessions[slot as usize].outbox {
                outbox.joins.pop_front();
            }
            ask = true;
        }
    }

    /// (e) With the ring's entries it has all: they go into the outbox, and from the ring's end on it is
    /// live.
    fn go_live(&mut self, slot: u32, ring_id: u32) -> bool {
        let id = self.id(slot);
        let Some(sent) = self.join_of(id, ring_id).map(|join| join.sent.clone()) else { return true };
        let ring = &self.rings[ring_id as usize];
        let Some(needed) = ring.completes(&sent) else { return false };
        let session = &mut self.sessions[slot as usize];
        for entry in needed.into_iter().filter_map(|index| ring.entry(index)) {
            session.put(frames_for(ring, entry, slot, session.encoding, &*self.encode));
        }
        let place = session.follow_of(ring_id).expect("its join was found a moment ago");
        session.follows[place].join = None;
        session.follows[place].at = ring.end();
        self.counters.joins += 1;
        self.queue(slot);
        if !self.rings[ring_id as usize].is_empty() {
            self.touch(ring_id);
        }
        true
    }

    /// (d)
    fn ask(&mut self, slot: u32, ring_id: u32) {
        let (id, max_bytes) = (self.id(slot), self.limits.page_bytes);
        let ring = &self.rings[ring_id as usize];
        let (stream, base, head) = (ring.stream.clone(), ring.base(), ring.heads.clone());
        let Some(join) = self.join_of(id, ring_id) else { return };
        join.step = Step::Asked;
        join.since = base;
        let (from, tail) = (join.sent.clone(), join.tail);
        if tail == Some(0) {
            let mut to = head;
            to.merge(&from);
            let gap = Some(Gap { reason: GapReason::Skipped, from, to });
            return self.page(id, &stream, &Page { gap, segments: Vec::new() });
        }
        let ask = Ask { session: id, stream, from, head, tail, max_bytes };
        self.counters.asked += 1;
        self.requests.push(Request::Backlog(ask));
    }

    pub(crate) fn page(&mut self, id: SessionId, stream: &StreamId, page: &Page) {
        let Some(&ring_id) = self.by_stream.get(stream) else { return };
        let max_bytes = self.limits.page_bytes;
        let encode = self.encode.clone();
        let Some(join) = self.join_of(id, ring_id).filter(|join| join.step == Step::Asked) else { return };
        let sent = reaches(&join.sent, page, max_bytes);
        let usable = sent.is_some();
        let before = std::mem::take(&mut join.sent);
        let sent = sent.unwrap_or_else(|| before.clone());
        let moved = sent != before;
        join.sent = sent;
        join.step = Step::Sending(moved);
        if moved {
            (join.waiting_s, join.told_waiting, join.tail) = (None, false, None);
        }
        if usable {
            let floor = self.rings[ring_id as usize].floor(id.slot).cloned();
            let session = &mut self.sessions[id.slot as usize];
            for frames in frames_of(stream, page, (&before, floor.as_ref()), session.encoding, &*encode) {
                session.put(frames);
            }
        } else {
            self.counters.bad_pages += 1;
        }
        self.queue(id.slot);
    }

    /// Called after every write: when a page has been taken, its join goes on.
    pub(crate) fn drained(&mut self, slot: u32) {
        let id = self.id(slot);
        let session = &mut self.sessions[slot as usize];
        let Some(outbox) = session.outbox.as_deref() else { return };
        if !outbox.frames.is_empty() || session.partial.is_some() {
            return self.tidy(slot);
        }
        if session.phase != Phase::Open {
            session.outbox = None;
            return session.wake();
        }
        let first = outbox.joins.front().copied();
        match first.and_then(|ring_id| self.join_of(id, ring_id)).map(|join| join.step) {
            Some(Step::Sending(moved)) => self.advance(slot, moved),
            Some(Step::Queued) => self.advance(slot, true),
            _ => {}
        }
        self.tidy(slot);
    }

    /// What comes next is not readable yet: out of the line, and again in a second.
    fn wait(&mut self, slot: u32, ring_id: u32) {
        let (id, now_s) = (self.id(slot), self.wheel.now_s());
        let stream = self.rings[ring_id as usize].stream.clone();
        if let Some(join) = self.join_of(id, ring_id) {
            join.step = Step::Waiting;
            join.waiting_s.get_or_insert(now_s);
            self.retries.push_back((now_s + RETRY_S, Retry::Join(id, stream)));
        }
    }

    /// Rule 9: once, after ten seconds.
    pub(super) fn tell_waiting(&mut self, slot: u32, ring_id: u32) {
        let (id, now_s) = (self.id(slot), self.wheel.now_s());
        let Some(join) = self.join_of(id, ring_id) else { return };
        let late = join.waiting_s.is_some_and(|since_s| now_s - since_s >= WAITING_TOLD_S);
        if !late || join.told_waiting {
            return;
        }
        join.told_waiting = true;
        let from = join.sent.clone();
        let ring = &self.rings[ring_id as usize];
        let gap = Gap { reason: GapReason::Waiting, from, to: ring.heads.clone() };
        let mut out = Messages::new(self.sessions[slot as usize].encoding);
        self.encode.gap(&ring.stream, &gap, &mut out);
        self.sessions[slot as usize].put(out.finish());
        self.queue(slot);
    }

    /// A follow ended: if its join was in line, the next one may have its turn.
    pub(super) fn join_over(&mut self, slot: u32, ring_id: u32) {
        let session = &mut self.sessions[slot as usize];
        let is_open = session.is_open();
        let Some(joins) = session.outbox.as_deref_mut().map(|outbox| &mut outbox.joins) else { return };
        let had_turn = joins.front() == Some(&ring_id);
        joins.retain(|&other| other != ring_id);
        if had_turn && is_open {
            self.advance(slot, true);
        }
        self.tidy(slot);
    }
}

/// How far somebody who has `from` is after the page. `None`: it has a hole (E17) or is larger than asked
/// for.
fn reaches(from: &Cursor, page: &Page, max_bytes: usize) -> Option<Cursor> {
    let mut has = from.clone();
    if let Some(gap) = &page.gap {
        has.merge(&gap.to);
    }
    let mut bytes = 0;
    for segment in &page.segments {
        bytes += segment.bodies.iter().map(bytes::Bytes::len).sum::<usize>();
        if segment.first > has.get(&segment.origin) + 1 {
            return None;
        }
        has.advance(&segment.origin, segment.last());
    }
    (bytes <= max_bytes).then_some(has)
}

/// A page for somebody who has `from`, and sees what stands from `floor` on.
fn frames_of(
    stream: &StreamId,
    page: &Page,
    (from, floor): (&Cursor, Option<&Place>),
    encoding: crate::wire::Encoding,
    encode: &dyn crate::seams::Encode,
) -> Vec<Frames> {
    let mut all = Vec::new();
    let seen = floor.map(|floor| floor::page(page, from, floor));
    let (gaps, segments) = match &seen {
        Some((gaps, segments)) => (&gaps[..], &segments[..]),
        None => (page.gap.as_slice(), &page.segments[..]),
    };
    for gap in gaps {
        let mut out = Messages::new(encoding);
        encode.gap(stream, gap, &mut out);
        all.push(out.finish());
    }
    for segment in segments {
        let mut out = Messages::new(encoding);
        encode.events(segment, &mut out);
        all.push(out.finish());
    }
    all
}
