//! Concurrency proofs: what the sentences give together when everything happens at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};

use super::crew::{Member, Seen, contents, drive, drive_for, fill, record, text};
use super::{PARTITIONS, QUIET, topics};
use crate::error::Error;
use crate::log::Log;
use crate::record::{Entry, Offset, Topic};

const PRODUCERS: usize = 8;
const EACH: usize = 120;

/// L1–L3: 8 producers, one partition; each one's records stand in its order, each acknowledged offset is its
/// own.
pub async fn concurrent_producers_each_keep_their_order(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let produce = |producer: usize| {
        let (log, topic) = (log.clone(), topic.clone());
        async move {
            let mut offsets = Vec::new();
            for burst in 0..EACH / 10 {
                let calls: Vec<_> = (burst * 10..burst * 10 + 10)
                    .map(|n| log.produce(record(&topic, 0, &format!("{producer}/{n}"))))
                    .collect();
                for answer in join_all(calls).await {
                    offsets.push(answer.expect("a produce in peace"));
                }
                tokio::task::yield_now().await;
            }
            offsets
        }
    };
    let offsets = join_all((0..PRODUCERS).map(produce)).await;
    let stand = contents(&log, &topic, 0).await;
    assert_eq!(stand.len(), PRODUCERS * EACH);
    assert!(stand.is_sorted_by(|a, b| a.offset < b.offset));
    for (producer, offsets) in offsets.iter().enumerate() {
        let prefix = format!("{producer}/");
        let own: Vec<&Entry> = stand.iter().filter(|entry| text(entry).starts_with(&prefix)).collect();
        let texts: Vec<String> = own.iter().map(|entry| text(entry)).collect();
        assert_eq!(texts, (0..EACH).map(|n| format!("{producer}/{n}")).collect::<Vec<_>>());
        assert_eq!(
            &own.iter().map(|entry| entry.offset).collect::<Vec<_>>(),
            offsets,
            "acknowledged as they stand"
        );
    }
}

/// L1–L3, C1–C5, C8–C10, C12: 8 producers, two topics; members join, stay away past their session, come back
/// and are dropped while they commit what they were delivered. Then: each record was delivered, in partition
/// order and without a gap from each start; each partition had one present owner at a time (checked at each
/// assignment); who lost a partition committed nothing after that; the commits cover everything.
pub async fn every_record_is_delivered_in_order_whatever_happens_to_members(log: Arc<dyn Log>) {
    let topics = topics();
    let produce = |producer: usize| {
        let (log, topics) = (log.clone(), topics.clone());
        async move {
            for n in 0..EACH {
                let (topic, partition) = (&topics[n % 2], ((n + producer) / 2) as u16 % PARTITIONS);
                let call = log.produce(record(topic, partition, &format!("{producer}/{n}")));
                call.await.expect("a produce in peace");
                tokio::task::yield_now().await;
            }
        }
    };
    let produced = AtomicBool::new(false);
    let producers = async {
        join_all((0..PRODUCERS).map(produce)).await;
        produced.store(true, Ordering::Relaxed);
    };
    let ((), crew) = join(producers, troubled_crew(&log, &topics, &produced)).await;
    for topic in &topics {
        for partition in 0..PARTITIONS {
            let stand = contents(&log, topic, partition).await;
            let mut covered = BTreeSet::new();
            for member in &crew {
                covered.extend(spans_are_dense(member, topic, partition, &stand));
            }
            let all: BTreeSet<Offset> = stand.iter().map(|entry| entry.offset).collect();
            assert_eq!(covered, all, "{topic}/{partition} was delivered and committed");
        }
    }
    generations_are_apart(&crew);
}

