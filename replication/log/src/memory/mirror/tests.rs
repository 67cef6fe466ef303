#![allow(clippy::unwrap_used)]
//! A mirror's promises (at least once, in order, bytes kept) and its habits.

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::*;
use crate::memory::Config;
use crate::record::Record;

const ONE_WAY: Duration = Duration::from_millis(40);
const MINUTE: Duration = Duration::from_secs(60);

struct Pair {
    source: MemoryLog,
    target: MemoryLog,
    mirror: Mirror,
}

fn topic() -> Topic {
    "sterna-log".parse().unwrap()
}

fn remote() -> Topic {
    "us-east-1.sterna-log".parse().unwrap()
}

fn pair(config: MirrorConfig) -> Pair {
    let holes = || Config { hole_per_mille: 300, ..Config::default() };
    let (source, target) = (MemoryLog::new(1, holes()), MemoryLog::new(2, holes()));
    source.create(&topic(), 2);
    let region = "us-east-1".parse().unwrap();
    let mirror = Mirror::new((&region, &source), &target, &[topic()], config).unwrap();
    Pair { source, target, mirror }
}

fn record(n: u64) -> Record {
    Record {
        topic: topic(),
        partition: (n % 2) as u16,
        key: Bytes::from(format!("key {n}")),
        value: Bytes::from(n.to_string()),
        headers: [("log_pos".into(), Bytes::from_static(b"7"))].into_iter().collect(),
        timestamp_ms: n,
    }
}

impl Pair {
    async fn produce(&self, range: std::ops::Range<u64>) {
        for n in range {
            self.source.produce(record(n)).await.unwrap();
        }
    }

    /// The numbers that stand in a partition of the target.
    async fn arrived(&self, partition: u16) -> Vec<u64> {
        let page = self.target.read(&remote(), partition, 0, usize::MAX).await.unwrap();
        page.entries.iter().map(|entry| entry.record.timestamp_ms).collect()
    }

    async fn last(&self, partition: u16) -> Option<u64> {
        self.target.last(&remote(), partition).await.unwrap().map(|entry| entry.record.timestamp_ms)
    }

    /// Runs the mirror until the last record of the partition is `n`.
    async fn until(&self, n: u64) {
        let arrival = async {
            while self.last((n % 2) as u16).await != Some(n) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = self.mirror.run() => panic!("{outcome:?}"),
            outcome = timeout(MINUTE, arrival) => outcome,
        };
        assert!(outcome.is_ok(), "waited for {n}; arrived {:?}", self.arrived((n % 2) as u16).await);
    }
}

fn odd(range: std::ops::Range<u64>) -> Vec<u64> {
    range.filter(|n| n % 2 == 1).collect()
}

/// E2, E28: partition, key, value, headers and timestamp are kept; offsets are the target's own.
#[tokio::test(start_paused = true)]
async fn a_mirror_keeps_everything_but_offsets() {
    let pair = pair(MirrorConfig::default());
    pair.produce(0..100).await;
    pair.until(99).await;
    for partition in 0..2 {
        let sent = pair.source.read(&topic(), partition, 0, usize::MAX).await.unwrap().entries;
        let found = pair.target.read(&remote(), partition, 0, usize::MAX).await.unwrap().entries;
        assert_eq!(sent.len(), 50);
        let renamed = sent.iter().map(|entry| Record { topic: remote(), ..entry.record.clone() });
        assert!(renamed.eq(found.iter().map(|entry| entry.record.clone())));
        let offsets = |entries: &[Entry]| entries.iter().map(|entry| entry.offset).collect::<Vec<_>>();
        assert_ne!(offsets(&sent), offsets(&found));
    }
}

