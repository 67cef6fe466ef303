//! Holes of mirrors: read from the table, closed by the running hash alone.

use sterna_proto::checkpoint;
use sterna_proto::record::{LogRecord, encode_mark};
use sterna_stream::digest::LogHash;
use sterna_stream::limits::{HOLE_AGAIN_MS, HOLE_CHECKPOINTS, HOLE_GRACE_MS, HOLE_SEGMENTS};
use sterna_stream::sequencer::takeover::LogEnd;
use sterna_stream::sequencer::{Checkpoint, Logged, Placed as Named};

use super::watermarks::{marked, until_marked};
use super::*;

const OTHER: &str = "acme/chat/other";

/// The peer's log as its sequencer numbers it, in its first term.
struct Written {
    /// Value and name of each record, by number from 1.
    records: Vec<(Bytes, Logged)>,
    end: LogEnd,
    checkpoints: u64,
    named: usize,
}

impl Written {
    fn new() -> Self {
        Self { records: Vec::new(), end: LogEnd::default(), checkpoints: 0, named: 0 }
    }

    fn segment(&mut self, stored: &Stored) {
        let (stream, first) = (stored.segment.stream.clone(), stored.segment.first);
        self.write(stored.bytes.clone(), stored.segment.prefix_after().0, Logged::Segment { stream, first });
    }

    fn mark(&mut self) {
        let log_hash = Bytes::copy_from_slice(&self.end.hash.0);
        let bytes = encode_mark(v1::Mark { origin: EU.into(), log_hash, ..v1::Mark::default() });
        let own = LogHash::of_bytes(&bytes);
        self.write(bytes, own, Logged::Other { own });
    }

    fn write(&mut self, bytes: Bytes, own: [u8; 32], what: Logged) {
        self.records.push((bytes, what));
        let n = self.records.len() as u64;
        self.end = LogEnd { at: LogPos { term: 1, n }, hash: self.end.hash.extend(n, &own), offset: n };
    }

    /// A checkpoint of what was written since the one before.
    async fn checkpoint(&mut self, world: &World) {
        let unnamed = self.records.iter().enumerate().skip(self.named);
        let index = unnamed.map(|(at, (_, what))| Named { n: at as u64 + 1, what: what.clone() }).collect();
        let made = Checkpoint { term: 1, number: self.checkpoints, resume: 0, log: self.end, index };
        let key = layout::checkpoint(&EU.parse().unwrap(), 0, 1, self.checkpoints, 0);
        world.table.put(key, checkpoint::encode(&made), Expect::Absent).await.unwrap();
        self.checkpoints += 1;
        self.named = self.records.len();
    }

    /// The mirror brings these numbers.
    async fn mirror(&self, world: &World, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            let value = self.records[n - 1].0.clone();
            world.produce(&world.mirror(), 0, value, Some(placed(1, n as u64))).await;
        }
    }
}

/// One segment, two of another stream, one more and a mark; the table has the segments in the middle if it is
/// to, and checkpoints of all.
async fn five(world: &World, in_table: bool) -> (Written, [Stored; 2]) {
    let (mut chain, mut other) = (Chain::of(EU), Chain::in_stream(EU, OTHER));
    let missing = [other.next(), other.next()];
    let mut log = Written::new();
    log.checkpoint(world).await;
    log.segment(&chain.next());
    missing.iter().for_each(|stored| log.segment(stored));
    log.segment(&chain.next());
    log.mark();
    log.checkpoint(world).await;
    for stored in missing.iter().filter(|_| in_table) {
        world.put(stored, stored.bytes.clone()).await;
    }
    (log, missing)
}

async fn instance_with_shard(world: &mut World) -> (Instance, Shard) {
    let instance = world.start();
    let mut shard = world.shard(&instance, OTHER).await;
    shard.told(1).await;
    (instance, shard)
}

