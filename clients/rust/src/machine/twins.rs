//! What a reader shows of the events that arrive: order, late insertions, twins (P10, E13).
//!
//! Every arrival is compared with the resend-marked ones and a marked arrival with all, among the newest of a
//! stream by display position: both memories are bounded, so of twins further apart than that both are shown.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use sterna_protocol::frame::Event;
use sterna_stream::map::Map;
use sterna_stream::order::{Entry, Place, later_twins};
use sterna_stream::{ContentHash, EventId, UserId};

/// The newest events of one stream, for comparison.
#[derive(Debug)]
pub(super) struct Twins {
    plain: BTreeMap<Place, Entry>,
    marked: BTreeMap<Place, Entry>,
    hidden: BTreeSet<Place>,
    by_id: Map<(UserId, EventId), SmallVec<[Place; 1]>>,
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
        let (hidden, by_id) = (BTreeSet::new(), Map::default());
        Self { plain, marked, hidden, by_id, newest_shown: None, plain_max, marked_max }
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
        let name = (entry.author.clone(), entry.id);
        self.by_id.entry(name.clone()).or_default().push(place.clone());
        if entry.resend { &mut self.marked } else { &mut self.plain }.insert(place.clone(), entry);

        let mut hides = Vec::new();
        for twin in self.later_of(&name) {
            if self.hidden.insert(twin.clone()) && twin != place {
                hides.push(twin);
            }
        }
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

    fn later_of(&self, name: &(UserId, EventId)) -> Vec<Place> {
        let places = self.by_id.get(name).map_or(&[][..], |places| places);
        let held = |place| self.plain.get(place).or_else(|| self.marked.get(place));
        let family: SmallVec<[&Entry; 2]> = places.iter().filter_map(held).collect();
        later_twins(&family).into_iter().map(|entry| entry.place.clone()).collect()
    }

    fn forget(&mut self) {
        for (held, most) in [(&mut self.plain, self.plain_max), (&mut self.marked, self.marked_max)] {
            if held.len() <= most {
                continue;
            }
            let Some((place, entry)) = held.pop_first() else { continue };
            self.hidden.remove(&place);
            let name = (entry.author, entry.id);
            if let Some(places) = self.by_id.get_mut(&name) {
                places.retain(|one| *one != place);
                if places.is_empty() {
                    self.by_id.remove(&name);
                }
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
