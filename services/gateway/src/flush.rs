//! Writing: one write per session, of whatever it lacks; vectored, unless it is little enough to be copied.
//!
//! Guarantees: frames of a session go out in order and whole (a frame once begun is finished before anything
//! else, even if its ring has forgotten it); nothing is skipped; what was not taken stays where it is.
//! Sockets are asked without registering for wake-ups ([`Scope::Ring`], [`Scope::Own`], from the tick) or by
//! the one task that waits for this socket ([`Scope::All`]).

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use slab::Slab;
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use crate::limits::{COPY_BYTES, GATHER_FOLLOWS, WRITE_BUFFERS, WRITE_BYTES};
use crate::ring::Ring;
use crate::seams::Encode;
use crate::session::{Follow, Outbox, Partial, Phase, Session};
use crate::tick::dirty::Dirty;
use crate::wire::Encoding;

#[cfg(test)]
mod tests;

/// Which follows a write looks at besides the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// None.
    Own,
    /// The one in this place, and the others whose rings are dirty, if they are few.
    Ring(u32),
    /// Every one.
    All,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// All that was in scope is written.
    All,
    /// The socket took everything it was given; there is more.
    Some,
    /// The socket took a part: it is full.
    Part,
    /// The socket took nothing: it is full, and the context's task is registered.
    Nothing,
    /// The connection is broken.
    Broken,
}

/// Up to which index each of these follows is part of a write.
type Reach = SmallVec<[(u32, u64); GATHER_FOLLOWS]>;

/// What is given to one write.
#[derive(Default)]
struct Gathered<'a> {
    buffers: SmallVec<[IoSlice<'a>; WRITE_BUFFERS]>,
    extent: Extent,
}

/// How far a session is when all of a write has been taken.
#[derive(Default)]
struct Extent {
    reach: Reach,
    outbox_frames: usize,
    bytes: usize,
    cut_short: bool,
}

/// Writes once what `session` lacks. Returns what came of it and the bytes taken.
pub(crate) fn write<S: AsyncWrite + Unpin>(
    session: &mut Session<S>,
    scope: Scope,
    (rings, dirty): (&Slab<Ring>, &Dirty),
    encode: &dyn Encode,
    context: &mut Context<'_>,
) -> (Wrote, usize) {
    let (polled, Extent { reach, outbox_frames, bytes, cut_short }) = {
        // The socket leaves the session's other fields readable while it is written to.
        let Session { socket, follows, partial, outbox, encoding, phase, .. } = &mut *session;
        let mut all = Gathered::default();
        all.own(partial.as_ref(), outbox.as_deref());
        if *phase == Phase::Open {
            all.follows(scope, follows, *encoding, (rings, dirty), encode);
        }
        let polled = match &all.buffers[..] {
            [] => Poll::Ready(Ok(0)),
            [one] => Pin::new(socket).poll_write(context, one),
            few if all.extent.bytes <= COPY_BYTES => {
                let mut copied = SmallVec::<[u8; COPY_BYTES]>::new();
                few.iter().for_each(|buffer| copied.extend_from_slice(buffer));
                Pin::new(socket).poll_write(context, &copied)
            }
            many => Pin::new(socket).poll_write_vectored(context, many),
        };
        (polled, all.extent)
    };
    match polled {
        Poll::Pending => (Wrote::Nothing, 0),
        Poll::Ready(Ok(taken)) if taken == bytes => {
            took_all(session, &reach, outbox_frames);
            (if cut_short { Wrote::Some } else { Wrote::All }, taken)
        }
        Poll::Ready(Err(_) | Ok(0)) => (Wrote::Broken, 0),
        Poll::Ready(Ok(taken)) => {
            took_part(session, taken, &reach, rings, encode);
            (Wrote::Part, taken)
        }
    }
}

// === impl Gathered ===

impl<'a> Gathered<'a> {
    /// Adds a buffer; says whether there was room.
    fn add(&mut self, bytes: &'a [u8]) -> bool {
        if self.buffers.len() == WRITE_BUFFERS || self.extent.bytes > WRITE_BYTES {
            self.extent.cut_short = true;
            return false;
        }
        self.extent.bytes += bytes.len();
        self.buffers.push(IoSlice::new(bytes));
        true
    }

