//! Any interleaving of what shards wish, what logs bring and what the table holds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const STREAMS: [&str; 2] = ["a", "b"];
const SHARDS: usize = 3;

/// A step; numbers choose a shard, stream or origin.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An origin sequences an event that rests on the other's newest, or on nothing.
    Sequence {
        stream: usize,
        home: bool,
        rests: bool,
    },
    /// Replication brings the oldest event of the other region that the table lacks.
    Replicate(usize),
    /// The log, or the mirror, brings the next event.
    Consume {
        stream: usize,
        home: bool,
    },
    /// The consumer is set back by one event.
    Repeat {
        stream: usize,
        home: bool,
    },
    /// The oldest mirrored event that was consumed stands in the table.
    Ensure(usize),
    Follow(usize, usize),
    ReadHeads(usize),
    Join(usize),
    /// The shard says how far it has the stream; what is more is told anew.
    Compare(usize, usize),
    Unfollow(usize, usize),
    /// The shard loses its stream and attaches anew.
    Cut(usize),
    /// Segments that wait are looked for in the table.
    LookAgain,
    /// The partition goes to another instance and comes back.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let (stream, shard) = (0..STREAMS.len(), 0..SHARDS);
    let both = (stream.clone(), any::<bool>());
    prop_oneof![
        4 => (both.clone(), any::<bool>())
            .prop_map(|((stream, home), rests)| Step::Sequence { stream, home, rests }),
        1 => stream.clone().prop_map(Step::Replicate),
        5 => both.clone().prop_map(|(stream, home)| Step::Consume { stream, home }),
        1 => both.prop_map(|(stream, home)| Step::Repeat { stream, home }),
        2 => stream.clone().prop_map(Step::Ensure),
        3 => (shard.clone(), stream.clone()).prop_map(|(shard, stream)| Step::Follow(shard, stream)),
        3 => shard.clone().prop_map(Step::ReadHeads),
        3 => shard.clone().prop_map(Step::Join),
        2 => (shard.clone(), stream.clone()).prop_map(|(shard, stream)| Step::Compare(shard, stream)),
        1 => (shard.clone(), stream).prop_map(|(shard, stream)| Step::Unfollow(shard, stream)),
        1 => shard.prop_map(Step::Cut),
        1 => Just(Step::LookAgain),
        1 => Just(Step::Lose),
    ]
}

/// What one origin has of one stream. Seqs are from 1, one event a segment.
#[derive(Default)]
struct Chain {
    /// What each event rests on.
    rests: Vec<String>,
    consumed: u64,
    ensured: u64,
    /// How far the table has it.
    table: u64,
}

impl Chain {
    fn len(&self) -> u64 {
        self.rests.len() as u64
    }
}

/// A shard's knowledge of one stream.
#[derive(Default)]
struct Known {
    head: Cursor,
    pushed: BTreeMap<Origin, Vec<u64>>,
    /// What its sessions are authorised against.
    settled: Cursor,
}

/// How far state is with a wish.
enum Pending {
    /// To follow.
    Followed,
    /// Heads were read for it.
    Read(Cursor),
    /// To compare: what the shard has, what the table held.
    Compared(Cursor, Cursor),
}

struct Shard {
    reader: Reader,
    follows: BTreeMap<StreamId, Option<Known>>,
    /// The wish in state's hands, of which stream.
    pending: Option<(usize, Pending)>,
}

struct Model {
    hub: Hub,
    chains: BTreeMap<(usize, bool), Chain>,
    shards: Vec<Shard>,
}

fn origin(home: bool) -> &'static str {
    if home { US } else { EU }
}

