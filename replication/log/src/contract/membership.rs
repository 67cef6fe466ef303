//! C1, C2, C8–C10, C12: who owns a partition, and whose commits count.

use std::sync::Arc;

use super::crew::{Member, Seen, drive, drive_for, fill};
use super::{PARTITIONS, QUIET, topics};
use crate::error::Error;
use crate::log::Log;
use crate::record::Topic;

const ALL: usize = PARTITIONS as usize;

/// Whether all partitions are owned, each by one of those present, and each of those has one.
fn shared(crew: &[Member]) -> bool {
    let present: Vec<&Member> = crew.iter().filter(|member| !member.away).collect();
    let mut owned: Vec<u16> = present.iter().flat_map(|member| member.partitions()).collect();
    owned.sort_unstable();
    owned == (0..PARTITIONS).collect::<Vec<_>>() && present.iter().all(|member| !member.owned.is_empty())
}

/// C1: three members, two topics; records of both topics of a partition come to the same member.
pub async fn c1_a_partition_of_all_topics_goes_to_one_member(log: Arc<dyn Log>) {
    let [one, two] = topics();
    let joined = [one.clone(), two.clone()];
    let mut crew = Vec::new();
    for name in ["a", "b", "c"] {
        crew.push(Member::join(name, &log, "contract-c1", &joined).await);
    }
    drive(&mut crew, "three members to share the partitions", shared).await;
    for partition in 0..PARTITIONS {
        fill(&log, &one, partition, ("x", 5)).await;
        fill(&log, &two, partition, ("y", 5)).await;
    }
    let count = |crew: &[Member]| crew.iter().map(Member::records).sum::<usize>();
    drive(&mut crew, "all records", |crew| count(crew) >= 10 * ALL).await;
    for member in &crew {
        for partition in 0..PARTITIONS {
            let expected = if member.owned.contains_key(&partition) { 5 } else { 0 };
            let found = (member.texts(&one, partition).len(), member.texts(&two, partition).len());
            assert_eq!(found, (expected, expected), "{} and partition {partition}", member.name);
        }
    }
}

/// C1: while the owner is told `Revoked` and does not come back, the partition is nobody else's.
pub async fn c1_a_live_owner_is_asked_before_its_partition_goes(log: Arc<dyn Log>) {
    let topics = topics();
    let mut crew = vec![Member::idle("a", &log, "contract-c1b", &topics).await];
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == ALL).await;
    crew.push(Member::idle("b", &log, "contract-c1b", &topics).await);
    drive(&mut crew, "a to be told", |crew| crew[0].leaving.is_some()).await;
    let leaving = crew[0].leaving;
    crew[0].away = true;
    drive_for(&mut crew, QUIET).await;
    let taken =
        crew[1].partitions().into_iter().find(|p| crew[0].owned.contains_key(p) || Some(*p) == leaving);
    assert_eq!(taken, None, "taken before a came back");
    crew[0].away = false;
    drive(&mut crew, "b to have it", |crew| {
        crew[1].owned.contains_key(&leaving.unwrap_or_default()) && shared(crew)
    })
    .await;
}

/// C2: five members come and go; generations of a partition rise; what is kept is not taken.
pub async fn c2_generations_rise(log: Arc<dyn Log>) {
    let topics = topics();
    let mut crew: Vec<Member> = Vec::new();
    let mut highest = [0; ALL];
    for round in 0..5 {
        crew.push(Member::idle(&format!("m{round}"), &log, "contract-c2", &topics).await);
        drive(&mut crew, "the partitions to be shared", shared).await;
        if crew.len() > 2 {
            crew.remove(0);
            drive(&mut crew, "the partitions to be shared", shared).await;
        }
        for member in &mut crew {
            for seen in std::mem::take(&mut member.seen) {
                if let Seen::Assigned { partition, generation, .. } = seen {
                    let before = std::mem::replace(&mut highest[usize::from(partition)], generation);
                    assert!(generation > before, "C2: {generation} after {before} of {partition}");
                }
            }
        }
    }
}

