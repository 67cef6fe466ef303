//! Which events of a hole one page shows, and what remains of the hole (docs/protocol.md, section 9).
//!
//! Pure. Pages follow display order over all origins, from the oldest up or from the newest down, as far as
//! every origin's next event is known; they tile the hole, whatever the limit. An origin that waits for what
//! this region cannot show yet holds up no other and is never jumped.

use std::iter::Peekable;
use std::vec::IntoIter;

use sterna_stream::order::Place;
use sterna_stream::{Cursor, Origin, Segment};

#[cfg(test)]
mod tests;

/// From which end of a hole pages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Newest first: `to` comes down.
    Newest,
    /// Oldest first: `from` goes up.
    Oldest,
}

/// What of each origin is still to be paged: from < seq ≤ to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) from: Cursor,
    pub(crate) to: Cursor,
}

/// What became of an event that was next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is on the page.
    Shown,
    /// It is not for this reader, and neither is what is below it in its origin.
    Hidden,
    /// The page has no room for it.
    Full,
}

/// An event: its place, and where it lies (segment, index).
type Event = (Place, usize, usize);

/// The events of one origin at the end that is read from.
struct Run {
    origin: Origin,
    events: Peekable<IntoIter<Event>>,
    /// What of it is still to be paged.
    from: u64,
    to: u64,
    waits: bool,
}

impl Hole {
    /// The hole (from, to], in which an origin whose `to` is not above its `from` has nothing left.
    pub(crate) fn new(from: Cursor, mut to: Cursor) -> Self {
        to.merge(&from);
        Self { from, to }
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.from == self.to
    }

    /// Nothing of (from, to] is paged: it is lost, and stands where reading begins.
    pub(crate) fn pass(&mut self, order: Order, lost: &Hole) {
        match order {
            Order::Oldest => {
                let passed =
                    lost.to.iter().map(|(origin, upto)| (origin.clone(), upto.min(self.to.get(origin))));
                self.from.merge(&passed.collect());
            }
            Order::Newest => {
                let below = |(origin, to)| match lost.to.get(origin) >= to {
                    true => (origin.clone(), lost.from.get(origin).max(self.from.get(origin))),
                    false => (origin.clone(), to),
                };
                self.to = self.to.iter().map(below).collect();
            }
        }
    }

    /// Takes a page off one end and leaves what remains. `segments` are those at that end, each origin in
    /// reading order; origins in `waiting` have no more than that for now. `take` is asked event by event.
    pub(crate) fn cut(
        &mut self,
        order: Order,
        segments: &[Segment],
        waiting: &[Origin],
        mut take: impl FnMut(&Place, &Segment, usize) -> Taken,
    ) {
        let mut runs = self.runs(order, segments, waiting);
        while let Some(next) = next(order, &mut runs) {
            let Some((place, segment, index)) = runs[next].events.peek() else { break };
            match take(place, &segments[*segment], *index) {
                Taken::Full => break,
                Taken::Hidden if order == Order::Newest => runs[next].to = runs[next].from,
                Taken::Shown | Taken::Hidden => runs[next].pass(order),
            }
        }
        for run in runs {
            self.from.advance(&run.origin, run.from);
            self.to = self
                .to
                .iter()
                .map(|(o, to)| (o.clone(), if *o == run.origin { run.to } else { to }))
                .collect();
        }
    }

    fn runs(&self, order: Order, segments: &[Segment], waiting: &[Origin]) -> Vec<Run> {
        let open = self.to.iter().filter(|(origin, to)| self.from.get(origin) < *to);
        let run = |(origin, to): (&Origin, u64)| {
            let from = self.from.get(origin);
            let events = dense(order, origin, (from, to), segments).into_iter().peekable();
            Run { origin: origin.clone(), events, from, to, waits: waiting.contains(origin) }
        };
        open.map(run).collect()
    }
}

impl Run {
    fn is_done(&self) -> bool {
        self.from >= self.to
    }

    fn pass(&mut self, order: Order) {
        let Some((place, ..)) = self.events.next() else { return };
        match order {
            Order::Oldest => self.from = place.seq,
            Order::Newest => self.to = place.seq - 1,
        }
    }
}

/// Whose event is next. Of nobody, as soon as some origin's next is not known: it may come before all others.
fn next(order: Order, runs: &mut [Run]) -> Option<usize> {
    let mut next: Option<(usize, Place)> = None;
    for (at, run) in runs.iter_mut().enumerate() {
        if run.is_done() {
            continue;
        }
        let (done, waits) = (run.is_done(), run.waits);
        match run.events.peek() {
            Some((place, ..)) => {
                let first = next.as_ref().is_none_or(|(_, best)| match order {
                    Order::Oldest => place < best,
                    Order::Newest => place > best,
                });
                if first {
                    next = Some((at, place.clone()));
                }
            }
            None if done || waits => {}
            None => return None,
        }
    }
    next.map(|(at, _)| at)
}

/// The events of one origin within (from, to], in reading order, from the end as far as there is no hole.
fn dense(order: Order, origin: &Origin, (from, to): (u64, u64), segments: &[Segment]) -> Vec<Event> {
    let of_origin = segments.iter().enumerate().filter(|(_, segment)| segment.origin == *origin);
    let mut events: Vec<Event> = of_origin
        .flat_map(|(at, segment)| {
            let place = move |(seq, hlc, _)| Place { hlc, origin: segment.origin.clone(), seq };
            segment.events().map(place).enumerate().map(move |(index, place)| (place, at, index))
        })
        .filter(|(place, ..)| from < place.seq && place.seq <= to)
        .collect();
    events.sort_by_key(|(place, ..)| place.seq);
    if order == Order::Newest {
        events.reverse();
    }
    let expected = |n: usize| match order {
        Order::Oldest => from + 1 + n as u64,
        Order::Newest => to - n as u64,
    };
    let held = events.iter().enumerate().take_while(|(n, (place, ..))| place.seq == expected(*n)).count();
    events.truncate(held);
    events
}
