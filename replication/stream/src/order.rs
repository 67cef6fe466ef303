//! Display order, twins and references: what a reader shows of the events it holds (E4, E13).
//!
//! Everything here is a function of the *set* of events: whoever holds the same events shows the same,
//! whatever order they arrived in. Twins are equals (author, id, content) of which at least one is a resend;
//! of a family of twins the first in display order is shown. Equals of which none is a resend are a client's
//! mistake and all shown. A timeline holds what it was given: how much of a stream that is, its owner bounds.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry as Slot};

use smallvec::SmallVec;

use crate::counted;
use crate::digest::ContentHash;
use crate::hlc::Hlc;
use crate::ids::{EventId, Origin, UserId};
use crate::map::Map;

#[cfg(test)]
mod tests;

/// Where an event stands in its stream, for everybody: ordered by stamp, then origin (as bytes), then seq.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its stamp.
    pub hlc: Hlc,
    /// Who sequenced it.
    pub origin: Origin,
    /// Its number within (stream, origin).
    pub seq: u64,
}

/// What order and twins look at in an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// The subject of its author's token.
    pub author: UserId,
    /// The id its author gave it.
    pub id: EventId,
    /// Keyed hash of author, kind and payload.
    pub content: ContentHash,
    /// Whether it says that it may be a repeat.
    pub resend: bool,
}

/// What adding an event did to what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was held already; nothing changed.
    Repeat,
    /// It is a later twin: held, not shown.
    Twin {
        /// Its first twin, which is shown.
        first: Place,
        /// Other twins that were shown until now.
        hides: SmallVec<[Place; 1]>,
    },
    /// It is shown.
    Shown {
        /// Whether something shown stood after it: a late insertion.
        late: bool,
        /// Later twins that were shown until now.
        hides: SmallVec<[Place; 1]>,
    },
}

/// What equals have in common (E4): with a resend among them they are one publish that was sequenced twice.
pub type Publish = (UserId, EventId, ContentHash);

/// Where equals stand that are held, and how many of them are resends. What one more, or one less, costs does
/// not depend on how many others have its id and another content.
#[derive(Clone, Debug, Default)]
pub struct Equals {
    places: SmallVec<[Place; 1]>,
    marked: usize,
}

/// The events of one stream that a reader holds, in display order, without later twins.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    held: BTreeMap<Place, Entry>,
    hidden: BTreeSet<Place>,
    equals: Map<Publish, Equals>,
    /// The first in display order.
    by_id: Map<(UserId, EventId), Place>,
}

impl Entry {
    /// What it has in common with its equals.
    pub fn publish(&self) -> Publish {
        (self.author.clone(), self.id, self.content)
    }
}

/// Which of `events`, all of one stream, are not shown (E13). For n events n log n steps, whatever ids and
/// contents they have.
pub fn later_twins<'a>(events: &[&'a Entry]) -> Vec<&'a Entry> {
    let mut firsts: BTreeMap<(ContentHash, EventId, &UserId), (&Place, bool)> = BTreeMap::new();
    let name = |entry: &'a Entry| (entry.content, entry.id, &entry.author);
    counted::steps(events.len());
    for &entry in events {
        match firsts.entry(name(entry)) {
            Slot::Vacant(slot) => drop(slot.insert((&entry.place, entry.resend))),
            Slot::Occupied(slot) => {
                let (first, marked) = slot.into_mut();
                (*first, *marked) = ((*first).min(&entry.place), *marked || entry.resend);
            }
        }
    }
    let later = |entry: &&'a Entry| {
        firsts.get(&name(entry)).is_some_and(|&(first, marked)| marked && *first < entry.place)
    };
    events.iter().copied().filter(later).collect()
}

// === impl Equals ===

impl Equals {
    /// One more. Returns which are later twins because of it; those that were already need not be named.
    pub fn add(&mut self, place: &Place, resend: bool) -> SmallVec<[Place; 1]> {
        let twins_before = self.marked > 0;
        self.marked += usize::from(resend);
        let at = self.places.partition_point(|held| held < place);
        self.places.insert(at, place.clone());
        let later = match (twins_before, at) {
            _ if self.marked == 0 => &[],
            (false, _) => &self.places[1..],
            (true, 0) => self.places.get(1..2).unwrap_or_default(),
            (true, _) => &self.places[at..=at],
        };
        later.iter().cloned().collect()
    }

    /// One less. Says whether that was the last.
    pub fn remove(&mut self, place: &Place, resend: bool) -> bool {
        if let Ok(at) = self.places.binary_search(place) {
            self.places.remove(at);
            self.marked -= usize::from(resend);
        }
        self.places.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The first in display order.
    pub fn first(&self) -> Option<&Place> {
        self.places.first()
    }
}

// === impl Timeline ===

impl Timeline {
    /// Takes an event in, in any order of arrival.
    pub fn add(&mut self, entry: Entry) -> Added {
        if self.held.contains_key(&entry.place) {
            return Added::Repeat;
        }
        let place = entry.place.clone();
        let newest = self.shown().next_back().map(|last| last.place.clone());
        let (publish, resend) = (entry.publish(), entry.resend);
        let first = self.by_id.entry((entry.author.clone(), entry.id)).or_insert_with(|| place.clone());
        if place < *first {
            *first = place.clone();
        }
        self.held.insert(place.clone(), entry);

        let equals = self.equals.entry(publish).or_default();
        let mut hides = SmallVec::new();
        for twin in equals.add(&place, resend) {
            if self.hidden.insert(twin.clone()) && twin != place {
                hides.push(twin);
            }
        }
        if self.hidden.contains(&place) {
            return Added::Twin { first: equals.first().unwrap_or(&place).clone(), hides };
        }
        Added::Shown { late: newest.is_some_and(|newest| place < newest), hides }
    }

    /// What is shown, in display order.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.held.values().filter(|entry| !self.hidden.contains(&entry.place))
    }

    /// Whether the event at `place` is held and shown.
    pub fn shows(&self, place: &Place) -> bool {
        self.held.contains_key(place) && !self.hidden.contains(place)
    }

    /// The event that an edit, reaction or receipt means by (author, id): of several the first in display
    /// order.
    pub fn find(&self, author: &UserId, id: EventId) -> Option<&Entry> {
        self.held.get(self.by_id.get(&(author.clone(), id))?)
    }

    /// How many events are held, shown or not.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}
