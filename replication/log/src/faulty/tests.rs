#![allow(clippy::unwrap_used)]
//! Each fault does what it says and no more; without faults the decorator keeps the contract.

use tokio::time::timeout;

use super::*;
use crate::contract::{self, delivery, membership, produce, proofs, read, topics};
use crate::log::Polled;
use crate::memory::{Config, MemoryLog};

fn make(seed: u64) -> (Arc<FaultyLog>, Faults, MemoryLog) {
    let inner = MemoryLog::new(seed, Config::default());
    for topic in topics() {
        inner.create(&topic, contract::PARTITIONS);
    }
    let faults = Faults::new(seed);
    (Arc::new(FaultyLog::new(Arc::new(inner.clone()), faults.clone())), faults, inner)
}

macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $case() {
                let (log, faults, _) = make(1);
                faults.set(|chances| chances.slow = 200);
                $module::$case(log).await;
            }
        )*
    };
}

// The contract holds while answers are slow.
crate::each_log_case!(tests);

fn record(n: u64) -> Record {
    let [topic, _] = topics();
    let (key, value) = (bytes::Bytes::new(), bytes::Bytes::from(n.to_string()));
    Record { topic, partition: 0, key, value, headers: crate::Headers::new(), timestamp_ms: n }
}

async fn stand(inner: &MemoryLog) -> Vec<u64> {
    let [topic, _] = topics();
    let page = inner.read(&topic, 0, 0, usize::MAX).await.unwrap();
    page.entries.iter().map(|entry| entry.record.timestamp_ms).collect()
}

/// L5: each fate of a produce, and what then stands in the log.
#[tokio::test(start_paused = true)]
async fn each_fault_of_a_produce_does_what_it_says() {
    let (log, faults, inner) = make(1);
    let fates = [
        (ProduceFault::Unavailable, false),
        (ProduceFault::Refused, false),
        (ProduceFault::Applied, true),
        (ProduceFault::Lost, false),
    ];
    let mut expected = Vec::new();
    for (n, (fault, applied)) in (0..).zip(fates) {
        faults.force(fault, None, 1);
        let error = log.produce(record(n)).await.unwrap_err();
        let unknown = matches!(fault, ProduceFault::Applied | ProduceFault::Lost);
        assert_eq!(error.is_without_effect(), !unknown, "{fault:?}: {error:?}");
        assert_eq!(matches!(error, Error::Refused(_)), fault == ProduceFault::Refused);
        expected.extend(applied.then_some(n));
        assert_eq!(stand(&inner).await, expected, "{fault:?}");
    }
    assert!(log.produce(record(9)).await.is_ok());
    assert_eq!(faults.counts().produces, 4);
}

/// L5, section 7 of the rules: unknown at once, there after ten seconds, behind what was produced meanwhile,
/// once.
#[tokio::test(start_paused = true)]
async fn a_late_record_lands_behind_later_ones() {
    let (log, faults, inner) = make(1);
    let (landing, [_, other]) = (log.late(), topics());
    faults.force(ProduceFault::Late, Some(&other), 1);
    let script = async {
        faults.force(ProduceFault::Late, Some(&record(0).topic), 2);
        assert!(matches!(log.produce(record(0)).await, Err(Error::Unknown(_))));
        drop(log.produce(record(1)));
        log.produce(record(2)).await.unwrap();
        sleep(Duration::from_secs(9)).await;
        assert_eq!(stand(&inner).await, [2]);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(stand(&inner).await, [2, 0, 1]);
    };
    tokio::select! {
        biased;
        () = landing => {}
        () = script => {}
    }
    assert_eq!(faults.counts().late, 2, "the other topic's fault is still to come");
}

/// G9: of more late records than that, the newest is lost.
#[tokio::test(start_paused = true)]
async fn late_records_are_bounded() {
    let (log, faults, inner) = make(1);
    faults.force(ProduceFault::Late, None, u64::MAX);
    for n in 0..LATE_RECORDS_MAX as u64 + 10 {
        drop(log.produce(record(n)));
    }
    timeout(Duration::from_secs(20), log.late()).await.unwrap_err();
    assert_eq!(stand(&inner).await, (0..LATE_RECORDS_MAX as u64).collect::<Vec<u64>>());
}

