//! In paused time: a tenant's access stream in three regions, provisioned by all at once.

use sterna_cluster::region::Place;
use sterna_storage::{Expect, Put, layout};
use sterna_stream::fixed;

use super::*;

fn acme(owner: &str) -> Vec<Tenant> {
    vec![Tenant::new("acme", owner).unwrap()]
}

impl World {
    /// How many of a region's items are the tenant's access stream's.
    async fn foundings(&self, region: &str) -> usize {
        let stream = fixed::access("acme").unwrap();
        self.events(region).await.keys().filter(|key| key.contains(stream.as_str())).count()
    }
}

/// E3: three regions that start at once and found a tenant each end with one access stream, equal everywhere,
/// with one root owner, who is served in every region; a restart founds nothing more.
#[test]
fn regions_that_provision_a_tenant_at_once_end_with_one_set_of_streams() {
    run(async {
        let mut world = World::of(11, true, |_| acme("ops"));
        let stream = fixed::access("acme").unwrap();
        let mut people = Vec::new();
        for region in NAMES {
            let mut ops = world.person("ops", region).await;
            ops.subscribe_when_there(&stream).await;
            people.push(ops);
        }
        for ops in &mut people {
            ops.until("all foundings", |p| p.shown[&stream].len() == NAMES.len()).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let tables =
            [world.events(NAMES[0]).await, world.events(NAMES[1]).await, world.events(NAMES[2]).await];
        assert!(tables.iter().all(|table| *table == tables[0]), "equal bytes everywhere");
        assert_eq!(world.foundings(NAMES[0]).await, NAMES.len(), "each region founded once");
        let orders: Vec<_> = people.iter().map(|person| display(person, &stream)).collect();
        assert!(orders.iter().all(|order| *order == orders[0]), "one display order");

        let id = world.id();
        people[1].publish(&stream, id, "member", r#"{"user":"ana","add":"owner"}"#, false).await;
        let mut ana = world.person("ana", NAMES[2]).await;
        ana.subscribe_when_there(&stream).await;

        let us: Region = NAMES[0].parse().unwrap();
        world.regions.regions.get_mut(&us).unwrap().restart(Place::Gateway(0));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.foundings(NAMES[0]).await, NAMES.len() + 1, "ana's membership and nothing else");
    });
}

/// E3: a region that is cut off provisions its tenant alone, and what crossed is one when it is back.
#[test]
fn a_region_that_is_cut_off_provisions_by_itself() {
    run(async {
        let world = World::of(12, true, |_| acme("ops"));
        let eu: Region = NAMES[1].parse().unwrap();
        world.regions.between.cut_off(&eu, true);
        let stream = fixed::access("acme").unwrap();
        let mut ops = world.person("ops", NAMES[1]).await;
        ops.subscribe_when_there(&stream).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.foundings(NAMES[1]).await, 1, "its own");
        world.regions.between.cut_off(&eu, false);
        ops.until("the others' foundings", |p| p.shown[&stream].len() == NAMES.len()).await;
    });
}

/// E3, G9: a tenant that cannot be provisioned now, because of what stands in its stream's place, keeps no
/// other from it.
#[test]
fn a_tenant_that_cannot_be_provisioned_keeps_no_other_waiting() {
    run(async {
        let stuck = |_: &Region| vec![Tenant::new("stuck", "ops").unwrap(), acme("ops").remove(0)];
        let world = World::of(14, true, stuck);
        let (region, origin) = (NAMES[0].parse::<Region>().unwrap(), NAMES[0].parse().unwrap());
        let place = layout::segment(&fixed::access("stuck").unwrap(), &origin, 1);
        // By itself: another region's founding of the other tenant would do as well.
        world.regions.between.cut_off(&region, true);
        let table = &world.regions.between.stores[&region].table;
        assert_eq!(table.put(place, "no segment".into(), Expect::Absent).await.unwrap(), Put::Done(1));
        let mut ops = world.person("ops", NAMES[0]).await;
        ops.subscribe_when_there(&fixed::access("acme").unwrap()).await;
    });
}

/// E3: regions that were told different owners agree on one all the same; who asks another sees no stream.
#[test]
fn regions_that_were_told_different_owners_agree_on_one() {
    run(async {
        let owner = |region: &Region| acme(if region.as_str() == NAMES[1] { "boss" } else { "ops" });
        let world = World::of(13, true, owner);
        let stream = fixed::access("acme").unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        for region in NAMES {
            let mut boss = world.person("boss", region).await;
            boss.subscribe_when_there(&stream).await;
            let mut ops = world.person("ops", region).await;
            ops.subscribe(&stream).await;
            ops.until("a refusal", |p| p.refused.contains(&Reason::NotFound)).await;
        }
    });
}

