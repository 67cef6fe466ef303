//! When a shard asks state for which heads (E16): all streams once per round, some of them every second, so
//! that neither the shard nor state ever has a flood of questions and answers to deal with. For how many of
//! them state looks into the table, too, is bounded: beyond, these looks take turns from round to round.
//!
//! Pure.

use std::collections::VecDeque;

use sterna_stream::StreamId;
use sterna_stream::map::hash_of;

use super::STREAMS_AT_ONCE;

/// Most streams asked for in one second; more than a round has seconds for make it longer.
pub(super) const AT_ONCE_MAX: usize = 4_000;
/// Most looks into the table asked for in one second, on average of a round: 15,000 streams have one in each
/// round of thirty seconds.
const LOOKS_PER_S: usize = 500;

/// The comparison of heads with one state instance, from attachment to attachment.
#[derive(Debug)]
pub(super) struct Comparison {
    /// What of this round is still to be asked for.
    left: VecDeque<StreamId>,
    /// Streams asked for in one turn of this round.
    share: usize,
    /// Turns of one round.
    pub(super) round: u32,
    /// In how many rounds the table is looked into once for each stream, and which of them this is. Both are
    /// set anew when these have passed, so that a stream waits for its look for two such cycles at most.
    look_rounds: u64,
    look: u64,
    /// Turns until the next round begins.
    turns: u32,
}

/// A stream to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) stream: StreamId,
    /// The table is to be looked into.
    pub(super) look: bool,
}

impl Comparison {
    /// The first round begins after so many turns; each takes `round`.
    pub(super) fn after(turns: u32, round: u32) -> Self {
        Self { left: VecDeque::new(), share: 0, round, look_rounds: 1, look: 0, turns }
    }

    /// A second passes: what to ask for now, of all streams that are `followed`.
    pub(super) fn turn(&mut self, followed: impl FnOnce() -> Vec<StreamId>) -> Vec<Question> {
        self.turns = self.turns.saturating_sub(1);
        if self.turns == 0 && self.left.is_empty() {
            self.left = followed().into();
            self.share = self.left.len().div_ceil(self.round as usize).clamp(STREAMS_AT_ONCE, AT_ONCE_MAX);
            self.look += 1;
            if self.look >= self.look_rounds {
                self.look = 0;
                self.look_rounds = self.left.len().div_ceil(LOOKS_PER_S * self.round as usize).max(1) as u64;
            }
            self.turns = self.round;
        }
        let share = self.share.min(self.left.len());
        let (rounds, this) = (self.look_rounds, self.look);
        let question = |stream| Question { look: hash_of(&stream) % rounds == this, stream };
        self.left.drain(..share).map(question).collect()
    }
}

#[cfg(test)]
mod tests {
    use sterna_stream::map::Map;

    use super::*;

    const TURNS: u32 = 30;

    fn streams(count: usize) -> Vec<StreamId> {
        (0..count).map(|n| format!("acme/chat/s{n}").parse().expect("a stream's name")).collect()
    }

    /// Everything that is asked in one round while these streams are followed.
    fn round(comparison: &mut Comparison, followed: &[StreamId]) -> Vec<Question> {
        (0..TURNS).flat_map(|_| comparison.turn(|| followed.to_vec())).collect()
    }

    /// The sizes of so many turns, while `count` streams are followed.
    fn sizes(comparison: &mut Comparison, count: usize, turns: usize) -> Vec<usize> {
        let all = streams(count);
        (0..turns).map(|_| comparison.turn(|| all.clone()).len()).collect()
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
            let next = comparison.turn(|| streams(3));
            assert!(next.into_iter().map(|asked| asked.stream).eq(streams(3)), "the next round begins");
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

    /// E16: up to a bound, the table is looked into for each stream in every round; beyond, once in so many
    /// rounds, about equally many in each.
    #[test]
    fn looks_into_the_table_take_turns_beyond_a_bound() {
        let bound = LOOKS_PER_S * TURNS as usize;
        for (count, rounds) in [(1, 1), (bound, 1), (bound + 1, 2), (7 * bound - 1, 7)] {
            let (mut comparison, all) = (Comparison::after(1, TURNS), streams(count));
            let mut looks: Map<StreamId, u32> = Map::default();
            for _ in 0..rounds {
                let asked = round(&mut comparison, &all);
                assert_eq!(asked.len(), count);
                let looked: Vec<Question> = asked.into_iter().filter(|asked| asked.look).collect();
                assert!(looked.len() <= bound + bound / 20, "{count}: {} looks in one round", looked.len());
                looked.into_iter().for_each(|asked| *looks.entry(asked.stream).or_default() += 1);
            }
            let once = looks.values().filter(|looks| **looks == 1).count();
            assert_eq!((once, looks.len()), (count, count), "each once in {rounds} rounds");
        }
    }

    /// E16: each stream has its look within two cycles, however their number changes from round to round.
    #[test]
    fn no_stream_waits_for_its_look_because_others_come_and_go() {
        let bound = LOOKS_PER_S * TURNS as usize;
        let (mut comparison, all) = (Comparison::after(1, TURNS), streams(3 * bound));
        let mut waits: Map<StreamId, u32> = all[..2 * bound].iter().map(|s| (s.clone(), 0)).collect();
        for n in 0..24 {
            let followed = &all[..[2 * bound, 2 * bound + 1, 3 * bound][n % 3]];
            for Question { stream, look } in round(&mut comparison, followed) {
                let Some(waits) = waits.get_mut(&stream) else { continue };
                *waits = if look { 0 } else { *waits + 1 };
                assert!(*waits < 6, "round {n}: {stream}");
            }
        }
    }
}
