//! What only a real cluster can be asked: topics made anew, records expired, holes, single copies, a
//! member that nobody misses, records that poison a batch.

use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tokio::time::timeout;

use super::super::context::Reporting;
use super::*;
use crate::contract::{PATIENCE, until};
use crate::log::Polled;
use crate::record::Headers;

struct World {
    log: KafkaLog,
    topic: Topic,
    group: Group,
    admin: AdminClient<Reporting>,
}

impl World {
    async fn new(layout: Layout) -> Self {
        let space = space();
        let topic: Topic = format!("{space}alone").parse().unwrap();
        provision(&config(), std::slice::from_ref(&topic), layout).await.unwrap();
        let group = format!("{space}group").parse().unwrap();
        let config = Config { produce_timeout: Duration::from_secs(3), ..config() };
        let admin = config.admin().create_with_context(Reporting).unwrap();
        Self { log: KafkaLog::connect(config).unwrap(), topic, group, admin }
    }

    fn record(&self, value: &str) -> Record {
        Record {
            topic: self.topic.clone(),
            partition: 0,
            key: Bytes::new(),
            value: Bytes::copy_from_slice(value.as_bytes()),
            headers: Headers::new(),
            timestamp_ms: 1_700_000_000_000,
        }
    }

    async fn fill(&self, count: u32) -> Vec<Offset> {
        let mut offsets = Vec::new();
        for n in 0..count {
            offsets.push(self.log.produce(self.record(&n.to_string())).await.unwrap());
        }
        offsets
    }

    async fn join(&self) -> Box<dyn Consumer> {
        self.log.join(&self.group, std::slice::from_ref(&self.topic)).await.unwrap()
    }

    /// Deletes what stands before `earliest`, as retention does.
    async fn expire(&self, earliest: Offset) {
        let mut upto = TopicPartitionList::new();
        upto.add_partition_offset(self.topic.as_str(), 0, At::Offset(earliest as i64)).unwrap();
        self.admin.delete_records(&upto, &AdminOptions::new()).await.unwrap();
    }
}

const ONE: Layout = Layout { partitions: 1, replicas: 1, in_sync_min: 1, retention_ms: None };

async fn told(member: &mut Box<dyn Consumer>) -> Result<Polled, Error> {
    timeout(PATIENCE, member.next()).await.expect("waited for the member to be told something")
}

async fn assigned(member: &mut Box<dyn Consumer>) -> (u32, Option<Offset>) {
    match told(member).await.unwrap() {
        Polled::Assigned { partition: 0, generation, committed } => (generation, committed[0].1),
        other => panic!("{other:?}"),
    }
}

/// E1: a topic of the same name is another topic, and `describe` says so; its offsets start anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_anew_has_another_identity() {
    let world = World::new(ONE).await;
    world.fill(5).await;
    let before = world.log.describe(&world.topic, None).await.unwrap();
    world.admin.delete_topics(&[world.topic.as_str()], &AdminOptions::new()).await.unwrap();
    until("the topic to be gone", async || match world.log.describe(&world.topic, None).await {
        Err(Error::MissingTopic(..)) => Ok(()),
        other => Err(other),
    })
    .await;
    provision(&config(), std::slice::from_ref(&world.topic), ONE).await.unwrap();
    let after = world.log.describe(&world.topic, None).await.unwrap();
    assert_ne!(after.identity, before.identity);
    assert_eq!((before.partitions[0].end, after.partitions[0].end), (5, 0));
    let asked = world.log.read(&world.topic, 0, 5, 1_024).await;
    assert!(matches!(asked, Err(Error::OutOfRange { asked: 5, end: 0, .. })), "{asked:?}");
}

/// E10: what expired is out of range, for a reader and for a member that had not come so far; nothing is
/// read in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_position_is_told_and_never_reset() {
    let world = World::new(ONE).await;
    let offsets = world.fill(10).await;
    let mut member = world.join().await;
    let (generation, _) = assigned(&mut member).await;
    member.commit(0, generation, &[(world.topic.clone(), offsets[2])]).await.unwrap();
    world.expire(offsets[6]).await;
    let asked = world.log.read(&world.topic, 0, offsets[2], 1_024).await;
    assert!(matches!(asked, Err(Error::OutOfRange { earliest: 6, .. })), "{asked:?}");
    member.start(0, &[(world.topic.clone(), offsets[2])]);
    match told(&mut member).await {
        Err(Error::OutOfRange { asked: 2, earliest: 6, end: 10, .. }) => {}
        other => panic!("{other:?}"),
    }
    member.start(0, &[(world.topic.clone(), offsets[6])]);
    let Ok(Polled::Records(batch)) = told(&mut member).await else { panic!("the rest") };
    assert_eq!(batch.entries[0].offset, offsets[6]);
}

/// E9: a topic of one replica is acknowledged by one, whatever `min.insync.replicas` says: the brokers ask
/// for no more replicas than there are. So it is refused where topics are made, and told where it exists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_copies_are_refused_when_made_and_told_when_there() {
    let world = World::new(ONE).await;
    let alone: Topic = format!("{}-copy", world.topic).parse().unwrap();
    let refused = provision(&config(), &[alone], Layout { in_sync_min: 2, ..ONE }).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let stricter = AlterConfig::new(ResourceSpecifier::Topic(world.topic.as_str()));
    let stricter = stricter.set("min.insync.replicas", "2");
    world.admin.alter_configs(&[stricter], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    world.log.produce(world.record("alone")).await.unwrap();
    let described = world.log.describe(&world.topic, None).await.unwrap();
    assert_eq!((described.replicas, described.partitions[0].in_sync), (1, 1));
}

