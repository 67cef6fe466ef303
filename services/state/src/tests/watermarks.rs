//! Counts of the mirrors, marks that tell them, and what others' marks say of the own log.

use sterna_proto::record::encode_mark;
use sterna_storage::faulty::Fault;

use super::*;

/// The watermark of the peer's log in the newest mark.
pub(super) async fn marked(world: &World) -> Option<(u64, u64)> {
    let mark = world.marks().await.pop()?;
    let watermark = mark.watermarks.iter().find(|watermark| watermark.origin == EU)?;
    Some((watermark.term, watermark.n))
}

pub(super) async fn until_marked(world: &World, term: u64, n: u64) {
    until(&format!("mark of {n}"), async || marked(world).await == Some((term, n))).await;
}

/// The peer says how far it has the log of `of`.
fn covers(of: &str, term: u64, n: u64) -> Bytes {
    let watermarks = vec![v1::Watermark { origin: of.into(), term, n }];
    encode_mark(v1::Mark { origin: EU.into(), watermarks, ..v1::Mark::default() })
}

/// E22: a mark every second and partition, in the region's own log, without a number of its own.
#[tokio::test(start_paused = true)]
async fn a_mark_is_written_every_second() {
    let mut world = World::new();
    let _instance = world.start();
    until("the first mark", async || !world.marks().await.is_empty()).await;
    let before = world.marks().await.len();
    sleep(Duration::from_secs(10)).await;
    let marks = world.marks().await;
    assert_eq!(marks.len() - before, 10);
    assert!(marks.iter().all(|mark| mark.origin == US && mark.partition == 0 && mark.log_hash.is_empty()));
    let page = world.log.read(&world.config.log, 0, 0, usize::MAX).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.record.header(LOG_POS).is_none()));
}

/// A region that is alone has nobody to tell.
#[tokio::test(start_paused = true)]
async fn a_region_alone_writes_no_marks() {
    let mut world = World::new();
    world.config.mirrors.clear();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.marks().await, []);
}

/// E21: the watermark is the highest contiguous position; it passes no hole.
#[tokio::test(start_paused = true)]
async fn a_watermark_never_passes_a_hole() {
    let mut world = World::new();
    let _instance = world.start();
    let mut chain = Chain::of(EU);
    let stored: Vec<Stored> = (0..5).map(|_| chain.next()).collect();
    for at in [0, 1, 3, 4] {
        world.mirrored(&stored[at]).await;
    }
    until_marked(&world, 1, 2).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(marked(&world).await, Some((1, 2)));
    world.mirrored(&stored[2]).await;
    until_marked(&world, 1, 5).await;
}

/// E21: what an older term still writes is handed on, and not counted.
#[tokio::test(start_paused = true)]
async fn an_older_terms_records_are_pushed_and_not_counted() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    shard.told(1).await;
    let mut chain = Chain::of(EU);
    let continues = Placed { continues: Some(LogPos { term: 1, n: 1 }), ..placed(2, 2) };
    for placed in [placed(1, 1), continues, placed(1, 2), placed(1, 3)] {
        world.produce(&world.mirror(), 0, chain.next().bytes, Some(placed)).await;
    }
    assert_eq!(shard.told(4).await.last().unwrap(), "eu-west-1:4");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(marked(&world).await, Some((2, 2)));
}

/// E21: an instance that starts goes on from the stored count and does not read the mirror again.
#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_from_the_stored_count() {
    let mut world = World::new();
    let first = world.start();
    let mut chain = Chain::of(EU);
    let mut last = 0;
    for _ in 0..3 {
        last = world.mirrored(&chain.next()).await;
    }
    until("the commit", async || world.committed(&world.mirror(), last).await).await;
    first.process.kill();
    let second = world.start();
    world.mirrored(&chain.next()).await;
    until_marked(&world, 1, 4).await;
    assert_eq!(second.state.0.hub.lock().counters().unwanted, 1, "only what is new was consumed");
}

/// E21: a count that is lost is counted again from the mirror's beginning.
#[tokio::test(start_paused = true)]
async fn a_lost_count_is_made_again_from_the_beginning() {
    let mut world = World::new();
    let first = world.start();
    let mut chain = Chain::of(EU);
    let mut last = 0;
    for _ in 0..3 {
        last = world.mirrored(&chain.next()).await;
    }
    until("the commit", async || world.committed(&world.mirror(), last).await).await;
    first.process.kill();
    let key = layout::control(&US.parse().unwrap(), "watermark#eu-west-1#00000");
    world.table.delete(key, Expect::Any).await.unwrap();
    let marks = world.marks().await.len();
    let _second = world.start();
    until("new marks", async || world.marks().await.len() > marks).await;
    until_marked(&world, 1, 3).await;
}

/// E21: a table that does not answer is no lost count.
#[tokio::test(start_paused = true)]
async fn a_count_that_cannot_be_read_is_waited_for() {
    let mut world = World::new();
    let first = world.start();
    let offset = world.mirrored(&Chain::of(EU).next()).await;
    until("the commit", async || world.committed(&world.mirror(), offset).await).await;
    first.process.kill();
    world.count_faults.set_down(true);
    let second = world.start();
    sleep(Duration::from_secs(25)).await;
    assert!(!second.state.0.hub.lock().owns(0));
    world.count_faults.set_down(false);
    until("owned", async || second.state.0.hub.lock().owns(0)).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(second.state.0.hub.lock().counters().unwanted, 0, "the mirror was not read again");
}