impl Model {
    fn new() -> Self {
        let mut hub = owner(10_000);
        let shards = (0..SHARDS).map(|_| Shard::attach(&mut hub)).collect();
        let chains = (0..STREAMS.len()).flat_map(|stream| [(stream, true), (stream, false)]);
        Self { hub, chains: chains.map(|key| (key, Chain::default())).collect(), shards }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Sequence { stream, home, rests } => self.sequence(stream, home, rests),
            Step::Replicate(stream) => {
                let chain = self.chain(stream, false);
                chain.table = (chain.table + 1).min(chain.len());
            }
            Step::Consume { stream, home } => self.consume(stream, home),
            Step::Repeat { stream, home } if self.chain(stream, home).consumed > 0 => {
                let seq = self.chain(stream, home).consumed;
                self.push(stream, home, seq);
            }
            Step::Ensure(stream) => self.ensure(stream),
            Step::Follow(shard, stream) if self.shards[shard].pending.is_none() => {
                self.follow(shard, stream);
                self.shards[shard].follows.insert(id(STREAMS[stream]), None);
            }
            Step::ReadHeads(shard) => {
                if let Some((stream, Pending::Followed)) = self.shards[shard].pending {
                    self.shards[shard].pending = Some((stream, Pending::Read(self.table(stream))));
                }
            }
            Step::Compare(shard, stream) if self.shards[shard].pending.is_none() => {
                if let Some(has) = self.shards[shard].has(&id(STREAMS[stream])) {
                    let compared = Pending::Compared(has, self.table(stream));
                    self.shards[shard].pending = Some((stream, compared));
                }
            }
            Step::Join(shard) => self.join(shard),
            Step::Unfollow(shard, stream) if self.shards[shard].pending.is_none() => {
                self.shards[shard].read();
                self.hub.unfollow(self.shards[shard].reader.id, &id(STREAMS[stream]));
                self.shards[shard].follows.remove(&id(STREAMS[stream]));
            }
            Step::Cut(shard) => {
                self.hub.detach(self.shards[shard].reader.id);
                self.shards[shard] = Shard::attach(&mut self.hub);
            }
            Step::LookAgain => self.look_again(),
            Step::Lose => {
                self.hub.disown(0);
                self.hub.own(0);
            }
            Step::Repeat { .. } | Step::Follow(..) | Step::Compare(..) | Step::Unfollow(..) => {}
        }
        self.shards.iter_mut().for_each(Shard::read);
    }

    fn follow(&mut self, shard: usize, stream: usize) {
        assert!(self.hub.follow(self.shards[shard].reader.id, &id(STREAMS[stream])));
        self.shards[shard].pending = Some((stream, Pending::Followed));
    }

    /// State goes on with what it has read for a shard.
    fn join(&mut self, shard: usize) {
        let reader = self.shards[shard].reader.id;
        match self.shards[shard].pending.take() {
            Some((stream, Pending::Read(head))) => {
                self.hub.joined(reader, &id(STREAMS[stream]), Head { cursor: head, newest: Hlc(1) });
            }
            Some((stream, Pending::Compared(has, table))) => {
                let [has, table] = [has, table].map(|cursor| Head { cursor, newest: Hlc(1) });
                if !self.hub.agrees(reader, &id(STREAMS[stream]), &has, &table) {
                    self.follow(shard, stream);
                }
            }
            followed => self.shards[shard].pending = followed,
        }
    }

    fn chain(&mut self, stream: usize, home: bool) -> &mut Chain {
        self.chains.get_mut(&(stream, home)).unwrap()
    }

    fn table(&self, stream: usize) -> Cursor {
        let held =
            [true, false].map(|home| (origin(home).parse().unwrap(), self.chains[&(stream, home)].table));
        held.into_iter().collect()
    }

    fn sequence(&mut self, stream: usize, home: bool, rests: bool) {
        let other = self.chain(stream, !home).len();
        let rests = if rests && other > 0 { format!("{}:{other}", origin(!home)) } else { String::new() };
        let chain = self.chain(stream, home);
        chain.rests.push(rests);
        // The sequencer puts into the table first.
        chain.table = if home { chain.len() } else { chain.table };
    }

    fn consume(&mut self, stream: usize, home: bool) {
        let chain = self.chain(stream, home);
        if chain.consumed < chain.len() {
            chain.consumed += 1;
            let seq = chain.consumed;
            if !home {
                self.hub.arrived(&segment(STREAMS[stream], EU, seq, ""));
            }
            self.push(stream, home, seq);
        }
    }

    fn push(&mut self, stream: usize, home: bool, seq: u64) {
        let rests = self.chain(stream, home).rests[seq as usize - 1].clone();
        push(&mut self.hub, segment(STREAMS[stream], origin(home), seq, &rests));
    }

    fn ensure(&mut self, stream: usize) {
        let chain = self.chain(stream, false);
        if chain.ensured < chain.consumed {
            chain.ensured += 1;
            chain.table = chain.table.max(chain.ensured);
            self.hub.ensured(&id(STREAMS[stream]));
        }
    }

    fn look_again(&mut self) {
        for stream in self.hub.waiting() {
            let at = STREAMS.iter().position(|name| id(name) == stream).unwrap();
            let table = self.table(at);
            self.hub.held(&stream, &table, Instant::now());
        }
    }

    /// At rest every joined shard has everything: up to its head from history, the rest by push.
    fn judge(&mut self) {
        while self.chains.values().any(|chain| chain.consumed < chain.len()) {
            let behind: Vec<_> = self.chains.keys().copied().collect();
            behind.into_iter().for_each(|(stream, home)| self.step(Step::Consume { stream, home }));
        }
        (0..STREAMS.len()).for_each(|stream| {
            while self.chain(stream, false).ensured < self.chain(stream, false).len() {
                self.step(Step::Ensure(stream));
            }
        });
        self.step(Step::LookAgain);
        assert_eq!(self.hub.waiting(), []);
        assert!(self.hub.unensured.is_empty());
        for shard in &self.shards {
            for (stream, known) in &shard.follows {
                let Some(known) = known else { continue };
                let at = STREAMS.iter().position(|name| id(name) == *stream).unwrap();
                known.judge(at, &self.chains);
            }
        }
    }
}

