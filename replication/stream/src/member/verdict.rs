//! Which member events count (A5).
//!
//! Only owners change members; everybody may leave. So nobody grants more than they hold. 1. An author has
//! *standing* at an event if they are the root owner, or some add of their ownership counts, is among    what
//! the event had seen, and had itself seen every counting removal of that ownership that the event had seen.
//! 2. A removal counts if its author has standing or leaves by it; but the root owner stays, and of two
//! owners who    remove each other concurrently the junior's removal is void. Senior is who stands nearer to
//! the root by a chain    of grants, then whose binding is earlier in display order. 3. An add counts if its
//! author has standing and no counting removal of the author's ownership is concurrent to it.    So what an
//! accomplice does falls with the grant that made them one. 4. Of twins only the first counts.
//!
//! Authority comes from the root by a chain of grants: what only holds up itself in a circle of forged `deps`
//! is void. These rules look only at what an event saw and at what is concurrent, which almost always decides
//! everything. In a knot (grants and removals in several regions at once that would void each other in a
//! circle) nothing would follow: it is cut by letting the undecided removal of the most senior author count,
//! the earlier one first, until all is decided. The result depends on the set of events alone.

use super::{Change, MemberEvent, Role};
use crate::ids::{EventId, UserId};
use crate::map::Map;
use crate::order::{Entry, Place, later_twins};

/// Why an event does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Void {
    /// It is a later twin of an event that was sequenced twice.
    Twin,
    /// Its author was no owner as far as it had seen, or only by a grant that does not count.
    NoAuthority,
    /// A grant whose author was concurrently removed as owner.
    AuthorRemoved,
    /// A removal by a junior of an owner who concurrently removed them.
    Outranked,
    /// The root owner cannot be removed.
    RootOwner,
}

/// The verdict on every event.
pub(super) struct Verdicts {
    /// Per event, in the order given: why it does not count, or `None`: it counts.
    pub(super) void: Vec<Option<Void>>,
    /// How many knots were cut.
    pub(super) knots: usize,
}

/// Seniority at an event: how many grants from the root, then the binding. The lowest is the most senior.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(usize, Option<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Undecided,
    /// For an add of ownership, with the rank its author had.
    Counts(Option<Rank>),
    Void(Void),
}

/// An author's standing at an event, as far as it is decided.
struct Standing {
    /// The best rank by a binding that is certainly in force.
    sure: Option<Rank>,
    /// Whether another binding may turn out to be in force.
    open: bool,
}

struct Case<'a> {
    events: &'a [&'a MemberEvent],
    root: Option<&'a UserId>,
    /// Adds of ownership, by subject.
    grants: Map<&'a UserId, Vec<usize>>,
    /// Removals of ownership, by subject.
    removals: Map<&'a UserId, Vec<usize>>,
    status: Vec<Status>,
}

impl Verdicts {
    /// The verdicts on `events`, which stand in display order, in a stream whose root owner is `root`.
    pub(super) fn of(events: &[&MemberEvent], root: Option<&UserId>) -> Self {
        let mut case = Case::open(events, root);
        let mut open: Vec<usize> =
            (0..events.len()).filter(|&e| case.status[e] == Status::Undecided).collect();
        let mut knots = 0;
        while !open.is_empty() {
            let before = open.len();
            open.retain(|&e| {
                case.status[e] = case.decide(e);
                case.status[e] == Status::Undecided
            });
            if open.len() == before && !case.void_unfounded(&open) {
                knots += 1;
                case.cut(&open);
            }
            open.retain(|&e| case.status[e] == Status::Undecided);
        }
        let void = |status| match status {
            Status::Void(void) => Some(void),
            Status::Counts(_) | Status::Undecided => None,
        };
        Self { void: case.status.into_iter().map(void).collect(), knots }
    }
}

