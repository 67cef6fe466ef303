//! What comes by mirror: two ways into the table, and nothing committed before it is there.

use super::*;
use crate::ensure::{GRACE, OPEN_MAX};

/// E20: replication of the table is absent: the region puts the identical bytes, and commits only then.
#[tokio::test(start_paused = true)]
async fn what_replication_does_not_bring_is_put_and_then_committed() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let stored = Chain::of(EU).next();
    let offset = world.mirrored(&stored).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"], "devices do not wait for the table");
    sleep(GRACE - Duration::from_millis(10)).await;
    assert_eq!(world.in_table(&stored).await, None);
    assert!(!world.committed(&world.mirror(), offset).await);
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    assert_eq!(world.in_table(&stored).await, Some(stored.bytes));
}

/// E20: what replication brings is committed, too, and not written again.
#[tokio::test(start_paused = true)]
async fn what_replication_brings_is_committed() {
    let mut world = World::new();
    let _instance = world.start();
    let stored = Chain::of(EU).next();
    let offset = world.mirrored(&stored).await;
    world.put(&stored, stored.bytes.clone()).await;
    world.faults.set_read_only(true);
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
}

/// E20: while the table does not answer nothing is committed; after a crash the segment is consumed again and
/// ends in the table.
#[tokio::test(start_paused = true)]
async fn what_is_not_in_the_table_is_consumed_again_after_a_crash() {
    let mut world = World::new();
    let instance = world.start();
    let mut chain = Chain::of(EU);
    let (first, second) = (chain.next(), chain.next());
    let offset = world.mirrored(&first).await;
    until("the first", async || world.committed(&world.mirror(), offset).await).await;
    world.faults.set_down(true);
    let offset = world.mirrored(&second).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!world.committed(&world.mirror(), offset).await);
    instance.process.kill();
    world.faults.set_down(false);
    world.tails.wipe();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    assert_eq!(world.in_table(&second).await, Some(second.bytes));
    let joined = shard.told_within(Duration::from_secs(1)).await;
    assert!(joined.contains(&"joined eu-west-1:2".to_owned()), "consumed before or behind: {joined:?}");
}

/// E20: a commit does not pass a segment of which nobody knows whether it is in the table, though later ones
/// are.
#[tokio::test(start_paused = true)]
async fn a_put_that_fails_holds_the_commit() {
    let mut world = World::new();
    let _instance = world.start();
    let mut chain = Chain::of(EU);
    world.faults.set_hot(STREAM, true);
    let offset = world.mirrored(&chain.next()).await;
    let other = Chain::in_stream(EU, "acme/chat/other").next();
    world.mirrored(&other).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.in_table(&other).await, Some(other.bytes.clone()), "one hot stream holds up no other");
    assert!(!world.committed(&world.mirror(), offset).await);
    world.faults.set_hot(STREAM, false);
    until("the commit", async || world.committed(&world.mirror(), offset + 1).await).await;
}

/// E20: too much that the table does not hold stops the partition's consumption; it goes on by itself.
#[tokio::test(start_paused = true)]
async fn consumption_pauses_when_too_much_is_not_in_the_table() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    world.faults.set_read_only(true);
    let mut chain = Chain::of(EU);
    let (mut last, all) = (0, OPEN_MAX + 2_000);
    for _ in 0..all {
        last = world.mirrored(&chain.next()).await;
    }
    let pushed = shard.told_within(Duration::from_secs(60)).await.len();
    assert!((OPEN_MAX..OPEN_MAX + 1_000).contains(&pushed), "{pushed} were taken");
    world.faults.set_read_only(false);
    assert_eq!(shard.told(all - pushed).await.last().unwrap(), &format!("eu-west-1:{all}"));
    until("the commit", async || world.committed(&world.mirror(), last).await).await;
}

/// E23: other bytes under its key are a fork: alarmed, handled, never overwritten.
#[tokio::test(start_paused = true)]
async fn a_fork_is_not_overwritten_and_holds_up_nothing() {
    let mut world = World::new();
    let _instance = world.start();
    let mut chain = Chain::of(EU);
    let (forked, next) = (chain.next(), chain.next());
    let other = Bytes::from_static(b"another segment");
    world.put(&forked, other.clone()).await;
    world.mirrored(&forked).await;
    let offset = world.mirrored(&next).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    assert_eq!(world.in_table(&forked).await, Some(other));
    assert_eq!(world.in_table(&next).await, Some(next.bytes));
}

/// E24: whoever folds members reads the table, so a member segment stands there before anybody is shown it.
#[tokio::test(start_paused = true)]
async fn a_member_segment_stands_in_the_table_before_it_is_pushed() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let mut chain = Chain::of(EU);
    world.mirrored(&chain.next()).await;
    let member = chain.member();
    let began = Instant::now();
    world.mirrored(&member).await;
    assert_eq!(shard.told(2).await, ["eu-west-1:1", "eu-west-1:2"]);
    assert_eq!(world.in_table(&member).await, Some(member.bytes));
    assert!(began.elapsed() < GRACE, "it has no grace time");
}

