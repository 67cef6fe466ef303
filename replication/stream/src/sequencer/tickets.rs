//! The low-water mark of a partition: up to which offset everything is settled.
//!
//! Each accepted record draws a ticket, in offset order; tickets are done in any order; the mark stands at
//! the first that is not. Constant work per record, memory for what is unsettled.

use std::collections::VecDeque;

/// A record's place in line. Those of a hot stream's re-read records stand in a line of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) own_line: bool,
}

/// A line of tickets.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    waiting: VecDeque<(u64, bool)>,
    drawn: u64,
}

impl Tickets {
    /// Draws the next number for `offset`, which is above all drawn before.
    pub(super) fn draw(&mut self, offset: u64) -> u64 {
        debug_assert!(self.waiting.back().is_none_or(|&(last, _)| last < offset), "offsets ascend");
        self.waiting.push_back((offset, false));
        self.drawn += 1;
        self.drawn - 1
    }

    /// The record with this number is settled.
    pub(super) fn done(&mut self, number: u64) {
        let first = self.drawn - self.waiting.len() as u64;
        let at = number.checked_sub(first).and_then(|at| self.waiting.get_mut(at as usize));
        let Some(ticket) = at else { return };
        ticket.1 = true;
        while self.waiting.front().is_some_and(|&(_, done)| done) {
            self.waiting.pop_front();
        }
    }

    /// The first offset that is not settled.
    pub(super) fn low(&self) -> Option<u64> {
        self.waiting.front().map(|&(offset, _)| offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_waits_for_the_slowest() {
        let mut line = Tickets::default();
        let drawn: Vec<u64> = [3, 7, 8].map(|offset| line.draw(offset)).into();
        line.done(drawn[1]);
        assert_eq!(line.low(), Some(3));
        line.done(drawn[0]);
        assert_eq!(line.low(), Some(8));
        line.done(drawn[2]);
        assert_eq!(line.low(), None);
        line.done(drawn[2]);
        assert_eq!(line.draw(20), 3, "numbers are never used twice");
    }
}