/// C8: an older, a newer, and a partition that is another's; nothing of it is stored.
pub async fn c8_a_commit_under_another_generation_is_fenced(log: Arc<dyn Log>) {
    let joined = topics();
    let [one, _] = &joined;
    let mut crew = vec![
        Member::idle("a", &log, "contract-c8", &joined).await,
        Member::idle("b", &log, "contract-c8", &joined).await,
    ];
    drive(&mut crew, "the partitions to be shared", shared).await;
    let (own, generation) = crew[0].owned.first_key_value().map(|(p, g)| (*p, *g)).expect("shared");
    let (other, others) = crew[1].owned.first_key_value().map(|(p, g)| (*p, *g)).expect("shared");
    let at = [(one.clone(), 0)];
    let wrong = [(own, generation - 1), (own, generation + 1), (other, others), (PARTITIONS, generation)];
    for (partition, generation) in wrong {
        let outcome = crew[0].consumer.commit(partition, generation, &at).await;
        assert_eq!(outcome, Err(Error::Fenced), "partition {partition}, generation {generation}");
    }
    let group = "contract-c8".parse().expect("a valid name");
    let description = log.describe(one, Some(&group)).await.expect("there");
    assert!(description.partitions.iter().all(|extent| extent.committed.is_none()), "{description:?}");
    crew[0].consumer.commit(own, generation, &at).await.expect("its own");
}

/// C8: one commit stores the offsets of every topic of the partition, and of that partition alone.
pub async fn c8_a_commit_stores_every_topic(log: Arc<dyn Log>) {
    let joined = topics();
    let mut offsets = Vec::new();
    for topic in &joined {
        offsets.push(fill(&log, topic, 1, ("x", 5)).await);
    }
    let mut crew = [Member::idle("a", &log, "contract-c8c", &joined).await];
    drive(&mut crew, "partition 1", |crew| crew[0].owned.contains_key(&1)).await;
    let upto = [(joined[0].clone(), offsets[0][1]), (joined[1].clone(), offsets[1][3])];
    let generation = crew[0].owned[&1];
    crew[0].consumer.commit(1, generation, &upto).await.expect("its own");
    let group = "contract-c8c".parse().expect("a valid name");
    for (topic, offset) in &upto {
        let described = log.describe(topic, Some(&group)).await.expect("there");
        let committed: Vec<_> = described.partitions.iter().map(|extent| extent.committed).collect();
        assert_eq!(committed, [None, Some(*offset), None, None], "{topic}");
    }
}

/// C8: also when it is lower.
pub async fn c8_the_latest_commit_counts(log: Arc<dyn Log>) {
    let joined = topics();
    let [one, two] = &joined;
    let offsets = fill(&log, one, 0, ("x", 5)).await;
    let mut crew = [Member::idle("a", &log, "contract-c8b", &joined).await];
    drive(&mut crew, "partition 0", |crew| crew[0].owned.contains_key(&0)).await;
    let generation = crew[0].owned[&0];
    let group = "contract-c8b".parse().expect("a valid name");
    for offset in [offsets[1], offsets[4], offsets[2]] {
        let upto = [(one.clone(), offset), (two.clone(), 0)];
        crew[0].consumer.commit(0, generation, &upto).await.expect("its own");
        let committed = log.describe(one, Some(&group)).await.expect("there").partitions[0].committed;
        assert_eq!(committed, Some(offset));
    }
}

