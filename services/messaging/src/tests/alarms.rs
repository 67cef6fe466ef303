//! What a partition's sequencer does about stores that do not mend: it says so, and neither hammers nor waits
//! for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sterna_log::faulty::ProduceFault;
use sterna_storage::{Expect, Table, layout};
use sterna_stream::sequencer::Why;
use sterna_stream::sequencer::invariants::Broken;
use tracing::span::{self, Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{Instance, World, config, pass, stream_in, until};

/// E12: a log that takes nothing is an alarm, asked ever more rarely; when it takes records again the work
/// goes on and the alarm is over.
#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_everything_is_an_alarm_until_it_takes_records_again() {
    let mut world = World::new(config());
    world.log_faults.force(ProduceFault::Unavailable, Some(&world.config.log), u64::MAX);
    let instance = world.start("messaging-0");
    world.produce(&[stream_in(0)], 3).await;
    until("the alarm", async || match instance.messaging.alarms().of(0) {
        Some(Why::LogRefuses(_)) => Ok(()),
        other => Err(other),
    })
    .await;
    let opened = async || world.table.query(layout::checkpoints_latest(&world.config.origin, 0)).await;
    let before = opened().await.unwrap().items.len();
    pass(60).await;
    let after = opened().await.unwrap().items.len();
    assert!((1..=60).contains(&(after - before)), "{} takeovers in a minute", after - before);
    world.log_faults.heal();
    world.settled().await;
    assert_eq!(instance.messaging.alarms().of(0), None);
    pass(3).await;
    world.judge().await;
}

/// E10: a missing ingress is one alarm however long it is missing, and a second one if it is missing again
/// later; an instance that is told to finish meanwhile does so at once.
#[tokio::test(start_paused = true)]
async fn a_missing_ingress_is_told_once_and_holds_up_no_drain() {
    let alarms = Arc::new(AtomicUsize::new(0));
    let _counting = tracing::subscriber::set_default(Errors(alarms.clone()));
    let world = World::new(config());
    world.log.wipe();
    let missing = async |instance: &Instance| {
        until("the alarm", async || match instance.messaging.alarms().of(1) {
            Some(Why::TopicMissing("ingress")) => Ok(()),
            other => Err(other),
        })
        .await;
    };
    let first = world.start("messaging-0#1");
    missing(&first).await;
    pass(60).await;
    assert_eq!(alarms.load(Ordering::Relaxed), 1);
    assert_eq!(first.process.drain(Duration::from_millis(100)).await.cut, 0);

    let second = world.start("messaging-0#2");
    missing(&second).await;
    world.log_faults.set_down(true);
    pass(10).await;
    world.log_faults.set_down(false);
    pass(10).await;
    assert_eq!(alarms.load(Ordering::Relaxed), 3, "one of the second, and another when it was missing again");
    for topic in [&world.config.ingress, &world.config.log] {
        world.log.create(topic, world.config.partitions);
    }
    until("the end of the alarm", async || second.messaging.alarms().of(1).map_or(Ok(()), Err)).await;
}

/// Counts what this thread says as an error.
struct Errors(Arc<AtomicUsize>);

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// E10: a hole in the own chain does not mend by waiting: after a while it is an alarm with the stream's
/// name, and nothing is sequenced; the other partition goes on.
#[tokio::test(start_paused = true)]
async fn a_hole_in_the_own_chain_stops_the_partition_by_name() {
    let mut world = World::new(config());
    let (hurt, fine) = (stream_in(0), stream_in(1));
    let first = world.start("messaging-0#1");
    for _ in 0..4 {
        world.produce(std::slice::from_ref(&hurt), 1).await;
        world.settled().await;
    }
    first.process.kill();
    let third = layout::segment(&hurt, &world.config.origin, 3);
    world.table.delete(third, Expect::Any).await.unwrap();
    let second = world.start("messaging-0#2");
    let started = tokio::time::Instant::now();
    until("the alarm", async || match second.messaging.alarms().of(0) {
        Some(Why::Chain(stream, Broken::Gap { expected: 3, .. })) if stream == hurt => Ok(()),
        other => Err(other),
    })
    .await;
    assert!(started.elapsed() >= Duration::from_secs(30), "it was read again for a while");
    world.produce(std::slice::from_ref(&fine), 2).await;
    until("the other partition's events", async || match world.stored().await.get(&fine) {
        Some(_) => Ok(()),
        None => Err(()),
    })
    .await;
}

/// E10: what cannot be read does not mend by waiting either, whoever finds it: what stands in the place of
/// a stream's next segment, or a segment of its chain that persistence cannot read. After a while it is an
/// alarm with the stream's name; the other partition goes on.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_stops_the_partition_by_name() {
    for of_the_chain in [false, true] {
        let mut world = World::new(config());
        let (hurt, fine) = (stream_in(0), stream_in(1));
        let first = world.start("messaging-0#1");
        world.produce(std::slice::from_ref(&hurt), 1).await;
        world.settled().await;
        let place = layout::segment(&hurt, &world.config.origin, if of_the_chain { 1 } else { 2 });
        world.table.put(place, "no segment".into(), Expect::Any).await.unwrap();
        let running = if of_the_chain {
            first.process.kill();
            world.start("messaging-0#2")
        } else {
            first
        };
        let started = tokio::time::Instant::now();
        world.produce(std::slice::from_ref(&hurt), 1).await;
        until("the alarm", async || match running.messaging.alarms().of(0) {
            Some(Why::Unreadable(stream)) if stream == hurt => Ok(()),
            other => Err(other),
        })
        .await;
        let waited = started.elapsed();
        let expected = Duration::from_secs(30)..Duration::from_secs(60);
        assert!(expected.contains(&waited), "it was tried again for a while: {waited:?}");
        world.produce(std::slice::from_ref(&fine), 2).await;
        until("the other partition's events", async || match fine_stands(&world, &fine).await {
            true => Ok(()),
            false => Err(()),
        })
        .await;
    }
}

/// Whether something of `stream` is stored; the tables are not read as a whole, since they are damaged.
async fn fine_stands(world: &World, stream: &sterna_stream::StreamId) -> bool {
    let first = layout::segment(stream, &world.config.origin, 1);
    let found = world.table.get(&[first], sterna_storage::Consistency::Consistent).await.unwrap();
    found[0].is_some()
}
