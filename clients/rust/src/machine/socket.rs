//! One socket: how far it is, and which streams it has still to bring up to their heads.

use std::collections::{BTreeMap, BTreeSet};

use sterna_protocol::frame::Head;
use sterna_stream::{Cursor, Origin, Region, StreamId};

use super::liveness::Liveness;
use super::{Now, SocketId};
use crate::config::{CATCH_UP_MS, GREET_MS, OPEN_MS};

/// A socket, or the attempt at one.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: SocketId,
    /// Where to, if by a region's own address.
    pub(super) target: Option<Region>,
    pub(super) phase: Phase,
    /// When the phase began, monotonic.
    pub(super) since_ms: u64,
    pub(super) life: Liveness,
    pub(super) origin: Option<Origin>,
    /// Since when it is live, monotonic.
    pub(super) live_since_ms: Option<u64>,
    /// A second `hello` is under way.
    pub(super) renewing: bool,
    /// Subscribed to, without an answer yet.
    awaited: BTreeSet<StreamId>,
    /// Answered; what is known to exist has not all been shown.
    heads: BTreeMap<StreamId, Head>,
}

/// How far a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// On its way. Upgraded → Greeting.
    Opening,
    /// `hello` is sent. `welcome` → CatchingUp.
    Greeting,
    /// Every stream at its head, or time → Live. The second socket of a move stays here until it is the
    /// first.
    CatchingUp,
    /// The outbox is served.
    Live,
}

impl Socket {
    pub(super) fn new(id: SocketId, target: Option<Region>, now: Now, interval_ms: u32) -> Self {
        Self {
            id,
            target,
            phase: Phase::Opening,
            since_ms: now.mono_ms,
            life: Liveness::new(now, interval_ms),
            origin: None,
            live_since_ms: None,
            renewing: false,
            awaited: BTreeSet::new(),
            heads: BTreeMap::new(),
        }
    }

    /// Enters a phase.
    pub(super) fn enter(&mut self, phase: Phase, now: Now) {
        (self.phase, self.since_ms) = (phase, now.mono_ms);
        self.life.heard(now);
    }

    /// Until when the phase may last; a live one lasts.
    pub(super) fn phase_ends_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Opening => Some(self.since_ms + OPEN_MS),
            Phase::Greeting => Some(self.since_ms + GREET_MS),
            Phase::CatchingUp => Some(self.since_ms + CATCH_UP_MS),
            Phase::Live => None,
        }
    }

    pub(super) fn is_welcomed(&self) -> bool {
        self.phase >= Phase::CatchingUp
    }

    /// How long it has been live.
    pub(super) fn live_ms(&self, now_ms: u64) -> u64 {
        self.live_since_ms.map_or(0, |since| now_ms - since)
    }

    /// A stream was asked for.
    pub(super) fn asked(&mut self, stream: &StreamId) {
        self.heads.remove(stream);
        self.awaited.insert(stream.clone());
    }

    /// A stream is not followed here (any more).
    pub(super) fn left(&mut self, stream: &StreamId) {
        self.heads.remove(stream);
        self.awaited.remove(stream);
    }

    /// A stream's head is known.
    pub(super) fn answered(&mut self, head: Head) {
        self.awaited.remove(&head.stream);
        self.heads.insert(head.stream.clone(), head);
    }

    /// Streams whose head is known and not yet complete.
    pub(super) fn answered_streams(&self) -> Vec<StreamId> {
        self.heads.keys().cloned().collect()
    }

    /// A cursor may have moved: whether this made the stream complete, which is said once.
    pub(super) fn completes(&mut self, stream: &StreamId, cursor: &Cursor) -> bool {
        let complete = |head: &Head| cursor.covers(&head.known) && cursor.covers(&head.head);
        let done = self.heads.get(stream).is_some_and(complete);
        if done {
            self.heads.remove(stream);
        }
        done
    }

    /// Whether every stream that was asked for is at its head.
    pub(super) fn is_current<'a>(&self, cursor: impl Fn(&StreamId) -> Option<&'a Cursor>) -> bool {
        let covers = |head: &Head| cursor(&head.stream).is_none_or(|cursor| cursor.covers(&head.head));
        self.is_welcomed() && self.awaited.is_empty() && self.heads.values().all(covers)
    }
}
