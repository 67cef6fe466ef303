//! Changes of one user's role, arranged so that what an event had seen of them, and which of them are
//! concurrent to it, is found without a look at each.
//!
//! Per origin they stand in the order of their seqs, under a tree whose nodes know how far the changes below
//! had seen at least and at most. What a region has seen only grows, so a few nodes answer almost every
//! question; answers are exact whatever was seen. A fold of n events asks n questions: n log n steps.

use std::collections::BTreeMap;
use std::ops::Range;

use super::MemberEvent;
use super::verdict::Rank;
use crate::counted::steps;
use crate::cursor::Cursor;
use crate::ids::Origin;

/// What is decided of some changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// One of them counts.
    pub(super) counts: bool,
    /// One of them is undecided.
    pub(super) open: bool,
    /// The best rank that one of them gives, which counts.
    pub(super) best: Option<Rank>,
}

/// How far changes had seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// All of them.
    pub(super) least: Cursor,
    /// Any of them.
    pub(super) most: Cursor,
}

/// Some changes that stand one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// `None`: there are none.
    pub(super) seen: Option<Seen>,
    pub(super) decided: Decided,
    /// The change, if it is one.
    pub(super) leaf: Option<usize>,
}

/// What to do about a node.
pub(super) enum Go {
    /// Look at its halves. Of a single change nothing more is to be seen.
    Deeper,
    /// It is dealt with.
    On,
}

/// The changes, by origin.
#[derive(Default)]
pub(super) struct Chains<'a>(BTreeMap<&'a Origin, Chain>);

#[derive(Default)]
struct Chain {
    /// Seq and index of each, rising.
    places: Vec<(u64, usize)>,
    /// A heap: below `n` stand `2n` and `2n + 1`; the second half are the leaves.
    nodes: Vec<Node>,
}

impl<'a> Chains<'a> {
    /// Of these of the `events`, all in one state.
    pub(super) fn of(events: &'a [&MemberEvent], these: &[usize], decided: Decided) -> Self {
        let mut chains = BTreeMap::<_, Chain>::new();
        for &at in these {
            let place = &events[at].entry.place;
            chains.entry(&place.origin).or_default().places.push((place.seq, at));
        }
        chains.values_mut().for_each(|chain| chain.grow(events, decided));
        Self(chains)
    }

    /// It was decided on one of them.
    pub(super) fn decide(&mut self, event: &MemberEvent, at: usize, decided: Decided) {
        let place = &event.entry.place;
        if let Some(chain) = self.0.get_mut(&place.origin) {
            chain.decide((place.seq, at), decided);
        }
    }

    /// The newest that are in `view`, of those for which `which` says yes.
    pub(super) fn newest_seen(&self, view: &Cursor, which: fn(Decided) -> bool) -> Cursor {
        let newest = |(origin, chain): (&&Origin, &Chain)| {
            let at = chain.last(1, chain.width(), chain.seen(view, origin), &which)?;
            Some(((*origin).clone(), chain.places[at].0))
        };
        self.0.iter().filter_map(newest).collect()
    }

    /// Goes over those that are in `view`.
    pub(super) fn seen(&self, view: &Cursor, mut look: impl FnMut(&Node, &Seen) -> Go) {
        for (origin, chain) in &self.0 {
            chain.walk(1, 0..chain.width(), &(0..chain.seen(view, origin)), &mut look);
        }
    }

    /// Goes over those that are not in `view`.
    pub(super) fn unseen(&self, view: &Cursor, mut look: impl FnMut(&Node, &Seen) -> Go) {
        for (origin, chain) in &self.0 {
            let unseen = chain.seen(view, origin)..chain.places.len();
            chain.walk(1, 0..chain.width(), &unseen, &mut look);
        }
    }

    /// Whether all of them are in `view`.
    pub(super) fn all_seen(&self, view: &Cursor) -> bool {
        self.0.iter().all(|(origin, chain)| chain.seen(view, origin) == chain.places.len())
    }

    /// Whether the same of them are in both.
    pub(super) fn alike(&self, one: &Cursor, other: &Cursor) -> bool {
        self.0.iter().all(|(origin, chain)| chain.seen(one, origin) == chain.seen(other, origin))
    }