/// E24: a member segment that does not stand there yet is in no head that a shard is told, and is pushed when
/// it does, though the shard asked for heads meanwhile.
#[tokio::test(start_paused = true)]
async fn a_comparison_of_heads_does_not_swallow_a_member_segment() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    world.faults.set_read_only(true);
    world.mirrored(&Chain::of(EU).member()).await;
    sleep(Duration::from_secs(1)).await;
    shard.wish(Wish::Follow(v1::Streams { streams: vec![STREAM.into()] })).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    world.faults.set_read_only(false);
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
}

/// E24: while it does not stand there, what follows it of its stream and origin waits; the rest of the
/// partition goes on, no commit passes what waits, and the group is not left; then all comes in order.
#[tokio::test(start_paused = true)]
async fn a_member_segment_that_cannot_be_put_holds_up_what_follows_it_alone() {
    let mut world = World::new();
    let [held, free] = ["acme/chat/s0", "acme/chat/s1"];
    let instance = world.start();
    let mut shard = world.shard(&instance, held).await;
    let mut other = world.shard(&instance, free).await;
    shard.told(1).await;
    other.told(1).await;
    let mut chain = Chain::in_stream(EU, held);
    let first = world.mirrored(&chain.next()).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    until("its commit", async || world.committed(&world.mirror(), first).await).await;
    world.faults.set_hot(held, true);
    let waits = world.mirrored(&chain.member()).await;
    for stored in [chain.next(), chain.member()] {
        world.mirrored(&stored).await;
    }
    let mut beside = Chain::in_stream(EU, free);
    let behind = world.mirrored(&beside.member()).await;
    world.sequenced(&Chain::in_stream(US, free).next()).await;
    let mut told = other.told(2).await;
    told.sort_unstable();
    assert_eq!(told, ["eu-west-1:1", "us-east-1:1"], "the rest of the partition goes on");
    sleep(Duration::from_secs(30)).await;
    world.mirrored(&beside.next()).await;
    assert_eq!(other.told(1).await, ["eu-west-1:2"]);
    let told = shard.told_within(Duration::from_secs(1)).await;
    assert_eq!(told, [""; 0], "neither the member event, nor a resync for a lost session");
    assert!(!world.committed(&world.mirror(), waits).await, "no commit passes what waits");
    world.faults.set_hot(held, false);
    assert_eq!(shard.told(3).await, ["eu-west-1:2", "eu-west-1:3", "eu-west-1:4"]);
    until("the commit", async || world.committed(&world.mirror(), behind).await).await;
}

/// E24, E20: nothing is committed while it waits, so what is taken behind it is bounded: then the partition
/// is on pause, and goes on by itself.
#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_waiting_member_segment_is_bounded() {
    let mut world = World::new();
    let [held, free] = ["acme/chat/s0", "acme/chat/s1"];
    let instance = world.start();
    let mut shard = world.shard(&instance, free).await;
    shard.told(1).await;
    world.faults.set_hot(held, true);
    world.mirrored(&Chain::in_stream(EU, held).member()).await;
    let mut chain = Chain::in_stream(EU, free);
    let (mut last, all) = (0, OPEN_MAX + 2_000);
    for _ in 0..all {
        last = world.mirrored(&chain.next()).await;
    }
    let pushed = shard.told_within(Duration::from_secs(60)).await.len();
    assert!((OPEN_MAX - 1..OPEN_MAX + 1_000).contains(&pushed), "{pushed} were taken");
    world.faults.set_hot(held, false);
    assert_eq!(shard.told(all - pushed).await.last().unwrap(), &format!("eu-west-1:{all}"));
    until("the commit", async || world.committed(&world.mirror(), last).await).await;
}

/// E24: what a segment waits for may come by the table alone.
#[tokio::test(start_paused = true)]
async fn what_a_segment_waits_for_is_found_in_the_table() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let (mut home, mut away) = (Chain::of(US), Chain::of(EU));
    world.mirrored(&away.resting(&[], "us-east-1:1")).await;
    sleep(Duration::from_secs(3)).await;
    let member = home.member();
    world.put(&member, member.bytes.clone()).await;
    assert_eq!(shard.told(1).await, ["recheck eu-west-1:1"]);
}

/// E24: the wait is bounded also while the table does not answer.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_though_heads_cannot_be_read() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    world.persistence.pause(true);
    world.mirrored(&Chain::of(EU).resting(&[], "us-east-1:1")).await;
    until("giving up", async || instance.state.0.hub.lock().counters().given_up == 1).await;
    assert_eq!(instance.state.0.hub.lock().waiting(), []);
    assert_eq!(shard.told_within(Duration::from_secs(30)).await, [""; 0], "no session was lost over it");
}
