//! One followed stream: who gets its pushes, how far it was consumed, and what waits (E24).

use bytes::Bytes;
use sterna_stream::mutant;
use sterna_stream::policy::access_of;
use sterna_stream::{Cursor, Segment};
use tokio::time::Instant;

use super::ShardId;
use super::tenants::Tenants;

#[derive(Default)]
pub(super) struct Followed {
    /// Shards that get pushes.
    pub(super) live: Vec<ShardId>,
    /// What was consumed since the first of them asked, and what was not in the table before that. No head is
    /// below it.
    pub(super) consumed: Cursor,
    /// What the logs are known to hold: consumed, or told of by express before what comes in between (E18).
    pub(super) known: Cursor,
    /// What this region is known to hold: pushed, or found in the table. What an event rests on must be in it
    /// (E24).
    pub(super) held: Cursor,
    /// What every live shard has authorised its sessions against: in the head that it joined at, pushed to
    /// it, or told as a recheck.
    pub(super) settled: Cursor,
    /// Of the tenant's access stream, what they were told of as a recheck; nothing while one joins.
    pub(super) settled_access: Cursor,
    /// What every live shard reads as history, because it joined behind it.
    pub(super) history: Cursor,
    /// Segments that rest on events which are not held yet, in the order they came.
    pub(super) waiting: Vec<Waiting>,
}

/// A segment that may not be shown yet.
pub(super) struct Waiting {
    pub(super) segment: Segment,
    pub(super) record: Bytes,
    pub(super) until: Instant,
}

impl Followed {
    /// Whether a segment rests on member or access events that are not held, or comes after one that waits.
    pub(super) fn must_wait(&self, segment: &Segment, tenants: &Tenants) -> bool {
        let behind = self.waiting.iter().any(|waiting| waiting.segment.origin == segment.origin);
        behind || !rests_on(segment, &self.held) || !tenants.holds(segment)
    }

    /// The first that need not wait any more, the order within each origin kept.
    pub(super) fn first_ready(&self, tenants: &Tenants) -> Option<usize> {
        let first_of_origin = |at: usize| {
            let origin = &self.waiting[at].segment.origin;
            self.waiting[..at].iter().all(|earlier| earlier.segment.origin != *origin)
        };
        let holds = |segment: &Segment| rests_on(segment, &self.held) && tenants.holds(segment);
        let ready = |at: usize| first_of_origin(at) && holds(&self.waiting[at].segment);
        (0..self.waiting.len()).find(|&at| ready(at))
    }

    /// Whether something waits for member events.
    pub(super) fn lacks_members(&self) -> bool {
        self.waiting.iter().any(|waiting| !rests_on(&waiting.segment, &self.held))
    }

    /// A shard joins at `head`, to which it authorises its sessions.
    pub(super) fn join(&mut self, id: ShardId, head: &Cursor) {
        self.live.retain(|shard| *shard != id);
        self.history = if self.live.is_empty() { head.clone() } else { self.history.meet(head) };
        self.settled = if self.live.is_empty() { head.clone() } else { self.settled.meet(head) };
        self.settled_access = Cursor::new();
        self.live.push(id);
    }

    /// A segment is shown to the live shards. Whether they have to authorise their sessions anew before:
    /// it rests on what none of them was told of. What comes after a hole, because a mirror left something
    /// out, shows nothing of what is in the hole: neither that it is held nor that anybody was told of it.
    pub(super) fn show(&mut self, segment: &Segment) -> bool {
        let access = access_of(segment).filter(|access| !self.settled_access.covers(access));
        let recheck = !rests_on(segment, &self.settled) || access.is_some();
        for cursor in [&mut self.held, &mut self.settled] {
            if segment.first <= cursor.get(&segment.origin) + 1 {
                cursor.advance(&segment.origin, segment.last());
            }
        }
        if recheck {
            self.settled.merge(&segment.policy.member);
            self.settled_access.merge(&segment.policy.access);
        }
        recheck
    }
}

/// Whether what a segment rests on is within `cursor`. What it rests on of its own origin came before it
/// anyway.
fn rests_on(segment: &Segment, cursor: &Cursor) -> bool {
    let mut needed = segment.policy.member.iter().filter(|(origin, _)| **origin != segment.origin);
    needed.all(|(origin, seq)| cursor.get(origin) >= seq) || mutant!("ignore_policy")
}
