//! Who is in a stream, and as what: the fold of the stream's own `member` events (E24, A2, A3, A5, A6).
//!
//! A function of the *set* of events, for any order of arrival. What an author had seen (`deps`, stamped by
//! the region) decides, never a clock. A role is in force if one of its adds had seen every removal of it
//! that counts, so a removal beats a concurrent add. Which events count is `verdict`'s decision. The
//! stream's creator is its root owner, whom no event removes: no fold leaves a stream without an owner. What
//! lost is listed, not forgotten.
//!
//! Payloads are parsed in `payload`. Of a tenant's access stream the members administer the tenant, and its
//! root owner is whom its founding names ([`crate::fixed`]); who is suspended is [`crate::access`]'s fold.

use std::collections::BTreeMap;

use crate::created;
use crate::cursor::Cursor;
use crate::fixed;
use crate::ids::{StreamId, UserId};
use crate::kind::History;
use crate::order::{Entry, Place};
use crate::policy::Policy;
use chains::{Chains, Decided};
use verdict::Verdicts;
pub use verdict::Void;

mod chains;
#[cfg(test)]
mod oracle;
pub mod payload;
#[cfg(test)]
mod tests;
mod verdict;

/// What a member may do; each may do what the lower ones may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and publishes.
    Writer,
    /// Also changes who is a member.
    Owner,
}

/// What a member event does to its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Gives a role. Roles add up: the highest in force counts.
    Add(Role),
    /// Takes one role away, or all.
    Remove(Option<Role>),
}

/// One `member` event, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// Its place, author, id and content: later twins of it do not count.
    pub entry: Entry,
    /// Whose membership it changes.
    pub subject: UserId,
    /// How.
    pub change: Change,
    /// What the region that took it had folded then; its own cursor of member events is what it "had seen".
    pub deps: Policy,
}

/// Why an event has no effect, or not the one its author meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// It does not count.
    Void(Void),
    /// It counts, but a removal that it had not seen, and that had not seen it, beats it.
    Beaten,
}

/// The members of one stream, as far as its member events are known.
#[derive(Clone, Debug)]
pub struct Members {
    stream: StreamId,
    root: Option<UserId>,
    events: BTreeMap<Place, MemberEvent>,
    cursor: Cursor,
    members: BTreeMap<UserId, Membership>,
    losses: BTreeMap<Place, Loss>,
    knots: usize,
}

/// One user's standing in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The highest role in force.
    pub role: Role,
    /// Where the earliest add stands that is in force; `None` for the root owner, who was there from the
    /// beginning.
    pub since: Option<Place>,
}

// === impl Change, MemberEvent ===

impl Change {
    fn removes(self, role: Role) -> bool {
        match self {
            Self::Add(_) => false,
            Self::Remove(which) => which.is_none_or(|removed| removed == role),
        }
    }
}

impl MemberEvent {
    /// Whether who had folded this far had folded this event.
    fn is_in(&self, folded: &Cursor) -> bool {
        crate::counted::steps(1);
        let Place { origin, seq, .. } = &self.entry.place;
        folded.get(origin) >= *seq
    }

    fn removes(&self, subject: &UserId, role: Role) -> bool {
        self.subject == *subject && self.change.removes(role)
    }
}

// === impl Members ===

impl Members {
    /// A stream that a user created: its root owner is the author of the creation that its name comes from,
    /// known once that event, by which the author makes themselves owner, is applied.
    pub fn of(stream: StreamId) -> Self {
        Self {
            stream,
            root: None,
            events: BTreeMap::new(),
            cursor: Cursor::new(),
            members: BTreeMap::new(),
            losses: BTreeMap::new(),
            knots: 0,
        }
    }

    /// A stream with a fixed name, whose root owner came from provisioning.
    pub fn rooted(stream: StreamId, root: UserId) -> Self {
        let mut members = Self { root: Some(root), ..Self::of(stream) };
        members.fold();
        members
    }

    /// Takes one event in. Returns whose role or start changed, for whoever must authorise them again.
    pub fn apply(&mut self, event: MemberEvent) -> Vec<UserId> {
        self.extend([event])
    }

    /// Takes events in, in any order and any number of times, and folds once. Returns as [`Self::apply`].
    ///
    /// The cursor names the newest event of each origin: whoever reads it hands every origin's events over in
    /// order.
    pub fn extend(&mut self, events: impl IntoIterator<Item = MemberEvent>) -> Vec<UserId> {
        let (held, root) = (self.events.len(), self.root.clone());
        for event in events {
            self.cursor.advance(&event.entry.place.origin, event.entry.place.seq);
            if fixed::is_founding(&self.stream, &event) {
                // Regions that were told different owners agree all the same, whatever came first.
                let named = event.subject;
                self.root = Some(self.root.take().map_or(named.clone(), |root| root.min(named)));
                continue;
            }
            if self.is_creation(&event) {
                self.root = Some(event.entry.author.clone());
            }
            self.events.insert(event.entry.place.clone(), event);
        }
        if self.events.len() == held && self.root == root {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.members);
        self.fold();
        let users = before.keys().chain(self.members.keys().filter(|user| !before.contains_key(*user)));
        users.filter(|user| before.get(*user) != self.members.get(*user)).cloned().collect()
    }

