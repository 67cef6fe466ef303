//! Segments that came by express before the ones they follow: they wait for the mirror to bring those (E19).
//!
//! Pure. Bounded per chain and in all; what finds no room is left to the mirror.

use std::collections::BTreeMap;

use sterna_proto::record::Stored;
use sterna_stream::map::Map;
use sterna_stream::{Origin, StreamId};

/// Segments of one chain that wait.
pub(super) const OF_CHAIN: usize = 64;
/// Segments of one partition that wait.
pub(super) const OF_PARTITION: usize = 1_024;

/// One origin's part of a stream.
pub(super) type Chain = (StreamId, Origin);

/// What waits in one partition.
#[derive(Default)]
pub(super) struct Ahead {
    chains: Map<Chain, BTreeMap<u64, Stored>>,
    count: usize,
}

impl Ahead {
    /// Keeps a segment. `false`: no room.
    pub(super) fn add(&mut self, stored: Stored) -> bool {
        let chain = (stored.segment.stream.clone(), stored.segment.origin.clone());
        let full = self.count >= OF_PARTITION;
        let waiting = self.chains.get(&chain).map_or(0, BTreeMap::len);
        if full || waiting >= OF_CHAIN {
            return false;
        }
        let replaced = self.chains.entry(chain).or_default().insert(stored.segment.first, stored);
        self.count += usize::from(replaced.is_none());
        true
    }

    /// Takes out the segment that begins at `next`; those before it are not needed any more.
    pub(super) fn take(&mut self, chain: &Chain, next: u64) -> Option<Stored> {
        let waiting = self.chains.get_mut(chain)?;
        let later = waiting.split_off(&next);
        self.count -= waiting.len();
        *waiting = later;
        let taken = waiting.remove(&next);
        self.count -= usize::from(taken.is_some());
        if waiting.is_empty() {
            self.chains.remove(chain);
        }
        taken
    }

    /// Nobody follows a chain's stream here any more.
    pub(super) fn forget(&mut self, chain: &Chain) {
        self.count -= self.chains.remove(chain).map_or(0, |waiting| waiting.len());
    }

    /// The chains in which something waits.
    pub(super) fn chains(&self) -> Vec<Chain> {
        let mut chains: Vec<Chain> = self.chains.keys().cloned().collect();
        chains.sort_unstable();
        chains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Chain as Origins, EU};

    fn chain(stored: &Stored) -> Chain {
        (stored.segment.stream.clone(), stored.segment.origin.clone())
    }

    /// E19: what waits is given out when it is next, and forgotten when the mirror was faster.
    #[test]
    fn a_segment_waits_for_those_before_it() {
        let mut sequencer = Origins::of(EU);
        let made: Vec<Stored> = (0..5).map(|_| sequencer.next()).collect();
        let chain = chain(&made[0]);
        let mut ahead = Ahead::default();
        for stored in [&made[3], &made[1], &made[4], &made[1]] {
            assert!(ahead.add(stored.clone()));
        }
        assert_eq!((ahead.take(&chain, 1), ahead.count), (None, 3));
        assert_eq!((ahead.take(&chain, 2), ahead.count), (Some(made[1].clone()), 2));
        assert_eq!((ahead.take(&chain, 5), ahead.count), (Some(made[4].clone()), 0));
        assert_eq!(ahead.chains(), []);
    }

    /// G9: a chain, and all chains together, hold so many and no more; what is forgotten makes room.
    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut ahead = Ahead::default();
        let mut last = None;
        for n in 0..OF_PARTITION / OF_CHAIN {
            let mut sequencer = Origins::in_stream(EU, &format!("acme/chat/s{n}"));
            assert!((0..OF_CHAIN).all(|_| ahead.add(sequencer.next())));
            assert!(!ahead.add(sequencer.next()), "the chain is full");
            last = Some(sequencer.next());
        }
        let other = Origins::in_stream(EU, "acme/chat/other").next();
        assert!(!ahead.add(other.clone()), "the partition is full");
        ahead.forget(&chain(&last.expect("there was one")));
        assert!(ahead.add(other));
        assert_eq!(ahead.count, OF_PARTITION - OF_CHAIN + 1);
    }
}
