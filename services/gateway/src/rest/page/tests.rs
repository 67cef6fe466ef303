//! Pages of random histories, cut in every way that an answer can be cut, against a sorted list.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use sterna_stream::{Hlc, Policy, Position, Prefix};

use super::*;

const ORIGINS: [&str; 3] = ["ap", "eu", "us"];

/// A stream as a region's table has it: per origin its segments, each a list of steps between stamps.
#[derive(Clone, Debug)]
struct History(Vec<Vec<Vec<u64>>>);

fn origin(at: usize) -> Origin {
    ORIGINS[at].parse().unwrap()
}

impl History {
    fn segments(&self, at: usize) -> Vec<Segment> {
        let mut first = 1;
        let mut segments = Vec::new();
        let mut last = 0;
        for steps in &self.0[at] {
            let stamps: Vec<Hlc> = steps
                .iter()
                .map(|step| {
                    last += step;
                    Hlc(last)
                })
                .collect();
            let count = stamps.len() as u64;
            segments.push(Segment {
                stream: "acme/chat/a".parse().unwrap(),
                origin: origin(at),
                first,
                bodies: stamps.iter().map(|_| Bytes::new()).collect(),
                stamps: stamps.into(),
                from: Position { incarnation: 1, partition: 0, offset: first },
                policy: Policy::default(),
                prefix: Prefix::START,
                members: Vec::new(),
                member_before: 0,
            });
            first += count;
        }
        segments
    }

    fn head(&self) -> Cursor {
        let last = |at| self.segments(at).last().map_or(0, Segment::last);
        (0..self.0.len()).map(|at| (origin(at), last(at))).collect()
    }

    /// Everything of (from, to] in display order.
    fn events(&self, hole: &Hole) -> Vec<Place> {
        let mut events: Vec<Place> = Vec::new();
        for at in 0..self.0.len() {
            for segment in self.segments(at) {
                let (from, to) = (hole.from.get(&segment.origin), hole.to.get(&segment.origin));
                let places = segment.events().map(|(seq, hlc, _)| Place { hlc, origin: origin(at), seq });
                events.extend(places.filter(|place| from < place.seq && place.seq <= to));
            }
        }
        events.sort_unstable();
        events
    }

    /// What a region answers that holds up to `held`, at most `share` segments of each origin.
    fn answer(&self, hole: &Hole, order: Order, held: &Cursor, share: usize) -> (Vec<Segment>, Vec<Origin>) {
        let (mut segments, mut waiting) = (Vec::new(), Vec::new());
        for at in 0..self.0.len() {
            let (name, mut all) = (origin(at), self.segments(at));
            let (from, to) = (hole.from.get(&name), hole.to.get(&name));
            all.retain(|segment| segment.last() <= held.get(&name));
            all.retain(|segment| segment.last() > from && segment.first <= to);
            if order == Order::Newest {
                all.reverse();
                // What is not there yet is not jumped.
                if all.first().is_some_and(|newest| newest.last() < to) {
                    all.clear();
                }
            }
            let more = all.len() > share;
            all.truncate(share);
            let whole = all.last().is_some_and(|last| match order {
                Order::Oldest => last.last() >= to,
                Order::Newest => last.first <= from + 1,
            });
            if from < to && !more && !whole {
                waiting.push(name);
            }
            segments.extend(all);
        }
        (segments, waiting)
    }
}

fn histories() -> impl Strategy<Value = History> {
    let steps = prop::collection::vec(1u64..4, 1..5);
    let chain = prop::collection::vec(steps, 0..8);
    prop::collection::vec(chain, 1..=3).prop_map(History)
}

/// A cursor between nothing and a little beyond the head.
fn between(head: &Cursor, random: &[u64]) -> Cursor {
    let seq = |(at, (origin, seq)): (usize, (&Origin, u64))| {
        (origin.clone(), random[at % random.len()] % (seq + 1))
    };
    head.iter().enumerate().map(seq).collect()
}

