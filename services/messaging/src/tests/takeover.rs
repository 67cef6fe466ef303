//! Goal: whoever dies, stalls or is deposed at whatever moment, nothing accepted is lost or repeated.
//! Method: instances are killed at many polls, paused past their session, and meet damaged logs; at rest the
//! table's chains and the log are judged against what was accepted.

use std::time::Duration;

use sterna_log::Log;
use sterna_log::faulty::ProduceFault;
use sterna_process::State;
use sterna_proto::checkpoint;
use sterna_proto::record::{LOG_POS, LogRecord, Placed};
use sterna_storage::{Expect, Put, Table, control, layout};
use sterna_stream::limits::TOPIC_MISSES;
use sterna_stream::sequencer::{Checkpoint, Why};
use sterna_stream::watermark::{Seen, Watermark};

use super::{World, config, pass, stream_in, streams, until};
use crate::Config;

/// E10, E12, E21, E34: an instance that dies at any await is succeeded by one that goes on where it stood.
#[tokio::test(start_paused = true)]
async fn a_takeover_at_any_poll_loses_and_repeats_nothing() {
    let mut died = 0;
    for poll in 1..80 {
        let mut world = World::new(config());
        let first = world.start("messaging-0#1");
        first.process.die_at_poll(poll);
        for _ in 0..6 {
            world.produce(&streams(5), 2).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        died += usize::from(first.process.state() == State::Dead);
        first.process.kill();
        let _second = world.start("messaging-0#2");
        world.produce(&streams(5), 1).await;
        world.settled().await;
        world.judge().await;
    }
    assert!(died >= 40, "died {died} times by itself");
}

/// E12: the table may apply a put and not say so, lose it, or land it seconds later: what stands there is
/// adopted, once.
#[tokio::test(start_paused = true)]
async fn lost_puts_are_adopted_and_stand_once() {
    for seed in 0..12 {
        let mut world = World::new(config());
        world.minted = seed << 32;
        let chances = sterna_storage::faulty::Chances {
            unknown: 250,
            lost: 150,
            late: 100,
            fail: 50,
            ..Default::default()
        };
        world.faults.set_chances(chances);
        let _instance = world.start("messaging-0");
        for _ in 0..10 {
            world.produce(&streams(4), 2).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        world.faults.set_chances(Default::default());
        world.settled().await;
        // Late puts land ten seconds after; equal ones change nothing and others find the place taken.
        pass(15).await;
        world.judge().await;
        let taken = world.faults.taken();
        assert!(taken.unknown > 0 && taken.lost > 0, "{taken:?}");
    }
}

/// E1, E10: a log that ends before what was acknowledged is not this region's any more: an alarm, and nothing
/// is sequenced; the other partition goes on.
#[tokio::test(start_paused = true)]
async fn a_truncated_log_is_an_alarm_and_nothing_is_sequenced() {
    let mut world = World::new(config());
    let (hurt, fine) = (stream_in(0), stream_in(1));
    let first = world.start("messaging-0#1");
    world.produce(&[hurt.clone(), fine.clone()], 10).await;
    world.settled().await;
    pass(5).await;
    first.process.kill();
    let before = world.records(true, 0).await.len();
    assert!(before > 2, "segments and marks");
    world.log.truncate(&world.config.log, 0, 1).unwrap();

    let second = world.start("messaging-0#2");
    until("the alarm", async || match second.messaging.alarms().of(0) {
        Some(Why::LogShorter { .. }) => Ok(()),
        other => Err(other),
    })
    .await;
    let (stored, logged) = (world.stored().await[&hurt].len(), world.records(true, 0).await.len());
    let accepted = world.accepted.clone();
    world.produce(std::slice::from_ref(&hurt), 3).await;
    world.accepted = accepted;
    world.produce(std::slice::from_ref(&fine), 3).await;
    pass(60).await;
    assert_eq!(world.stored().await[&hurt].len(), stored, "nothing is put");
    assert_eq!(world.records(true, 0).await.len(), logged, "nothing is produced, no mark either");
    assert_eq!(second.messaging.alarms().of(1), None);
    let ids = world.ids().await;
    assert!(world.accepted.iter().all(|id| ids.contains(id)), "the other partition goes on");
}

/// E1, E10: an ingress that was made anew is an alarm too, at the takeover and under a running sequencer; an
/// offset is never reset.
#[tokio::test(start_paused = true)]
async fn a_lost_ingress_is_an_alarm_at_takeover_and_underway() {
    for underway in [false, true] {
        let mut world = World::new(config());
        let first = world.start("messaging-0#1");
        world.produce(&[stream_in(0), stream_in(1)], 10).await;
        world.settled().await;
        pass(3).await;
        let running = if underway {
            world.log.recreate(&world.config.ingress).unwrap();
            first
        } else {
            first.process.kill();
            world.log.recreate(&world.config.ingress).unwrap();
            world.start("messaging-0#2")
        };
        let accepted = world.accepted.clone();
        world.produce(&[stream_in(0), stream_in(1)], 1).await;
        for partition in 0..2 {
            until("the alarm", async || match running.messaging.alarms().of(partition) {
                Some(Why::IngressLost { .. }) if underway => Ok(()),
                Some(Why::TopicOther("ingress")) if !underway => Ok(()),
                other => Err((underway, partition, other)),
            })
            .await;
        }
        world.accepted = accepted;
        pass(30).await;
        world.judge().await;
    }
}

/// E1: what the control items say is what starts: a life that the witness has ended sequences nothing, nor
/// does one whose rebuild did not end; once it is opened it goes on.
#[tokio::test(start_paused = true)]
async fn only_the_present_and_opened_life_sequences() {
    let mut world = World::new(config());
    let [witness, region] = ["eu-west-1", "us-east-1"].map(|name| name.parse().unwrap());
    let raised = control::raise_incarnation(&*world.table, &witness, &region, 1).await.unwrap();
    assert_eq!(raised, control::Raised::Done(2));
    world.produce(&[stream_in(0)], 3).await;
    let ended = world.start("messaging-0");
    until("the alarm", async || match ended.messaging.alarms().of(0) {
        Some(Why::LifeEnded(2)) => Ok(()),
        other => Err(other),
    })
    .await;
    pass(30).await;
    assert_eq!(world.ids().await.len(), 0, "nothing is sequenced");
    ended.process.kill();

    let next = Config { origin: "us-east-1~2".parse().unwrap(), ..world.config.clone() };
    world.config =
        Config { partitions: 2, ..Config::new(next.origin, next.content_secret, next.grant_secret) };
    world.log.create(&world.config.ingress, 2);
    world.log.create(&world.config.log, 2);
    world.accepted.clear();
    world.produce(&[stream_in(0)], 3).await;
    let unopened = world.start("messaging-1");
    until("the alarm", async || match unopened.messaging.alarms().of(0) {
        Some(Why::Unopened) => Ok(()),
        other => Err(other),
    })
    .await;
    unopened.process.kill();
    control::open(&*world.table, &world.config.origin).await.unwrap();
    let _opened = world.start("messaging-2");
    world.settled().await;
    world.judge().await;
}

/// E1, E10: offsets of another topic of the same name say nothing, however well they fit: an ingress that was
/// made anew and holds more than the old one had is an alarm, and nothing of it is passed over. So is a log,
/// and a topic that is missing.
#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_is_told_by_its_identity_and_never_by_offsets() {
    for log in [false, true] {
        let mut world = World::new(config());
        let first = world.start("messaging-0#1");
        world.produce(&[stream_in(0)], 3).await;
        world.settled().await;
        pass(3).await;
        first.process.kill();
        world.log.recreate(if log { &world.config.log } else { &world.config.ingress }).unwrap();
        world.produce(&[stream_in(0)], 20).await;
        let (before, second) = (world.ids().await.len(), world.start("messaging-0#2"));
        until("the alarm", async || match second.messaging.alarms().of(0) {
            Some(Why::TopicOther(name)) if (name == "log") == log => Ok(()),
            other => Err((log, other)),
        })
        .await;
        pass(60).await;
        assert_eq!(world.ids().await.len(), before, "nothing is sequenced");
    }
}

/// E1: ingress and log that are gone under a running sequencer end its work after so many looks, those that
/// are made anew within seconds.
#[tokio::test(start_paused = true)]
async fn a_topic_that_goes_or_changes_underway_ends_the_work() {
    for gone in [false, true] {
        let mut world = World::new(config());
        let running = world.start("messaging-0");
        world.produce(&[stream_in(0), stream_in(1)], 3).await;
        world.settled().await;
        pass(3).await;
        if gone {
            world.log.wipe();
        } else {
            world.log.recreate(&world.config.log).unwrap();
        }
        pass(if gone { u64::from(TOPIC_MISSES) + 2 } else { 3 }).await;
        match running.messaging.alarms().of_all() {
            Some(Why::TopicMissing("ingress")) if gone => {}
            Some(Why::TopicOther("log")) if !gone => {}
            other => panic!("gone {gone}: {other:?}"),
        }
        if !gone {
            let (before, logged) = (world.ids().await.len(), world.records(true, 0).await.len());
            world.produce(&[stream_in(0)], 3).await;
            pass(30).await;
            assert_eq!(world.ids().await.len(), before, "nothing is sequenced");
            assert_eq!(world.records(true, 0).await.len(), logged, "and nothing is logged");
        }
        running.process.kill();
        let next = world.start("messaging-1");
        until("the alarm of whoever comes next", async || match next.messaging.alarms().of(0) {
            Some(Why::TopicMissing("ingress")) if gone => Ok(()),
            Some(Why::TopicOther("log")) if !gone => Ok(()),
            other => Err((gone, other)),
        })
        .await;
    }
}

/// E11, E12: two instances share the partitions; one that is paused past its session and wakes with what it
/// had fetched meets its successor's segments, adopts them and stops.
#[tokio::test(start_paused = true)]
async fn a_zombie_that_wakes_leaves_chains_that_tile() {
    for pause_after_ms in [0, 1, 7, 40, 150, 990] {
        let mut world = World::new(config());
        // Puts take a while, so that the pause falls into some.
        let delay = Duration::from_millis(5);
        world.faults.set_chances(sterna_storage::faulty::Chances {
            delay_min: delay,
            delay_max: 4 * delay,
            ..Default::default()
        });
        let zombie = world.start("messaging-0");
        world.produce(&streams(6), 2).await;
        world.settled().await;
        let other = world.start("messaging-1");
        pass(3).await;
        world.produce(&streams(6), 5).await;
        tokio::time::sleep(Duration::from_millis(pause_after_ms)).await;
        zombie.process.pause(true);
        for _ in 0..10 {
            world.produce(&streams(6), 1).await;
            pass(2).await;
        }
        world.settled().await;
        zombie.process.pause(false);
        world.produce(&streams(6), 5).await;
        pass(30).await;
        world.settled().await;
        world.judge().await;
        for partition in 0..2 {
            let alarms = [&zombie, &other].map(|instance| instance.messaging.alarms().of(partition));
            assert_eq!(alarms, [None, None]);
            let described =
                world.log.describe(&world.config.ingress, Some(&world.config.group)).await.unwrap();
            let extent = described.partitions[usize::from(partition)];
            let from = extent.committed.unwrap();
            let rest = world.log.read(&world.config.ingress, partition, from, usize::MAX).await.unwrap();
            assert!(rest.entries.is_empty(), "all is committed by whoever owns it");
        }
    }
}

/// E10, E12: several segments of one stream may be in the table and not in the log; whoever takes over
/// produces all of them, oldest first.
#[tokio::test(start_paused = true)]
async fn segments_that_the_log_never_got_are_produced_again() {
    let mut world = World::new(config());
    let stream = stream_in(0);
    let first = world.start("messaging-0#1");
    world.produce(std::slice::from_ref(&stream), 1).await;
    world.settled().await;
    pass(3).await;
    world.log_faults.set(|chances| chances.unknown_after = Duration::from_secs(60));
    world.log_faults.force(ProduceFault::Lost, Some(&world.config.log), 1_000);
    for _ in 0..4 {
        world.produce(std::slice::from_ref(&stream), 1).await;
        pass(1).await;
    }
    first.process.kill();
    world.log_faults.heal();
    assert_eq!((world.stored().await[&stream].len(), world.logged().await.len()), (5, 1));
    let _second = world.start("messaging-0#2");
    world.settled().await;
    world.judge().await;
}

/// E21: of two that take a partition over at once one raises the term; the other begins anew with a higher
/// one, so no position is given twice.
#[tokio::test(start_paused = true)]
async fn no_two_instances_write_under_one_term() {
    for pause_after in (0..6_000).step_by(250) {
        let mut world = World::new(config());
        let slow = Duration::from_secs(2);
        world.log_faults.set(|chances| (chances.slow, chances.slow_max) = (1_000, slow));
        let stalled = world.start("messaging-0");
        tokio::time::sleep(Duration::from_millis(pause_after)).await;
        stalled.process.pause(true);
        let _other = world.start("messaging-1");
        world.produce(&streams(4), 2).await;
        pass(30).await;
        world.log_faults.heal();
        stalled.process.pause(false);
        world.produce(&streams(4), 2).await;
        pass(20).await;
        world.settled().await;
        world.judge().await;
        for partition in 0..2 {
            let mut positions = world.positions(partition).await;
            let records = positions.len();
            positions.sort_unstable();
            positions.dedup();
            assert_eq!(positions.len(), records, "paused after {pause_after} ms");
        }
    }
}

/// E21: an opening that a deposed taker leaves behind is met by the owner, which takes over again above
/// it, or by its successor; either way readers count every segment in the end, those too that were
/// committed meanwhile.
#[tokio::test(start_paused = true)]
async fn an_opening_left_behind_is_met_and_everything_counts() {
    for succeeded in [false, true] {
        let mut world = World::new(config());
        let first = world.start("messaging-0#1");
        world.produce(&[stream_in(0)], 5).await;
        pass(3).await;
        let opened = leave_opening(&world).await;
        world.produce(&[stream_in(0)], 5).await;
        world.settled().await;
        let _second = if succeeded {
            tokio::time::sleep(Duration::from_millis(100)).await;
            first.process.kill();
            world.start("messaging-0#2")
        } else {
            first
        };
        until("a term above the opening", async || {
            let newest = world.positions(0).await.iter().map(|pos| pos.term).max();
            if newest > Some(opened) { Ok(()) } else { Err(newest) }
        })
        .await;
        world.produce(&[stream_in(0)], 5).await;
        world.settled().await;
        pass(3).await;
        world.judge().await;
        assert_eq!(world.uncounted(0).await, Vec::<u64>::new(), "succeeded {succeeded}");
    }
}

/// Puts the opening of somebody who took partition 0 over and wrote nothing. Its term.
async fn leave_opening(world: &World) -> u64 {
    let origin = &world.config.origin;
    let newest = world.table.query(layout::checkpoints_latest(origin, 0).limit(1)).await.unwrap();
    let newest = checkpoint::decode(&newest.items[0].value).unwrap();
    let opening = Checkpoint { term: newest.term + 1, number: 0, index: vec![], ..newest };
    let key = layout::checkpoint(origin, 0, opening.term, 0, 0);
    let put = world.table.put(key, checkpoint::encode(&opening), Expect::Absent).await.unwrap();
    assert!(matches!(put, Put::Done(_)));
    opening.term
}

impl World {
    /// First seqs of the segments of partition `partition` that a reader of its log does not count.
    async fn uncounted(&self, partition: u16) -> Vec<u64> {
        let (mut watermark, mut places) = (Watermark::default(), Vec::new());
        for record in self.records(true, partition).await {
            let placed = Placed::decode(record.header(LOG_POS).unwrap()).unwrap();
            let decoded = LogRecord::decode(record.value.clone()).unwrap();
            assert_ne!(watermark.seen(&decoded.counted(&record.value, placed)), Seen::Differs);
            if let LogRecord::Segment(stored) = decoded {
                places.push((stored.segment.first, placed.pos));
            }
        }
        assert_eq!(watermark.hole(), None);
        let counted = |first| places.iter().any(|&(f, pos)| f == first && watermark.covers(pos));
        places.iter().map(|&(first, _)| first).filter(|&first| !counted(first)).collect()
    }
}
