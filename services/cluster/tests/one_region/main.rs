//! One region end to end, from socket to socket over memory backends, under paused time.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use sterna_cluster::region::Place;
use sterna_cluster::{MemoryStores, Plan, Region};
use sterna_process::{Clock, ManualClock, paused as run};
use sterna_protocol::Encoding;
use sterna_stream::{EventId, StreamId, created};
use tokio::io::DuplexStream;
use tokio::time::Duration;

mod crash;
mod crowd;
mod device;
mod life;
mod moving;
mod person;

use person::Person;

const NOW: u64 = 1_795_214_400_000;

struct World {
    plan: Plan,
    stores: MemoryStores,
    clock: ManualClock,
    region: Region<DuplexStream>,
    minted: u128,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::of(Plan::small("us-east-1".parse().unwrap(), seed))
    }

    fn of(plan: Plan) -> Self {
        let stores = MemoryStores::new(&plan);
        let clock = ManualClock::new(NOW);
        let region = Region::start(plan.clone(), stores.stores(), Arc::new(clock.clone()));
        Self { plan, stores, clock, region, minted: 0 }
    }

    fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(self.clock.wall_ms(), self.minted)
    }

    async fn person(&self, name: &str, encoding: Encoding) -> Person {
        Person::connect(&self.region, &self.plan, name, encoding, self.clock.wall_ms()).await
    }

    /// Somebody's device at a shard.
    async fn person_at(&self, shard: usize, name: &str, device: u128) -> Person {
        let (now_ms, encoding) = (self.clock.wall_ms(), Encoding::Protobuf);
        let gateway = self.region.gateway(shard).unwrap();
        Person::connect_to(gateway, &self.plan, name, device, encoding, now_ms).await
    }

    /// Asks for as many streams with bo in them, and waits for nothing.
    async fn create_asking(&mut self, owner: &mut Person, count: u64) -> Vec<StreamId> {
        let mut streams = Vec::new();
        for _ in 0..count {
            let id = self.id();
            let stream = created::stream("acme", "chat", &owner.name.parse().unwrap(), id).unwrap();
            let own = format!(r#"{{"user":"{}","add":"owner"}}"#, owner.name);
            owner.publish(&stream, id, "member", &own, false).await;
            owner.subscribe_when_there(&stream).await;
            let id = self.id();
            owner.publish(&stream, id, "member", r#"{"user":"bo","add":"writer"}"#, false).await;
            streams.push(stream);
        }
        streams
    }

    /// Creates a stream with these writers; its owner follows it.
    async fn create(&mut self, owner: &mut Person, writers: &[&str]) -> StreamId {
        let id = self.id();
        let stream = created::stream("acme", "chat", &owner.name.parse().unwrap(), id).unwrap();
        let own = format!(r#"{{"user":"{}","add":"owner"}}"#, owner.name);
        owner.publish(&stream, id, "member", &own, false).await;
        owner.subscribe_when_there(&stream).await;
        for writer in writers {
            let id = self.id();
            let add = format!(r#"{{"user":"{writer}","add":"writer"}}"#);
            owner.publish(&stream, id, "member", &add, false).await;
            let held = |p: &Person| p.shown[&stream].iter().any(|event| event.event_id == id);
            owner.until("the member's event", held).await;
        }
        stream
    }
}

/// G1, G3, E6: what one says the other sees once, in order, in both encodings, and the author sees it come
/// back.
#[test]
fn what_one_says_the_other_sees_once_and_in_order() {
    run(async {
        let mut world = World::new(1);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &["bo"]).await;
        let mut bo = world.person("bo", Encoding::Protobuf).await;
        bo.subscribe_when_there(&stream).await;
        let said: Vec<String> = (0..30).map(|n| format!(r#"{{"text":"hello {n}"}}"#)).collect();
        for text in &said {
            let id = world.id();
            ana.publish(&stream, id, "message", text, false).await;
        }
        for person in [&mut ana, &mut bo] {
            person.until("all messages", |p| p.texts(&stream).len() == said.len()).await;
            assert_eq!(person.texts(&stream), said);
        }
        ana.until("all acks", |p| p.acked.len() == 2 + said.len()).await;
        let cut = world.region.drain().await;
        assert_eq!(cut, [], "everything ends by itself");
    });
}

/// G2, E15, E17: whoever was away is told what they missed, and goes on live without hole or repeat.
#[test]
fn whoever_was_away_goes_on_where_they_were() {
    run(async {
        let mut world = World::new(2);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &["bo"]).await;
        let mut bo = world.person("bo", Encoding::Json).await;
        bo.subscribe_when_there(&stream).await;
        let (shown, cursors) = (bo.shown.clone(), bo.cursors.clone());
        drop(bo);
        for n in 0..50 {
            let id = world.id();
            ana.publish(&stream, id, "message", &format!("{n}"), false).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        ana.until("all messages", |p| p.texts(&stream).len() == 50).await;
        let mut bo = world.person("bo", Encoding::Protobuf).await;
        (bo.shown, bo.cursors) = (shown, cursors);
        bo.subscribe(&stream).await;
        let id = world.id();
        ana.publish(&stream, id, "message", "50", false).await;
        bo.until("what was missed and what came", |p| p.texts(&stream).len() == 51).await;
        assert_eq!(bo.texts(&stream), (0..=50).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

/// E24, G7: a removed member is told, and sees nothing that was said after.
#[test]
fn a_removed_member_sees_nothing_that_was_said_after() {
    run(async {
        let mut world = World::new(3);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &["bo"]).await;
        let mut bo = world.person("bo", Encoding::Json).await;
        bo.subscribe_when_there(&stream).await;
        let id = world.id();
        ana.publish(&stream, id, "member", r#"{"user":"bo","remove":"all"}"#, false).await;
        let id = world.id();
        ana.publish(&stream, id, "message", r#""about bo""#, false).await;
        ana.until("the message", |p| p.texts(&stream).len() == 1).await;
        bo.until("being told", |p| p.refused.contains(&sterna_stream::Reason::NotFound)).await;
        let id = world.id();
        bo.publish(&stream, id, "message", r#""still here?""#, false).await;
        bo.until("a refusal", |p| p.refused.len() >= 2).await;
        assert_eq!(bo.texts(&stream), Vec::<String>::new());
    });
}

/// G3, E13: a resend is recognised, whichever way round they come, and shown once.
#[test]
fn a_retry_is_acked_again_and_shown_once() {
    run(async {
        let mut world = World::new(4);
        let mut ana = world.person("ana", Encoding::Json).await;
        let stream = world.create(&mut ana, &[]).await;
        let (first, second, last) = (world.id(), world.id(), world.id());
        ana.publish(&stream, first, "message", "1", false).await;
        ana.publish(&stream, first, "message", "1", true).await;
        ana.publish(&stream, second, "message", "2", true).await;
        ana.publish(&stream, second, "message", "2", false).await;
        ana.publish(&stream, last, "message", "3", false).await;
        ana.until("the last", |p| p.texts(&stream).len() >= 3 && p.acked.len() == 6).await;
        assert_eq!(ana.texts(&stream), ["1", "2", "3"]);
        assert_eq!(ana.acked.iter().filter(|id| **id == first).count(), 2, "a duplicate is acked again");
    });
}

/// E33, E35: nothing a role does depends on what runs beside it: a second region in the run changes no event.
#[test]
fn one_seed_gives_one_history_whoever_else_runs() {
    let history = |beside: bool| {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        run(async move {
            let mut world = World::new(5);
            let other = beside.then(|| World::new(6));
            let mut ana = world.person("ana", Encoding::Json).await;
            let stream = world.create(&mut ana, &[]).await;
            for n in 0..10 {
                let id = world.id();
                ana.publish(&stream, id, "message", &n.to_string(), false).await;
                tokio::time::sleep(Duration::from_millis(55)).await;
            }
            ana.until("all", |p| p.texts(&stream).len() == 10).await;
            drop(other);
            send.send(format!("{:?}", ana.shown)).unwrap();
        });
        receive.recv().unwrap()
    };
    assert_eq!(history(false), history(false), "one seed, one history");
    assert_eq!(history(false), history(true));
}

#[test]
fn every_role_stops_in_order_and_is_gone() {
    run(async {
        let mut world = World::new(7);
        let places: Vec<Place> = world.region.places().collect();
        assert!(places.is_sorted(), "whoever asks is drained before whoever is asked");
        assert_eq!(world.region.drain().await, []);
        assert!(world.region.gateway(0).is_none());
        assert!(!world.stores.table.is_empty(sterna_storage::Name::Checkpoints), "terms were taken");
    });
}