/// E28: markers of transactions leave holes, also at the end: pages and `last` see past them, and a member
/// that has handled everything reads an empty page at its position.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holes_are_no_records_and_no_end() {
    let world = World::new(ONE).await;
    let before = world.fill(2).await;
    let (topic, id) = (world.topic.clone(), world.group.to_string());
    let transactions = move || {
        let mut client = config().admin();
        client.set("transactional.id", id);
        let producer: BaseProducer = client.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        for commits in [true, false, false] {
            producer.begin_transaction().unwrap();
            let record = BaseRecord::<[u8], [u8]>::to(topic.as_str()).partition(0).payload(b"within");
            producer.send(record).unwrap();
            match commits {
                true => producer.commit_transaction(PATIENCE).unwrap(),
                false => {
                    producer.flush(PATIENCE).unwrap();
                    producer.abort_transaction(PATIENCE).unwrap();
                }
            }
        }
    };
    std::thread::scope(|scope| scope.spawn(transactions).join().unwrap());
    let extent = world.log.describe(&world.topic, None).await.unwrap().partitions[0];
    assert_eq!(extent.end, 8, "two records, three in transactions, three markers");
    let last = world.log.last(&world.topic, 0).await.unwrap().unwrap();
    assert_eq!((last.offset, &last.record.value[..]), (2, &b"within"[..]));
    let page = world.log.read(&world.topic, 0, before[0], usize::MAX).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [0, 1, 2]);
    let rest = world.log.read(&world.topic, 0, page.next, usize::MAX).await.unwrap();
    assert!(rest.entries.is_empty() && page.next <= extent.end, "{rest:?}");
    let mut member = world.join().await;
    assigned(&mut member).await;
    member.start(0, &[(world.topic.clone(), 0)]);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let Ok(Polled::Records(batch)) = told(&mut member).await else { panic!("records") };
        seen.extend(batch.entries.iter().map(|entry| entry.offset));
    }
    assert_eq!(seen, [0, 1, 2]);
}

/// C10 where nobody else is there to take over: the group is empty then, and an empty group takes commits
/// from anybody who is no member. Not from a sleeper.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_sleeper_is_fenced_too() {
    let world = World::new(ONE).await;
    let mut sleeper = world.join().await;
    let (old, _) = assigned(&mut sleeper).await;
    // It is not polled.
    let observer: BaseConsumer = config().inspector(&world.group).create().unwrap();
    until("the group to be empty", async || {
        let groups = observer.fetch_group_list(Some(world.group.as_str()), PATIENCE).unwrap();
        let members = groups.groups().iter().map(|group| group.members().len()).sum::<usize>();
        if members == 0 { Ok(()) } else { Err(members) }
    })
    .await;
    let late = sleeper.commit(0, old, &[(world.topic.clone(), 0)]).await;
    assert_eq!(late, Err(Error::Fenced));
    assert_eq!(told(&mut sleeper).await, Ok(Polled::Revoked { partition: 0, generation: old, lost: true }));
    let (new, committed) = assigned(&mut sleeper).await;
    assert!(new > old && committed.is_none(), "{old}, then {new}, committed {committed:?}");
    sleeper.commit(0, new, &[(world.topic.clone(), 0)]).await.unwrap();
}

/// C3, E10: the group's offsets are forgotten: the next owner is told none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_offsets_are_told_as_none() {
    let world = World::new(ONE).await;
    let offsets = world.fill(3).await;
    let mut member = world.join().await;
    let (generation, _) = assigned(&mut member).await;
    member.commit(0, generation, &[(world.topic.clone(), offsets[1])]).await.unwrap();
    drop(member);
    until("the member to be gone, so that its group can be deleted", async || {
        let groups = [world.group.as_str()];
        let deleted = world.admin.delete_groups(&groups, &AdminOptions::new()).await.unwrap();
        deleted.into_iter().next().unwrap()
    })
    .await;
    let described = world.log.describe(&world.topic, Some(&world.group)).await.unwrap();
    assert_eq!(described.partitions[0].committed, None);
    let mut next = world.join().await;
    assert_eq!(assigned(&mut next).await.1, None);
}

/// A time far ahead is refused by the broker, for good; the log goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_from_the_far_future_is_refused() {
    let world = World::new(ONE).await;
    let far = Record { timestamp_ms: 32_503_680_000_000, ..world.record("year 3000") };
    let answer = world.log.produce(far).await;
    assert!(matches!(answer, Err(Error::Refused(_))), "{answer:?}");
    assert_eq!(world.fill(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_unequal_partitions_are_refused_and_existing_ones_stay() {
    let world = World::new(ONE).await;
    let wide: Topic = format!("{}-wide", world.topic).parse().unwrap();
    provision(&config(), std::slice::from_ref(&wide), Layout { partitions: 2, ..ONE }).await.unwrap();
    let joined = world.log.join(&world.group, &[world.topic.clone(), wide.clone()]).await.err();
    assert!(matches!(joined, Some(Error::Refused(_))), "{joined:?}");
    let joined = world.log.join(&world.group, &[]).await.err();
    assert!(matches!(joined, Some(Error::Refused(_))), "{joined:?}");
    let again = provision(&config(), std::slice::from_ref(&wide), ONE).await;
    assert!(matches!(again, Err(Error::Refused(_))), "{again:?}");
}
