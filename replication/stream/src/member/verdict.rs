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

use std::collections::BTreeSet;

use super::chains::{Chains, Decided, Go};
use super::{Change, MemberEvent, Role};
use crate::cursor::Cursor;
use crate::ids::UserId;
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

/// Seniority at an event: how many grants from the root, then which binding, in display order. The lowest is
/// the most senior.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(usize, Option<usize>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Undecided,
    /// For an add of ownership, with the rank its author had.
    Counts(Option<Rank>),
    Void(Void),
}

/// An author's standing at an event, as far as it is decided.
#[derive(Default)]
struct Standing {
    /// The best rank by a binding that is certainly in force.
    sure: Option<Rank>,
    /// Whether another binding may turn out to be in force.
    open: bool,
}

/// The newest removals of somebody's ownership that somebody had seen.
struct Removed {
    counting: Cursor,
    undecided: Cursor,
}

struct Case<'a> {
    events: &'a [&'a MemberEvent],
    root: Option<&'a UserId>,
    /// Adds of ownership, by subject.
    grants: Map<&'a UserId, Chains<'a>>,
    /// Removals of ownership, by subject.
    removals: Map<&'a UserId, Chains<'a>>,
    /// The same, by subject and author.
    duels: Map<(&'a UserId, &'a UserId), Chains<'a>>,
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
                case.settle(e, case.decide(e));
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
        let (mut grants, mut removals, mut duels) = (Map::default(), Map::default(), Map::default());
        for (at, event) in events.iter().enumerate() {
            if event.change == Change::Add(Role::Owner) {
                grants.entry(&event.subject).or_insert_with(Vec::new).push(at);
            } else if event.change.removes(Role::Owner) {
                removals.entry(&event.subject).or_insert_with(Vec::new).push(at);
                duels.entry((&event.subject, &event.entry.author)).or_insert_with(Vec::new).push(at);
            }
        }
        let mut case = Self {
            events,
            root,
            grants: chains(events, grants),
            removals: chains(events, removals),
            duels: chains(events, duels),
            status: vec![Status::Undecided; events.len()],
        };
        let entries: Vec<&Entry> = events.iter().map(|event| &event.entry).collect();
        let later: BTreeSet<&Place> = later_twins(&entries).into_iter().map(|twin| &twin.place).collect();
        for (at, event) in events.iter().enumerate() {
            if later.contains(&event.entry.place) {
                case.settle(at, Status::Void(Void::Twin));
            }
        }
        case
    }

    /// It is decided, or not yet.
    fn settle(&mut self, at: usize, status: Status) {
        let event = self.events[at];
        self.status[at] = status;
        let decided = match status {
            Status::Undecided => return,
            Status::Void(_) => Decided::default(),
            Status::Counts(None) => Decided::COUNTS,
            Status::Counts(Some(granter)) => {
                Decided { best: Some(Rank(granter.0 + 1, Some(at))), ..Decided::COUNTS }
            }
        };
        let of_both = self.duels.get_mut(&(&event.subject, &event.entry.author));
        let chains = match event.change {
            Change::Add(Role::Owner) => [self.grants.get_mut(&event.subject), None],
            change if change.removes(Role::Owner) => [self.removals.get_mut(&event.subject), of_both],
            _ => return,
        };
        chains.into_iter().flatten().for_each(|chains| chains.decide(event, at, decided));
    }

    fn decide(&self, at: usize) -> Status {
        match self.events[at].change {
            Change::Add(role) => self.decide_add(at, role),
            Change::Remove(_) => self.decide_removal(at),
        }
    }

    fn decide_add(&self, at: usize, role: Role) -> Status {
        let event = self.events[at];
        let standing = self.standing(&event.entry.author, &event.deps.member);
        if standing.sure.is_none() && !standing.open {
            return Status::Void(Void::NoAuthority);
        }
        let mut undecided = standing.sure.is_none() || role == Role::Owner && standing.open;
        if self.root != Some(&event.entry.author) {
            let removals = self.removals.get(&event.entry.author);
            let against = removals.map(|removals| removals.concurrent(event)).unwrap_or_default();
            if against.counts {
                return Status::Void(Void::AuthorRemoved);
            }
            undecided |= against.open;
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
        let standing = self.standing(&event.entry.author, &event.deps.member);
        if standing.sure.is_none() && !standing.open {
            return Status::Void(Void::NoAuthority);
        }
        let (mut undecided, mut outranked) = (standing.sure.is_none(), false);
        self.rivals(event, |theirs, rivals| {
            let open = standing.open || theirs.open || !rivals.counts;
            match () {
                () if !standing.open && !theirs.open && standing.sure < theirs.sure => {}
                () if open => undecided = true,
                () => outranked = true,
            }
            outranked
        });
        match (outranked, undecided) {
            (true, _) => Status::Void(Void::Outranked),
            (false, true) => Status::Undecided,
            (false, false) => Status::Counts(None),
        }
    }

    /// Concurrent removals of the author's ownership by the one whose ownership `event` removes, as far as
    /// they may count, with that one's standing at them, until `enough` says so.
    fn rivals(&self, event: &MemberEvent, mut enough: impl FnMut(Standing, Decided) -> bool) {
        let (author, rival) = (&event.entry.author, &event.subject);
        let removals = self.duels.get(&(author, rival)).filter(|_| event.change.removes(Role::Owner));
        let of_rival = [self.grants.get(rival), self.removals.get(rival)];
        let Some(removals) = removals else { return };
        let mut done = false;
        removals.unseen(&event.deps.member, |node, seen| {
            if done || node.decided.void() || event.is_in(&seen.least) {
                return Go::On;
            }
            let alike = |chains: &Chains| chains.alike(&seen.least, &seen.most);
            if event.is_in(&seen.most) || !of_rival.into_iter().flatten().all(alike) {
                return Go::Deeper;
            }
            done = enough(self.standing(rival, &seen.least), node.decided);
            Go::On
        });
    }

    /// The standing of `author` at an event that had seen this far.
    fn standing(&self, author: &UserId, view: &Cursor) -> Standing {
        if self.root == Some(author) {
            return Standing { sure: Some(Rank(0, None)), open: false };
        }
        let mut standing = Standing::default();
        let Some(grants) = self.grants.get(author) else { return standing };
        let removed = self.removed(author, view);
        grants.seen(view, |node, seen| {
            if node.decided.void() || !seen.most.covers(&removed.counting) {
                return Go::On;
            }
            if seen.least.covers(&removed.counting) && seen.least.covers(&removed.undecided) {
                let best = standing.sure.into_iter().chain(node.decided.best).min();
                standing.sure = best;
                standing.open |= node.decided.open;
                return Go::On;
            }
            if seen.least.covers(&removed.counting) && !seen.most.covers(&removed.undecided) {
                standing.open = true;
                return Go::On;
            }
            Go::Deeper
        });
        standing
    }

    /// What is in `view` of the removals of `user`'s ownership: a grant of it that had not seen as much is
    /// undone, or may be.
    fn removed(&self, user: &UserId, view: &Cursor) -> Removed {
        let removals = self.removals.get(user);
        let newest = |which| removals.map(|chains| chains.newest_seen(view, which)).unwrap_or_default();
        Removed { counting: newest(|decided| decided.counts), undecided: newest(|decided| decided.open) }
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
        rest.iter().for_each(|&e| self.settle(e, Status::Void(Void::NoAuthority)));
        !rest.is_empty()
    }

    /// Whether the author of `event` may turn out to have standing by a grant that is `founded`.
    fn may_stand(&self, event: &MemberEvent, founded: &[bool]) -> bool {
        let author = &event.entry.author;
        let mut may = self.root == Some(author);
        let Some(grants) = self.grants.get(author).filter(|_| !may) else { return may };
        let removed = self.removed(author, &event.deps.member);
        grants.seen(&event.deps.member, |node, seen| {
            if may || node.decided.void() || !seen.most.covers(&removed.counting) {
                return Go::On;
            }
            may = node.leaf.is_some_and(|grant| founded[grant]);
            Go::Deeper
        });
        may
    }

    /// Decides one of `open`, none of which follows from what is decided: the removal by the most senior
    /// author counts; if there is none, the first add counts as far as it surely may.
    fn cut(&mut self, open: &[usize]) {
        let seniority = |&e: &usize| {
            let event = self.events[e];
            let rank = self.standing(&event.entry.author, &event.deps.member).sure;
            (rank.is_none(), rank, e)
        };
        let removals = open.iter().copied().filter(|&e| matches!(self.events[e].change, Change::Remove(_)));
        if let Some(first) = removals.min_by_key(seniority) {
            self.settle(first, Status::Counts(None));
        } else if let Some(&first) = open.first() {
            let event = self.events[first];
            let rank = self.standing(&event.entry.author, &event.deps.member).sure;
            let void = Status::Void(Void::NoAuthority);
            self.settle(first, if rank.is_some() { Status::Counts(rank) } else { void });
        }
    }
}

fn chains<'a, K: std::hash::Hash + Eq>(
    events: &'a [&'a MemberEvent],
    by: Map<K, Vec<usize>>,
) -> Map<K, Chains<'a>> {
    by.into_iter().map(|(key, these)| (key, Chains::of(events, &these, Decided::OPEN))).collect()
}
