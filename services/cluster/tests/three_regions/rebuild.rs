//! In paused time: a region that lost its stores is rebuilt, goes on as another origin, and nobody misses
//! anything or is shown it twice.

use std::collections::BTreeSet;

use sterna_client::Config;
use sterna_client::config::KeepUntil;
use sterna_cluster::rebuild::{Error, Rebuild, may_start};
use sterna_cluster::region::Place;
use sterna_cluster::stores::{ingress, own_log};
use sterna_log::faulty::Answers;
use sterna_log::{FaultyLog, Log, MemoryLog};
use sterna_process::Process;
use sterna_proto::{record, v1};
use sterna_storage::control;
use sterna_storage::faulty::{Chances, Faults, FaultyTable};
use sterna_stream::limits::TOPIC_MISSES;
use sterna_stream::{Origin, Policy};

use super::device::{Device, Door};
use super::*;

const AGAIN: &str = "us-east-1~2";

impl World {
    fn region(&mut self, name: &str) -> &mut sterna_cluster::Region<DuplexStream> {
        self.regions.regions.get_mut(&name.parse::<Region>().unwrap()).unwrap()
    }

    /// The witness, which is eu-west-1, raises us-east-1's incarnation, and it starts anew.
    async fn rebuild(&mut self) {
        let [us, eu] = [0, 1].map(|at: usize| NAMES[at].parse::<Region>().unwrap());
        self.region(NAMES[0]).kill_all();
        let wall_ms = self.clock.wall_ms();
        let rebuilt = self.regions.between.rebuild(&us, &eu, 1, wall_ms).await.unwrap();
        assert_eq!((rebuilt.origin.as_str(), rebuilt.united.forks), (AGAIN, 0));
        let peers = self.regions.between.peers_of(&us);
        self.region(NAMES[0]).begin(&rebuilt.origin, peers);
    }