    /// What is decided of those that neither `event` had seen nor had seen it.
    pub(super) fn concurrent(&self, event: &MemberEvent) -> Decided {
        let mut decided = Decided::default();
        self.unseen(&event.deps.member, |node, seen| {
            if event.is_in(&seen.least) {
                return Go::On;
            }
            if event.is_in(&seen.most) {
                return Go::Deeper;
            }
            decided = decided.and(node.decided);
            Go::On
        });
        decided
    }
}

impl Decided {
    pub(super) const OPEN: Self = Self { counts: false, open: true, best: None };
    pub(super) const COUNTS: Self = Self { counts: true, open: false, best: None };

    /// Nothing that could count.
    pub(super) fn void(self) -> bool {
        !self.counts && !self.open
    }

    fn and(self, other: Self) -> Self {
        let best = match (self.best, other.best) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { counts: self.counts || other.counts, open: self.open || other.open, best }
    }
}

impl Node {
    fn over(one: &Self, other: &Self) -> Self {
        let seen = match (&one.seen, &other.seen) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self { seen, decided: one.decided.and(other.decided), leaf: None }
    }
}

impl Seen {
    fn and(&self, other: &Self) -> Self {
        let mut most = self.most.clone();
        most.merge(&other.most);
        Self { least: self.least.meet(&other.least), most }
    }
}

impl Chain {
    fn grow(&mut self, events: &[&MemberEvent], decided: Decided) {
        self.places.sort_unstable();
        let width = self.places.len().next_power_of_two();
        self.nodes = vec![Node::default(); 2 * width];
        for (leaf, (_, at)) in self.nodes[width..].iter_mut().zip(&self.places) {
            let seen = events[*at].deps.member.clone();
            *leaf = Node { seen: Some(Seen { least: seen.clone(), most: seen }), decided, leaf: Some(*at) };
        }
        for node in (1..width).rev() {
            self.nodes[node] = Node::over(&self.nodes[2 * node], &self.nodes[2 * node + 1]);
        }
    }

    fn width(&self) -> usize {
        self.nodes.len() / 2
    }

    /// How many of them are in `view`: the first ones.
    fn seen(&self, view: &Cursor, origin: &Origin) -> usize {
        steps(1);
        let seen = view.get(origin);
        self.places.partition_point(|(seq, _)| *seq <= seen)
    }

    fn decide(&mut self, place: (u64, usize), decided: Decided) {
        let Ok(leaf) = self.places.binary_search(&place) else { return };
        let mut node = self.width() + leaf;
        self.nodes[node].decided = decided;
        while node > 1 {
            node /= 2;
            let both = self.nodes[2 * node].decided.and(self.nodes[2 * node + 1].decided);
            self.nodes[node].decided = both;
        }
    }

    /// The last of the first `end` for which `which` says yes, below `node`, which ends before leaf `upto`.
    fn last(&self, node: usize, upto: usize, end: usize, which: &fn(Decided) -> bool) -> Option<usize> {
        steps(1);
        let below = self.width() >> node.ilog2();
        if upto - below >= end || !which(self.nodes[node].decided) {
            return None;
        }
        if node >= self.width() {
            return Some(upto - 1);
        }
        let later = self.last(2 * node + 1, upto, end, which);
        later.or_else(|| self.last(2 * node, upto - below / 2, end, which))
    }

    fn walk(
        &self,
        node: usize,
        below: Range<usize>,
        wanted: &Range<usize>,
        look: &mut impl FnMut(&Node, &Seen) -> Go,
    ) {
        steps(1);
        let Some(seen) = &self.nodes[node].seen else { return };
        if below.end <= wanted.start || wanted.end <= below.start {
            return;
        }
        let whole = wanted.start <= below.start && below.end <= wanted.end;
        if whole && matches!(look(&self.nodes[node], seen), Go::On) || node >= self.width() {
            return;
        }
        let middle = below.start.midpoint(below.end);
        self.walk(2 * node, below.start..middle, wanted, look);
        self.walk(2 * node + 1, middle..below.end, wanted, look);
    }
}
