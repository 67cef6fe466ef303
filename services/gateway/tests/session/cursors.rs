//! In paused time. Stored cursors: what a device says it has, and where it goes on when it does not know
//! (docs/protocol.md, rule 4).

use sterna_protocol::frame::{ClientFrame, GapReason, ServerFrame};
use sterna_stream::{Cursor, Reason, StreamId};
use tokio::time::{Duration, Instant, sleep};

use crate::person::{Person, stored, subscribe};
use crate::segment;
use crate::world::{World, run};

/// The test's device.
const DEVICE: &str = "00000000-0000-0000-0000-000000000007";

fn of(world: &World, stream: &StreamId) -> Option<Cursor> {
    world.shelf.held().cursors.get(&(DEVICE.to_owned(), stream.to_string())).cloned()
}

/// Waits until something is written.
async fn stores(world: &World, count: usize) {
    for _ in 0..1_000 {
        if world.shelf.held().stores.len() >= count {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{count} stores never came: {:?}", world.shelf.held().stores);
}

fn put(world: &World, stream: &StreamId, cursor: &str) {
    let key = (DEVICE.to_owned(), stream.to_string());
    world.shelf.held().cursors.insert(key, cursor.parse().unwrap());
}

/// Subscribes without a cursor and is told where it goes on.
async fn told(world: &mut World, person: &mut Person, stream: &StreamId, head: &str) -> Option<Cursor> {
    person.send(&[subscribe(&[stream], None, None)]).await;
    assert_eq!(world.state.followed().await, [stream.to_string()]);
    world.joined(stream, head).await;
    assert_eq!(person.frame().await.name(), "subscribed");
    match person.frame().await {
        ServerFrame::Gap(gap) => {
            assert_eq!((gap.reason, gap.from.is_empty()), (GapReason::Skipped, true));
            Some(gap.to)
        }
        other => panic!("a gap was expected, not {other:?}"),
    }
}

/// Rule 4: what is reported is stored once in five seconds, merged, and at once when the socket goes.
#[test]
fn reports_are_merged_and_stored_at_most_every_five_seconds() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:9,eu:4").await;
        let began = Instant::now();
        for seq in 1..=5 {
            ana.send(&[stored(&[(&stream, &format!("us:{seq}"))])]).await;
        }
        ana.send(&[stored(&[(&stream, "eu:3")])]).await;
        stores(&world, 1).await;
        assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(of(&world, &stream), Some("us:5,eu:3".parse().unwrap()));
        ana.send(&[stored(&[(&stream, "us:2,eu:4")]), ClientFrame::Ping]).await;
        assert_eq!(ana.frame().await, ServerFrame::Pong);
        let left = Instant::now();
        drop(ana);
        stores(&world, 2).await;
        assert!(left.elapsed() < Duration::from_secs(1), "the rest at once: {:?}", left.elapsed());
        assert_eq!(of(&world, &stream), Some("us:5,eu:4".parse().unwrap()));
    });
}

/// E17, rule 4: without a cursor it goes on behind the stored one, told first by a gap from the beginning;
/// then what came after it.
#[test]
fn a_device_without_memory_goes_on_behind_what_it_stored() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        put(&world, &stream, "us:5");
        let mut ana = world.person("ana").await;
        let to = told(&mut world, &mut ana, &stream, "us:7").await;
        assert_eq!(to, Some("us:5".parse().unwrap()));
        let ask = world.notification.up().await;
        assert_eq!(ask.after, Some((&"us:5".parse::<Cursor>().unwrap()).into()));
        world.notification.page(ask.tag, "", &[segment(&stream, 6, 7)]).await;
        assert_eq!(ana.seqs().await, [6, 7]);
    });
}

/// Rule 4: a cursor that is given counts, also an empty one; a device that stored nothing begins at the
/// beginning, without a gap.
#[test]
fn a_given_cursor_counts_and_nothing_stored_is_the_beginning() {
    run(async {
        let mut world = World::new().await;
        let (stream, fresh) = (world.stream(), world.stream());
        put(&world, &stream, "us:5");
        let mut ana = world.person("ana").await;
        for (stream, cursor) in [(&stream, Some("")), (&fresh, None)] {
            ana.send(&[subscribe(&[stream], cursor, None)]).await;
            assert_eq!(world.state.followed().await, [stream.to_string()]);
            world.joined(stream, "us:7").await;
            assert_eq!(ana.frame().await.name(), "subscribed");
            let ask = world.notification.up().await;
            assert_eq!(ask.after.unwrap_or_default().entries, []);
            world.notification.page(ask.tag, "", &[segment(stream, 1, 7)]).await;
            assert_eq!(ana.seqs().await, [1, 2, 3, 4, 5, 6, 7]);
        }
    });
}

