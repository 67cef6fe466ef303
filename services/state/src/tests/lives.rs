//! A peer that was rebuilt: its new log is followed from its beginning, the old one stays.

use sterna_storage::control::{Raised, raise_incarnation};

use super::*;
use crate::lives::LOOK;

const AGAIN: &str = "eu-west-1~2";

/// The watermark of `origin`'s log in the newest mark.
async fn marked(world: &World, origin: &str) -> Option<(u64, u64)> {
    let mark = world.marks().await.pop()?;
    let watermark = mark.watermarks.iter().find(|watermark| watermark.origin == origin)?;
    Some((watermark.term, watermark.n))
}

/// E1: the control item names the peer's new life: its log is consumed from the first record on, counted and
/// committed by itself; what still comes of the old life is counted where it was, and shown.
#[tokio::test(start_paused = true)]
async fn a_rebuilt_peers_new_log_is_followed_from_its_beginning_and_the_old_one_stays() {
    let mut world = World::new();
    let instance = world.start();
    let (mut old, mut new) = (Chain::of(EU), Chain::of(AGAIN));
    for _ in 0..3 {
        world.mirrored(&old.next()).await;
    }
    until("the old log", async || marked(&world, EU).await == Some((1, 3))).await;

    let topic: Topic = "eu-west-1.sterna-log-g2".parse().unwrap();
    let [witness, peer] = [US, EU].map(|name| name.parse().unwrap());
    let raised = raise_incarnation(&*world.table, &witness, &peer, 1).await.unwrap();
    assert_eq!(raised, Raised::Done(2));
    sleep(2 * LOOK).await;
    assert_eq!(marked(&world, AGAIN).await, None, "its mirror is not there yet");
    world.log.create(&topic, 1);
    let first = new.next();
    let offset = world.produce(&topic, 0, first.bytes.clone(), Some(placed(1, 1))).await;
    until("the new log", async || marked(&world, AGAIN).await == Some((1, 1))).await;
    until("its commit", async || world.committed(&topic, offset).await).await;
    assert_eq!(world.in_table(&first).await, Some(first.bytes));
    assert_eq!(marked(&world, EU).await, Some((1, 3)), "nothing of the old one is lost");

    let mut shard = world.shard(&instance, STREAM).await;
    let joined = shard.told(1).await;
    let (late, next) = (old.next(), new.next());
    world.mirrored(&late).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:4"], "after {joined:?}");
    world.produce(&topic, 0, next.bytes.clone(), Some(placed(1, 2))).await;
    assert_eq!(shard.told(1).await, ["eu-west-1~2:2"]);

    // Whoever starts later knows both from the control item.
    instance.process.kill();
    let _later = world.start();
    world.produce(&topic, 0, new.next().bytes, Some(placed(1, 3))).await;
    until("both", async || {
        (marked(&world, EU).await, marked(&world, AGAIN).await) == (Some((1, 4)), Some((1, 3)))
    })
    .await;
}

/// E1: a rebuilt region counts the others' logs anew, from their beginnings: it does not go on from what its
/// former life had.
#[tokio::test(start_paused = true)]
async fn a_rebuilt_region_counts_its_mirrors_anew() {
    let mut world = World::new();
    let before = world.start();
    let mut chain = Chain::of(EU);
    let first = chain.next();
    world.mirrored(&first).await;
    until("the first life's count", async || marked(&world, EU).await == Some((1, 1))).await;
    before.process.kill();
    let segment = layout::segment(&first.segment.stream, &first.segment.origin, 1);
    world.table.delete(segment, Expect::Any).await.unwrap();

    world.config = Config { mirrors: world.config.mirrors, ..Config::new("us-east-1~2".parse().unwrap()) };
    world.config.partitions = 1;
    world.log.create(&world.config.log, 1);
    let _after = world.start();
    until("the second life's count", async || marked(&world, EU).await == Some((1, 1))).await;
    until("the segment", async || world.in_table(&first).await.is_some()).await;
}
