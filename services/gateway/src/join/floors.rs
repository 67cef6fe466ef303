//! Followers with a floor (E24): what a ring holds is shared, so whatever hides something from one of them
//! goes to it by its outbox, with all else that it lacks of the ring.

use sterna_stream::StreamId;
use sterna_stream::order::Place;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::contents::Contents;
use crate::ring::{Entry, Ring};
use crate::seams::Encode;
use crate::session::SessionId;
use crate::wire::{Encoding, Frames};

impl<S: AsyncRead + AsyncWrite + Unpin> Contents<S> {
    /// Sets where a follower starts; what it has not been sent yet and stands below is told as hidden.
    pub(crate) fn set_floor(&mut self, id: SessionId, stream: &StreamId, floor: Option<Place>) {
        let Some(&ring_id) = self.by_stream.get(stream) else { return };
        if self.session(id).is_none_or(|session| session.follow_of(ring_id).is_none()) {
            return;
        }
        let ring = &mut self.rings[ring_id as usize];
        if ring.floor(id.slot) == floor.as_ref() {
            return;
        }
        ring.set_floor(id.slot, floor);
        self.tell_apart(id.slot, ring_id);
    }

    /// Entries came from index `from` on: whoever must not see all of them is sent what it lacks by itself.
    pub(super) fn hide(&mut self, ring_id: u32, from: u64) {
        let ring = &self.rings[ring_id as usize];
        let Some(floors) = &ring.floors else { return };
        let new = ring.entries_from(from.max(ring.base()));
        let mut slots: Vec<u32> = new.flat_map(|entry| floors.hiding(&entry.segment)).collect();
        slots.sort_unstable();
        slots.dedup();
        slots.into_iter().for_each(|slot| self.tell_apart(slot, ring_id));
    }

    /// Puts all that a live follower lacks of a ring into its outbox, without what it must not see.
    fn tell_apart(&mut self, slot: u32, ring_id: u32) {
        let (ring, most) = (&self.rings[ring_id as usize], self.limits.ring_entries);
        let session = &mut self.sessions[slot as usize];
        let Some(place) = session.follow_of(ring_id) else { return };
        let at = session.follows[place].at;
        // Who joins is told by the join; who fell out of the ring is cut off when its pass comes by.
        if session.follows[place].join.is_some() || at < ring.base() || at == ring.end() {
            return;
        }
        let lacks = ring.entries_from(at);
        let frames: Vec<Frames> =
            lacks.map(|entry| frames_for(ring, entry, slot, session.encoding, &*self.encode)).collect();
        session.follows[place].at = ring.end();
        let waiting = session.outbox.as_ref().map_or(0, |outbox| outbox.frames.len());
        frames.into_iter().for_each(|frames| session.put(frames));
        if waiting > most {
            return self.close_slow(slot);
        }
        self.queue(slot);
        self.touch(ring_id);
    }
}

/// An entry's frames for one follower.
pub(super) fn frames_for(
    ring: &Ring,
    entry: &Entry,
    slot: u32,
    encoding: Encoding,
    encode: &dyn Encode,
) -> Frames {
    let told = (entry.after(), &entry.segment);
    let own = ring.floor(slot).and_then(|floor| crate::floor::frames(told, floor, encoding, encode));
    own.unwrap_or_else(|| entry.frames(encoding, encode, &ring.held).clone())
}