/// C9: what is committed between `Revoked` and the next call is what the new owner is assigned.
pub async fn c9_a_member_that_must_let_go_may_still_commit(log: Arc<dyn Log>) {
    let joined = topics();
    let [one, _] = &joined;
    let mut offsets = Vec::new();
    for partition in 0..PARTITIONS {
        offsets.push(fill(&log, one, partition, ("x", 3)).await[2]);
    }
    let mut crew = vec![Member::idle("a", &log, "contract-c9", &joined).await];
    drive(&mut crew, "all partitions", |crew| crew[0].owned.len() == ALL).await;
    crew.push(Member::idle("b", &log, "contract-c9", &joined).await);
    drive(&mut crew, "a to be told", |crew| crew[0].leaving.is_some()).await;
    let Some(Seen::Revoked { partition, generation, lost: false }) = crew[0].seen.last().cloned() else {
        panic!("{:?}", crew[0].seen)
    };
    let offset = offsets[usize::from(partition)];
    crew[0].consumer.commit(partition, generation, &[(one.clone(), offset)]).await.expect("still its own");
    drive(&mut crew, "b to have it", |crew| crew[1].owned.contains_key(&partition)).await;
    let assigned = crew[1].seen.iter().find_map(|seen| match seen {
        Seen::Assigned { partition: p, committed, .. } if *p == partition => Some(committed[0].clone()),
        _ => None,
    });
    assert_eq!(assigned, Some((one.clone(), Some(offset))));
    let late = crew[0].consumer.commit(partition, generation, &[(one.clone(), 0)]).await;
    assert_eq!(late, Err(Error::Fenced), "it has let go");
}

/// C10: a member that is not polled; the other has everything; the first one's commit stores nothing.
pub async fn c10_a_member_that_stays_away_loses_its_partitions(log: Arc<dyn Log>) {
    let joined = topics();
    let [one, _] = &joined;
    let mut crew = two_of_which_the_first_stays_away(&log, "contract-c10", &joined).await;
    let (partition, generation) = crew[0].owned.first_key_value().map(|(p, g)| (*p, *g)).expect("shared");
    let late = crew[0].consumer.commit(partition, generation, &[(one.clone(), 0)]).await;
    assert_eq!(late, Err(Error::Fenced));
    let group = "contract-c10".parse().expect("a valid name");
    let committed = log.describe(one, Some(&group)).await.expect("there").partitions[usize::from(partition)];
    assert_eq!(committed.committed, None);
}

/// C10: it comes back, is told what it lost, and gets a share under new generations.
pub async fn c10_a_member_that_lost_its_session_joins_again(log: Arc<dyn Log>) {
    let joined = topics();
    let mut crew = two_of_which_the_first_stays_away(&log, "contract-c10b", &joined).await;
    let before = crew[0].owned.clone();
    crew[0].seen.clear();
    crew[0].away = false;
    drive(&mut crew, "the partitions to be shared again", |crew| {
        shared(crew) && crew[0].seen.iter().any(|seen| matches!(seen, Seen::Assigned { .. }))
    })
    .await;
    for (partition, generation) in before {
        let told = crew[0].seen.iter().any(|seen| {
            matches!(seen, Seen::Revoked { partition: p, generation: g, lost: true }
                if (*p, *g) == (partition, generation))
        });
        assert!(told, "it was not told that {partition} is lost: {:?}", crew[0].seen);
        assert!(crew[0].owned.get(&partition).is_none_or(|new| *new > generation));
    }
}

async fn two_of_which_the_first_stays_away(log: &Arc<dyn Log>, group: &str, topics: &[Topic]) -> Vec<Member> {
    let mut crew =
        vec![Member::idle("a", log, group, topics).await, Member::idle("b", log, group, topics).await];
    drive(&mut crew, "the partitions to be shared", shared).await;
    crew[0].away = true;
    drive(&mut crew, "b to have everything", |crew| crew[1].owned.len() == ALL).await;
    crew
}

/// C12: at the latest after the session timeout.
pub async fn c12_dropping_a_consumer_gives_its_partitions_up(log: Arc<dyn Log>) {
    let topics = topics();
    let mut crew = vec![
        Member::idle("a", &log, "contract-c12", &topics).await,
        Member::idle("b", &log, "contract-c12", &topics).await,
    ];
    drive(&mut crew, "the partitions to be shared", shared).await;
    drop(crew.remove(0));
    drive(&mut crew, "b to have everything", |crew| crew[0].owned.len() == ALL).await;
}
