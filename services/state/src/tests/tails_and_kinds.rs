//! What a log may hold, and tails that are lost, full or broken: the same pushes.

use sterna_storage::Tails;

use super::*;
use crate::hub::Counters;

/// A6: a mirror brings its own region's events; another's are refused and hold up nothing.
#[tokio::test(start_paused = true)]
async fn a_mirror_with_another_regions_events_is_refused() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let forged =
        [Chain::of(US).next(), Chain::of("ap-southeast-1").next(), Chain::of("us-east-1~2").member()];
    for stored in &forged {
        world.mirrored(stored).await;
    }
    let good = Chain::of("eu-west-1~2").next();
    let offset = world.mirrored(&good).await;
    let at = partition::of(&good.segment.stream, 1);
    world.produce(&world.config.log, at, good.bytes.clone(), Some(placed(1, 1))).await;
    assert_eq!(shard.told(1).await, ["eu-west-1~2:1"]);
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    for stored in &forged {
        assert_eq!(world.in_table(stored).await, None);
    }
    let Counters { repeated, pushed, .. } = instance.state.0.hub.lock().counters();
    assert_eq!((pushed, repeated), (1, 0), "nor does the own log hold another region's");
}

/// E27: a record of a later version is counted and skipped, and so is what is none at all.
#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_skipped() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    // Field 15, a message of no bytes: a kind from the future. Then a field that ends too early.
    let strange = [Bytes::from_static(&[0x7a, 0]), Bytes::from_static(&[0x0a, 9]), Bytes::new()];
    for topic in [world.config.log.clone(), world.mirror()] {
        for bytes in &strange {
            world.produce(&topic, 0, bytes.clone(), Some(placed(1, 99))).await;
            world.produce(&topic, 0, bytes.clone(), None).await;
        }
    }
    let own = world.sequenced(&Chain::of(US).next()).await;
    assert_eq!(shard.told(1).await, ["us-east-1:1"]);
    let mirrored = world.mirrored(&Chain::of(EU).next()).await;
    assert_eq!(shard.told(1).await, ["eu-west-1:1"]);
    until("the commits", async || {
        world.committed(&world.config.log, own).await && world.committed(&world.mirror(), mirrored).await
    })
    .await;
    assert_eq!(
        instance.state.mirrors().unknown,
        8,
        "two of the three, with and without a number, of each log"
    );
}

/// E15, E20: tails are soft state. Tiny, wiped, rolled back or silent, they change no push and no table.
#[tokio::test(start_paused = true)]
async fn tails_that_are_lost_or_full_change_no_push() {
    for seed in 0..12_u64 {
        let limits = tails::Limits { entries: 1 + seed as usize % 3, ..tails::Limits::default() };
        let mut world = World::with(1, limits);
        let instance = world.start();
        let mut shard = world.shard(&instance, STREAM).await;
        shard.told(1).await;
        let (mut home, mut away) = (Chain::of(US), Chain::of(EU));
        let (mut told, mut expected, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for n in 1..=20 {
            match (seed + n) % 7 {
                0 => world.tails.wipe(),
                1 => world.tails.lose_last(2),
                2 => world.tail_faults.set_down(true),
                3 => world.tail_faults.set_down(false),
                _ => {}
            }
            world.sequenced(&home.next()).await;
            let mirrored = away.next();
            world.mirrored(&mirrored).await;
            stored.push(mirrored);
            told.extend(shard.told(2).await);
            expected.extend([format!("us-east-1:{n}"), format!("eu-west-1:{n}")]);
            sleep(Duration::from_millis(400)).await;
        }
        told.sort();
        expected.sort();
        assert_eq!(told, expected);
        until("all in the table", async || world.in_table(stored.last().unwrap()).await.is_some()).await;
        for stored in &stored {
            assert_eq!(world.in_table(stored).await.as_ref(), Some(&stored.bytes));
        }
    }
}

/// E15: what tails hold is what was pushed: after a gap the tail starts anew at the newest segment.
#[tokio::test(start_paused = true)]
async fn a_tail_with_a_gap_starts_anew() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let mut chain = Chain::of(US);
    let stream: StreamId = STREAM.parse().unwrap();
    let floor_and_head = async || {
        let parts = world.tails.read(&stream, &Cursor::new(), usize::MAX).await.unwrap();
        parts.iter().map(|part| (part.floor, part.head)).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        world.sequenced(&chain.next()).await;
        shard.told(1).await;
    }
    until("both", async || floor_and_head().await == [(1, 2)]).await;
    world.tail_faults.set_down(true);
    world.sequenced(&chain.next()).await;
    shard.told(1).await;
    sleep(Duration::from_millis(10)).await;
    world.tail_faults.set_down(false);
    world.sequenced(&chain.next()).await;
    until("a new tail", async || floor_and_head().await == [(4, 4)]).await;
}
