//! The low-water mark of a partition: up to which offset everything is settled.
//!
//! Each accepted record draws a ticket, in offset order; tickets are done in any order, each by the log
//! record with which the log has all that it stands for; the mark stands at the first whose log record is
//! not acknowledged. Constant work per record, memory for what is unsettled.

use std::collections::VecDeque;

/// A record's place in line. Those of a hot stream's re-read records stand in a line of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) own_line: bool,
}

/// A ticket that is not done.
const NOT_DONE: u64 = u64::MAX;

/// A line of tickets.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// (offset, the number of the log record by which it is settled).
    waiting: VecDeque<(u64, u64)>,
    drawn: u64,
}

impl Tickets {
    /// Draws the next number for `offset`, which is above all drawn before.
    pub(super) fn draw(&mut self, offset: u64) -> u64 {
        debug_assert!(self.waiting.back().is_none_or(|&(last, _)| last < offset), "offsets ascend");
        self.waiting.push_back((offset, NOT_DONE));
        self.drawn += 1;
        self.drawn - 1
    }

    /// The record with this number is settled as soon as log record `by`, and all before it, are
    /// acknowledged.
    pub(super) fn done(&mut self, number: u64, by: u64) {
        let first = self.drawn - self.waiting.len() as u64;
        let at = number.checked_sub(first).and_then(|at| self.waiting.get_mut(at as usize));
        if let Some(ticket) = at {
            ticket.1 = by;
        }
    }

    /// The first offset that is not settled, log records up to `acked` being acknowledged.
    pub(super) fn low(&mut self, acked: u64) -> Option<u64> {
        while self.waiting.front().is_some_and(|&(_, by)| by <= acked) {
            self.waiting.pop_front();
        }
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
        line.done(drawn[1], 0);
        assert_eq!(line.low(5), Some(3));
        line.done(drawn[0], 5);
        assert_eq!(line.low(5), Some(8));
        line.done(drawn[2], 0);
        assert_eq!(line.low(5), None);
        line.done(drawn[2], 0);
        assert_eq!(line.draw(20), 3, "numbers are never used twice");
    }

    #[test]
    fn the_mark_waits_for_the_log() {
        let mut line = Tickets::default();
        let drawn: Vec<u64> = [3, 7, 8].map(|offset| line.draw(offset)).into();
        line.done(drawn[0], 4);
        line.done(drawn[1], 9);
        line.done(drawn[2], 4);
        assert_eq!([3, 4, 8, 9].map(|acked| line.low(acked)), [Some(3), Some(7), Some(7), None]);
    }
}