/// Chances are drawn from the seed and reach every call; a healed log has none.
#[tokio::test(start_paused = true)]
async fn chances_follow_from_the_seed_and_end_when_healed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (log, faults, inner) = make(7);
        faults.set(|chances| {
            (chances.produce_unavailable, chances.produce_refused) = (100, 100);
            (chances.produce_applied, chances.produce_lost) = (100, 100);
            (chances.call_unavailable, chances.commit_unavailable) = (300, 300);
        });
        let mut answers = Vec::new();
        for n in 0..200 {
            answers.push(log.produce(record(n)).await.map_err(|error| error.to_string()));
        }
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert!((40..110).contains(&failed), "{failed} of 200");
        let [topic, _] = topics();
        let mut unavailable = 0;
        for _ in 0..100 {
            unavailable += u32::from(log.describe(&topic, None).await.is_err());
        }
        assert!((10..60).contains(&unavailable), "{unavailable} of 100");
        faults.heal();
        for n in 0..100 {
            assert!(log.produce(record(n)).await.is_ok() && log.last(&topic, 0).await.is_ok());
        }
        runs.push((answers, stand(&inner).await));
    }
    assert_eq!(runs[0], runs[1]);
}

/// A commit that was applied may be answered unknown; one that is unavailable was not applied.
#[tokio::test(start_paused = true)]
async fn a_commit_may_be_applied_and_unknown() {
    let (log, faults, inner) = make(1);
    let [topic, _] = topics();
    let group = "g".parse().unwrap();
    let mut member = log.join(&group, std::slice::from_ref(&topic)).await.unwrap();
    let Polled::Assigned { partition: 0, generation, .. } = member.next().await.unwrap() else { panic!() };
    let committed = async || inner.describe(&topic, Some(&group)).await.unwrap().partitions[0].committed;
    faults.set(|chances| chances.commit_unavailable = 1_000);
    let outcome = member.commit(0, generation, &[(topic.clone(), 0)]).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!(committed().await, None);
    faults.heal();
    faults.set(|chances| chances.commit_applied = 1_000);
    let outcome = member.commit(0, generation, &[(topic.clone(), 0)]).await;
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    assert_eq!(committed().await, Some(0));
}

/// While down: produces and calls are unavailable, a member waits; then all goes on.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_answers_nothing() {
    let (log, faults, inner) = make(1);
    let [topic, _] = topics();
    let mut member = log.join(&"g".parse().unwrap(), std::slice::from_ref(&topic)).await.unwrap();
    faults.set_down(true);
    assert!(matches!(log.produce(record(0)).await, Err(Error::Unavailable(_))));
    assert!(matches!(log.last(&topic, 0).await, Err(Error::Unavailable(_))));
    assert!(matches!(
        log.join(&"h".parse().unwrap(), std::slice::from_ref(&topic)).await.err(),
        Some(Error::Unavailable(_))
    ));
    assert!(timeout(Duration::from_secs(1), member.next()).await.is_err());
    faults.set_down(false);
    assert!(matches!(member.next().await, Ok(Polled::Assigned { .. })));
    assert_eq!(stand(&inner).await, [0; 0]);
}

/// A failing `next` loses nothing, and takes its time, so that a caller who repeats at once does not spin.
#[tokio::test(start_paused = true)]
async fn a_failing_next_loses_nothing() {
    let (log, faults, _) = make(1);
    let [topic, _] = topics();
    let mut member = log.join(&"g".parse().unwrap(), std::slice::from_ref(&topic)).await.unwrap();
    faults.set(|chances| chances.next_unavailable = 500);
    for n in 0..100 {
        log.produce(record(n)).await.unwrap();
    }
    let (mut seen, mut failed, began) = (Vec::new(), 0, Instant::now());
    while seen.len() < 100 {
        match member.next().await {
            Ok(Polled::Assigned { partition, .. }) => member.start(partition, &[(topic.clone(), 0)]),
            Ok(Polled::Records(batch)) => seen.extend(batch.entries.iter().map(|e| e.record.timestamp_ms)),
            Ok(other) => panic!("{other:?}"),
            Err(_) => failed += 1,
        }
    }
    assert_eq!(seen, (0..100).collect::<Vec<u64>>());
    assert!(failed > 0 && began.elapsed() >= Duration::from_millis(20) * failed);
}