    /// Adds what the session alone is sent, after the end of what was begun.
    fn own(&mut self, partial: Option<&'a Partial>, outbox: Option<&'a Outbox>) {
        if let Some(partial) = partial {
            self.add(&partial.frames[partial.written as usize..]);
        }
        for queued in outbox.into_iter().flat_map(|outbox| &outbox.frames) {
            if !self.add(&queued.frames) {
                return;
            }
            self.extent.outbox_frames += 1;
        }
    }

    /// Adds what live follows in scope lack, the one in turn first.
    fn follows(
        &mut self,
        scope: Scope,
        follows: &[Follow],
        encoding: Encoding,
        (rings, dirty): (&'a Slab<Ring>, &Dirty),
        encode: &dyn Encode,
    ) {
        let first = if let Scope::Ring(place) = scope { place as usize } else { usize::MAX };
        let others = match scope {
            Scope::Own => false,
            Scope::Ring(_) => follows.len() <= GATHER_FOLLOWS,
            Scope::All => true,
        };
        let rest = (0..follows.len()).filter(|&place| others && place != first);
        for place in follows.get(first).map(|_| first).into_iter().chain(rest) {
            let follow = &follows[place];
            // Of a ring that is clean a session lacks nothing, unless it was blocked.
            if follow.join.is_none() && (scope == Scope::All || dirty.contains(follow.ring)) {
                self.ring(place as u32, follow.at, &rings[follow.ring as usize], encoding, encode);
            }
        }
    }

    /// Adds what a live follow lacks.
    fn ring(&mut self, place: u32, at: u64, ring: &'a Ring, encoding: Encoding, encode: &dyn Encode) {
        // Who fell out of the ring is cut off when its pass comes by, and until then sent nothing of it.
        if at == ring.end() || at < ring.base() {
            return;
        }
        if let Some(run) = ring.run(at, encoding) {
            if self.add(run) {
                self.extent.reach.push((place, ring.end()));
            }
            return;
        }
        let mut upto = at;
        for entry in ring.entries_from(at) {
            if !self.add(entry.frames(encoding, encode, &ring.held)) {
                break;
            }
            upto += 1;
        }
        if upto > at {
            self.extent.reach.push((place, upto));
        }
    }
}

// === what a write changes ===

fn took_all<S>(session: &mut Session<S>, reach: &Reach, outbox_frames: usize) {
    session.partial = None;
    if let Some(outbox) = &mut session.outbox {
        for _ in 0..outbox_frames {
            outbox.pop();
        }
    }
    for &(place, upto) in reach {
        session.follows[place as usize].at = upto;
    }
}

/// Moves on by exactly `taken` bytes, in the order in which they were given.
fn took_part<S>(
    session: &mut Session<S>,
    mut taken: usize,
    reach: &Reach,
    rings: &Slab<Ring>,
    encode: &dyn Encode,
) {
    if let Some(partial) = &mut session.partial {
        let open = partial.frames.len() - partial.written as usize;
        if taken < open {
            partial.written += taken as u32;
            return;
        }
        taken -= open;
        session.partial = None;
    }
    while taken > 0 {
        let Some(frames) = session.outbox.as_mut().and_then(|outbox| outbox.pop()) else { break };
        if taken < frames.len() {
            session.partial = Some(Partial { frames, written: taken as u32 });
            return;
        }
        taken -= frames.len();
    }
    for &(place, _) in reach {
        let follow = &mut session.follows[place as usize];
        let ring = &rings[follow.ring as usize];
        for entry in ring.entries_from(follow.at) {
            if taken == 0 {
                return;
            }
            let frames = entry.frames(session.encoding, encode, &ring.held);
            follow.at += 1;
            if taken < frames.len() {
                session.partial = Some(Partial { frames: frames.clone(), written: taken as u32 });
                return;
            }
            taken -= frames.len();
        }
    }
    debug_assert_eq!(taken, 0, "a socket cannot take more than it was given");
}
