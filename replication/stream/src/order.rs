//! Display order, twins and references: what a reader shows of the events it holds (E4, E13).
//!
//! Everything here is a function of the *set* of events: whoever holds the same events shows the same,
//! whatever order they arrived in. Twins are equals (author, id, content) of which at least one is a resend;
//! of a family of twins the first in display order is shown. Equals of which none is a resend are a client's
//! mistake and all shown. A timeline holds what it was given: how much of a stream that is, its owner bounds.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

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

/// The events of one stream that a reader holds, in display order, without later twins.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    held: BTreeMap<Place, Entry>,
    hidden: BTreeSet<Place>,
    by_id: Map<(UserId, EventId), SmallVec<[Place; 1]>>,
}

impl Entry {
    /// Whether both are one publish that was sequenced twice, if either of them is a resend.
    pub fn same_publish(&self, other: &Self) -> bool {
        self.id == other.id && self.author == other.author && self.content == other.content
    }
}

/// Which of `family`, events of one stream with equal author and id, are not shown (E13).
pub fn later_twins<'a>(family: &[&'a Entry]) -> Vec<&'a Entry> {
    let hidden = |entry: &&&Entry| {
        let mut equals = family.iter().filter(|other| other.same_publish(entry));
        let marked = family.iter().any(|other| other.same_publish(entry) && other.resend);
        marked && equals.any(|other| other.place < entry.place)
    };
    family.iter().filter(hidden).copied().collect()
}

impl Timeline {
    /// Takes an event in, in any order of arrival.
    pub fn add(&mut self, entry: Entry) -> Added {
        if self.held.contains_key(&entry.place) {
            return Added::Repeat;
        }
        let place = entry.place.clone();
        let newest = self.shown().next_back().map(|last| last.place.clone());
        let places = self.by_id.entry((entry.author.clone(), entry.id)).or_default();
        places.push(place.clone());
        self.held.insert(place.clone(), entry);

        let family: SmallVec<[&Entry; 2]> = places.iter().filter_map(|place| self.held.get(place)).collect();
        let mut hides = SmallVec::new();
        for twin in later_twins(&family) {
            if self.hidden.insert(twin.place.clone()) && twin.place != place {
                hides.push(twin.place.clone());
            }
        }
        if self.hidden.contains(&place) {
            return Added::Twin { first: self.first_twin(&place).unwrap_or(place), hides };
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
        let places = self.by_id.get(&(author.clone(), id))?;
        self.held.get(places.iter().min()?)
    }

    /// How many events are held, shown or not.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn first_twin(&self, place: &Place) -> Option<Place> {
        let entry = self.held.get(place)?;
        let family = self.by_id.get(&(entry.author.clone(), entry.id))?;
        let twins = family.iter().filter(|other| self.held.get(other).is_some_and(|e| e.same_publish(entry)));
        twins.min().cloned()
    }
}