/// Rule 4: what was reported a moment ago counts although it is not written yet.
#[test]
fn what_was_just_reported_counts_at_once() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:9").await;
        ana.send(&[stored(&[(&stream, "us:8")])]).await;
        let to = told(&mut world, &mut ana, &stream, "us:9").await;
        assert_eq!((to, world.shelf.held().stores.len()), (Some("us:8".parse().unwrap()), 0));
    });
}

/// A cursor of a stream that is not followed, ahead of what is here, or of an origin that nobody knows counts
/// as far as it can be true.
#[test]
fn a_report_that_cannot_be_true_is_cut_down_to_what_can() {
    run(async {
        let mut world = World::new().await;
        let (stream, strange) = (world.stream(), world.stream());
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:9").await;
        ana.send(&[stored(&[(&strange, "us:4"), (&stream, "us:900,moon:7")])]).await;
        stores(&world, 1).await;
        assert_eq!((of(&world, &stream), of(&world, &strange)), (Some("us:9".parse().unwrap()), None));
    });
}

/// G9: a hundred thousand `cursor` frames cost one write in five seconds, and nobody waits for them.
#[test]
fn a_storm_of_cursor_frames_is_a_few_writes() {
    run(async {
        let mut world = World::new().await;
        let (stream, strange) = (world.stream(), world.stream());
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:9").await;
        let frames: Vec<ClientFrame> = (0..1_000)
            .map(|n| stored(&[(&stream, &format!("us:{}", n % 9 + 1)), (&strange, "us:1")]))
            .collect();
        let began = Instant::now();
        for _ in 0..100 {
            ana.send(&frames).await;
        }
        ana.send(&[ClientFrame::Ping]).await;
        assert_eq!(ana.frame().await, ServerFrame::Pong);
        drop(ana);
        stores(&world, 1).await;
        sleep(Duration::from_secs(11)).await;
        let most = began.elapsed().as_secs() as usize / 5 + 1;
        assert!(world.shelf.held().stores.len() <= most);
        assert_eq!(of(&world, &stream), Some("us:9".parse().unwrap()));
    });
}

/// `CURSOR_STORES`: reports that find no place are dropped; the shard serves on, and later ones are written.
#[test]
fn reports_beyond_the_queue_are_dropped() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        world.shelf.held().failures = usize::MAX;
        let mut first = world.person("ana").await;
        world.live(&mut first, &stream, "us:9").await;
        for n in 0..sterna_stream::limits::CURSOR_STORES + 10 {
            let mut ana = world.person("ana").await;
            ana.send(&[subscribe(&[&stream], Some("us:9"), None), stored(&[(&stream, "us:3")])]).await;
            ana.send(&[ClientFrame::Ping]).await;
            assert_eq!(
                (ana.frame().await.name(), ana.frame().await),
                ("subscribed", ServerFrame::Pong),
                "{n}"
            );
        }
        world.shelf.held().failures = 0;
        first.send(&[stored(&[(&stream, "us:4")])]).await;
        stores(&world, 2).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(of(&world, &stream), Some("us:4".parse().unwrap()));
        let written: usize = world.shelf.held().stores.iter().map(|store| store.devices.len()).sum();
        assert!(written <= sterna_stream::limits::CURSOR_STORES + 1, "{written}");
    });
}

/// A store that is away refuses a subscription that needs it, for a second; one with a cursor needs it not.
/// What it did not take is tried again.
#[test]
fn a_store_that_is_away_refuses_for_a_second_and_is_written_to_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.shelf.held().failures = 1;
        ana.send(&[subscribe(&[&stream], None, None)]).await;
        let error = ana.refused(Reason::Unavailable).await;
        assert_eq!((error.stream, error.retry_after_ms), (Some(stream.to_string().into()), Some(1_000)));
        world.live(&mut ana, &stream, "us:9").await;
        world.shelf.held().failures = 1;
        ana.send(&[stored(&[(&stream, "us:4")])]).await;
        stores(&world, 1).await;
        assert_eq!(of(&world, &stream), Some("us:4".parse().unwrap()));
    });
}