/// E21: what a mirror lacks is left to it for the grace time; then it is read from the table, shown as if the
/// mirror had brought it, and the watermark goes on.
#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_from_the_table_and_shown() {
    let mut world = World::new();
    let (instance, mut shard) = instance_with_shard(&mut world).await;
    let (log, _) = five(&world, true).await;
    log.mirror(&world, [1, 4, 5]).await;
    sleep(Duration::from_millis(HOLE_GRACE_MS - 1_000)).await;
    assert_eq!((marked(&world).await, instance.state.mirrors().rounds), (Some((1, 1)), 0));
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
    until_marked(&world, 1, 5).await;
    until("closed", async || instance.state.mirrors().closed == 1).await;
    let met = instance.state.mirrors();
    assert_eq!((met.holes, met.rounds, met.fetched, met.lacking, met.wrong), (1, 1, 2, 0, 0), "{met:?}");
}

/// E21: a hole that the mirror closes by itself within the grace time costs no read.
#[tokio::test(start_paused = true)]
async fn a_hole_that_the_mirror_closes_costs_nothing() {
    let mut world = World::new();
    let (instance, _shard) = instance_with_shard(&mut world).await;
    let (log, _) = five(&world, true).await;
    log.mirror(&world, [1, 4, 5]).await;
    sleep(Duration::from_millis(HOLE_GRACE_MS - 1_000)).await;
    log.mirror(&world, [2, 3]).await;
    until_marked(&world, 1, 5).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(instance.state.mirrors(), Default::default());
}

/// E21: the table holds another segment than the origin's log had: nothing of it is shown, the hole stays
/// open and is alarmed, until what stands there leads to the running hash.
#[tokio::test(start_paused = true)]
async fn a_hole_whose_hash_does_not_fit_stays_open_and_is_alarmed() {
    let mut world = World::new();
    let (instance, mut shard) = instance_with_shard(&mut world).await;
    let (log, missing) = five(&world, false).await;
    let bodies = [Bytes::from_static(b"another event")].into();
    let forged = Stored::new(Segment { bodies, ..missing[0].segment.clone() });
    world.put(&forged, forged.bytes.clone()).await;
    world.put(&missing[1], missing[1].bytes.clone()).await;
    log.mirror(&world, [1, 4, 5]).await;
    sleep(Duration::from_millis(HOLE_GRACE_MS + 4 * HOLE_AGAIN_MS + 2_000)).await;
    let met = instance.state.mirrors();
    assert_eq!((marked(&world).await, met.closed), (Some((1, 1)), 0));
    assert!((4..=6).contains(&met.wrong) && met.wrong == met.rounds, "asked again, at its pace: {met:?}");
    assert_eq!(shard.told_within(Duration::from_secs(1)).await, [""; 0]);

    let key = layout::segment(&forged.segment.stream, &forged.segment.origin, forged.segment.first);
    world.table.put(key, missing[0].bytes.clone(), Expect::Any).await.unwrap();
    until_marked(&world, 1, 5).await;
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
}

/// E21: what the table does not hold yet, a segment or a checkpoint, keeps the hole open and alarmed.
#[tokio::test(start_paused = true)]
async fn what_the_table_lacks_is_waited_for() {
    let mut world = World::new();
    let (instance, _shard) = instance_with_shard(&mut world).await;
    let (log, missing) = five(&world, false).await;
    world.put(&missing[0], missing[0].bytes.clone()).await;
    let late = layout::checkpoint(&EU.parse().unwrap(), 0, 1, 1, 0);
    let got = world.table.get(std::slice::from_ref(&late), Consistency::Consistent).await.unwrap();
    let item = got.into_iter().next().flatten().unwrap();
    world.table.delete(late.clone(), Expect::Any).await.unwrap();
    log.mirror(&world, [1, 4, 5]).await;
    until("alarms", async || instance.state.mirrors().lacking >= 2).await;
    world.table.put(late, item.value, Expect::Absent).await.unwrap();
    let before = instance.state.mirrors().lacking;
    until("the first one fetched", async || instance.state.mirrors().fetched == 1).await;
    until("another alarm", async || instance.state.mirrors().lacking > before).await;
    assert_eq!(marked(&world).await, Some((1, 1)), "a part proves nothing");
    world.put(&missing[1], missing[1].bytes.clone()).await;
    until_marked(&world, 1, 5).await;
    assert_eq!(instance.state.mirrors().fetched, 2, "each once");
}