/// One fetch in flight: a record takes half a round trip when the fetch waits for it, and up to one and a
/// half when it has just missed one.
#[tokio::test(start_paused = true)]
async fn a_record_takes_between_a_half_and_one_and_a_half_round_trips() {
    let pair = pair(MirrorConfig { one_way: ONE_WAY, ..MirrorConfig::default() });
    let mut delays = Vec::new();
    let steady = async {
        sleep(Duration::from_secs(1)).await;
        for n in 0..200 {
            pair.source.produce(record(n * 2)).await.unwrap();
            sleep(Duration::from_millis(7)).await;
        }
    };
    let began = Instant::now();
    let watch = async {
        let mut seen = 0;
        while seen < 200 {
            let arrived = pair.arrived(0).await.len();
            let at = began.elapsed();
            delays.extend((seen..arrived).map(|n| at - Duration::from_millis(1_000 + 7 * n as u64)));
            seen = arrived;
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        outcome = pair.mirror.run() => panic!("{outcome:?}"),
        _ = futures_util::future::join(steady, watch) => {}
    }
    let (shortest, longest) = (*delays.iter().min().unwrap(), *delays.iter().max().unwrap());
    assert!((39..=45).contains(&shortest.as_millis()), "{shortest:?}");
    assert!((105..=126).contains(&longest.as_millis()), "{longest:?}");
}

/// At least once: a restart goes back to the last flush; order within what is copied again is kept.
#[tokio::test(start_paused = true)]
async fn a_restart_replays_to_the_last_flush() {
    let pair = pair(MirrorConfig::default());
    pair.produce(0..10).await;
    pair.until(9).await;
    assert_eq!(pair.arrived(1).await, odd(0..10));
    pair.produce(10..20).await;
    pair.until(19).await;
    assert_eq!(pair.arrived(1).await, [odd(0..10), odd(0..20)].concat(), "dropped before its first flush");
    let longer = async {
        timeout(Duration::from_secs(5), pair.mirror.run()).await.unwrap_err();
    };
    longer.await;
    let flushed = pair.arrived(1).await;
    pair.produce(20..30).await;
    pair.until(29).await;
    assert_eq!(pair.arrived(1).await, [flushed.clone(), odd(20..30)].concat(), "flushed every two seconds");
    pair.mirror.replay();
    pair.mirror.replay_all();
    pair.until(29).await;
    let all = [flushed, odd(20..30), odd(0..30)].concat();
    timeout(MINUTE, pair.mirror.run()).await.unwrap_err();
    assert_eq!(pair.arrived(1).await[..all.len() - 15], all[..all.len() - 15]);
}

/// A cut loses the fetch in flight and nothing else; nothing comes while it lasts.
#[tokio::test(start_paused = true)]
async fn a_cut_costs_nothing_but_time() {
    let pair = pair(MirrorConfig { one_way: ONE_WAY, ..MirrorConfig::default() });
    let script = async {
        for round in 0..20 {
            pair.produce(round * 10..round * 10 + 10).await;
            sleep(Duration::from_millis(13 * round)).await;
            pair.mirror.cut(true);
            let before = pair.arrived(1).await.len();
            pair.produce(1_000..1_001).await;
            sleep(Duration::from_secs(3)).await;
            assert_eq!(pair.arrived(1).await.len(), before, "arrived through a cut");
            pair.mirror.cut(false);
        }
    };
    tokio::select! {
        biased;
        outcome = pair.mirror.run() => panic!("{outcome:?}"),
        () = script => {}
    }
    pair.mirror.replay();
    pair.until(199).await;
    let mut found = pair.arrived(1).await;
    found.dedup();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, odd(0..200));
}

/// Stopped it copies nothing; started again it goes on from the last flush.
#[tokio::test(start_paused = true)]
async fn a_stopped_mirror_goes_on_where_it_flushed() {
    let pair = pair(MirrorConfig::default());
    pair.mirror.stop(true);
    pair.produce(0..10).await;
    timeout(MINUTE, pair.mirror.run()).await.unwrap_err();
    assert_eq!(pair.arrived(1).await, [0; 0]);
    pair.mirror.stop(false);
    pair.until(9).await;
    assert_eq!(pair.arrived(1).await, odd(0..10));
}