fn pages(
    history: &History,
    hole: &mut Hole,
    order: Order,
    held: &Cursor,
    (limit, share): (usize, usize),
) -> Vec<Place> {
    let mut shown = Vec::new();
    loop {
        let before = hole.clone();
        let (segments, waiting) = history.answer(hole, order, held, share);
        let mut left = limit;
        hole.cut(order, &segments, &waiting, |place, segment, index| {
            assert_eq!(segment.first + index as u64, place.seq);
            if left == 0 {
                return Taken::Full;
            }
            left -= 1;
            shown.push(place.clone());
            Taken::Shown
        });
        if *hole == before {
            return shown;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Section 9: pages tile a hole exactly once in display order, from either end, whatever the limit and
    /// however much of each origin an answer holds; at the end what remains is nothing.
    #[test]
    fn pages_tile_a_hole_exactly_once(
        history in histories(),
        low in prop::collection::vec(0u64..100, 3),
        high in prop::collection::vec(0u64..100, 3),
        limit in 1usize..12,
        share in 1usize..4,
        newest: bool,
    ) {
        let head = history.head();
        let order = if newest { Order::Newest } else { Order::Oldest };
        let mut hole = Hole::new(between(&head, &low), between(&head, &high));
        let mut expected = history.events(&hole);
        if newest {
            expected.reverse();
        }
        let shown = pages(&history, &mut hole, order, &head, (limit, share));
        prop_assert_eq!(shown, expected);
        prop_assert!(hole.is_done(), "{:?}", hole);
    }

    /// E17: an origin that is not here yet holds up no other and is never jumped; when it has come the pages
    /// go on, and all together tile the hole once.
    #[test]
    fn what_is_not_here_yet_is_paged_when_it_comes(
        history in histories(),
        here in prop::collection::vec(0u64..100, 3),
        limit in 1usize..12,
        share in 1usize..4,
        newest: bool,
    ) {
        let head = history.head();
        let order = if newest { Order::Newest } else { Order::Oldest };
        let mut hole = Hole::new(Cursor::new(), head.clone());
        let mut expected = history.events(&hole);
        let mut shown = pages(&history, &mut hole, order, &between(&head, &here), (limit, share));
        shown.extend(pages(&history, &mut hole, order, &head, (limit, share)));
        shown.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(shown, expected);
        prop_assert!(hole.is_done(), "{:?}", hole);
    }

    /// What is hidden from a reader is a part of each origin's beginning: the pages end at it, or begin
    /// after it, and tile the rest.
    #[test]
    fn hidden_events_are_passed_and_never_shown(
        history in histories(),
        start in 0u64..30,
        limit in 1usize..12,
        newest: bool,
    ) {
        let head = history.head();
        let order = if newest { Order::Newest } else { Order::Oldest };
        let mut hole = Hole::new(Cursor::new(), head.clone());
        let mut expected = history.events(&hole);
        expected.retain(|place| place.hlc.0 >= start);
        let (mut shown, mut rounds) = (Vec::new(), 0);
        while !hole.is_done() {
            let (segments, waiting) = history.answer(&hole, order, &head, 2);
            let mut left = limit;
            hole.cut(order, &segments, &waiting, |place, _, _| {
                if place.hlc.0 < start {
                    return Taken::Hidden;
                }
                if left == 0 {
                    return Taken::Full;
                }
                left -= 1;
                shown.push(place.clone());
                Taken::Shown
            });
            rounds += 1;
            prop_assert!(rounds < 200, "no progress: {:?}", hole);
        }
        shown.sort_unstable();
        prop_assert_eq!(shown, expected);
    }
}

/// A `to` below `from` leaves nothing of that origin, and says so by being equal.
#[test]
fn a_hole_that_is_none_is_done() {
    let hole = Hole::new("eu:5,us:3".parse().unwrap(), "eu:4".parse().unwrap());
    assert!(hole.is_done());
    assert_eq!(hole.to, "eu:5,us:3".parse().unwrap());
}

/// E17: what is lost is passed where reading begins, within the hole and nowhere else.
#[test]
fn what_is_lost_is_passed_within_the_hole() {
    let hole = |from: &str, to: &str| Hole { from: from.parse().unwrap(), to: to.parse().unwrap() };
    for (order, (after, upto), from, to) in [
        (Order::Oldest, ("eu:2", "eu:4"), "eu:4,us:1", "eu:9,us:5"),
        (Order::Oldest, ("eu:2", "eu:12"), "eu:9,us:1", "eu:9,us:5"),
        (Order::Newest, ("eu:6", "eu:9"), "eu:2,us:1", "eu:6,us:5"),
        (Order::Newest, ("eu:6", "eu:12"), "eu:2,us:1", "eu:6,us:5"),
        (Order::Newest, ("eu:1", "eu:9"), "eu:2,us:1", "eu:2,us:5"),
        (Order::Newest, ("eu:4", "eu:6"), "eu:2,us:1", "eu:9,us:5"),
    ] {
        let mut rest = hole("eu:2,us:1", "eu:9,us:5");
        rest.pass(order, &hole(after, upto));
        assert_eq!(rest, hole(from, to), "{order:?} ({after}, {upto}]");
    }
}
