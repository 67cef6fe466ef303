//! Who is suspended in a tenant: the fold of the `suspension` events of its access stream (E24, A2, A3, A5,
//! A7). Who administers the tenant is in the same stream, as [`crate::member`] folds it.
//!
//! A function of the *set* of events. A suspension beats a concurrent lift; a lift counts if its author was
//! an owner as far as it had seen, and nothing concurrent removed or suspended them; whoever is suspended
//! stays so until one lift that counts had seen every suspension of them. The root owner cannot be
//! suspended: no fold locks a tenant for good. A suspension itself always counts, for it takes only; that an
//! author was suspended as far as an event had seen is refused where it is published. `not_before` only
//! rises, outlives the lift, and does not bind the root owner.

use std::collections::{BTreeMap, BTreeSet};

use crate::cursor::Cursor;
use crate::ids::UserId;
use crate::member::{Members, Role};
use crate::order::{Entry, Place, later_twins};

pub mod payload;
#[cfg(test)]
mod tests;

/// The event kind of suspensions and their lifts.
pub const SUSPENSION: &str = "suspension";

/// Whom a suspension is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// One user of the tenant.
    User(UserId),
    /// Everybody but the root owner.
    Everyone,
}

/// What a `suspension` event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Whom it is about.
    pub whom: Whom,
    /// Whether they may do nothing from now on; `false` lifts that.
    pub suspended: bool,
    /// Tokens issued before are void for good, Unix milliseconds; 0: none is.
    pub not_before_ms: u64,
}

/// One `suspension` event, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessEvent {
    /// Its place, author, id and content: later twins of it do not count.
    pub entry: Entry,
    /// What it says.
    pub suspension: Suspension,
    /// How far the region that took it had folded the access stream (`deps`).
    pub seen: Cursor,
}

/// Who is suspended, as far as the access stream is known.
#[derive(Clone, Debug, Default)]
pub struct Access {
    events: BTreeMap<Place, AccessEvent>,
    standing: BTreeMap<Whom, Standing>,
    lost: BTreeSet<Place>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    suspended: bool,
    not_before_ms: u64,
}

impl AccessEvent {
    fn is_in(&self, folded: &Cursor) -> bool {
        folded.get(&self.entry.place.origin) >= self.entry.place.seq
    }

    fn is_concurrent_to(&self, other: &Self) -> bool {
        !self.is_in(&other.seen) && !other.is_in(&self.seen)
    }
}

impl Access {
    /// Takes events in, in any order and any number of times, and folds. `members` are the access stream's,
    /// folded as far: they decide who may lift.
    pub fn extend(&mut self, events: impl IntoIterator<Item = AccessEvent>, members: &Members) {
        self.events.extend(events.into_iter().map(|event| (event.entry.place.clone(), event)));
        self.fold(members);
    }

    /// Whether `user` may do nothing in the tenant whose root owner is `root`.
    pub fn is_suspended(&self, user: &UserId, root: Option<&UserId>) -> bool {
        root != Some(user) && self.standings(user).any(|standing| standing.suspended)
    }

    /// Tokens of `user` that were issued before are void, Unix milliseconds; kept when a suspension is lifted
    /// (A7). 0 for the tenant's root owner, whom no fold locks out.
    pub fn not_before_ms(&self, user: &UserId, root: Option<&UserId>) -> u64 {
        let of = |standing: &Standing| standing.not_before_ms;
        if root == Some(user) { 0 } else { self.standings(user).map(of).max().unwrap_or(0) }
    }

    /// Lifts that have no effect, and later twins, in display order: to be shown and audited.
    pub fn losses(&self) -> impl Iterator<Item = &AccessEvent> {
        self.lost.iter().filter_map(|place| self.events.get(place))
    }

    fn standings(&self, user: &UserId) -> impl Iterator<Item = &Standing> {
        [Whom::User(user.clone()), Whom::Everyone].into_iter().filter_map(|whom| self.standing.get(&whom))
    }

    fn fold(&mut self, members: &Members) {
        let entries: Vec<&Entry> = self.events.values().map(|event| &event.entry).collect();
        self.lost = later_twins(&entries).into_iter().map(|twin| twin.place.clone()).collect();
        let first = self.events.values().filter(|event| !self.lost.contains(&event.entry.place));
        let mut by_whom: BTreeMap<&Whom, (Vec<&AccessEvent>, Vec<&AccessEvent>)> = BTreeMap::new();
        for event in first {
            let (suspensions, lifts) = by_whom.entry(&event.suspension.whom).or_default();
            if event.suspension.suspended { suspensions.push(event) } else { lifts.push(event) }
        }
        let mut lost = Vec::new();
        let mut standing = BTreeMap::new();
        for (whom, (suspensions, lifts)) in &by_whom {
            let mut all = Cursor::new();
            for AccessEvent { entry, .. } in suspensions {
                all.advance(&entry.place.origin, entry.place.seq);
            }
            let author = |lift: &AccessEvent| Whom::User(lift.entry.author.clone());
            let suspended = |lift: &AccessEvent, whom: &Whom| {
                let of = by_whom.get(whom).map(|(suspensions, _)| suspensions.as_slice());
                of.unwrap_or_default().iter().any(|suspension| suspension.is_concurrent_to(lift))
            };
            let counts = |lift: &AccessEvent| {
                let Entry { author: who, place, .. } = &lift.entry;
                members.root() == Some(who)
                    || (members.had(who, Role::Owner, place, &lift.seen)
                        && !suspended(lift, &author(lift))
                        && !suspended(lift, &Whom::Everyone))
            };
            let (counting, void): (Vec<&AccessEvent>, Vec<&AccessEvent>) =
                lifts.iter().partition(|lift| counts(lift));
            let lifted = counting.iter().any(|lift| lift.seen.covers(&all));
            lost.extend(void.iter().map(|lift| lift.entry.place.clone()));
            let not_before_ms = suspensions.iter().map(|event| event.suspension.not_before_ms).max();
            let now = Standing {
                suspended: !suspensions.is_empty() && !lifted,
                not_before_ms: not_before_ms.unwrap_or(0),
            };
            standing.insert((*whom).clone(), now);
        }
        self.lost.extend(lost);
        self.standing = standing;
    }
}
