//! When a shard asks state for which heads (E16): all streams once per round, some of them every second, so
//! that neither the shard nor state ever has a flood of questions and answers to deal with.
//!
//! Pure. An instance that said nothing for a whole round in which it was asked is to be given up.

use std::collections::VecDeque;

use sterna_stream::StreamId;

use super::STREAMS_AT_ONCE;

/// Most streams asked for in one second; more than a round has seconds for make it longer.
pub(super) const AT_ONCE_MAX: usize = 4_000;

/// The comparison of heads with one state instance, from attachment to attachment.
#[derive(Debug)]
pub(super) struct Comparison {
    /// What of this round is still to be asked for.
    left: VecDeque<StreamId>,
    /// Streams asked for in one turn of this round.
    share: usize,
    /// Turns of one round.
    round: u32,
    /// Turns until the next round begins.
    turns: u32,
    asked: bool,
    heard: bool,
}

/// The instance did not say a word since the last round began, although it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silent;

impl Comparison {
    /// The first round begins after so many turns; each takes `round`.
    pub(super) fn after(turns: u32, round: u32) -> Self {
        Self { left: VecDeque::new(), share: 0, round, turns, asked: false, heard: true }
    }

    /// The instance said something.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// A second passes: the streams to ask for now, of all that are `followed`.
    pub(super) fn turn(&mut self, followed: impl FnOnce() -> Vec<StreamId>) -> Result<Vec<StreamId>, Silent> {
        self.turns = self.turns.saturating_sub(1);
        if self.turns == 0 && self.left.is_empty() {
            if self.asked && !self.heard {
                return Err(Silent);
            }
            self.left = followed().into();
            self.share = self.left.len().div_ceil(self.round as usize).clamp(STREAMS_AT_ONCE, AT_ONCE_MAX);
            (self.turns, self.asked, self.heard) = (self.round, !self.left.is_empty(), false);
        }
        let share = self.share.min(self.left.len());
        Ok(self.left.drain(..share).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNS: u32 = 30;

    fn streams(count: usize) -> Vec<StreamId> {
        (0..count).map(|n| format!("acme/chat/s{n}").parse().expect("a stream's name")).collect()
    }

    /// The sizes of so many turns, while `count` streams are followed.
    fn sizes(comparison: &mut Comparison, count: usize, turns: usize) -> Vec<usize> {
        let mut turn = || {
            comparison.heard();
            comparison.turn(|| streams(count)).expect("it was heard").len()
        };
        (0..turns).map(|_| turn()).collect()
    }

    /// E16: each stream is asked for once in a round, at most so many at once.
    #[test]
    fn a_round_asks_for_each_stream_once_and_spreads_them() {
        for count in [0, 1, 199, 200, 201, 8_192, 60_000, 119_999, 120_000] {
            let mut comparison = Comparison::after(1, TURNS);
            let sizes = sizes(&mut comparison, count, TURNS as usize);
            assert_eq!(sizes.iter().sum::<usize>(), count);
            let most = count.div_ceil(TURNS as usize).max(STREAMS_AT_ONCE);
            assert!(sizes.iter().all(|size| *size <= most), "{count}: {sizes:?}");
            assert_eq!(comparison.turn(|| streams(3)), Ok(streams(3)), "the next round begins");
        }
    }

    /// E16: with more streams a round takes longer, and no second more.
    #[test]
    fn more_streams_make_a_round_longer() {
        let mut comparison = Comparison::after(1, TURNS);
        let sizes = sizes(&mut comparison, 130_000, 34);
        assert_eq!(sizes[..32], [AT_ONCE_MAX; 32]);
        assert_eq!(sizes[32..], [2_000, AT_ONCE_MAX]);
    }

    /// E16: an instance that was asked and says nothing for a round is given up; one that was not asked is
    /// not.
    #[test]
    fn silence_is_noticed_only_after_a_question() {
        let mut comparison = Comparison::after(2, TURNS);
        for _ in 0..3 * TURNS {
            assert_eq!(comparison.turn(Vec::new), Ok(Vec::new()));
        }
        let mut comparison = Comparison::after(2, TURNS);
        assert_eq!(comparison.turn(|| streams(1)), Ok(Vec::new()));
        assert_eq!(comparison.turn(|| streams(1)), Ok(streams(1)));
        for _ in 1..TURNS {
            assert_eq!(comparison.turn(|| streams(1)), Ok(Vec::new()));
        }
        assert_eq!(comparison.turn(|| streams(1)), Err(Silent));
    }
}
