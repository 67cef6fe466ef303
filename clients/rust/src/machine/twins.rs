//! What a reader shows of the events that arrive: order, late insertions, twins (P10, E13).
//!
//! Every arrival is compared with the resend-marked ones and a marked arrival with all, among the newest of a
//! stream by display position: both memories are bounded, so of twins further apart than that both are shown.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use sterna_protocol::frame::Event;
use sterna_stream::ContentHash;
use sterna_stream::map::Map;
use sterna_stream::order::{Entry, Equals, Place, Publish};

/// The newest events of one stream, for comparison.
#[derive(Debug)]
pub(super) struct Twins {
    plain: BTreeMap<Place, Entry>,
    marked: BTreeMap<Place, Entry>,
    hidden: BTreeSet<Place>,
    equals: Map<Publish, Equals>,
    newest_shown: Option<Place>,
    plain_max: usize,
    marked_max: usize,
}

/// What becomes of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is shown.
    Yes {
        /// Something shown stands after it.
        late: bool,
        /// Later twins that were shown until now.
        hides: Vec<Place>,
    },
    /// It is a later twin.
    No,
}

/// Where an event stands.
pub(super) fn place_of(event: &Event) -> Place {
    Place { hlc: event.hlc, origin: event.origin.clone(), seq: event.seq }
}

impl Twins {
    pub(super) fn new(plain_max: usize, marked_max: usize) -> Self {
        let (plain, marked) = (BTreeMap::new(), BTreeMap::new());
        let (hidden, equals) = (BTreeSet::new(), Map::default());
        Self { plain, marked, hidden, equals, newest_shown: None, plain_max, marked_max }
    }

    /// Takes in an event that had not arrived before.
    pub(super) fn add(&mut self, event: &Event) -> Shown {
        let place = place_of(event);
        let entry = Entry {
            place: place.clone(),
            author: event.author.clone(),
            id: event.event_id,
            content: content_of(event),
            resend: event.resend,
        };
        let mut hides = Vec::new();
        for twin in self.equals.entry(entry.publish()).or_default().add(&place, entry.resend) {
            if self.hidden.insert(twin.clone()) && twin != place {
                hides.push(twin);
            }
        }
        if entry.resend { &mut self.marked } else { &mut self.plain }.insert(place.clone(), entry);

        let shown = if self.hidden.contains(&place) {
            Shown::No
        } else {
            let late = self.newest_shown.as_ref().is_some_and(|newest| place < *newest);
            if !late {
                self.newest_shown = Some(place);
            }
            Shown::Yes { late, hides }
        };
        self.forget();
        shown
    }

    /// The most events that one arrival is compared with.
    #[cfg(test)]
    pub(super) fn most_equals(&self) -> usize {
        self.equals.values().map(Equals::len).max().unwrap_or_default()
    }

    fn forget(&mut self) {
        for (held, most) in [(&mut self.plain, self.plain_max), (&mut self.marked, self.marked_max)] {
            if held.len() <= most {
                continue;
            }
            let Some((place, entry)) = held.pop_first() else { continue };
            self.hidden.remove(&place);
            let publish = entry.publish();
            if self.equals.get_mut(&publish).is_some_and(|equals| equals.remove(&place, entry.resend)) {
                self.equals.remove(&publish);
            }
        }
    }
}

/// Tells contents apart; never leaves the device, so it needs no key.
fn content_of(event: &Event) -> ContentHash {
    let mut hash = Sha256::new();
    hash.update(event.kind.as_str());
    hash.update([0]);
    hash.update(event.payload.as_bytes());
    let mut content = ContentHash::default();
    content.0.copy_from_slice(&hash.finalize()[..16]);
    content
}
