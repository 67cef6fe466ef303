#![allow(clippy::unwrap_used)]
//! Members at their worst: asleep past their session, with records fetched before, busy, crashed.

use tokio::time::{Instant, advance, timeout};

use super::*;
use crate::Polled;

const SESSION: Duration = Duration::from_secs(10);

async fn join(log: &MemoryLog) -> Box<dyn Consumer> {
    log.join(&"g".parse().unwrap(), &[topic()]).await.unwrap()
}

async fn assigned(member: &mut Box<dyn Consumer>) -> (u32, Option<Offset>) {
    let polled = timeout(contract::PATIENCE, member.next()).await.expect("waited for an assignment");
    match polled.unwrap() {
        Polled::Assigned { partition: 0, generation, committed } => (generation, committed[0].1),
        other => panic!("{other:?}"),
    }
}

/// C10, E12: the sleeper wakes, is first delivered what it had fetched, under the old generation; its commit
/// is fenced while the new owner's counts; then it is told.
#[tokio::test(start_paused = true)]
async fn a_sleeper_wakes_with_records_that_are_no_longer_its_own() {
    let log = cluster(1, |config| config.prefetch_records_max = 100);
    let second: Topic = "second".parse().unwrap();
    log.create(&second, 1);
    let topics = [topic(), second.clone()];
    let mut sleeper = log.join(&"g".parse().unwrap(), &topics).await.unwrap();
    let (old, _) = assigned(&mut sleeper).await;
    let offsets = fill(&log, 0..5).await;
    log.produce(Record { topic: second.clone(), ..record("9") }).await.unwrap();
    sleeper.start(0, &[(topic(), 0), (second.clone(), 0)]);
    let Polled::Records(first) = sleeper.next().await.unwrap() else { panic!("a batch of the first topic") };
    assert_eq!((first.generation, first.entries.len()), (old, 5));

    let mut heir = log.join(&"g".parse().unwrap(), &topics).await.unwrap();
    assert!(timeout(SESSION / 2, heir.next()).await.is_err(), "the sleeper's session still stands");
    let (new, _) = assigned(&mut heir).await;
    assert!(new > old);
    heir.commit(0, new, &[(topic(), offsets[2])]).await.unwrap();

    let Polled::Records(stale) = sleeper.next().await.unwrap() else { panic!("the prefetched batch") };
    assert_eq!((stale.topic, stale.generation), (second, old));
    assert_eq!(sleeper.commit(0, old, &[(topic(), first.next)]).await, Err(Error::Fenced));
    let told = sleeper.next().await.unwrap();
    assert_eq!(told, Polled::Revoked { partition: 0, generation: old, lost: true });
    let committed =
        log.describe(&topic(), Some(&"g".parse().unwrap())).await.unwrap().partitions[0].committed;
    assert_eq!(committed, Some(offsets[2]));
}

/// C10 where nobody else noticed: the session has ended all the same.
#[tokio::test(start_paused = true)]
async fn a_lone_sleeper_is_fenced_too() {
    let log = cluster(1, |_| {});
    let mut sleeper = join(&log).await;
    let (old, _) = assigned(&mut sleeper).await;
    advance(SESSION * 2).await;
    assert_eq!(sleeper.commit(0, old, &[(topic(), 0)]).await, Err(Error::Fenced));
    assert!(matches!(sleeper.next().await, Ok(Polled::Revoked { lost: true, .. })));
    assert!(assigned(&mut sleeper).await.0 > old);
}

/// C10, turned round: who polls within the session timeout keeps its partitions, however long.
#[tokio::test(start_paused = true)]
async fn who_polls_in_time_keeps_its_partitions() {
    let log = cluster(1, |_| {});
    let mut slow = join(&log).await;
    let (generation, _) = assigned(&mut slow).await;
    let mut waiting = join(&log).await;
    for _ in 0..50 {
        advance(SESSION - Duration::from_millis(1)).await;
        assert!(timeout(Duration::from_millis(1), waiting.next()).await.is_err());
        assert!(timeout(Duration::ZERO, slow.next()).await.is_err(), "nothing to tell");
    }
    assert_eq!(slow.commit(0, generation, &[(topic(), 0)]).await, Ok(()));
}