/// What is skipped never comes; what follows does.
#[tokio::test(start_paused = true)]
async fn skipped_records_leave_a_hole() {
    let pair = pair(MirrorConfig::default());
    pair.mirror.skip(3);
    for n in 0..20 {
        pair.source.produce(record(n * 2)).await.unwrap();
    }
    pair.until(38).await;
    assert_eq!(pair.arrived(0).await, (3..20).map(|n| n * 2).collect::<Vec<u64>>());
}

/// E29: a record that the target refuses ends the mirror for all partitions, and again after each restart.
#[tokio::test(start_paused = true)]
async fn a_poisonous_record_ends_the_mirror() {
    let pair = pair(MirrorConfig::default());
    pair.target.tune(|config| config.message_bytes_max = 100);
    let poison = Record { value: Bytes::from(vec![0; 200]), ..record(0) };
    pair.source.produce(poison).await.unwrap();
    for _ in 0..2 {
        let outcome = timeout(MINUTE, pair.mirror.run()).await;
        assert!(matches!(outcome, Ok(Err(Error::Refused(_)))), "{outcome:?}");
        pair.produce(1..10).await;
    }
    pair.target.tune(|config| config.message_bytes_max = 1_000);
    pair.until(9).await;
}

/// A target that is out of order for a while: the mirror waits, starts again, and loses nothing,
/// though it flushes while a fetch is under way: what was not acknowledged is not flushed.
#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_costs_nothing_but_time() {
    let pair = pair(MirrorConfig { one_way: Duration::from_millis(1_500), ..MirrorConfig::default() });
    pair.target.set_in_sync(1);
    pair.produce(0..10).await;
    timeout(Duration::from_secs(30), pair.mirror.run()).await.unwrap_err();
    assert_eq!(pair.arrived(1).await, [0; 0]);
    pair.target.set_in_sync(3);
    pair.until(9).await;
    assert_eq!(pair.arrived(1).await, odd(0..10));
    assert_eq!(pair.arrived(0).await, [0, 2, 4, 6, 8]);
}

/// E1: "MM2 resumes at an offset of another log": the beginning of the new one is silently left out.
#[tokio::test(start_paused = true)]
async fn a_source_made_anew_is_not_noticed() {
    let pair = pair(MirrorConfig::default());
    pair.produce(0..20).await;
    timeout(Duration::from_secs(5), pair.mirror.run()).await.unwrap_err();
    pair.source.recreate(&topic()).unwrap();
    pair.produce(100..200).await;
    pair.until(199).await;
    let found = pair.arrived(1).await;
    assert_eq!(found[..10], odd(0..20));
    assert!(found.len() < 10 + 50 && found[10] > 101, "left out without a word: {:?}", &found[10..]);
}

/// G9: a slow target holds no more than so many records at once.
#[tokio::test(start_paused = true)]
async fn a_slow_target_bounds_what_is_on_its_way() {
    let slow = Duration::from_millis(100);
    let pair = pair(MirrorConfig { unacked_records_max: 5, ..MirrorConfig::default() });
    pair.target.tune(|config| {
        config.produce_latency = (slow, slow);
        config.unacked_records_max = 8;
    });
    pair.produce(0..200).await;
    pair.until(199).await;
    assert_eq!(pair.arrived(1).await, odd(0..200), "never refused for too much on its way");
    assert_eq!(pair.mirror.copied(), 200);
}

/// Remote topics have the source's partition count, or there is no mirror.
#[tokio::test(start_paused = true)]
async fn unequal_partition_counts_are_refused() {
    let (source, target) = (MemoryLog::new(1, Config::default()), MemoryLog::new(2, Config::default()));
    source.create(&topic(), 2);
    target.create(&remote(), 3);
    let region = "us-east-1".parse().unwrap();
    let refused = Mirror::new((&region, &source), &target, &[topic()], MirrorConfig::default());
    assert!(matches!(refused.err(), Some(Error::Refused(_))));
}
