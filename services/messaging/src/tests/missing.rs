//! A log that answers of a topic that it is missing, for moments or for good: the first costs time, only the
//! second ends the work, and another topic of the same name ends it at once.

use std::time::Duration;

use sterna_log::Log;
use sterna_log::faulty::Answers;
use sterna_stream::limits::TOPIC_MISSES;
use sterna_stream::sequencer::Why;

use super::{World, config, pass, stream_in, until};

/// E10: a few answers in a row that ingress or log is missing, to a running instance and to one that takes
/// over, stop nothing.
#[tokio::test(start_paused = true)]
async fn some_answers_that_a_topic_is_missing_stop_nothing() {
    for log in [false, true] {
        let mut world = World::new(config());
        let topic = if log { world.config.log.clone() } else { world.config.ingress.clone() };
        let first = world.start("messaging-0#1");
        world.produce(&[stream_in(0), stream_in(1)], 2).await;
        world.settled().await;
        pass(3).await;
        world.log_faults.miss(&topic, Answers::Questions, 5);
        world.produce(&[stream_in(0), stream_in(1)], 2).await;
        pass(10).await;
        assert_eq!(first.messaging.alarms().of_all(), None, "log {log}: underway");
        world.settled().await;
        first.process.kill();

        world.log_faults.miss(&topic, Answers::Questions, 5);
        let second = world.start("messaging-0#2");
        world.produce(&[stream_in(0), stream_in(1)], 2).await;
        world.settled().await;
        for partition in 0..2 {
            assert_eq!(second.messaging.alarms().of(partition), None, "log {log}: at takeover");
        }
        world.judge().await;
    }
}

/// E10: what a consumer is told of its partition's ingress stops nothing either: the partition is taken over
/// again, and everything that was accepted is sequenced once.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_told_so_takes_its_partition_over_again() {
    let mut world = World::new(config());
    let running = world.start("messaging-0");
    world.produce(&[stream_in(0), stream_in(1)], 2).await;
    world.settled().await;
    world.log_faults.miss(&world.config.ingress, Answers::Deliveries, 4);
    for _ in 0..10 {
        world.produce(&[stream_in(0), stream_in(1)], 1).await;
        pass(1).await;
    }
    world.settled().await;
    for partition in 0..2 {
        assert_eq!(running.messaging.alarms().of(partition), None);
    }
    pass(3).await;
    world.judge().await;
}

/// E10: a topic that stays missing ends the work: after so many answers in a row, not before, and with words
/// that say what it means and what to do.
#[tokio::test(start_paused = true)]
async fn what_stays_missing_ends_the_work_after_so_many_answers() {
    for (log, answers) in
        [(false, Answers::Questions), (true, Answers::Questions), (false, Answers::Deliveries)]
    {
        let mut world = World::new(config());
        let topic = if log { world.config.log.clone() } else { world.config.ingress.clone() };
        let first = world.start("messaging-0#1");
        world.produce(&[stream_in(0)], 2).await;
        world.settled().await;
        pass(3).await;
        let started = tokio::time::Instant::now();
        world.log_faults.miss(&topic, answers, u64::MAX);
        world.produce(&[stream_in(0)], 1).await;
        until("the alarm", async || match first.messaging.alarms().of(0) {
            Some(Why::TopicMissing(name)) if (name == "log") == log => Ok(()),
            other => Err((log, answers, other)),
        })
        .await;
        let waited = started.elapsed();
        let soon = Duration::from_secs(u64::from(TOPIC_MISSES) - 2);
        assert!(waited >= soon, "after {waited:?}: log {log}, {answers:?}");
        let why = first.messaging.alarms().of(0).unwrap().to_string();
        for words in
            ["times in a row", "rebuild", if log { "the log is missing" } else { "the ingress is missing" }]
        {
            assert!(why.contains(words), "{why}");
        }
    }
}

/// E1, E10: answers that a topic is missing do not make another topic of its name pass for it.
#[tokio::test(start_paused = true)]
async fn another_topic_behind_such_answers_ends_the_work_at_once() {
    for log in [false, true] {
        let mut world = World::new(config());
        let topic = if log { world.config.log.clone() } else { world.config.ingress.clone() };
        let running = world.start("messaging-0");
        world.produce(&[stream_in(0)], 3).await;
        world.settled().await;
        pass(3).await;
        world.log_faults.miss(&topic, Answers::Questions, 3);
        pass(2).await;
        world.log.recreate(&topic).unwrap();
        // Offsets fit: more stands there than was ever consumed.
        world.produce(&[stream_in(0)], 20).await;
        let before = world.ids().await.len();
        let name = if log { "log" } else { "ingress" };
        pass(3).await;
        assert_eq!(running.messaging.alarms().of_all(), Some(Why::TopicOther(name)));
        pass(60).await;
        assert!(world.ids().await.len() - before <= 20);
        let described = world.log.describe(&topic, None).await.unwrap();
        assert_eq!(described.partitions.len(), 2);
        running.process.kill();
        let (held, next) = (world.ids().await.len(), world.start("messaging-1"));
        until("the alarm of whoever comes next", async || match next.messaging.alarms().of(0) {
            Some(Why::TopicOther(other)) if other == name => Ok(()),
            other => Err(other),
        })
        .await;
        pass(30).await;
        assert_eq!(world.ids().await.len(), held, "nothing is sequenced");
    }
}