/// E21: what waited above a hole is forgotten when the partition begins anew, and is read again from the
/// table with what was missing.
#[tokio::test(start_paused = true)]
async fn what_a_crash_forgets_above_a_hole_is_filled_too() {
    let mut world = World::new();
    let (first, _shard) = instance_with_shard(&mut world).await;
    let (log, _) = five(&world, true).await;
    log.mirror(&world, [1, 4]).await;
    let all = async || world.committed(&world.mirror(), 1).await;
    until("the commit of both", all).await;
    first.process.kill();
    let second = world.start();
    log.mirror(&world, [5]).await;
    until_marked(&world, 1, 5).await;
    assert_eq!(second.state.mirrors().fetched, 3);
}

/// E29: a round reads so many segments and so many checkpoints; the next ones read on, once a second, and
/// checkpoints prove it part by part.
#[tokio::test(start_paused = true)]
async fn rounds_are_bounded_and_lead_on() {
    for (segments, per_checkpoint) in [(HOLE_SEGMENTS + 10, 100), (HOLE_CHECKPOINTS + 10, 1)] {
        let mut world = World::new();
        let (instance, _shard) = instance_with_shard(&mut world).await;
        let (mut chain, mut log) = (Chain::in_stream(EU, OTHER), Written::new());
        log.checkpoint(&world).await;
        for n in 1..=segments {
            let stored = chain.next();
            world.put(&stored, stored.bytes.clone()).await;
            log.segment(&stored);
            if n % per_checkpoint == 0 {
                log.checkpoint(&world).await;
            }
        }
        log.checkpoint(&world).await;
        log.mark();
        log.mirror(&world, [segments + 1]).await;
        let began = Instant::now();
        until_marked(&world, 1, segments as u64 + 1).await;
        assert!(began.elapsed() > Duration::from_millis(HOLE_GRACE_MS + 1_000));
        let met = instance.state.mirrors();
        assert_eq!((met.rounds, met.limited, met.fetched), (2, 1, segments as u64), "{met:?}");
    }
}

/// E22: a mark in a mirror is believed if it is of that mirror's region and partition; else it is counted,
/// ignored and alarmed.
#[tokio::test(start_paused = true)]
async fn a_mark_of_another_region_says_nothing() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let says = |origin: &str, partition, n| {
        let watermarks = vec![v1::Watermark { origin: US.into(), term: 1, n }];
        let mark = v1::Mark { origin: origin.into(), partition, watermarks, ..v1::Mark::default() };
        assert!(matches!(LogRecord::decode(encode_mark(mark.clone())), Ok(LogRecord::Mark(_))));
        encode_mark(mark)
    };
    for n in 5..=10 {
        let mark = v1::Mark { origin: US.into(), ingress_done: 10 * n, ..v1::Mark::default() };
        world.produce(&world.config.log, 0, encode_mark(mark), Some(placed(1, n))).await;
    }
    for (origin, partition, n) in [("ap-southeast-1", 0, 7), (EU, 1, 8), ("", 0, 9), (US, 0, 10)] {
        world.produce(&world.mirror(), 0, says(origin, partition, n), None).await;
    }
    world.produce(&world.mirror(), 0, says(EU, 0, 5), None).await;
    let told = shard.told_within(Duration::from_secs(5)).await;
    assert_eq!((told, instance.state.mirrors().strange), (vec!["covered 50 of 0".to_owned()], 4));
}