/// E21: a count is stored before what it counts is committed, so whenever the instance dies no record is
/// behind the commit and not in the count: the next instance finds no hole.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_leaves_no_hole_in_the_count() {
    for polls in 0..60 {
        let mut world = World::new();
        let first = world.start();
        let mark = |n| covers("ap-southeast-1", 1, n);
        // A count that was never stored would be made again from the beginning.
        let offset = world.produce(&world.mirror(), 0, mark(1), Some(placed(1, 1))).await;
        until("a stored count", async || world.committed(&world.mirror(), offset).await).await;
        for n in 2..=3 {
            world.produce(&world.mirror(), 0, mark(n), Some(placed(1, n))).await;
        }
        first.process.die_at_poll(polls);
        sleep(Duration::from_secs(3)).await;
        first.process.kill();
        let marks = world.marks().await.len();
        let _second = world.start();
        world.produce(&world.mirror(), 0, mark(4), Some(placed(1, 4))).await;
        until("new marks", async || world.marks().await.len() > marks).await;
        until_marked(&world, 1, 4).await;
    }
}

/// E21: a count that cannot be stored holds the commit: killed then, the next instance counts it again.
#[tokio::test(start_paused = true)]
async fn what_is_counted_is_not_committed_before_the_count_is_stored() {
    let mut world = World::new();
    let first = world.start();
    until("owned", async || first.state.0.hub.lock().owns(0)).await;
    world.count_faults.set_read_only(true);
    let mark = covers("ap-southeast-1", 1, 1);
    let offset = world.produce(&world.mirror(), 0, mark, Some(placed(1, 1))).await;
    until_marked(&world, 1, 1).await;
    sleep(Duration::from_secs(5)).await;
    assert!(!world.committed(&world.mirror(), offset).await);
    first.process.kill();
    world.count_faults.set_read_only(false);
    let _second = world.start();
    world.produce(&world.mirror(), 0, covers("ap-southeast-1", 1, 2), Some(placed(1, 2))).await;
    until_marked(&world, 1, 2).await;
}

/// E21: a put of a count that lands late does not undo a later one, behind which offsets are committed.
#[tokio::test(start_paused = true)]
async fn a_count_that_lands_late_undoes_no_later_one() {
    let mut world = World::new();
    let first = world.start();
    let late = world.count_faults.clone();
    let landing = async move { late.run().await };
    let counting = async {
        let mark = |n| covers("ap-southeast-1", 1, n);
        for n in 1..=4 {
            if n == 2 {
                world.count_faults.next_write(Fault::Late);
            }
            let offset = world.produce(&world.mirror(), 0, mark(n), Some(placed(1, n))).await;
            until("the commit", async || world.committed(&world.mirror(), offset).await).await;
        }
        until("the late put", async || world.count_faults.taken().landed == 1).await;
        first.process.kill();
        let marks = world.marks().await.len();
        let _second = world.start();
        world.produce(&world.mirror(), 0, mark(5), Some(placed(1, 5))).await;
        until("new marks", async || world.marks().await.len() > marks).await;
        until_marked(&world, 1, 5).await;
    };
    tokio::select! {
        biased;
        () = landing => unreachable!("it lands for ever"),
        () = counting => {}
    }
}

/// A mark of the own sequencer: everything of the ingress below `done` is in the log before it.
async fn sequenced(world: &World, n: u64, done: u64) {
    let hash = Bytes::from_static(&[7; 32]);
    let mark = v1::Mark { origin: US.into(), log_hash: hash, ingress_done: done, ..v1::Mark::default() };
    world.produce(&world.config.log, 0, encode_mark(mark), Some(placed(1, n))).await;
}

/// E9: what another region's marks say of the own log is told once, when it moves, and never backwards; told
/// is the ingress offset of the newest own mark that it covers.
#[tokio::test(start_paused = true)]
async fn covered_is_told_only_on_change() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    for (n, done) in [(3, 30), (5, 50), (6, 50), (7, 70), (9, 90)] {
        sequenced(&world, n, done).await;
    }
    for (of, n) in [(US, 5), (US, 5), ("ap-southeast-1", 80), (US, 4), ("us-east-1~2", 90)] {
        world.produce(&world.mirror(), 0, covers(of, 1, n), None).await;
        sleep(Duration::from_secs(3)).await;
    }
    world.produce(&world.mirror(), 0, covers(US, 1, 8), None).await;
    let told = shard.told_within(Duration::from_secs(5)).await;
    assert_eq!(told, ["covered 50 of 0", "covered 70 of 0"]);
}

/// A6: a region's mirror holds its own marks only: nobody says in another's name that they have something.
#[tokio::test(start_paused = true)]
async fn a_mark_in_another_regions_name_is_refused() {
    let mut world = World::new();
    let instance = world.start();
    let mut shard = world.shard(&instance, STREAM).await;
    assert_eq!(shard.told(1).await, ["joined "]);
    sequenced(&world, 3, 30).await;
    let watermarks = vec![v1::Watermark { origin: US.into(), term: 1, n: 5 }];
    for origin in ["ap-southeast-1", US, "no origin"] {
        let mark = v1::Mark { origin: origin.into(), watermarks: watermarks.clone(), ..v1::Mark::default() };
        world.produce(&world.mirror(), 0, encode_mark(mark), None).await;
    }
    assert_eq!(shard.told_within(Duration::from_secs(5)).await, [""; 0]);
}
