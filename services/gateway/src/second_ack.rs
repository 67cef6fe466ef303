//! Second acks: whose publishes another region has by now (E9).
//!
//! A publish waits first for its event to come by, which says where in the log it stands, then for another
//! region's watermark to cover that place. Pure bookkeeping of one shard. What does not come by here, because
//! nobody on the shard follows the stream, is forgotten after a while and gets no second ack from here.

use std::collections::BTreeMap;
use std::time::Duration;

use sterna_proto::record::Body;
use sterna_stream::map::Map;
use sterna_stream::{EventId, LogPos, Segment, StreamId};
use tokio::time::Instant;

use crate::session::SessionId;

#[cfg(test)]
mod tests;

/// Publishes of one shard that wait for their second ack; further ones get none.
pub const WAITING: usize = 100_000;
/// How long an event may take to come by.
pub const COMES_BY: Duration = Duration::from_secs(600);

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct SecondAcks {
    sent: Map<StreamId, Vec<Sent>>,
    /// Per partition and number in its log.
    placed: BTreeMap<(u32, u64), Vec<Placed>>,
    waiting: usize,
}

/// Sent, and not come by yet.
#[derive(Debug)]
struct Sent {
    id: EventId,
    session: SessionId,
    since: Instant,
}

/// Come by.
#[derive(Debug)]
struct Placed {
    term: u64,
    id: EventId,
    session: SessionId,
}

impl SecondAcks {
    /// `session` publishes an event.
    pub(crate) fn sent(&mut self, stream: &StreamId, id: EventId, session: SessionId, now: Instant) {
        if self.waiting < WAITING {
            self.waiting += 1;
            self.sent.entry(stream.clone()).or_default().push(Sent { id, session, since: now });
        }
    }

    /// It was refused, or nobody knows: whoever sends it again waits again.
    pub(crate) fn refused(&mut self, stream: &StreamId, id: EventId, session: SessionId) {
        self.keep(stream, |sent| sent.id != id || sent.session != session);
    }

    /// A segment of the own origin came by, at this place of this partition's log.
    pub(crate) fn came(&mut self, segment: &Segment, partition: u32, pos: LogPos) {
        for body in &segment.bodies {
            if !self.sent.contains_key(&segment.stream) {
                return;
            }
            let Ok(body) = Body::decode(body) else { continue };
            for sent in self.keep(&segment.stream, |sent| sent.id != body.id) {
                let placed = Placed { term: pos.term, id: sent.id, session: sent.session };
                self.placed.entry((partition, pos.n)).or_default().push(placed);
                self.waiting += 1;
            }
        }
    }

    /// Another region has this partition's log up to `pos`: whom to tell what, in the log's order.
    pub(crate) fn covered(&mut self, partition: u32, pos: LogPos) -> Vec<(SessionId, Vec<EventId>)> {
        let places: Vec<(u32, u64)> =
            self.placed.range((partition, 0)..=(partition, pos.n)).map(|(place, _)| *place).collect();
        let mut acks: Vec<(SessionId, Vec<EventId>)> = Vec::new();
        for place in places {
            let events = self.placed.remove(&place).unwrap_or_default();
            let (covered, later): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| event.term <= pos.term);
            if !later.is_empty() {
                self.placed.insert(place, later);
            }
            self.waiting -= covered.len();
            for Placed { id, session, .. } in covered {
                match acks.iter_mut().find(|(to, _)| *to == session) {
                    Some((_, ids)) => ids.push(id),
                    None => acks.push((session, vec![id])),
                }
            }
        }
        acks
    }

    /// Forgets what has not come by for too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        let streams: Vec<StreamId> = self.sent.keys().cloned().collect();
        for stream in streams {
            self.keep(&stream, |sent| now < sent.since + COMES_BY);
        }
    }

    /// Keeps of a stream's sent ones those that say so; returns the others.
    fn keep(&mut self, stream: &StreamId, stays: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let Some(sent) = self.sent.get_mut(stream) else { return Vec::new() };
        let (left, taken): (Vec<_>, Vec<_>) = std::mem::take(sent).into_iter().partition(stays);
        *sent = left;
        if sent.is_empty() {
            self.sent.remove(stream);
        }
        self.waiting -= taken.len();
        taken
    }
}
