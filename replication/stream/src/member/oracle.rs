//! The rules of membership once more, as statements about a finished set of verdicts instead of a way to find
//! them: every assignment of "counts" is tried, and those are kept in which each event's verdict is what the
//! rules say of it.

use super::*;
use crate::order::later_twins;

/// Which events count, by their index.
pub(super) type Assignment = Vec<bool>;

/// Every assignment that agrees with the rules; 2^n tries.
pub(super) fn stable(events: &[MemberEvent], root: &UserId) -> Vec<Assignment> {
    let bits = |n: u32| (0..events.len()).map(|e| n >> e & 1 == 1).collect::<Assignment>();
    let agrees = |counts: &Assignment| {
        let oracle = Oracle { events, root, counts };
        (0..events.len()).all(|e| oracle.should_count(e) == counts[e])
    };
    (0..1u32 << events.len()).map(bits).filter(agrees).collect()
}

/// Who has which role, given what counts.
pub(super) fn roles(events: &[MemberEvent], root: &UserId, counts: &Assignment) -> BTreeMap<UserId, Role> {
    let counting = || events.iter().zip(counts).filter(|(_, counts)| **counts).map(|(event, _)| event);
    let mut roles = BTreeMap::new();
    for add in counting() {
        let Change::Add(role) = add.change else { continue };
        if counting().all(|removal| !removal.removes(&add.subject, role) || add.saw(removal)) {
            let best = roles.entry(add.subject.clone()).or_insert(role);
            *best = role.max(*best);
        }
    }
    roles.insert(root.clone(), Role::Owner);
    roles
}

struct Oracle<'a> {
    events: &'a [MemberEvent],
    root: &'a UserId,
    counts: &'a Assignment,
}

impl MemberEvent {
    /// Whether the region that took this event had folded `other`.
    pub(super) fn saw(&self, other: &Self) -> bool {
        self.deps.member.get(&other.entry.place.origin) >= other.entry.place.seq
    }

    /// Whether neither had seen the other.
    pub(super) fn concurrent(&self, other: &Self) -> bool {
        !self.saw(other) && !other.saw(self)
    }
}

impl Oracle<'_> {
    fn should_count(&self, e: usize) -> bool {
        let event = &self.events[e];
        let entries: Vec<&Entry> =
            self.events.iter().map(|e| &e.entry).filter(|x| x.id == event.entry.id).collect();
        let author = &event.entry.author;
        let leaves = *author == event.subject && matches!(event.change, Change::Remove(_));
        if later_twins(&entries).contains(&&event.entry) || event.removes(self.root, Role::Owner) {
            return false;
        }
        let Some(rank) = self.rank(event) else { return leaves };
        let mut against =
            self.counting().filter(|other| other.removes(author, Role::Owner) && other.concurrent(event));
        match event.change {
            _ if leaves || author == self.root => true,
            Change::Add(_) => against.next().is_none(),
            Change::Remove(_) => !against.any(|rival| {
                let mutual = rival.entry.author == event.subject && event.change.removes(Role::Owner);
                mutual && self.rank(rival).is_some_and(|theirs| theirs < rank)
            }),
        }
    }

    fn counting(&self) -> impl Iterator<Item = &MemberEvent> {
        self.events.iter().zip(self.counts).filter(|(_, counts)| **counts).map(|(event, _)| event)
    }

    /// (grants from the root, binding) of the author's best ownership at `event`; `None`: no owner.
    fn rank(&self, event: &MemberEvent) -> Option<(usize, Option<Place>)> {
        let author = &event.entry.author;
        if author == self.root {
            return Some((0, None));
        }
        let grants = self.counting().filter(|grant| {
            let owner = grant.change == Change::Add(Role::Owner) && grant.subject == *author;
            let mut seen = self.counting().filter(|r| r.removes(author, Role::Owner) && event.saw(r));
            owner && event.saw(grant) && seen.all(|removal| grant.saw(removal))
        });
        grants.filter_map(|grant| Some((self.rank(grant)?.0 + 1, Some(grant.entry.place.clone())))).min()
    }
}
