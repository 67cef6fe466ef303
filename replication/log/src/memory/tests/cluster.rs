#![allow(clippy::unwrap_used)]
//! What happens to the cluster: latency, limits, retention, replicas, truncation, topics made anew.

use futures_util::FutureExt;
use tokio::time::Instant;

use super::*;

/// L2, turned round: what is not acknowledged is seen by nobody.
#[tokio::test(start_paused = true)]
async fn a_record_is_unseen_until_every_replica_has_it() {
    let latency = Duration::from_millis(5);
    let log = cluster(1, |config| config.produce_latency = (latency, latency));
    let began = Instant::now();
    let mut call = log.produce(record("0"));
    assert_eq!((&mut call).now_or_never(), None);
    assert_eq!(log.last(&topic(), 0).await.unwrap(), None);
    assert!(log.read(&topic(), 0, 0, 1_024).await.unwrap().entries.is_empty());
    let offset = call.await.unwrap();
    assert_eq!(began.elapsed(), latency);
    assert_eq!(log.last(&topic(), 0).await.unwrap().unwrap().offset, offset);
}

/// L2: what is lost before every replica has it is never acknowledged, whatever offset is given again and
/// however late its producer asks; what stood before it is.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_lost_before_every_replica_has_it_is_not_acknowledged() {
    let latency = Duration::from_millis(5);
    let log = cluster(1, |config| {
        config.produce_latency = (latency, latency);
        config.hole_per_mille = 0;
    });
    let kept = log.produce(record("0"));
    tokio::time::sleep(latency).await;
    let (before, lost) = (log.produce(record("1")), log.produce(record("2")));
    log.truncate(&topic(), 0, 2).unwrap();
    let again = log.produce(record("3"));
    assert_eq!((kept.await, before.await, again.await), (Ok(0), Ok(1), Ok(2)));
    assert!(matches!(lost.await, Err(Error::Unknown(_))));
    for end in [MemoryLog::wipe as fn(&MemoryLog), |log| log.recreate(&topic()).unwrap()] {
        log.create(&topic(), 1);
        let lost = log.produce(record("4"));
        end(&log);
        assert!(matches!(lost.await, Err(Error::Unknown(_))));
    }
}

/// L1 where every record draws another latency, which then falls to none: the order stays.
#[tokio::test(start_paused = true)]
async fn latencies_do_not_reorder() {
    let log = cluster(1, |config| config.produce_latency = (Duration::ZERO, Duration::from_millis(50)));
    let calls: Vec<_> = (0..500).map(|n| log.produce(record(&n.to_string()))).collect();
    log.tune(|config| config.produce_latency = (Duration::ZERO, Duration::ZERO));
    let after = log.produce(record("500"));
    assert!(after.await.is_ok());
    let acknowledged = Instant::now();
    for call in calls {
        assert!(call.await.is_ok());
    }
    assert_eq!(acknowledged.elapsed(), Duration::ZERO, "what came before it was acknowledged before it");
    let page = log.read(&topic(), 0, 0, usize::MAX).await.unwrap();
    assert_eq!(numbers(&page.entries), (0..=500).collect::<Vec<u64>>());
}