/// C12: a goodbye is noticed at once; a crash, when the session times out.
#[tokio::test(start_paused = true)]
async fn a_crashed_member_is_missed_when_its_session_ends() {
    for leaves in [true, false] {
        let log = cluster(1, |config| config.leave_on_drop = leaves);
        let mut first = join(&log).await;
        assigned(&mut first).await;
        let mut second = join(&log).await;
        assert!(timeout(Duration::from_secs(1), second.next()).await.is_err());
        let began = Instant::now();
        drop(first);
        assigned(&mut second).await;
        let took = began.elapsed();
        assert!(if leaves { took.is_zero() } else { took > SESSION / 2 && took < SESSION * 2 }, "{took:?}");
    }
}

/// C3, E10: the group's offsets are forgotten: the next owner is told none, and nothing starts by itself.
#[tokio::test(start_paused = true)]
async fn forgotten_offsets_are_told_as_none() {
    let log = cluster(1, |_| {});
    let group = "g".parse().unwrap();
    let offsets = fill(&log, 0..3).await;
    for forget in [false, true] {
        let mut member = join(&log).await;
        let (generation, committed) = assigned(&mut member).await;
        assert_eq!(committed, forget.then_some(offsets[1]));
        member.commit(0, generation, &[(topic(), offsets[1])]).await.unwrap();
    }
    log.forget_offsets(&group);
    assert_eq!(log.describe(&topic(), Some(&group)).await.unwrap().partitions[0].committed, None);
    let mut member = join(&log).await;
    assert_eq!(assigned(&mut member).await.1, None);
    assert!(timeout(SESSION * 3, member.next()).await.is_err(), "nothing was started");
}

/// A waiting member is woken by the record, in no time; it does not poll.
#[tokio::test(start_paused = true)]
async fn a_waiting_member_is_woken_by_the_record() {
    let log = cluster(1, |_| {});
    let mut member = join(&log).await;
    assigned(&mut member).await;
    member.start(0, &[(topic(), 0)]);
    for n in 0..10 {
        let began = Instant::now();
        let produce = async {
            tokio::task::yield_now().await;
            log.produce(record(&n.to_string())).await.unwrap()
        };
        let (polled, _) = tokio::join!(biased; timeout(contract::PATIENCE, member.next()), produce);
        assert!(matches!(polled, Ok(Ok(Polled::Records(_)))), "{polled:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    let mut waits = count_polls(member.next());
    let _ = timeout(SESSION, &mut waits).await;
    assert!(waits.polls < 15, "{} polls in an idle session: heartbeats alone", waits.polls);
}

/// G9: what a member fetches ahead is bounded by records and by bytes.
#[tokio::test(start_paused = true)]
async fn fetching_ahead_is_bounded() {
    let log = cluster(1, |config| {
        config.prefetch_records_max = 10;
        config.prefetch_bytes_max = 25;
    });
    fill(&log, 0..1_000).await;
    let mut member = join(&log).await;
    assigned(&mut member).await;
    member.start(0, &[(topic(), 0)]);
    let mut seen = Vec::new();
    while seen.len() < 1_000 {
        let Polled::Records(batch) = member.next().await.unwrap() else { panic!("a batch") };
        let bytes: usize = batch.entries.iter().map(|entry| entry.record.size()).sum();
        assert!(batch.entries.len() <= 10 && bytes <= 25, "{} records, {bytes} bytes", batch.entries.len());
        seen.extend(numbers(&batch.entries));
    }
    assert_eq!(seen, (0..1_000).collect::<Vec<u64>>());
}

/// Counts how often a future is polled.
struct Polls<F> {
    future: std::pin::Pin<Box<F>>,
    polls: usize,
}

fn count_polls<F: Future>(future: F) -> Polls<F> {
    Polls { future: Box::pin(future), polls: 0 }
}

impl<F: Future> Future for Polls<F> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        self.polls += 1;
        self.future.as_mut().poll(cx)
    }
}