/// E24: ops suspends bo in us; in ap, which knows it, something is said about bo. In eu, where the suspension
/// comes late, it is shown to nobody before, and never to bo; to others it is shown then.
#[test]
fn what_is_said_after_a_suspension_never_overtakes_it_in_another_region() {
    run(async {
        let mut world = World::of(14, true, |_| acme("ops"));
        let access = fixed::access("acme").unwrap();
        let (stream, [mut ana, mut bo, mut cy]) = world.three_people().await;
        let id = world.id();
        ana.publish(&stream, id, "member", r#"{"user":"eve","add":"reader"}"#, false).await;
        let mut eve = world.person("eve", NAMES[1]).await;
        eve.subscribe_when_there(&stream).await;
        let mut here = world.person("ops", NAMES[0]).await;
        let mut there = world.person("ops", NAMES[2]).await;
        here.subscribe_when_there(&access).await;
        there.subscribe_when_there(&access).await;
        there.until("all foundings", |p| p.shown[&access].len() == NAMES.len()).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        bo.until("nothing yet", |p| p.texts(&stream).is_empty()).await;

        // The suspension is slow on its way from us to eu; cy's words come from ap, which is fast.
        let [us, eu, ap] = NAMES.map(|name| name.parse::<Region>().unwrap());
        world.regions.between.wan[&(us.clone(), eu.clone())].cut(true);
        world.regions.between.mirrors[&(us.clone(), eu.clone())].delay(Duration::from_secs(5));
        world.regions.between.tables.pause(&us, &eu, true);
        world.regions.between.tables.pause(&ap, &eu, true);
        let suspension = world.id();
        here.publish(&access, suspension, "suspension", r#"{"v":1,"user":"bo","suspended":true}"#, false)
            .await;
        there
            .until("the suspension", |p| p.shown[&access].iter().any(|event| event.event_id == suspension))
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (id, said) = (world.id(), Instant::now());
        cy.publish(&stream, id, "message", r#""about bo""#, false).await;
        ana.until("the words", |p| p.texts(&stream).len() == 1).await;
        eve.until("the words", |p| p.texts(&stream).len() == 1).await;
        assert!(said.elapsed() > Duration::from_secs(3), "not before the suspension: {:?}", said.elapsed());
        assert_eq!((bo.closing().await, bo.refused.last()), (1008, Some(&Reason::Forbidden)));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(bo.texts(&stream), Vec::<String>::new(), "bo never sees what was said after");
        let mut bo = world.person("bo", NAMES[1]).await;
        bo.subscribe(&stream).await;
        assert_eq!((bo.closing().await, bo.texts(&stream).len()), (1008, 0));
    });
}

/// E24, A7, A8: whoever is suspended is told so and closed at once in every region, whatever they follow and
/// although nothing more is said; when it is lifted they are served again, and miss nothing.
#[test]
fn a_suspended_user_is_cut_off_without_a_later_event() {
    run(async {
        let mut world = World::of(15, true, |_| acme("ops"));
        let access = fixed::access("acme").unwrap();
        let (stream, [mut ana, mut bo, _cy]) = world.three_people().await;
        let mut ops = world.person("ops", NAMES[0]).await;
        ops.subscribe_when_there(&access).await;
        let mut elsewhere = [world.person("bo", NAMES[0]).await, world.person("bo", NAMES[2]).await];
        let (id, began) = (world.id(), Instant::now());
        ops.publish(&access, id, "suspension", r#"{"v":1,"user":"bo","suspended":true}"#, false).await;
        for other in &mut elsewhere {
            assert_eq!((other.closing().await, other.refused.as_slice()), (1008, &[Reason::Forbidden][..]));
        }
        assert_eq!((bo.closing().await, bo.refused.last()), (1008, Some(&Reason::Forbidden)));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let id = world.id();
        ana.publish(&stream, id, "message", r#""meanwhile""#, false).await;
        let mut again = world.person("bo", NAMES[1]).await;
        let id = world.id();
        again.publish(&stream, id, "message", r#""mine""#, false).await;
        assert_eq!((again.closing().await, again.acked.as_slice()), (1008, &[][..]));
        ops.until("it is shown", |p| p.shown[&access].len() > NAMES.len()).await;
        let id = world.id();
        ops.publish(&access, id, "suspension", r#"{"v":1,"user":"bo","suspended":false}"#, false).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut bo = world.person("bo", NAMES[1]).await;
        bo.subscribe_when_there(&stream).await;
        bo.until("what was said meanwhile", |p| p.texts(&stream).len() == 1).await;
    });
}