/// Members in trouble, driven until every record is committed by somebody.
async fn troubled_crew(log: &Arc<dyn Log>, topics: &[Topic; 2], produced: &AtomicBool) -> Vec<Member> {
    const GROUP: &str = "contract-proof";
    let total = |crew: &[Member]| crew.iter().map(Member::records).sum::<usize>();
    let quarter = PRODUCERS * EACH / 4;
    let mut crew = Vec::new();
    for name in ["a", "b"] {
        crew.push(working(name, log, GROUP, topics).await);
    }
    drive(&mut crew, "a quarter", |crew| total(crew) >= quarter).await;
    crew.push(working("c", log, GROUP, topics).await);
    drive(&mut crew, "c to have a share", |crew| !crew[2].owned.is_empty()).await;
    drive(&mut crew, "a half", |crew| total(crew) >= 2 * quarter).await;
    crew[0].away = true;
    let absent = crew[0].owned.clone();
    let taken = |crew: &[Member]| {
        let has = |p: &u16| crew[1].owned.contains_key(p) || crew[2].owned.contains_key(p);
        absent.keys().all(has)
    };
    drive(&mut crew, "what a held to be taken over", taken).await;
    for (&partition, &generation) in &absent {
        let outcome = crew[0].consumer.commit(partition, generation, &[(topics[0].clone(), 0)]).await;
        assert_eq!(outcome, Err(Error::Fenced), "a is away, {partition} is another's");
    }
    crew[0].away = false;
    drive(&mut crew, "three quarters", |crew| total(crew) >= 3 * quarter).await;
    let dropped = crew.remove(1);
    let seen = dropped.seen.clone();
    drop(dropped);
    crew.push(working("d", log, GROUP, topics).await);
    drive(&mut crew, "d to have a share", |crew| !crew[2].owned.is_empty()).await;
    while !produced.load(Ordering::Relaxed) {
        drive_for(&mut crew, QUIET).await;
    }
    until_the_end(&mut crew, log, topics).await;
    let mut gone = Member::idle("b", log, "contract-proof-gone", topics).await;
    gone.seen = seen;
    crew.push(gone);
    crew
}

/// Drives until a last record of each partition is committed by somebody.
async fn until_the_end(crew: &mut [Member], log: &Arc<dyn Log>, topics: &[Topic; 2]) {
    let mut ends = Vec::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            let offset = fill(log, topic, partition, ("end", 1)).await[0];
            ends.push((topic, partition, offset));
        }
    }
    drive(crew, "commits of every end", |crew| {
        let is_past = |seen: &Seen, at: &(&Topic, u16, Offset)| match seen {
            Seen::Committed { topic, partition, upto, outcome: Ok(()) } => {
                (topic, *partition) == (at.0, at.1) && *upto > at.2
            }
            _ => false,
        };
        let seen = || crew.iter().flat_map(|member| &member.seen);
        ends.iter().all(|end| seen().any(|seen| is_past(seen, end)))
    })
    .await;
}

async fn working(name: &str, log: &Arc<dyn Log>, group: &str, topics: &[Topic]) -> Member {
    Member { commits: true, ..Member::join(name, log, group, topics).await }
}

/// Checks that what a member was delivered of a partition under one generation follows without a gap from
/// where it started; gives the offsets that it committed.
fn spans_are_dense(member: &Member, topic: &Topic, partition: u16, stand: &[Entry]) -> Vec<Offset> {
    let mut at: Option<Offset> = None;
    let mut uncommitted = Vec::new();
    let mut committed = Vec::new();
    for seen in &member.seen {
        match seen {
            Seen::Assigned { partition: p, committed, .. } if *p == partition => {
                let known = committed.iter().find(|(name, _)| name == topic).and_then(|(_, offset)| *offset);
                at = Some(known.unwrap_or(0));
                uncommitted.clear();
            }
            Seen::Batch(batch) if batch.topic == *topic && batch.partition == partition => {
                let from = at.expect("C4: delivered before it was assigned and started");
                let expected = stand.iter().filter(|entry| entry.offset >= from).take(batch.entries.len());
                assert!(
                    expected.eq(batch.entries.iter()),
                    "C5: {} has a gap at {topic}/{partition}",
                    member.name
                );
                at = Some(batch.next);
                uncommitted.extend(batch.entries.iter().map(|entry| entry.offset));
            }
            Seen::Committed { topic: t, partition: p, outcome: Ok(()), .. }
                if t == topic && *p == partition =>
            {
                committed.append(&mut uncommitted);
            }
            _ => {}
        }
    }
    committed
}

/// C2: no generation of a partition was given twice.
fn generations_are_apart(crew: &[Member]) {
    let mut given = BTreeSet::new();
    for seen in crew.iter().flat_map(|member| &member.seen) {
        if let Seen::Assigned { partition, generation, .. } = seen {
            assert!(given.insert((*partition, *generation)), "C2: {partition} twice under {generation}");
        }
    }
}