    /// Ana's device in us-east-1, with the client library, in a stream of bo's, who is in eu-west-1.
    async fn ana_and_bo(&mut self) -> (StreamId, Device, Person, Process) {
        let mut bo = self.person("bo", NAMES[1]).await;
        let id = self.id();
        let stream = created::stream("acme", "chat", &"bo".parse().unwrap(), id).unwrap();
        bo.publish(&stream, id, "member", r#"{"user":"bo","add":"owner"}"#, false).await;
        bo.subscribe_when_there(&stream).await;
        let id = self.id();
        bo.publish(&stream, id, "member", r#"{"user":"ana","add":"writer"}"#, false).await;
        bo.until("ana", |p| p.shown[&stream].len() == 2).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let owner = Process::new("ana", 1, Arc::new(self.clock.clone()));
        let us: Region = NAMES[0].parse().unwrap();
        let front = self.front.clone();
        self.open_door();
        let door = Door::leading(&owner, move || front.borrow().clone());
        let config = Config { keep_until: Some(KeepUntil::Global), ..Config::new("ws://us-east-1") };
        let ana = Device::start(&owner, &self.plans[&us], &door, "ana", config).await;
        ana.follow(&stream).await;
        ana.until("bo's stream", |log| log.shown.len() == 2).await;
        (stream, ana, bo, owner)
    }

    /// New connections of devices go to us-east-1's present shard.
    fn open_door(&mut self) {
        let gateway = self.region(NAMES[0]).gateway(0).cloned();
        *self.front.borrow_mut() = gateway;
    }

    async fn equal_tables(&self) {
        let tables = [self.events(NAMES[0]).await, self.events(NAMES[1]).await, self.events(NAMES[2]).await];
        assert!(tables.iter().all(|table| *table == tables[0]), "equal bytes everywhere");
    }
}

fn words(of: &str, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|n| format!(r#""{of} {n}""#)).collect()
}

/// E1, E9, PROTOCOL 13: a region is destroyed with what it had not given away; its table comes back without
/// the newest items. The author's device, which had been shown its own words under the old origin, offers
/// them again under the new one: everybody has each once, and the region goes on from seq 1.
#[test]
fn a_device_lives_through_a_rebuild_and_misses_and_repeats_nothing() {
    run(async {
        let mut world = World::new(7);
        let (stream, ana, mut bo, owner) = world.ana_and_bo().await;
        let say = async |n: usize| {
            ana.say(&owner, &stream, format!(r#""ana {n}""#));
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        for n in 0..5 {
            say(n).await;
        }
        bo.until("ana's first words", |p| p.texts(&stream).len() == 5).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let us: Region = NAMES[0].parse().unwrap();
        for other in &NAMES[1..] {
            let other: Region = other.parse().unwrap();
            world.regions.between.mirrors[&(us.clone(), other.clone())].cut(true);
            world.regions.between.wan[&(us.clone(), other.clone())].cut(true);
            world.regions.between.tables.hold_back(&us, &other, 1_000);
        }
        for n in 5..12 {
            say(n).await;
        }
        ana.until("its own words", |log| log.texts("message").len() == 12).await;

        world.region(NAMES[0]).kill_all();
        world.regions.between.destroy(&us);
        world.front.borrow_mut().take();
        tokio::time::sleep(Duration::from_secs(3)).await;
        for other in &NAMES[1..] {
            let other: Region = other.parse().unwrap();
            world.regions.between.wan[&(us.clone(), other.clone())].cut(false);
            world.regions.between.tables.hold_back(&us, &other, 0);
        }
        world.rebuild().await;
        world.open_door();
        bo.until("all that ana said", |p| {
            let texts: BTreeSet<String> = p.texts(&stream).into_iter().collect();
            words("ana", 0..12).is_subset(&texts)
        })
        .await;
        say(12).await;
        let last = words("ana", 12..13);
        bo.until("what ana says now", |p| p.texts(&stream).last().is_some_and(|text| last.contains(text)))
            .await;
        ana.until("it, too", |log| log.texts("message").len() == 13).await;
        tokio::time::sleep(Duration::from_secs(20)).await;

        assert_eq!(ana.log().texts("message").len(), 13, "nothing is shown twice");
        assert_eq!(ana.log().texts("message").into_iter().collect::<BTreeSet<_>>(), words("ana", 0..13));
        let shown = bo.shown[&stream].clone();
        let lost = |event: &sterna_protocol::frame::Event| event.origin.as_str() == AGAIN;
        let seqs: Vec<u64> = shown.iter().filter(|event| lost(event)).map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the new life begins at seq 1");
        assert_eq!(seqs.len(), 8, "seven that were held back, and the new one");
        assert!(shown.iter().filter(|event| lost(event)).rev().skip(1).all(|event| event.resend));
        world.equal_tables().await;
    });
}

/// E1, E5: the log lost its end, and the region stops; what it accepted since then waits in the old ingress.
/// The rebuild produces it again, marked and in order, before anything new; everybody is shown it once.
#[test]
fn what_was_accepted_and_not_sequenced_comes_first_in_the_new_life() {
    run(async {
        let mut world = World::new(8);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        for n in 0..5 {
            let id = world.id();
            ana.publish(&stream, id, "message", &format!(r#""said {n}""#), false).await;
        }
        bo.until("what ana said", |p| p.texts(&stream).len() == 5).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let us: Region = NAMES[0].parse().unwrap();
        let (log, old) = (world.regions.between.stores[&us].log.clone(), Origin::of(&us, 1));
        (0..4).for_each(|partition| log.truncate(&own_log(&old), partition, 0).unwrap());
        world.region(NAMES[0]).restart(Place::Messaging(0));
        let mut waiting = Vec::new();
        for n in 5..10 {
            let id = world.id();
            ana.publish(&stream, id, "message", &format!(r#""said {n}""#), false).await;
            waiting.push(id);
        }
        ana.until("acks", |p| waiting.iter().all(|id| p.acked.contains(id))).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(ana.texts(&stream).len(), 5, "nothing is sequenced behind a log that lost its end");

        world.rebuild().await;
        let mut ana = world.person("ana", NAMES[0]).await;
        ana.subscribe_when_there(&stream).await;
        let id = world.id();
        ana.publish(&stream, id, "message", r#""said 10""#, false).await;
        for person in [&mut ana, &mut bo, &mut cy] {
            person.until("everything", |p| p.texts(&stream).len() == 11).await;
            let last: Vec<(String, u64, bool, String)> = person.shown[&stream]
                .iter()
                .filter(|event| event.origin.as_str() == AGAIN)
                .map(|e| (e.origin.to_string(), e.seq, e.resend, e.payload.as_str().to_owned()))
                .collect();
            let expected = |n: usize| (AGAIN.to_owned(), n as u64 - 4, n < 10, format!(r#""said {n}""#));
            assert_eq!(last, (5..11).map(expected).collect::<Vec<_>>(), "for {}", person.name);
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        world.equal_tables().await;
        // A second call with the same life to end raises nothing, and carries nothing that is sequenced.
        let eu: Region = NAMES[1].parse().unwrap();
        let again = world.regions.between.rebuild(&us, &eu, 1, NOW).await.unwrap();
        assert_eq!((again.raised, again.carried.records), (false, 0));
        assert!(again.carried.sequenced >= 10);
        let other = world.regions.between.rebuild(&us, &eu, 3, NOW).await;
        assert!(matches!(other, Err(Error::NotPresent { present: 2, named: 3, .. })));
    });
}

/// What us-east-1 accepted as number `n` in stream `acme/chat/a`, authorised against `policy`.
pub(crate) fn accepted(n: u8, policy: &Policy) -> sterna_log::Record {
    let body = record::Body {
        id: EventId::mint(NOW, n.into()),
        author: "ana".parse().unwrap(),
        kind: "message".parse().unwrap(),
        payload: bytes::Bytes::from(n.to_string()),
        content: sterna_stream::ContentHash([n; 16]),
        resend: false,
        key: String::new(),
        deps: None,
    };
    let message = v1::IngressRecord {
        stream: "acme/chat/a".into(),
        body: body.encode(),
        policy: sterna_proto::convert::policy_field(policy),
        ..Default::default()
    };
    let (topic, value) =
        (ingress(&NAMES[0].parse().unwrap()), prost::Message::encode_to_vec(&message).into());
    let (key, headers) = (bytes::Bytes::new(), Default::default());
    sterna_log::Record { topic, partition: 2, key, value, headers, timestamp_ms: NOW }
}

/// A region's stores by themselves, with an ingress of ten records that nothing sequenced.
pub(crate) async fn broken(faults: Option<&Arc<Faults>>) -> (Rebuild, MemoryLog) {
    let [region, witness] = [0, 1].map(|at: usize| NAMES[at].parse::<Region>().unwrap());
    let plan = Plan::small(region.clone(), 9);
    let stores = sterna_cluster::MemoryStores::new(&plan);
    for n in 0..10 {
        stores.log.produce(accepted(n, &Policy::default())).await.unwrap();
    }
    let there: Arc<dyn Table> = Arc::new(sterna_storage::memory::MemoryTable::new());
    let table: Arc<dyn Table> = match faults {
        None => stores.table.clone(),
        Some(faults) => Arc::new(FaultyTable::new(stores.table.clone(), faults.clone())),
    };
    let rebuild = Rebuild {
        region,
        ends: 1,
        witness: (witness, there.clone()),
        table,
        log: stores.log.clone(),
        others: vec![there],
        mirrored: Vec::new(),
        wall_ms: NOW,
    };
    (rebuild, (*stores.log).clone())
}

/// The numbers of the records in the new ingress, and whether all are marked.
async fn carried(log: &MemoryLog) -> (Vec<String>, bool) {
    let topic = ingress(&AGAIN.parse().unwrap());
    let page = log.read(&topic, 2, 0, usize::MAX).await.unwrap();
    let bodies: Vec<record::Body> = page
        .entries
        .into_iter()
        .map(|entry| <v1::IngressRecord as prost::Message>::decode(entry.record.value).unwrap())
        .map(|message| record::Body::decode(&message.body).unwrap())
        .collect();
    let marked = bodies.iter().all(|body| body.resend);
    (bodies.iter().map(|body| String::from_utf8(body.payload.to_vec()).unwrap()).collect(), marked)
}

/// E1: two operators at once, and one who does it again, raise one incarnation.
#[test]
fn two_operators_at_once_raise_one_incarnation() {
    run(async {
        let faults = Faults::new(Chances::default(), 1);
        let slow = Duration::from_millis(5);
        faults.set_chances(Chances { delay_min: slow, delay_max: 4 * slow, ..Chances::default() });
        let (rebuild, log) = broken(Some(&faults)).await;
        let (other, topics) = (rebuild.clone(), log.clone());
        let make = async |topics: &[sterna_log::Topic]| {
            topics.iter().for_each(|topic| log.create(topic, 4));
            Ok(())
        };
        let again = async |names: &[sterna_log::Topic]| {
            names.iter().for_each(|topic| topics.create(topic, 4));
            Ok(())
        };
        let (one, two) = tokio::join!(rebuild.run(make), other.run(again));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.origin.as_str(), two.origin.as_str()), (AGAIN, AGAIN));
        assert!(one.raised != two.raised, "one of them raised it");
        let third = rebuild.run(make).await.unwrap();
        assert_eq!((third.origin.as_str(), third.raised), (AGAIN, false));
        assert_eq!(control::incarnation(&*rebuild.witness.1, &rebuild.region).await.unwrap(), 2);
        let (numbers, marked) = carried(&log).await;
        assert!(marked, "whatever was produced twice is recognised by its mark");
        let all: BTreeSet<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), all);
    });
}

/// E1: nothing starts in a life that has ended, nor in one that nobody opened, unless its stores are new.
#[test]
fn only_the_present_life_starts() {
    run(async {
        let table = sterna_storage::memory::MemoryTable::new();
        let [first, again]: [Origin; 2] = [NAMES[0], AGAIN].map(|origin| origin.parse().unwrap());
        may_start(&table, &first, false).await.unwrap();
        assert!(matches!(may_start(&table, &again, false).await, Err(Error::Unopened(_))));
        may_start(&table, &again, true).await.unwrap();
        may_start(&table, &again, false).await.unwrap();
        let (witness, region) = (NAMES[1].parse().unwrap(), first.region());
        control::raise_incarnation(&table, &witness, &region, 1).await.unwrap();
        for are_new in [false, true] {
            let refused = may_start(&table, &first, are_new).await.unwrap_err().to_string();
            assert!(refused.ends_with("set [region] incarnation to 2"), "{refused}");
        }
    });
}

/// E1: a log that does not know of the old ingress for moments is asked again, or what was accepted would be
/// lost; one that never knows of it holds up nothing.
#[test]
fn an_ingress_that_is_missing_for_moments_is_carried() {
    run(async {
        for (misses, expected) in [(1, 10), (TOPIC_MISSES - 1, 10), (TOPIC_MISSES, 0)] {
            let (mut rebuild, log) = broken(None).await;
            let faults = sterna_log::Faults::new(1);
            faults.miss(&ingress(&NAMES[0].parse().unwrap()), Answers::Questions, misses.into());
            rebuild.log = Arc::new(FaultyLog::new(Arc::new(log.clone()), faults));
            let make = async |topics: &[sterna_log::Topic]| {
                topics.iter().for_each(|topic| log.create(topic, 4));
                Ok(())
            };
            let rebuilt = rebuild.run(make).await.unwrap();
            assert_eq!(rebuilt.carried.records, expected, "after {misses} such answers");
            assert_eq!(carried(&log).await.0.len() as u64, expected);
        }
    });
}

/// E1: interrupted anywhere, a rebuild is run again; until it has ended nothing may start.
#[test]
fn a_rebuild_that_was_interrupted_anywhere_is_run_again() {
    run(async {
        let (mut interrupted, again) = (BTreeSet::new(), AGAIN.parse::<Origin>().unwrap());
        for after_ms in (0..200).step_by(7) {
            let faults = Faults::new(Chances::default(), 1);
            let slow = Duration::from_millis(5);
            faults.set_chances(Chances { delay_min: slow, delay_max: 4 * slow, ..Chances::default() });
            let (rebuild, log) = broken(Some(&faults)).await;
            log.tune(|config| config.produce_latency = (slow, slow));
            let make = async |topics: &[sterna_log::Topic]| {
                topics.iter().for_each(|topic| log.create(topic, 4));
                Ok(())
            };
            let first = tokio::time::timeout(Duration::from_millis(after_ms), rebuild.run(make)).await;
            let raised = control::incarnation(&*rebuild.witness.1, &rebuild.region).await.unwrap();
            let now = may_start(&*rebuild.table, &again, false).await;
            match (&first, raised, &now) {
                (Err(_), 1, Err(Error::Unopened(_))) => interrupted.insert("before"),
                (Err(_), 2, Err(Error::Unopened(origin))) if *origin == again => interrupted.insert("within"),
                (_, 2, Ok(())) => interrupted.insert("behind"),
                _ => panic!("after {after_ms} ms: {first:?}, {raised}, {now:?}"),
            };
            assert_eq!(rebuild.run(make).await.unwrap().origin, again);
            may_start(&*rebuild.table, &again, false).await.unwrap();
            let (numbers, marked) = carried(&log).await;
            let mut once = Vec::new();
            for number in numbers {
                if !once.contains(&number) {
                    once.push(number);
                }
            }
            let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            assert!(marked && once == expected, "after {after_ms} ms: {once:?}");
        }
        assert!(interrupted.contains("within") && interrupted.contains("behind"), "{interrupted:?}");
    });
}
