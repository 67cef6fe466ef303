//! Three regions in one process, in paused time: people in different regions, mirrors and tables between
//! them.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use sterna_cluster::{Plan, Regions, Tenant};
use sterna_gateway::gateway::Gateway;
use sterna_process::{Clock, ManualClock, paused as run};
use sterna_protocol::Encoding;
use sterna_regions::RoundTrips;
use sterna_storage::{Name, Table};
use sterna_stream::{EventId, Reason, Region, StreamId, created};
use tokio::io::DuplexStream;
use tokio::time::{Duration, Instant};

mod access;
mod carried;
mod clocks;
#[allow(dead_code, reason = "one region asks more of its devices than three")]
#[path = "../one_region/device.rs"]
mod device;
mod ended;
mod express;
mod first_events;
#[allow(dead_code, reason = "one region hears and says more than is asked of three")]
#[path = "../one_region/person.rs"]
mod person;
mod second_acks;
mod since_joined;

mod rebuild;

use person::Person;

const NOW: u64 = 1_795_214_400_000;
const NAMES: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

struct World {
    plans: BTreeMap<Region, Plan>,
    clock: ManualClock,
    regions: Regions<DuplexStream>,
    minted: u128,
    /// Where devices' connections go.
    front: Rc<RefCell<Option<Gateway<DuplexStream>>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(seed, true)
    }

    fn with(seed: u64, express: bool) -> Self {
        Self::of(seed, express, |_| Vec::new())
    }

    /// Regions that are told of these tenants.
    fn of(seed: u64, express: bool, tenants: impl Fn(&Region) -> Vec<Tenant>) -> Self {
        let names = NAMES.map(|name| name.parse::<Region>().unwrap());
        let plan =
            |name: &Region| Plan { express, tenants: tenants(name), ..Plan::small(name.clone(), seed) };
        let plans: Vec<Plan> = names.iter().map(plan).collect();
        let clock = ManualClock::new(NOW);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let regions = Regions::start(plans.clone(), &RoundTrips::typical(), &shared);
        let plans = plans.into_iter().map(|plan| (plan.region.clone(), plan)).collect();
        Self { plans, clock, regions, minted: 0, front: Rc::default() }
    }

    fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(self.clock.wall_ms(), self.minted)
    }

    async fn person(&self, name: &str, region: &str) -> Person {
        let region: Region = region.parse().unwrap();
        let (there, plan) = (&self.regions.regions[&region], &self.plans[&region]);
        Person::connect(there, plan, name, Encoding::Protobuf, self.clock.wall_ms()).await
    }

    /// Ana in us-east-1 owns a stream; bo in eu-west-1 and cy in ap-southeast-1 write to it. All follow it.
    async fn three_people(&mut self) -> (StreamId, [Person; 3]) {
        let mut ana = self.person("ana", NAMES[0]).await;
        let id = self.id();
        let stream = created::stream("acme", "chat", &"ana".parse().unwrap(), id).unwrap();
        ana.publish(&stream, id, "member", r#"{"user":"ana","add":"owner"}"#, false).await;
        ana.subscribe_when_there(&stream).await;
        for name in ["bo", "cy"] {
            let id = self.id();
            ana.publish(&stream, id, "member", &format!(r#"{{"user":"{name}","add":"writer"}}"#), false)
                .await;
        }
        let mut bo = self.person("bo", NAMES[1]).await;
        let mut cy = self.person("cy", NAMES[2]).await;
        bo.subscribe_when_there(&stream).await;
        cy.subscribe_when_there(&stream).await;
        (stream, [ana, bo, cy])
    }

    fn table(&self, region: &str) -> Arc<dyn Table> {
        self.regions.between.stores[&region.parse::<Region>().unwrap()].table.clone()
    }

    /// Every event item of a region's table, for comparison.
    async fn events(&self, region: &str) -> BTreeMap<String, Vec<u8>> {
        let table = self.table(region);
        let mut items = BTreeMap::new();
        let mut after = None;
        loop {
            let page = table.scan(Name::Events, after).await.unwrap();
            for item in page.items {
                items.insert(format!("{}/{}", item.key.hash, item.key.sort), item.value.to_vec());
            }
            match page.next {
                Some(token) => after = Some(token),
                None => return items,
            }
        }
    }
}

async fn talk(world: &mut World, stream: &StreamId, people: &mut [Person; 3], each: usize) {
    for n in 0..each {
        for person in &mut *people {
            let text = format!(r#""{} {n}""#, person.name);
            let id = world.id();
            person.publish(stream, id, "message", &text, false).await;
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
}

fn display(person: &Person, stream: &StreamId) -> Vec<(u64, String, u64)> {
    let place = |e: &sterna_protocol::frame::Event| (e.hlc.0, e.origin.to_string(), e.seq);
    let mut order: Vec<_> = person.shown[stream].iter().map(place).collect();
    order.sort();
    order
}

/// G3, G4, G5: people in three regions see each other's messages once, in one display order, and the tables
/// end equal.
#[test]
fn three_regions_show_everything_once_in_one_order() {
    run(async {
        let mut world = World::new(1);
        let (stream, mut people) = world.three_people().await;
        talk(&mut world, &stream, &mut people, 20).await;
        for person in &mut people {
            person.until("everybody's messages", |p| p.texts(&stream).len() == 60).await;
        }
        let orders: Vec<_> = people.iter().map(|person| display(person, &stream)).collect();
        assert!(orders.iter().all(|order| *order == orders[0]), "one display order");
        tokio::time::sleep(Duration::from_secs(5)).await;
        let tables =
            [world.events(NAMES[0]).await, world.events(NAMES[1]).await, world.events(NAMES[2]).await];
        assert!(
            tables[0].len() >= 3 && tables.iter().all(|table| *table == tables[0]),
            "equal bytes everywhere"
        );
        world.regions.drain().await;
    });
}

/// E20: with the tables' replication paused, mirrored events are shown, and stand in every table all the
/// same.
#[test]
fn a_paused_table_replication_costs_nothing_but_time() {
    run(async {
        let mut world = World::new(2);
        let (stream, mut people) = world.three_people().await;
        for from in NAMES {
            for to in NAMES.iter().filter(|to| **to != from) {
                world.regions.between.tables.pause(&from.parse().unwrap(), &to.parse().unwrap(), true);
            }
        }
        talk(&mut world, &stream, &mut people, 10).await;
        for person in &mut people {
            person.until("everybody's messages", |p| p.texts(&stream).len() == 30).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let tables =
            [world.events(NAMES[0]).await, world.events(NAMES[1]).await, world.events(NAMES[2]).await];
        assert!(tables.iter().all(|table| *table == tables[0]), "each region put them itself");
    });
}

/// G2, E18: a region that is cut off goes on by itself; after healing everybody has everything, with no later
/// event.
#[test]
fn a_cut_region_goes_on_and_catches_up_when_it_heals() {
    run(async {
        let mut world = World::new(3);
        let (stream, mut people) = world.three_people().await;
        let eu: Region = NAMES[1].parse().unwrap();
        world.regions.between.cut_off(&eu, true);
        talk(&mut world, &stream, &mut people, 10).await;
        people[1].until("its own", |p| p.texts(&stream).len() == 10).await;
        people[0].until("two regions'", |p| p.texts(&stream).len() == 20).await;
        world.regions.between.cut_off(&eu, false);
        for person in &mut people {
            person.until("everything", |p| p.texts(&stream).len() == 30).await;
        }
        let orders: Vec<_> = people.iter().map(|person| display(person, &stream)).collect();
        assert!(orders.iter().all(|order| *order == orders[0]), "one display order");
    });
}

/// E24: bo is removed, then something is said about bo; in bo's region the second never overtakes the first.
#[test]
fn what_is_said_after_a_removal_never_overtakes_it_in_another_region() {
    run(async {
        let mut world = World::new(4);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        let (us, eu) = (NAMES[0].parse::<Region>().unwrap(), NAMES[1].parse::<Region>().unwrap());
        // The removal is slow on its way from us to eu, by log, by table and by express; cy's words come from
        // ap, which is fast.
        world.regions.between.wan[&(us.clone(), eu.clone())].cut(true);
        world.regions.between.mirrors[&(us.clone(), eu.clone())].delay(Duration::from_secs(5));
        world.regions.between.tables.pause(&us, &eu, true);
        let removal = world.id();
        ana.publish(&stream, removal, "member", r#"{"user":"bo","remove":"all"}"#, false).await;
        cy.until("the removal", |p| p.shown[&stream].iter().any(|event| event.event_id == removal)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let id = world.id();
        cy.publish(&stream, id, "message", r#""about bo""#, false).await;
        ana.until("the words", |p| p.texts(&stream).len() == 1).await;
        bo.until("being told", |p| p.refused.contains(&Reason::NotFound)).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        bo.subscribe(&stream).await;
        let before = bo.refused.len();
        bo.until("a refusal", |p| p.refused.len() > before).await;
        assert_eq!(bo.texts(&stream), Vec::<String>::new(), "bo never sees what was said after");
    });
}

/// E9, E22: every publish is acked a second time once another region has it; while the region is cut off,
/// none is.
#[test]
fn a_second_ack_comes_when_another_region_has_the_event() {
    run(async {
        let mut world = World::new(6);
        let (stream, [mut ana, _bo, _cy]) = world.three_people().await;
        let us: Region = NAMES[0].parse().unwrap();
        let mut said = Vec::new();
        for n in 0..10 {
            let id = world.id();
            ana.publish(&stream, id, "message", &n.to_string(), false).await;
            said.push(id);
        }
        ana.until("second acks", |p| said.iter().all(|id| p.safe.contains(id))).await;
        assert_eq!(ana.safe.iter().filter(|id| said.contains(id)).count(), said.len(), "each once");
        for (pair, mirror) in &world.regions.between.mirrors {
            mirror.cut(pair.0 == us);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let cut = world.id();
        ana.publish(&stream, cut, "message", r#""cut off""#, false).await;
        ana.until("the first ack", |p| p.acked.contains(&cut)).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let again = world.id();
        ana.publish(&stream, again, "message", r#""still""#, false).await;
        ana.until("the first ack", |p| p.acked.contains(&again)).await;
        assert!(!ana.safe.contains(&cut), "nobody else has it");
        world.regions.between.mirrors.values().for_each(|mirror| mirror.cut(false));
        ana.until("the second ack", |p| p.safe.contains(&cut) && p.safe.contains(&again)).await;
    });
}

/// How far apart three regions are without express: a mirrored event takes half to one and a half round
/// trips.
#[test]
fn an_event_crosses_regions_within_a_round_trip_and_a_half() {
    run(async {
        let mut world = World::with(5, false);
        let (stream, [mut ana, mut bo, _cy]) = world.three_people().await;
        let one_way =
            RoundTrips::typical().one_way(&NAMES[0].parse().unwrap(), &NAMES[1].parse().unwrap()).unwrap();
        for n in 0..10 {
            let (id, sent) = (world.id(), Instant::now());
            ana.publish(&stream, id, "message", &n.to_string(), false).await;
            bo.until("the message", |p| p.texts(&stream).len() == n + 1).await;
            let took = sent.elapsed();
            assert!(took >= one_way, "{took:?} is faster than light");
            assert!(took <= 3 * one_way + Duration::from_millis(50), "{took:?} of {one_way:?} one way");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
}
