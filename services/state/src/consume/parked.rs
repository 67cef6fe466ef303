//! What waits until member segments stand in the table (E24), chain by chain: one stream's owners, however
//! much they write, hold up nothing but what comes behind it of their own stream and origin.
//!
//! Pure. A chain waits in order. The member segments with which it begins are asked for all at once; what
//! comes behind another segment is asked for in its turn, because a chain comes into the table's queue in
//! order (E20). Bounded by [`OPEN_MAX`](crate::ensure::OPEN_MAX): whatever waits here is open in its topic,
//! and so is all that came behind it there; at that many the partition is on pause.

use std::collections::VecDeque;

use sterna_proto::record::Stored;
use sterna_stream::map::Map;

use super::ahead::Chain;
use crate::ensure::From;

/// How a segment came, and its number there.
pub(super) type Came = (From, u64);

/// A segment that waits.
#[derive(Clone)]
pub(super) struct Waits {
    pub(super) ticket: Came,
    pub(super) stored: Stored,
}

/// What waits in one partition.
#[derive(Default)]
pub(super) struct Parked {
    chains: Map<Chain, Queue>,
    /// Member segments that are asked for, and not known to be in the table.
    asked: Map<Came, Chain>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waits>,
    /// So many at the front are asked for, or are in the table.
    asked: usize,
}

impl Parked {
    /// Whether something waits in a chain.
    pub(super) fn holds(&self, chain: &Chain) -> bool {
        self.chains.contains_key(chain)
    }

    /// One more, at the end.
    pub(super) fn add(&mut self, chain: &Chain, waits: Waits) {
        self.chains.entry(chain.clone()).or_default().waiting.push_back(waits);
    }

    /// A member segment that must be asked for now, each once.
    pub(super) fn ask(&mut self, chain: &Chain) -> Option<Waits> {
        let queue = self.chains.get_mut(chain)?;
        let next = queue.waiting.get(queue.asked).filter(|waits| changes_members(waits))?;
        queue.asked += 1;
        self.asked.insert(next.ticket, chain.clone());
        Some(next.clone())
    }

    /// A segment stands in the table. Returns where it waits, if it does.
    pub(super) fn ensured(&mut self, came: Came) -> Option<Chain> {
        self.asked.remove(&came)
    }

    /// Another copy of a segment was asked for in its place: this one waits no more.
    pub(super) fn superseded(&mut self, came: Came) {
        let Some(chain) = self.asked.remove(&came) else { return };
        let Some(queue) = self.chains.get_mut(&chain) else { return };
        if let Some(at) = queue.waiting.iter().position(|waits| waits.ticket == came) {
            queue.waiting.remove(at);
            queue.asked -= 1;
        }
    }

    /// Takes out what is to be shown next, if nothing keeps it.
    pub(super) fn next(&mut self, chain: &Chain) -> Option<Waits> {
        let queue = self.chains.get_mut(chain)?;
        let Some(first) = queue.waiting.front() else {
            self.chains.remove(chain);
            return None;
        };
        let missing = queue.asked == 0 || self.asked.contains_key(&first.ticket);
        if changes_members(first) && missing {
            return None;
        }
        queue.asked = queue.asked.saturating_sub(1);
        queue.waiting.pop_front()
    }
}

fn changes_members(waits: &Waits) -> bool {
    !waits.stored.segment.members.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Chain as Origins, EU};

    /// A queue of these segments of one chain, which are numbered from 0; `true`: it changes members.
    fn parked(members: &[bool]) -> (Parked, Chain) {
        let (mut parked, mut origin) = (Parked::default(), Origins::of(EU));
        let mut last = None;
        for (number, member) in members.iter().enumerate() {
            let stored = if *member { origin.member() } else { origin.next() };
            let chain = (stored.segment.stream.clone(), stored.segment.origin.clone());
            let ticket = (From::Topic(1), number as u64);
            parked.add(&chain, Waits { ticket, stored });
            last = Some(chain);
        }
        (parked, last.expect("there is one"))
    }

    fn asks(parked: &mut Parked, chain: &Chain) -> Vec<u64> {
        std::iter::from_fn(|| parked.ask(chain).map(|waits| waits.ticket.1)).collect()
    }

    fn shown(parked: &mut Parked, chain: &Chain) -> Vec<u64> {
        std::iter::from_fn(|| parked.next(chain).map(|waits| waits.ticket.1)).collect()
    }

    /// E20, E24: member segments that follow each other are asked for at once, and what stands behind another
    /// one in its turn; all of it is shown in order.
    #[test]
    fn members_are_asked_for_at_once_and_shown_in_order() {
        let (mut parked, chain) = parked(&[true, true, false, true]);
        assert_eq!(shown(&mut parked, &chain), [0_u64; 0]);
        assert_eq!(asks(&mut parked, &chain), [0, 1]);
        assert_eq!(parked.ensured((From::Topic(1), 1)), Some(chain.clone()));
        assert_eq!(shown(&mut parked, &chain), [0_u64; 0], "the first is not in the table");
        parked.ensured((From::Topic(1), 0));
        assert_eq!(shown(&mut parked, &chain), [0, 1, 2]);
        assert_eq!(asks(&mut parked, &chain), [3]);
        assert_eq!(parked.ensured((From::Topic(1), 2)), None, "it was not waited for");
        parked.ensured((From::Topic(1), 3));
        assert_eq!(shown(&mut parked, &chain), [3]);
        assert!(!parked.holds(&chain) && parked.asked.is_empty(), "nothing is remembered of it");
    }

    /// E19: the copy that express brought gives way to the mirror's, which is asked for in its place.
    #[test]
    fn a_copy_that_was_superseded_keeps_nothing() {
        let (mut parked, chain) = parked(&[true, false, true]);
        assert_eq!(asks(&mut parked, &chain), [0]);
        parked.superseded((From::Topic(1), 0));
        assert_eq!(shown(&mut parked, &chain), [1]);
        assert_eq!(asks(&mut parked, &chain), [2]);
        parked.superseded((From::Topic(1), 7));
        parked.ensured((From::Topic(1), 2));
        assert_eq!(shown(&mut parked, &chain), [2]);
        assert!(!parked.holds(&chain));
    }
}
