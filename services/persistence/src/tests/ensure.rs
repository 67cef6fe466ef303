//! Ensure: the table's own replication first, then our equal put; a fork is never touched.

use std::time::Duration;

use sterna_proto::v1;
use sterna_proto::v1::Ensured;
use sterna_storage::faulty::Fault;
use tokio::time::Instant;

use super::{Chain, World, items, request, span};

async fn ensure(world: &World, items: Vec<v1::Item>, grace_ms: u32) -> (Vec<Ensured>, Duration) {
    let began = Instant::now();
    let answer = world.called_by("state").ensure(v1::EnsureRequest { items, grace_ms }).await.unwrap();
    (answer.into_inner().results().collect(), began.elapsed())
}

/// E20: replication has the grace time for itself; after it this region puts the identical bytes.
#[tokio::test(start_paused = true)]
async fn what_replication_did_not_bring_is_put_after_the_grace_time() {
    let world = World::new();
    let chain = Chain::of("eu-west-1").sized(&[2, 1]);
    let waited = async {
        tokio::time::sleep(Duration::from_millis(1_999)).await;
        assert!(world.inner.is_empty(sterna_storage::Name::Events), "not before the grace time is over");
    };
    let ((results, took), ()) = tokio::join!(ensure(&world, items(&chain), 2_000), waited);
    assert_eq!((results, took), (vec![Ensured::Held, Ensured::Held], Duration::from_secs(2)));
    let read = world.read(request(&[span("eu-west-1", 0, 0)])).await;
    assert_eq!(read.records, [chain[0].bytes.clone(), chain[1].bytes.clone()]);
}

/// E20: equal bytes are held, whoever put them, and as soon as they are seen.
#[tokio::test(start_paused = true)]
async fn what_replication_brings_within_the_grace_time_is_held_at_once() {
    let world = World::new();
    let chain = Chain::of("eu-west-1").sized(&[1, 1]);
    world.put(&chain[..1]).await;
    let arrives = async {
        tokio::time::sleep(Duration::from_millis(490)).await;
        world.put(&chain[1..]).await;
    };
    let ((results, took), ()) = tokio::join!(ensure(&world, items(&chain), 60_000), arrives);
    assert_eq!(results, [Ensured::Held, Ensured::Held]);
    assert!(took <= Duration::from_millis(550), "{took:?}");
}

/// E23: other bytes under one key are a fork: told at once, beside items that are fine, and left as they are.
#[tokio::test(start_paused = true)]
async fn other_bytes_are_a_fork_and_stay_untouched() {
    let world = World::new();
    let (theirs, ours) = (Chain::of("eu-west-1").sized(&[3]), Chain::of("eu-west-1").sized(&[2, 1]));
    world.put(&theirs).await;
    world.put(&ours[1..]).await;
    let (results, took) = ensure(&world, items(&ours), 60_000).await;
    assert_eq!((results, took), (vec![Ensured::Fork, Ensured::Held], Duration::ZERO));
    let read = world.read(request(&[span("eu-west-1", 0, 2)])).await;
    assert_eq!(read.records, [theirs[0].bytes.clone()]);
}

/// E20: a table that does not answer proves nothing: neither held nor a fork, until it does.
#[tokio::test(start_paused = true)]
async fn a_silent_table_is_neither_held_nor_a_fork() {
    let world = World::new();
    let (theirs, ours) = (Chain::of("eu-west-1").sized(&[3]), Chain::of("eu-west-1").sized(&[2]));
    world.put(&theirs).await;
    world.faults.set_chances(sterna_storage::faulty::Chances { fail: 1_000, ..Default::default() });
    let healed = async {
        tokio::time::sleep(Duration::from_millis(90)).await;
        world.faults.set_chances(Default::default());
    };
    let ((results, _), ()) = tokio::join!(ensure(&world, items(&ours), 80), healed);
    assert_eq!(results, [Ensured::Unknown], "reads failed and so did the put");
    assert_eq!(ensure(&world, items(&ours), 0).await.0, [Ensured::Fork]);
}

/// E20: a put of unknown outcome is not called held; asked again, it is.
#[tokio::test(start_paused = true)]
async fn an_unknown_put_is_told_and_asking_again_settles_it() {
    let world = World::new();
    let chain = Chain::of("eu-west-1").sized(&[1]);
    world.faults.next_write(Fault::Unknown);
    assert_eq!(ensure(&world, items(&chain), 0).await.0, [Ensured::Unknown]);
    assert_eq!(ensure(&world, items(&chain), 0).await.0, [Ensured::Held]);
}
