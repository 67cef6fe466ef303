//! Partitions that go to another instance.

use std::collections::BTreeSet;

use sterna_log::faulty::Answers;

use super::*;

/// E15: an instance that is gone is followed by another, which answers with what it knows itself.
#[tokio::test(start_paused = true)]
async fn another_instance_takes_over_and_answers() {
    let mut world = World::new();
    let first = world.start();
    let mut shard = world.shard(&first, STREAM).await;
    shard.told(1).await;
    let mut chain = Chain::of(EU);
    world.mirrored(&chain.next()).await;
    shard.told(1).await;
    first.process.kill();
    assert!(shard.next().await.is_none(), "the stream of a dead instance ends");
    let second = world.start();
    let mut shard = world.shard(&second, STREAM).await;
    // Consumed again, for it was not committed: before the shard asks, or behind its head.
    let told = shard.told_within(Duration::from_secs(2)).await;
    assert!(told == ["joined eu-west-1:1"] || told == ["joined ", "eu-west-1:1"], "{told:?}");
    world.mirrored(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:2"]);
}

/// E15, E20: a log that is said to be missing for moments is consumed again from where it was: everything is
/// shown once, and committed.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_missing_for_moments_is_consumed_again() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let (mut own, mut foreign) = (Chain::of(US), Chain::of(EU));
    let (own_log, mirror) = (world.config.log.clone(), world.mirror());
    for n in 1..=6 {
        let missing = if n % 2 == 0 { &own_log } else { &mirror };
        world.log_faults.miss(missing, Answers::Deliveries, 2);
        let offset = world.mirrored(&foreign.next()).await;
        world.sequenced(&own.next()).await;
        let mut told = shard.told(2).await;
        told.sort();
        assert_eq!(told, [format!("eu-west-1:{n}"), format!("us-east-1:{n}")]);
        until("the commit", async || world.committed(&mirror, offset).await).await;
    }
}

/// E15, E20: a partition that is taken away in good order is handed over with what was handled.
#[tokio::test(start_paused = true)]
async fn a_partition_that_moves_is_told_and_committed() {
    let mut world = World::with(2, tails::Limits::default());
    let first = world.start();
    let streams = ["acme/chat/s0", "acme/chat/s1"];
    let mut shards = [world.shard(&first, streams[0]).await, world.shard(&first, streams[1]).await];
    for (shard, stream) in shards.iter_mut().zip(streams) {
        shard.told(1).await;
        let offset = world.sequenced(&Chain::in_stream(US, stream).next()).await;
        assert_eq!(shard.told(1).await, ["us-east-1:1"], "{offset}");
    }
    let measured = || first.state.positions().iter().map(|at| at.partition).collect::<BTreeSet<u16>>();
    until("positions of both", async || measured() == BTreeSet::from([0, 1])).await;
    let second = world.start();
    let both = async || {
        let owned = |instance: &Instance| {
            (0..2).filter(|at| instance.state.0.hub.lock().owns(*at)).collect::<Vec<u16>>()
        };
        (owned(&first), owned(&second))
    };
    until("one each", async || both().await.0.len() == 1 && both().await.1.len() == 1).await;
    let moved = both().await.1[0];
    for shard in &mut shards {
        assert_eq!(shard.told(1).await, [format!("resync [{moved}]")]);
    }
    assert_eq!(measured(), BTreeSet::from([1 - moved]), "the other's progress is another's to tell");
    let stream = streams.into_iter().find(|s| partition::of(&s.parse().unwrap(), 2) == moved).unwrap();
    let mut shard = world.shard(&second, stream).await;
    assert_eq!(shard.told(1).await, ["joined us-east-1:1"]);
    sleep(Duration::from_secs(2)).await;
    let counters = second.state.0.hub.lock().counters();
    assert_eq!((counters.unwanted, counters.repeated), (0, 0), "what was handled was committed on leaving");
}

/// E15, E20: an instance that was away for longer than its session commits nothing under its old generation,
/// tells its shards, and what it still does hurts nobody.
#[tokio::test(start_paused = true)]
async fn an_instance_that_was_away_commits_nothing_of_its_old_generation() {
    let mut world = World::new();
    let first = world.start();
    let mut shard = world.shard(&first, STREAM).await;
    shard.told(1).await;
    let mut chain = Chain::of(EU);
    world.faults.set_read_only(true);
    let offset = world.mirrored(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    first.process.pause(true);
    let second = world.start();
    let mut other = world.shard(&second, STREAM).await;
    assert_eq!(other.told(1).await, ["joined eu-west-1:1"], "consumed again, and not in the table");
    world.faults.set_read_only(false);
    second.process.pause(true);
    first.process.pause(false);
    let stored = Chain::of(EU).next();
    until("in the table", async || world.in_table(&stored).await.is_some()).await;
    assert!(!world.committed(&world.mirror(), offset).await, "it was not its to commit");
    assert_eq!(shard.told(1).await, ["resync [0]"]);
    second.process.pause(false);
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
}
