//! In paused time: one of three regions' clocks is wrong, and nobody notices but its operator.

use sterna_cluster::Between;

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// A world in which ap-southeast-1's clock is an hour ahead.
fn one_ahead() -> World {
    let mut plans: Vec<Plan> = NAMES.map(|name| Plan::small(name.parse().unwrap(), 1)).into();
    let clock = ManualClock::new(NOW);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let between = Between::new(&mut plans, &RoundTrips::typical(), &shared);
    let start = |plan: &Plan| {
        let own = clock.beside();
        own.set_skew_ms(if plan.region.as_str() == NAMES[2] { HOUR_MS } else { 0 });
        let stores = between.stores[&plan.region].stores();
        (plan.region.clone(), sterna_cluster::Region::start(plan.clone(), stores, Arc::new(own)))
    };
    let regions = plans.iter().map(start).collect();
    let plans = plans.into_iter().map(|plan| (plan.region.clone(), plan)).collect();
    World { plans, clock, regions: Regions { regions, between }, minted: 0, front: Rc::default() }
}

/// E14: by its own clock the third region would refuse a token as expired, and stamp an hour ahead; by the
/// wall that the others prove it does neither, and says that it is wrong.
#[test]
fn a_region_an_hour_ahead_stamps_and_decides_as_the_others_do() {
    run(async {
        let mut world = one_ahead();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (stream, mut people) = world.three_people().await;
        talk(&mut world, &stream, &mut people, 5).await;
        for person in &mut people {
            person.until("everybody's messages", |p| p.texts(&stream).len() == 15).await;
        }
        let now_ms = world.clock.wall_ms();
        for event in &people[0].shown[&stream] {
            let (origin, stamp_ms) = (&event.origin, event.hlc.wall_ms());
            assert!((NOW..now_ms + 1_000).contains(&stamp_ms), "{origin} stamps {stamp_ms} at {now_ms}");
        }
        let apart = |name: &str| world.regions.regions[&name.parse().unwrap()].wall().is_apart();
        assert_eq!(NAMES.map(apart), [false, false, true]);
    });
}
