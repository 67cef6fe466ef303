//! C3–C7, C11, L12: what is delivered to a member, and from where.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::time::{Duration, sleep, timeout};

use super::crew::{Member, Seen, drive, drive_for, fill, text};
use super::{PARTITIONS, PATIENCE, QUIET, topics};
use crate::error::Error;
use crate::log::{Log, Polled};

/// C3: nothing for a topic never committed, the offset for the other, in the order of the join.
pub async fn c3_an_assignment_carries_what_was_committed(log: Arc<dyn Log>) {
    let [one, two] = topics();
    let offsets = fill(&log, &two, 1, ("x", 4)).await;
    let joined = [two.clone(), one.clone()];
    let mut crew = vec![Member::idle("a", &log, "contract-c3", &joined).await];
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == usize::from(PARTITIONS)).await;
    let generation = crew[0].owned[&1];
    crew[0].consumer.commit(1, generation, &[(two.clone(), offsets[2])]).await.expect("its own");
    crew.clear();
    crew.push(Member::idle("b", &log, "contract-c3", &joined).await);
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == usize::from(PARTITIONS)).await;
    for seen in &crew[0].seen {
        let Seen::Assigned { partition, committed, .. } = seen else { panic!("{seen:?}") };
        let known = (*partition == 1).then_some(offsets[2]);
        assert_eq!(committed, &vec![(two.clone(), known), (one.clone(), None)], "partition {partition}");
    }
}

/// C4: records in all partitions; one partition is started and delivered, the others stay silent.
pub async fn c4_nothing_is_delivered_before_start(log: Arc<dyn Log>) {
    let [one, two] = topics();
    for partition in 0..PARTITIONS {
        fill(&log, &one, partition, ("x", 10)).await;
    }
    let joined = [one.clone(), two.clone()];
    let mut crew = [Member::idle("a", &log, "contract-c4", &joined).await];
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == usize::from(PARTITIONS)).await;
    crew[0].consumer.start(PARTITIONS, &[(one.clone(), 0)]);
    drive_for(&mut crew, QUIET).await;
    assert_eq!(crew[0].records(), 0, "nothing was started: {:?}", crew[0].seen);
    crew[0].consumer.start(2, &[(one.clone(), 0)]);
    drive(&mut crew, "10 records of partition 2", |crew| crew[0].texts(&one, 2).len() == 10).await;
    fill(&log, &one, 0, ("late", 10)).await;
    drive_for(&mut crew, QUIET).await;
    assert_eq!(crew[0].records(), 10, "only partition 2 was started: {:?}", crew[0].seen);
}

/// C4: of two topics one is named, at its fourth record; a hole before it does not matter.
pub async fn c4_only_topics_named_are_delivered_from_the_offset_named(log: Arc<dyn Log>) {
    let [one, two] = topics();
    let offsets = fill(&log, &one, 0, ("x", 10)).await;
    fill(&log, &two, 0, ("y", 10)).await;
    let mut crew = [Member::idle("a", &log, "contract-c4b", &[one.clone(), two.clone()]).await];
    drive(&mut crew, "partition 0", |crew| crew[0].owned.contains_key(&0)).await;
    crew[0].consumer.start(0, &[(one.clone(), offsets[2] + 1)]);
    drive(&mut crew, "7 records", |crew| crew[0].texts(&one, 0).len() >= 7).await;
    drive_for(&mut crew, QUIET).await;
    assert_eq!(crew[0].texts(&one, 0), ["x3", "x4", "x5", "x6", "x7", "x8", "x9"]);
    assert_eq!(crew[0].texts(&two, 0), [""; 0]);
}

/// C5: goes back to the fourth record in the middle of the delivery, without the other topic, of which some
/// may have been fetched already; then to the end.
pub async fn c5_starting_again_goes_back(log: Arc<dyn Log>) {
    const RECORDS: usize = 2_000;
    let [one, two] = topics();
    let offsets = fill(&log, &one, 3, ("x", RECORDS)).await;
    fill(&log, &two, 3, ("y", RECORDS)).await;
    let mut crew = [Member::idle("a", &log, "contract-c5", &[one.clone(), two.clone()]).await];
    drive(&mut crew, "partition 3", |crew| crew[0].owned.contains_key(&3)).await;
    crew[0].consumer.start(3, &[(one.clone(), offsets[RECORDS - 5]), (two.clone(), 0)]);
    drive(&mut crew, "a first batch", |crew| crew[0].records() > 0).await;
    crew[0].seen.clear();
    crew[0].consumer.start(3, &[(one.clone(), offsets[3])]);
    drive(&mut crew, "all from the fourth on", |crew| crew[0].texts(&one, 3).len() >= RECORDS - 3).await;
    let expected: Vec<String> = (3..RECORDS).map(|n| format!("x{n}")).collect();
    assert_eq!(crew[0].texts(&one, 3), expected);
    assert_eq!(crew[0].texts(&two, 3), [""; 0], "not named at the last start");
    crew[0].seen.clear();
    crew[0].consumer.start(3, &[(one.clone(), 0), (two.clone(), 0)]);
    crew[0].consumer.start(3, &[(one.clone(), offsets[RECORDS - 1])]);
    drive(&mut crew, "the last record", |crew| crew[0].records() >= 1).await;
    drive_for(&mut crew, QUIET).await;
    assert_eq!(crew[0].texts(&one, 3), [format!("x{}", RECORDS - 1)]);
    assert_eq!(crew[0].records(), 1);
}

