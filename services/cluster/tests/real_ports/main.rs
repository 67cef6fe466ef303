#![allow(clippy::unwrap_used)]
//! One region end to end on a real Kafka and a real DynamoDB, in real time: what the roles rest on in memory
//! they find there too. Every role but the gateway crashes once while somebody talks.
//!
//! `STERNA_KAFKA` and `STERNA_DYNAMODB` say where they are (`cargo xtask stack up`). Tails are in memory.

use std::sync::Arc;

use sterna_cluster::region::Place;
use sterna_cluster::stores::own_log;
use sterna_cluster::{Plan, Region, Stores};
use sterna_log::contract::space::Space;
use sterna_log::contract::until;
use sterna_log::kafka::{self, KafkaLog, Layout};
use sterna_log::{Log, Topic};
use sterna_process::{Clock, SystemClock};
use sterna_protocol::Encoding;
use sterna_storage::dynamodb::{self, DynamoTable, Throughput};
use sterna_storage::memory::MemoryTails;
use sterna_storage::tails;
use sterna_stream::{EventId, StreamId, created};
use tokio::io::DuplexStream;

#[path = "../one_region/person.rs"]
#[allow(dead_code, reason = "other tests watch more of a person")]
mod person;

use person::Person;

const ROUND: usize = 10;

struct World {
    plan: Plan,
    region: Region<DuplexStream>,
    minted: u128,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `cargo xtask stack up` prints it"))
}

/// Stores whose names nobody else has.
async fn stores(plan: &Plan) -> Stores {
    let space = format!("region-{}-", std::process::id());
    let config = kafka::Config::new(variable("STERNA_KAFKA"));
    let topics = ["sterna-ingress".parse::<Topic>().unwrap(), own_log(&plan.origin())];
    let topics = topics.map(|topic| Space::outside(&space, &topic));
    let layout = Layout { partitions: plan.partitions, replicas: 1, in_sync_min: 1, retention_ms: None };
    kafka::provision(&config, &topics, layout).await.unwrap();
    let log: Arc<dyn Log> = Arc::new(KafkaLog::connect(config).unwrap());
    let client = dynamodb::local(&variable("STERNA_DYNAMODB"), "us-east-1");
    dynamodb::provision(&client, &space, Throughput::OnDemand).await.unwrap();
    Stores {
        log: Arc::new(Space::new(log, &space)),
        table: Arc::new(DynamoTable::new(client, dynamodb::Config::new(space, plan.seed))),
        tails: Arc::new(MemoryTails::new(tails::Limits::default())),
        sessions: Arc::new(sterna_storage::memory::MemorySessions::new()),
        neighbours: sterna_cluster::Neighbours::default(),
    }
}

impl World {
    async fn new() -> Self {
        let plan = Plan::small("us-east-1".parse().unwrap(), 1);
        let stores = stores(&plan).await;
        let region = Region::start(plan.clone(), stores, Arc::new(SystemClock));
        Self { plan, region, minted: 0 }
    }

    fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(SystemClock.wall_ms(), self.minted)
    }

    async fn person(&self, name: &str) -> Person {
        Person::connect(&self.region, &self.plan, name, Encoding::Json, SystemClock.wall_ms()).await
    }

    async fn create(&mut self, owner: &mut Person, writer: &str) -> StreamId {
        let id = self.id();
        let stream = created::stream("acme", "chat", &owner.name.parse().unwrap(), id).unwrap();
        let own = format!(r#"{{"user":"{}","add":"owner"}}"#, owner.name);
        self.say(owner, (&stream, "member"), vec![(id, own)]).await;
        owner.subscribe_when_there(&stream).await;
        let add = format!(r#"{{"user":"{writer}","add":"writer"}}"#);
        let id = self.id();
        self.say(owner, (&stream, "member"), vec![(id, add)]).await;
        stream
    }

    /// Says these until each is acked, as a client would: what is refused is sent again, marked.
    async fn say(
        &self,
        who: &mut Person,
        (stream, kind): (&StreamId, &str),
        mut open: Vec<(EventId, String)>,
    ) {
        let mut resend = false;
        until("an ack of each", async || {
            who.refused.clear();
            let (before, expected) = (who.acked.len(), open.len());
            for (id, json) in &open {
                who.publish(stream, *id, kind, json, resend).await;
            }
            who.until("an answer to each", |p| p.acked.len() - before + p.refused.len() >= expected).await;
            open.retain(|(id, _)| !who.acked.contains(id));
            resend = true;
            if open.is_empty() { Ok(()) } else { Err((open.len(), who.refused.clone())) }
        })
        .await;
    }

    async fn round(&mut self, who: &mut Person, stream: &StreamId, nth: usize) {
        let words = (nth * ROUND..(nth + 1) * ROUND).map(|n| (self.id(), n.to_string())).collect();
        self.say(who, (stream, "message"), words).await;
    }
}

/// E10, E12, E18: messaging, state, persistence and notification crash in turn; whoever was away is given
/// all that was said, each once, from the real table and the real log.
#[test]
fn a_region_on_real_ports_survives_the_crash_of_each_role() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        let mut ana = world.person("ana").await;
        let stream = world.create(&mut ana, "bob").await;
        let mut bob = world.person("bob").await;
        bob.subscribe_when_there(&stream).await;
        world.round(&mut ana, &stream, 0).await;
        bob.until("the first round", |p| p.texts(&stream).len() >= ROUND).await;
        let cursors = bob.cursors.clone();
        let seen = bob.texts(&stream);
        drop(bob);
        let crashes = [Place::Messaging(0), Place::State(0), Place::Persistence, Place::Notification];
        for (nth, place) in (1..).zip(crashes) {
            world.region.restart(place);
            world.round(&mut ana, &stream, nth).await;
        }
        let all = (crashes.len() + 1) * ROUND;
        ana.until("everything", |p| p.texts(&stream).len() >= all).await;
        let mut back = world.person("bob").await;
        back.cursors = cursors;
        back.subscribe(&stream).await;
        back.until("what was said meanwhile", |p| p.texts(&stream).len() >= all - seen.len()).await;
        let texts: Vec<String> = seen.into_iter().chain(back.texts(&stream)).collect();
        assert_eq!(texts, ana.texts(&stream), "the same, in the same order");
        let mut numbers: Vec<usize> = texts.iter().map(|text| text.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..all).collect::<Vec<_>>(), "each once");
    });
}