    /// Every member event up to here was read, and those of them handed over that can be understood.
    pub fn read_upto(&mut self, read: &Cursor) {
        self.cursor.merge(read);
    }

    /// The role that `user` has, if any.
    pub fn role_of(&self, user: &UserId) -> Option<Role> {
        self.members.get(user).map(|membership| membership.role)
    }

    /// Whether `user` had this very role for what stands at `at` and had seen `seen` (A5): as the root owner,
    /// or by an add that counts, was seen, and had itself seen every removal that counts, other than those
    /// that came knowing of `at`.
    pub fn had(&self, user: &UserId, role: Role, at: &Place, seen: &Cursor) -> bool {
        let counts =
            |event: &&MemberEvent| !matches!(self.losses.get(&event.entry.place), Some(Loss::Void(_)));
        let of_user = || self.events.values().filter(|event| event.subject == *user).filter(counts);
        let knows_of_it = |event: &MemberEvent| event.deps.member.get(&at.origin) >= at.seq;
        let removals: Vec<&MemberEvent> =
            of_user().filter(|event| event.change.removes(role) && !knows_of_it(event)).collect();
        let mut adds = of_user().filter(|event| event.change == Change::Add(role) && event.is_in(seen));
        self.root.as_ref() == Some(user)
            || adds.any(|add| removals.iter().all(|removal| removal.is_in(&add.deps.member)))
    }

    /// Everybody with a role, in byte order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&UserId, &Membership)> {
        self.members.iter()
    }

    /// The owner whom nothing removes; `None` until the creation is known.
    pub fn root(&self) -> Option<&UserId> {
        self.root.as_ref()
    }

    /// What has been folded: the newest member event per origin, for [`Policy::member`].
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Where `user`, a member, starts: what stands below is `hidden` from them for good. `None`: at the
    /// beginning.
    ///
    /// Stamps rise within an origin, so what is hidden of each origin is a prefix: the start is after its
    /// last seq whose place is below the add's.
    pub fn start(&self, user: &UserId, history: History) -> Option<&Place> {
        let membership = self.members.get(user).filter(|_| history == History::SinceJoined);
        membership.and_then(|membership| membership.since.as_ref())
    }

    /// Whether the event at `place` is before `user`'s start. To whoever is no member everything is hidden.
    pub fn hides(&self, user: &UserId, history: History, place: &Place) -> bool {
        !self.members.contains_key(user) || self.start(user, history).is_some_and(|start| place < start)
    }

    /// Events that have no effect, or were beaten, in display order; to be shown and audited (A3, A5).
    pub fn losses(&self) -> impl Iterator<Item = (&MemberEvent, Loss)> {
        self.losses.iter().filter_map(|(place, loss)| Some((self.events.get(place)?, *loss)))
    }

    /// How often the fold had to cut a knot of grants and removals that void each other (see `verdict`).
    pub fn knots(&self) -> usize {
        self.knots
    }

    fn is_creation(&self, event: &MemberEvent) -> bool {
        let Entry { author, id, .. } = &event.entry;
        let makes_owner = event.change == Change::Add(Role::Owner) && event.subject == *author;
        makes_owner && created::is_creation(&self.stream, author, *id)
    }

    fn fold(&mut self) {
        let events: Vec<&MemberEvent> = self.events.values().collect();
        let verdicts = Verdicts::of(&events, self.root.as_ref());
        self.knots = verdicts.knots;
        self.members.clear();
        self.losses.clear();

        let removals = counting_removals(&events, &verdicts.void);
        for (event, void) in events.iter().zip(&verdicts.void) {
            if let Some(void) = void {
                self.losses.insert(event.entry.place.clone(), Loss::Void(*void));
                continue;
            }
            let Change::Add(role) = event.change else { continue };
            let removals = removals.get(&(&event.subject, role));
            if removals.is_none_or(|removals| removals.all_seen(&event.deps.member)) {
                let since = Some(event.entry.place.clone());
                let membership = self.members.entry(event.subject.clone());
                // Events come in display order, so the first add in force is the earliest.
                membership.and_modify(|m| m.role = m.role.max(role)).or_insert(Membership { role, since });
            } else if removals.is_some_and(|removals| removals.concurrent(event).counts) {
                self.losses.insert(event.entry.place.clone(), Loss::Beaten);
            }
        }
        if let Some(root) = &self.root {
            self.members.insert(root.clone(), Membership { role: Role::Owner, since: None });
        }
    }
}

/// Removals that count, by subject and role.
fn counting_removals<'a>(
    events: &'a [&'a MemberEvent],
    void: &[Option<Void>],
) -> BTreeMap<(&'a UserId, Role), Chains<'a>> {
    let mut removals: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate().filter(|(at, _)| void[*at].is_none()) {
        for role in [Role::Reader, Role::Writer, Role::Owner] {
            if event.change.removes(role) {
                removals.entry((&event.subject, role)).or_default().push(at);
            }
        }
    }
    removals.into_iter().map(|(of, these)| (of, Chains::of(events, &these, Decided::COUNTS))).collect()
}