impl Shard {
    fn attach(hub: &mut Hub) -> Self {
        Self { reader: Reader::attach(hub), follows: BTreeMap::new(), pending: None }
    }

    /// How far it has a stream that it has joined.
    fn has(&self, stream: &StreamId) -> Option<Cursor> {
        let known = self.follows.get(stream)?.as_ref()?;
        let mut has = known.head.clone();
        for (origin, pushed) in &known.pushed {
            has.advance(origin, pushed.last().copied().unwrap_or_default());
        }
        Some(has)
    }

    fn read(&mut self) {
        for what in self.reader.read().unwrap() {
            match what {
                What::Joined(joined) => {
                    let head = convert::cursor(joined.head.as_ref()).unwrap();
                    let known = Known { settled: head.clone(), head, pushed: BTreeMap::new() };
                    self.follows.insert(joined.stream.parse().unwrap(), Some(known));
                }
                What::Push(push) => {
                    let segment = Stored::decode(push.record).unwrap().segment;
                    let known = self.follows.get_mut(&segment.stream).expect("pushed to who did not ask");
                    // What comes before the answer is within its head.
                    if let Some(known) = known {
                        known.pushed(&segment, push.recheck);
                    }
                }
                What::Resync(_) => self.follows.clear(),
                What::Ephemeral(_) | What::Covered(_) => unreachable!(),
                What::End(_) | What::Members(_) | What::Presence(_) | What::Compared(_) => unreachable!(),
            }
        }
    }
}

impl Known {
    fn pushed(&mut self, segment: &Segment, recheck: bool) {
        for (origin, seq) in segment.policy.member.iter() {
            assert!(
                recheck || self.settled.get(origin) >= seq,
                "E24: shown before what it rests on was told"
            );
        }
        if recheck {
            self.settled.merge(&segment.policy.member);
        }
        self.settled.advance(&segment.origin, segment.first);
        self.pushed.entry(segment.origin.clone()).or_default().push(segment.first);
    }

    fn judge(&self, stream: usize, chains: &BTreeMap<(usize, bool), Chain>) {
        for home in [true, false] {
            let origin: Origin = origin(home).parse().unwrap();
            let (head, all) = (self.head.get(&origin), chains[&(stream, home)].len());
            let pushed = self.pushed.get(&origin).map_or(&[][..], Vec::as_slice);
            assert!(head <= all, "{origin}: a head beyond what there is");
            assert!(pushed.is_sorted(), "{origin}: out of order {pushed:?}");
            let beyond: Vec<u64> = pushed.iter().copied().filter(|seq| *seq > head).collect();
            assert_eq!(beyond, (head + 1..=all).collect::<Vec<_>>(), "{origin} after head {head}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// E15, E24: whatever interleaves, history up to the head and the pushes behind it are the whole stream,
    /// each event beyond the head once and in order, and nothing comes before what it rests on.
    #[test]
    fn history_up_to_the_head_and_pushes_are_everything(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::new();
        steps.into_iter().for_each(|step| model.step(step));
        model.judge();
    }
}
