//! The express lane between three regions, in paused time: faster than the mirror, and never more than that.

use std::cell::RefCell;
use std::rc::Rc;

use sterna_cluster::region::Place;
use sterna_log::Log;
use sterna_proto::record::LogRecord;

use super::*;

/// What may come on top of the way itself: reading the log back, and hand-overs within a region.
const SMALL: Duration = Duration::from_millis(20);

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn one_way(from: &str, to: &str) -> Duration {
    RoundTrips::typical().one_way(&region(from), &region(to)).unwrap()
}

impl World {
    /// Nothing but express brings anything from any region to another.
    fn express_alone(&self, on: bool) {
        for ((from, to), mirror) in &self.regions.between.mirrors {
            mirror.cut(on);
            self.regions.between.tables.pause(from, to, on);
        }
    }
}

/// How long ana's next message takes to bo.
async fn crosses(world: &mut World, stream: &StreamId, ana: &mut Person, bo: &mut Person) -> Duration {
    let (id, sent) = (world.id(), Instant::now());
    ana.publish(stream, id, "message", r#""hello""#, false).await;
    bo.until("the message", |p| p.shown[stream].iter().any(|event| event.event_id == id)).await;
    sent.elapsed()
}

/// E19: an event is in another region after one way and little more.
#[test]
fn an_event_crosses_regions_in_one_way_by_express() {
    run(async {
        let mut world = World::new(21);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        for n in 0..20 {
            for (to, person) in [(NAMES[1], &mut bo), (NAMES[2], &mut cy)] {
                let one_way = one_way(NAMES[0], to);
                let took = crosses(&mut world, &stream, &mut ana, person).await;
                assert!(took >= one_way, "{took:?} is faster than light");
                assert!(took <= one_way + SMALL, "event {n} to {to}: {took:?}, one way is {one_way:?}");
            }
            tokio::time::sleep(Duration::from_millis(130 * n % 400)).await;
        }
    });
}

/// E19: a cut is a black hole; when it heals the lanes are opened again by themselves, and so they are after
/// a crash of either side's state.
#[test]
fn express_comes_back_after_a_cut_and_a_crash() {
    run(async {
        let mut world = World::new(22);
        let (stream, [mut ana, mut bo, _cy]) = world.three_people().await;
        let bound = one_way(NAMES[0], NAMES[1]) + SMALL;
        world.regions.between.cut_off(&region(NAMES[1]), true);
        let id = world.id();
        ana.publish(&stream, id, "message", r#""cut off""#, false).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        world.regions.between.cut_off(&region(NAMES[1]), false);
        bo.until("what was said", |p| p.texts(&stream).len() == 1).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        let took = crosses(&mut world, &stream, &mut ana, &mut bo).await;
        assert!(took <= bound, "{took:?} after the cut");
        for at in [NAMES[0], NAMES[1]] {
            world.regions.regions.get_mut(&region(at)).unwrap().restart(Place::State(0));
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                bo.until("quiet", |_| true).await;
                crosses(&mut world, &stream, &mut ana, &mut bo).await;
            }
            let took = crosses(&mut world, &stream, &mut ana, &mut bo).await;
            assert!(took <= bound, "{took:?} after the crash in {at}");
        }
    });
}

/// What a run ends with.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Everybody's texts, in display order.
    texts: Vec<Vec<String>>,
    /// Everybody's own messages, each of which was acked a second time, once.
    safe: Vec<Vec<EventId>>,
    /// Every region's table.
    tables: Vec<BTreeMap<String, Vec<u8>>>,
    /// Of each region and partition: how far it has whose log.
    watermarks: Vec<Vec<(String, u64, u64)>>,
}

