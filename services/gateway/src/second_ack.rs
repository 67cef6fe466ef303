//! Second acks: whose publishes another region has by now (E9).
//!
//! Publish answers with the offset that the record has in the region's ingress; `state` tells below which
//! offset of each partition another region has everything, duplicates included (why that may be said stands
//! at the head of `sterna_state::covered`). So a publish waits for its offset alone: nobody has to follow its
//! stream, and a proven duplicate is like any other. Either may come first. Pure bookkeeping of one shard.

use std::collections::BTreeMap;

use sterna_proto::v1;
use sterna_stream::EventId;
use sterna_stream::limits::SECOND_ACKS;
use sterna_stream::map::Map;
use tokio::sync::oneshot;

use crate::session::SessionId;

#[cfg(test)]
mod tests;

/// A place in the ingress; ordered by partition, then by the region's life, then by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    partition: u32,
    incarnation: u32,
    offset: u64,
}

/// What becomes of a publish that has its first ack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another region has it: ack it again.
    Covered,
    /// It waits.
    Waits,
    /// [`SECOND_ACKS`] others wait: it gets none from here, is counted, and stays in its author's outbox.
    Forgotten,
}

/// Whom to tell.
#[derive(Debug)]
enum Waiter {
    Session(SessionId, EventId),
    /// A request without a session.
    Request(oneshot::Sender<()>),
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct SecondAcks {
    waiting: BTreeMap<Place, Waiter>,
    sessions: Map<SessionId, Vec<Place>>,
    /// Per partition, the first place that is not covered.
    covered: BTreeMap<u32, Place>,
    forgotten: u64,
}

impl From<&v1::Position> for Place {
    fn from(position: &v1::Position) -> Self {
        let v1::Position { incarnation, partition, offset } = *position;
        Self { partition, incarnation, offset }
    }
}

impl SecondAcks {
    /// The region took `session`'s publish at `place`.
    pub(crate) fn taken(&mut self, place: Place, id: EventId, session: SessionId) -> Then {
        let then = self.then(place);
        if then == Then::Waits {
            self.waiting.insert(place, Waiter::Session(session, id));
            self.sessions.entry(session).or_default().push(place);
        }
        then
    }

    /// The same for a request without a session: what ends when it is covered. `None`: it is already.
    pub(crate) fn asked(&mut self, place: Place) -> Option<oneshot::Receiver<()>> {
        let (told, covered) = oneshot::channel();
        match self.then(place) {
            Then::Covered => return None,
            Then::Waits => drop(self.waiting.insert(place, Waiter::Request(told))),
            Then::Forgotten => {}
        }
        Some(covered)
    }

    /// Another region has everything of a partition below an offset: whom to tell what, in the order taken.
    pub(crate) fn covered(&mut self, covered: &v1::Covered) -> Vec<(SessionId, Vec<EventId>)> {
        let v1::Covered { partition, incarnation, below } = *covered;
        let upto = Place { partition, incarnation, offset: below };
        let before = self.covered.entry(partition).or_insert(upto);
        *before = upto.max(*before);
        let mut acks: Vec<(SessionId, Vec<EventId>)> = Vec::new();
        let mut index: Map<SessionId, usize> = Map::default();
        let first = Place { partition, incarnation: 0, offset: 0 };
        let places: Vec<Place> = self.waiting.range(first..upto).map(|(place, _)| *place).collect();
        for place in places {
            let waiter = self.waiting.remove(&place);
            // What an earlier life of the region took and did not say so of is its authors' to offer again.
            match waiter.filter(|_| place.incarnation == incarnation) {
                Some(Waiter::Session(session, id)) => {
                    let at = *index.entry(session).or_insert(acks.len());
                    match acks.get_mut(at) {
                        Some((_, ids)) => ids.push(id),
                        None => acks.push((session, vec![id])),
                    }
                }
                // Whoever asked may have been answered already.
                Some(Waiter::Request(told)) => drop(told.send(())),
                None => {}
            }
        }
        for (session, _) in &acks {
            self.retain(*session, |place| place.partition != partition || *place >= upto);
        }
        acks
    }

    /// A session is closed: it is told nothing more.
    pub(crate) fn closed(&mut self, session: SessionId) {
        for place in self.sessions.remove(&session).unwrap_or_default() {
            self.waiting.remove(&place);
        }
    }

    /// A request does not wait any more.
    pub(crate) fn given_up(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// How many publishes found no place to wait, since it was asked last.
    pub(crate) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    fn then(&mut self, place: Place) -> Then {
        if self.covered.get(&place.partition).is_some_and(|upto| place < *upto) {
            return Then::Covered;
        }
        if self.waiting.len() < SECOND_ACKS {
            return Then::Waits;
        }
        self.forgotten += 1;
        Then::Forgotten
    }

    fn retain(&mut self, session: SessionId, stays: impl Fn(&Place) -> bool) {
        let Some(places) = self.sessions.get_mut(&session) else { return };
        places.retain(stays);
        if places.is_empty() {
            self.sessions.remove(&session);
        }
    }
}