impl<'a> Case<'a> {
    fn open(events: &'a [&'a MemberEvent], root: Option<&'a UserId>) -> Self {
        let (mut grants, mut removals): (Map<_, Vec<usize>>, Map<_, Vec<usize>>) = Default::default();
        for (at, event) in events.iter().enumerate() {
            if event.change == Change::Add(Role::Owner) {
                grants.entry(&event.subject).or_default().push(at);
            } else if event.change.removes(Role::Owner) {
                removals.entry(&event.subject).or_default().push(at);
            }
        }
        let mut families: Map<(&UserId, EventId), Vec<&Entry>> = Map::default();
        for event in events {
            families.entry((&event.entry.author, event.entry.id)).or_default().push(&event.entry);
        }
        let status = |event: &&MemberEvent| {
            let family = families.get(&(&event.entry.author, event.entry.id));
            let twins = family.map(|family| later_twins(family)).unwrap_or_default();
            let later = twins.iter().any(|twin| twin.place == event.entry.place);
            if later { Status::Void(Void::Twin) } else { Status::Undecided }
        };
        let status = events.iter().map(status).collect();
        Self { events, root, grants, removals, status }
    }

    fn decide(&self, at: usize) -> Status {
        match self.events[at].change {
            Change::Add(role) => self.decide_add(at, role),
            Change::Remove(_) => self.decide_removal(at),
        }
    }

    fn decide_add(&self, at: usize, role: Role) -> Status {
        let event = self.events[at];
        let standing = self.standing(event);
        if standing.sure.is_none() && !standing.open {
            return Status::Void(Void::NoAuthority);
        }
        let is_root = self.root == Some(&event.entry.author);
        let removals = self.removals.get(&event.entry.author).into_iter().flatten();
        let mut undecided = standing.sure.is_none() || role == Role::Owner && standing.open;
        for &removal in removals.filter(|&&r| !is_root && self.events[r].concurrent(event)) {
            match self.status[removal] {
                Status::Counts(_) => return Status::Void(Void::AuthorRemoved),
                Status::Undecided => undecided = true,
                Status::Void(_) => {}
            }
        }
        if undecided { Status::Undecided } else { Status::Counts(standing.sure) }
    }

    fn decide_removal(&self, at: usize) -> Status {
        let event = self.events[at];
        if self.root.is_some_and(|root| event.removes(root, Role::Owner)) {
            return Status::Void(Void::RootOwner);
        }
        if event.entry.author == event.subject {
            return Status::Counts(None);
        }
        let standing = self.standing(event);
        if standing.sure.is_none() && !standing.open {
            return Status::Void(Void::NoAuthority);
        }
        let mut undecided = standing.sure.is_none();
        for rival in self.rivals(event) {
            let theirs = self.standing(self.events[rival]);
            match self.status[rival] {
                Status::Void(_) => {}
                _ if standing.open || theirs.open => undecided = true,
                _ if standing.sure < theirs.sure => {}
                Status::Counts(_) => return Status::Void(Void::Outranked),
                Status::Undecided => undecided = true,
            }
        }
        if undecided { Status::Undecided } else { Status::Counts(None) }
    }

    /// Concurrent removals of the author's ownership by the one whose ownership `event` removes.
    fn rivals(&self, event: &MemberEvent) -> impl Iterator<Item = usize> {
        let of_author = self.removals.get(&event.entry.author).into_iter().flatten().copied();
        let mutual = move |&removal: &usize| {
            let rival = self.events[removal];
            let duel = rival.entry.author == event.subject && event.change.removes(Role::Owner);
            duel && rival.concurrent(event)
        };
        of_author.filter(mutual)
    }

    fn standing(&self, event: &MemberEvent) -> Standing {
        let author = &event.entry.author;
        if self.root == Some(author) {
            return Standing { sure: Some(Rank(0, None)), open: false };
        }
        let mut standing = Standing { sure: None, open: false };
        let grants = self.grants.get(author).into_iter().flatten();
        for &grant in grants.filter(|&&grant| event.saw(self.events[grant])) {
            let (binding, mut open) = match &self.status[grant] {
                Status::Void(_) => continue,
                Status::Undecided => (None, true),
                Status::Counts(rank) => (rank.as_ref(), false),
            };
            match self.undone(self.events[grant], event) {
                Some(true) => continue,
                Some(false) => {}
                None => open = true,
            }
            match binding.filter(|_| !open) {
                None => standing.open = true,
                Some(granter) => {
                    let rank = Rank(granter.0 + 1, Some(self.events[grant].entry.place.clone()));
                    standing.sure = Some(standing.sure.take().map_or(rank.clone(), |best| best.min(rank)));
                }
            }
        }
        standing
    }

    /// Whether a removal that `event` had seen, and `grant` had not, takes the granted ownership; `None`:
    /// undecided.
    fn undone(&self, grant: &MemberEvent, event: &MemberEvent) -> Option<bool> {
        let removals = self.removals.get(&grant.subject).into_iter().flatten();
        let mut undone = Some(false);
        for &removal in removals {
            if !event.saw(self.events[removal]) || grant.saw(self.events[removal]) {
                continue;
            }
            match self.status[removal] {
                Status::Counts(_) => return Some(true),
                Status::Undecided => undone = None,
                Status::Void(_) => {}
            }
        }
        undone
    }

    /// Voids those of `open` whose authority leads back to the root by no chain of grants, whatever becomes
    /// of the undecided removals: grants that hold up each other in a circle, which only forged `deps` can
    /// make. Says whether there were any.
    fn void_unfounded(&mut self, open: &[usize]) -> bool {
        let mut founded: Vec<bool> = self.status.iter().map(|s| matches!(s, Status::Counts(_))).collect();
        let mut rest = open.to_vec();
        loop {
            let before = rest.len();
            rest.retain(|&e| {
                founded[e] = self.may_stand(self.events[e], &founded);
                !founded[e]
            });
            if rest.len() == before {
                break;
            }
        }
        rest.iter().for_each(|&e| self.status[e] = Status::Void(Void::NoAuthority));
        !rest.is_empty()
    }

    /// Whether the author of `event` may turn out to have standing by a grant that is `founded`.
    fn may_stand(&self, event: &MemberEvent, founded: &[bool]) -> bool {
        let grants = self.grants.get(&event.entry.author).into_iter().flatten();
        let mut seen = grants.filter(|&&grant| founded[grant] && event.saw(self.events[grant]));
        let is_root = self.root == Some(&event.entry.author);
        is_root || seen.any(|&grant| self.undone(self.events[grant], event) != Some(true))
    }

    /// Decides one of `open`, none of which follows from what is decided: the removal by the most senior
    /// author counts; if there is none, the first add counts as far as it surely may.
    fn cut(&mut self, open: &[usize]) {
        let seniority = |&e: &usize| {
            let rank = self.standing(self.events[e]).sure;
            (rank.is_none(), rank, e)
        };
        let removals = open.iter().copied().filter(|&e| matches!(self.events[e].change, Change::Remove(_)));
        if let Some(first) = removals.min_by_key(seniority) {
            self.status[first] = Status::Counts(None);
        } else if let Some(&first) = open.first() {
            let rank = self.standing(self.events[first]).sure;
            let void = Status::Void(Void::NoAuthority);
            self.status[first] = if rank.is_some() { Status::Counts(rank) } else { void };
        }
    }
}