/// G9: a partition takes so many unacknowledged records and no more; the refused one never comes (L5).
#[tokio::test(start_paused = true)]
async fn a_full_pipe_is_unavailable_and_recovers() {
    let second = Duration::from_secs(1);
    let log = cluster(1, |config| {
        config.produce_latency = (second, second);
        config.unacked_records_max = 3;
    });
    let taken: Vec<_> = (0..3).map(|n| log.produce(record(&n.to_string()))).collect();
    let refused = log.produce(record("3")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(refused.unwrap_err().is_without_effect());
    futures_util::future::join_all(taken).await;
    let again: Vec<_> = (0..3).map(|n| log.produce(record(&n.to_string()))).collect();
    for call in again {
        assert!(call.await.is_ok(), "though nobody has read meanwhile");
    }
    assert_eq!(numbers(&log.read(&topic(), 0, 0, 1_024).await.unwrap().entries), [0, 1, 2, 0, 1, 2]);
}

/// G9: retention by count and by bytes; the newest record always stays; L8 for what is gone.
#[tokio::test(start_paused = true)]
async fn retention_bounds_a_partition() {
    let log = cluster(1, |config| config.keep_records = 10);
    let offsets = fill(&log, 0..100).await;
    let extent = log.describe(&topic(), None).await.unwrap().partitions[0];
    assert_eq!(extent.earliest, offsets[90]);
    assert_eq!(numbers(&log.read(&topic(), 0, extent.earliest, 1_024).await.unwrap().entries).len(), 10);
    let gone = log.read(&topic(), 0, offsets[89], 1_024).await;
    assert!(matches!(gone, Err(Error::OutOfRange { .. })), "{gone:?}");
    log.tune(|config| config.keep_bytes = 0);
    let offsets = fill(&log, 100..101).await;
    let extent = log.describe(&topic(), None).await.unwrap().partitions[0];
    assert_eq!(extent.earliest, offsets[0], "the newest stays");
}

/// E10: an offset that has expired is an error for a reader and for a member.
#[tokio::test(start_paused = true)]
async fn an_expired_offset_is_out_of_range() {
    let log = cluster(1, |_| {});
    let offsets = fill(&log, 0..10).await;
    log.expire(&topic(), 0, offsets[5]).unwrap();
    let read = log.read(&topic(), 0, offsets[4], 1_024).await;
    let Err(Error::OutOfRange { asked, earliest, .. }) = read else { panic!("{read:?}") };
    assert_eq!((asked, earliest), (offsets[4], offsets[5]));
    let mut member = log.join(&"g".parse().unwrap(), &[topic()]).await.unwrap();
    assert!(matches!(member.next().await, Ok(crate::Polled::Assigned { partition: 0, .. })));
    member.start(0, &[(topic(), offsets[4])]);
    assert!(matches!(member.next().await, Err(Error::OutOfRange { .. })));
    log.expire(&topic(), 0, u64::MAX).unwrap();
    let extent = log.describe(&topic(), None).await.unwrap().partitions[0];
    assert_eq!(extent.earliest, extent.end, "all is gone, the end stays");
}

/// E1: a topic made anew has another identity, is empty and gives its offsets again (L3, L10).
#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_has_another_identity() {
    let log = cluster(2, |_| {});
    let first = fill(&log, 0..10).await;
    let before = log.describe(&topic(), None).await.unwrap();
    log.recreate(&topic()).unwrap();
    let after = log.describe(&topic(), None).await.unwrap();
    assert_ne!(after.identity, before.identity);
    assert_eq!((after.partitions[0].earliest, after.partitions[0].end), (0, 0));
    assert_eq!(fill(&log, 0..1).await[0], first[0]);
}

/// E1: a member beyond the end of a topic made anew is told; one that comes late reads on in another log and
/// only the identity tells.
#[tokio::test(start_paused = true)]
async fn a_shorter_log_is_out_of_range_and_a_grown_one_is_not_noticed() {
    let log = cluster(1, |config| config.hole_per_mille = 0);
    fill(&log, 0..10).await;
    let mut member = log.join(&"g".parse().unwrap(), &[topic()]).await.unwrap();
    assert!(matches!(member.next().await, Ok(crate::Polled::Assigned { .. })));
    for grown in [false, true] {
        member.start(0, &[(topic(), 5)]);
        assert!(matches!(member.next().await, Ok(crate::Polled::Records(_))));
        assert!(member.next().now_or_never().is_none(), "at the end");
        log.recreate(&topic()).unwrap();
        let after = if grown { 20 } else { 5 };
        fill(&log, 100..100 + after).await;
        match member.next().await {
            Err(Error::OutOfRange { asked: 10, .. }) if !grown => {}
            Ok(crate::Polled::Records(batch)) if grown => assert_eq!(numbers(&batch.entries)[0], 110),
            other => panic!("{grown}: {other:?}"),
        }
        fill(&log, 200..205).await;
    }
}