async fn outcome(express: bool) -> Outcome {
    let began = Instant::now();
    let mut world = World::with(23, express);
    let (stream, mut people) = world.three_people().await;
    tokio::time::sleep_until(began + Duration::from_secs(20)).await;
    talk(&mut world, &stream, &mut people, 15).await;
    let mut outcome = Outcome::default();
    for person in &mut people {
        let own = format!(r#""{} "#, person.name);
        person.until("everybody's messages", |p| p.texts(&stream).len() == 45).await;
        let mine = |p: &Person| {
            let mine = p.shown[&stream].iter().filter(|e| e.payload.as_str().starts_with(&own));
            let mut ids: Vec<EventId> = mine.map(|e| e.event_id).collect();
            ids.sort();
            ids
        };
        person.until("second acks", |p| mine(p).iter().all(|id| p.safe.contains(id))).await;
        let mut shown: Vec<_> = person.shown[&stream].iter().collect();
        shown.sort_by_key(|event| (event.hlc, event.origin.clone(), event.seq));
        let texts = shown.iter().filter(|e| e.kind.as_str() == "message");
        outcome.texts.push(texts.map(|e| e.payload.as_str().to_owned()).collect());
        assert!(mine(person).iter().all(|id| person.safe.iter().filter(|safe| *safe == id).count() == 1));
        outcome.safe.push(mine(person));
    }
    tokio::time::sleep_until(began + Duration::from_secs(60)).await;
    for name in NAMES {
        outcome.tables.push(world.events(name).await);
        for partition in 0..4 {
            outcome.watermarks.push(world.watermarks(name, partition).await);
        }
    }
    world.regions.drain().await;
    outcome
}

impl World {
    /// What the newest mark of a region's state says of the others' logs.
    async fn watermarks(&self, name: &str, partition: u16) -> Vec<(String, u64, u64)> {
        let log = &self.regions.between.stores[&region(name)].log;
        let topic = "sterna-log".parse().unwrap();
        let page = log.read(&topic, partition, 0, usize::MAX).await.unwrap();
        let mark = |bytes| match LogRecord::decode(bytes) {
            Ok(LogRecord::Mark(mark)) if !mark.watermarks.is_empty() => Some(mark),
            _ => None,
        };
        let newest = page.entries.into_iter().filter_map(|entry| mark(entry.record.value)).last().unwrap();
        newest.watermarks.into_iter().map(|w| (w.origin, w.term, w.n)).collect()
    }
}

/// E19, E21: with express or without it the same is shown in the same order, the same stands in the tables,
/// the same is acked a second time, and the watermarks say the same: express is faster, and nothing else.
#[test]
fn express_changes_nothing_but_the_time() {
    let outcomes = [true, false].map(|express| {
        let kept: Rc<RefCell<Option<Outcome>>> = Rc::default();
        let keep = kept.clone();
        run(async move { *keep.borrow_mut() = Some(outcome(express).await) });
        kept.take().unwrap()
    });
    let [on, off] = outcomes;
    assert!(on.texts.iter().all(|texts| texts.len() == 45 && *texts == on.texts[0]));
    assert!(on.safe.iter().all(|safe| safe.len() == 15));
    assert_eq!(on.texts, off.texts);
    assert_eq!(on.safe, off.safe);
    assert_eq!(on.watermarks, off.watermarks);
    assert!(on.tables == off.tables, "equal bytes in all tables");
}

/// E20: with the mirrors cut and the tables' replication paused express alone brings what is said; then its
/// origin is destroyed. Whoever comes later reads all that anybody was shown, from the table, tails wiped.
/// Nothing of it was acked a second time: express is in no watermark.
#[test]
fn what_express_alone_brought_outlives_its_origin() {
    run(async {
        let mut world = World::new(24);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.express_alone(true);
        // What was underway has arrived.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut said = Vec::new();
        for n in 0..20 {
            let id = world.id();
            ana.publish(&stream, id, "message", &n.to_string(), false).await;
            said.push(id);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for person in [&mut ana, &mut bo, &mut cy] {
            person.until("all by express", |p| p.texts(&stream).len() == 20).await;
        }
        let us = world.regions.regions.get_mut(&region(NAMES[0])).unwrap();
        let places: Vec<Place> = us.places().collect();
        places.into_iter().for_each(|place| us.kill(place));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(said.iter().all(|id| !ana.safe.contains(id)), "nobody has it by mirror");
        for (name, at, before) in [("bo", NAMES[1], bo), ("cy", NAMES[2], cy)] {
            world.regions.between.stores[&region(at)].tails.wipe();
            let mut again = world.person(name, at).await;
            again.subscribe(&stream).await;
            again.until("all that was shown", |p| p.texts(&stream).len() == 20).await;
            assert_eq!(again.texts(&stream), before.texts(&stream));
        }
    });
}

/// E24: a removal that comes by express is in force before anything said after it is shown, in every region,
/// though neither mirror nor table brings a thing.
#[test]
fn what_is_said_after_a_removal_never_overtakes_it_by_express() {
    run(async {
        let mut world = World::new(25);
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.express_alone(true);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let removal = world.id();
        ana.publish(&stream, removal, "member", r#"{"user":"bo","remove":"all"}"#, false).await;
        for n in 0..3 {
            let id = world.id();
            ana.publish(&stream, id, "message", &n.to_string(), false).await;
        }
        cy.until("ana's words", |p| p.texts(&stream).len() == 3).await;
        // What cy says rests on the removal, and comes to bo's region from another one.
        let id = world.id();
        cy.publish(&stream, id, "message", "3", false).await;
        ana.until("cy's words", |p| p.texts(&stream).len() == 4).await;
        bo.until("being told", |p| p.refused.contains(&Reason::NotFound)).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        bo.subscribe(&stream).await;
        let before = bo.refused.len();
        bo.until("a refusal", |p| p.refused.len() > before).await;
        assert_eq!(bo.texts(&stream), Vec::<String>::new());
        world.express_alone(false);
        tokio::time::sleep(Duration::from_secs(20)).await;
        bo.subscribe(&stream).await;
        let before = bo.refused.len();
        bo.until("a refusal", |p| p.refused.len() > before).await;
        assert_eq!(bo.texts(&stream), Vec::<String>::new(), "nor once the mirrors bring it");
    });
}