/// C6: an offset beyond the end is told once; the other topic of the partition goes on; a new start works.
pub async fn c6_a_position_outside_the_log_is_told_once(log: Arc<dyn Log>) {
    let [one, two] = topics();
    fill(&log, &one, 0, ("x", 3)).await;
    fill(&log, &two, 0, ("y", 3)).await;
    let mut crew = [Member::idle("a", &log, "contract-c6", &[one.clone(), two.clone()]).await];
    drive(&mut crew, "partition 0", |crew| crew[0].owned.contains_key(&0)).await;
    crew[0].consumer.start(0, &[(one.clone(), 100_000), (two.clone(), 0)]);
    let failed = |crew: &[Member]| crew[0].seen.iter().filter(|seen| matches!(seen, Seen::Failed(_))).count();
    drive(&mut crew, "the error", |crew| failed(crew) > 0 && crew[0].texts(&two, 0).len() == 3).await;
    drive_for(&mut crew, QUIET).await;
    assert_eq!(failed(&crew), 1, "told once: {:?}", crew[0].seen);
    let told = crew[0].seen.iter().find(|seen| matches!(seen, Seen::Failed(_)));
    let Some(Seen::Failed(Error::OutOfRange { topic, partition: 0, asked: 100_000, .. })) = told else {
        panic!("{told:?}");
    };
    assert_eq!(topic, &one);
    assert_eq!(crew[0].texts(&one, 0), [""; 0], "an offset is never reset");
    crew[0].consumer.start(0, &[(one.clone(), 0)]);
    drive(&mut crew, "three records", |crew| crew[0].texts(&one, 0).len() == 3).await;
}

/// C7: pauses again and again while records of two topics arrive, of which some may have been fetched
/// already; each is delivered once, in order.
pub async fn c7_a_pause_neither_loses_nor_repeats(log: Arc<dyn Log>) {
    const ROUNDS: usize = 20;
    let [one, two] = topics();
    let joined = [one.clone(), two.clone()];
    let mut crew = [Member::join("a", &log, "contract-c7", &joined).await];
    drive(&mut crew, "partitions 0 and 1", |crew| [0, 1].iter().all(|p| crew[0].owned.contains_key(p))).await;
    let delivered = |crew: &[Member]| joined.each_ref().map(|topic| crew[0].texts(topic, 0).len());
    for round in 0..ROUNDS {
        for topic in &joined {
            fill(&log, topic, 0, (&format!("{round}."), 50)).await;
        }
        let before = delivered(&crew);
        drive(&mut crew, "some of partition 0", |crew| delivered(crew) != before).await;
        crew[0].consumer.pause(0, true);
        let paused = delivered(&crew);
        for topic in &joined {
            fill(&log, topic, 0, (&format!("{round}p."), 50)).await;
        }
        fill(&log, &one, 1, ("other", 1)).await;
        drive(&mut crew, "the other partition", |crew| crew[0].texts(&one, 1).len() == round + 1).await;
        assert_eq!(delivered(&crew), paused, "delivered while paused");
        crew[0].consumer.pause(0, false);
    }
    drive(&mut crew, "everything", |crew| delivered(crew).iter().all(|n| *n >= ROUNDS * 100)).await;
    let part = |name: String| (0..50).map(move |n| format!("{name}.{n}"));
    let expected: Vec<String> =
        (0..ROUNDS).flat_map(|r| part(r.to_string()).chain(part(format!("{r}p")))).collect();
    for topic in &joined {
        assert_eq!(crew[0].texts(topic, 0), expected);
    }
}

/// C11: each call of `next` that does not answer at once is dropped.
pub async fn c11_dropping_next_loses_nothing(log: Arc<dyn Log>) {
    let [one, _] = topics();
    let mut member = Member::idle("a", &log, "contract-c11", std::slice::from_ref(&one)).await;
    let mut delivered = Vec::new();
    let mut sent = 0;
    let all = async {
        while delivered.len() < 300 {
            if sent < 300 && member.owned.contains_key(&0) {
                fill(&log, &one, 0, (&format!("{sent}."), 10)).await;
                sent += 10;
            }
            match member.consumer.next().now_or_never() {
                Some(Ok(Polled::Assigned { partition, generation, .. })) => {
                    member.owned.insert(partition, generation);
                    member.consumer.start(partition, &[(one.clone(), 0)]);
                }
                Some(Ok(Polled::Records(batch))) => delivered.extend(batch.entries.iter().map(text)),
                Some(other) => panic!("{other:?}"),
                None => sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let outcome = timeout(PATIENCE, all).await;
    assert!(outcome.is_ok(), "300 records; last seen: {} of {sent}", delivered.len());
    let expected: Vec<String> =
        (0..300).step_by(10).flat_map(|r| (0..10).map(move |n| format!("{r}.{n}"))).collect();
    assert_eq!(delivered, expected);
}

/// L12: two groups, one of which joins late, both from the beginning.
pub async fn l12_each_group_is_delivered_everything(log: Arc<dyn Log>) {
    let [one, two] = topics();
    let joined = [one.clone(), two.clone()];
    let mut crew = vec![Member::join("a", &log, "contract-l12a", &joined).await];
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == usize::from(PARTITIONS)).await;
    for partition in 0..PARTITIONS {
        fill(&log, &one, partition, ("x", 25)).await;
    }
    drive(&mut crew, "everything", |crew| crew[0].records() == 25 * usize::from(PARTITIONS)).await;
    let mut late = vec![Member::join("b", &log, "contract-l12b", &joined).await];
    drive(&mut late, "everything again", |crew| crew[0].records() == 25 * usize::from(PARTITIONS)).await;
    for partition in 0..PARTITIONS {
        assert_eq!(late[0].texts(&one, partition), crew[0].texts(&one, partition));
    }
}