/// E1: an unclean election loses the newest records, also those on their way, and gives their offsets again.
#[tokio::test(start_paused = true)]
async fn truncation_loses_the_end() {
    let log = cluster(1, |_| {});
    let offsets = fill(&log, 0..10).await;
    let second = Duration::from_secs(1);
    log.tune(|config| config.produce_latency = (second, second));
    let lost = log.produce(record("10"));
    log.truncate(&topic(), 0, offsets[7]).unwrap();
    assert!(matches!(lost.await, Err(Error::Unknown(_))), "it was never on all replicas");
    // Three that were acknowledged are gone, too: that is what makes it unclean.
    assert_eq!(
        numbers(&log.read(&topic(), 0, 0, 1_024).await.unwrap().entries),
        (0..7).collect::<Vec<u64>>()
    );
    log.tune(|config| config.produce_latency = (Duration::ZERO, Duration::ZERO));
    assert_eq!(fill(&log, 11..12).await[0], offsets[7]);
}

/// E9: too few replicas in sync: nothing is taken; where one is allowed, the description tells that it is
/// one.
#[tokio::test(start_paused = true)]
async fn single_copies_are_refused_or_told() {
    let log = cluster(1, |_| {});
    log.set_in_sync(1);
    let refused = log.produce(record("0")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(log.last(&topic(), 0).await.unwrap(), None);
    log.tune(|config| config.in_sync_min = 1);
    assert!(log.produce(record("0")).await.is_ok());
    assert_eq!(log.describe(&topic(), None).await.unwrap().partitions[0].in_sync, 1);
}

/// A broker with a clock refuses what comes from further ahead than it tolerates, as a real one does: a
/// producer whose clock is wrong must check before.
#[tokio::test(start_paused = true)]
async fn a_record_from_the_far_future_is_refused() {
    let log = cluster(1, |_| {});
    log.set_clock(|| 1_000);
    let at = |timestamp_ms| log.produce(Record { timestamp_ms, ..record("0") });
    assert!(at(1_000 + AHEAD_MS_MAX).await.is_ok());
    let refused = at(1_001 + AHEAD_MS_MAX).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert!(at(0).await.is_ok(), "however old");
}

/// E35: one seed, one history; E28: holes, also at the end.
#[tokio::test(start_paused = true)]
async fn offsets_follow_from_the_seed() {
    let of = async |seed| {
        let config = Config { hole_per_mille: 300, ..Config::default() };
        let log = MemoryLog::new(seed, config);
        log.create(&topic(), 1);
        let mut offsets = fill(&log, 0..200).await;
        let description = log.describe(&topic(), None).await.unwrap();
        offsets.push(description.partitions[0].end);
        (offsets, description.identity)
    };
    assert_eq!(of(1).await, of(1).await);
    assert_ne!(of(1).await.0, of(2).await.0);
    assert_ne!(of(1).await.1, of(2).await.1);
    let holes = of(3).await.0.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
    assert!((20..100).contains(&holes), "{holes} holes");
}

/// A group's topics have equal partition counts, now and later (E15 needs it).
#[tokio::test(start_paused = true)]
async fn unequal_partition_counts_are_refused() {
    let log = cluster(2, |_| {});
    let other: Topic = "other".parse().unwrap();
    log.create(&other, 3);
    let group = "g".parse().unwrap();
    let refused = async |topics: &[Topic]| matches!(log.join(&group, topics).await, Err(Error::Refused(_)));
    assert!(refused(&[topic(), other.clone()]).await);
    assert!(refused(&[]).await);
    assert!(!refused(&[topic(), topic()]).await);
    assert!(refused(&[other]).await, "the group has two partitions");
}
