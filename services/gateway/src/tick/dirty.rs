//! Rings with members behind, in turns.

use std::collections::VecDeque;

/// Each ring at most once; a number that another ring has since may have a turn to spare.
///
/// Which ones stands beside the rings, a byte each and close together: a write asks it of every stream that
/// its session follows, and most of their rings have not been in anybody's hands for long.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    turns: VecDeque<u32>,
    is_in: Vec<bool>,
}

impl Dirty {
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(crate) fn contains(&self, ring: u32) -> bool {
        self.is_in.get(ring as usize).is_some_and(|is_in| *is_in)
    }

    /// Queues a ring that is not in. Says whether it was not.
    pub(crate) fn insert(&mut self, ring: u32) -> bool {
        if self.is_in.len() <= ring as usize {
            self.is_in.resize(ring as usize + 1, false);
        }
        let fresh = !std::mem::replace(&mut self.is_in[ring as usize], true);
        if fresh {
            self.turns.push_back(ring);
        }
        fresh
    }

    /// The next turn. The ring is still in, until it is clean or [`Dirty::again`] queues it: one that was
    /// forgotten meanwhile is passed over.
    pub(crate) fn next(&mut self) -> Option<u32> {
        while let Some(ring) = self.turns.pop_front() {
            if self.contains(ring) {
                return Some(ring);
            }
        }
        None
    }

    /// A ring whose turn is over has more to do.
    pub(crate) fn again(&mut self, ring: u32) {
        self.turns.push_back(ring);
    }

    /// Everybody on this ring has all of it who is neither blocked nor joining, or it is gone.
    pub(crate) fn remove(&mut self, ring: u32) {
        if let Some(is_in) = self.is_in.get_mut(ring as usize) {
            *is_in = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G9: a ring is queued once however often it is touched, comes again as long as it has more to do, and
    /// one that is gone is passed over, also when another has its number since.
    #[test]
    fn each_ring_has_one_turn_until_it_is_clean() {
        let mut dirty = Dirty::default();
        assert!(dirty.insert(7) && !dirty.insert(7) && dirty.insert(2));
        assert_eq!((dirty.next(), dirty.contains(7)), (Some(7), true));
        dirty.again(7);
        assert_eq!((dirty.next(), dirty.next()), (Some(2), Some(7)));
        dirty.remove(2);
        dirty.remove(7);
        assert!(dirty.is_empty() && !dirty.contains(2) && !dirty.contains(7) && !dirty.contains(70));
        assert!(dirty.insert(2) && dirty.insert(3));
        dirty.remove(2);
        assert!(dirty.insert(2));
        assert_eq!([dirty.next(), dirty.next()], [Some(2), Some(3)]);
        dirty.remove(2);
        assert_eq!(dirty.next(), None);
    }
}
