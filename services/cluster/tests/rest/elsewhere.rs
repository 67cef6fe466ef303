//! Two regions, in paused time: what `durability=global` waits for, and one event by two ways.

use std::sync::Arc;

use sterna_cluster::{Plan, Regions};
use sterna_process::{Clock, ManualClock};
use sterna_regions::RoundTrips;
use sterna_stream::Region;
use tokio::io::DuplexStream;
use tokio::time::{Duration, Instant};

use super::{NOW, World, run};

const NAMES: [&str; 2] = ["us-east-1", "eu-west-1"];
const MESSAGE: &str = r#"{"kind":"message","payload":{"text":"hello"}}"#;

/// The first region and the second, and what is between them.
fn two(seed: u64) -> ([World; 2], Regions<DuplexStream>) {
    let plans: Vec<Plan> = NAMES.iter().map(|name| Plan::small(name.parse().unwrap(), seed)).collect();
    let clock = ManualClock::new(NOW);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let mut regions = Regions::start(plans.clone(), &RoundTrips::typical(), &shared);
    let mut world = |at: usize| {
        let region = regions.regions.remove(&plans[at].region).unwrap();
        World::of(plans[at].clone(), clock.clone(), region)
    };
    ([world(0), world(1)], regions)
}

/// E9: the answer waits until another region has the event, or ten seconds, and says which it was.
#[test]
fn the_answer_says_whether_another_region_has_it() {
    run(async {
        let ([mut us, eu], regions) = two(51);
        let path = us.stream(&["bo"]).await;
        eu.until("bo", &path, "known there", |answer| answer.status == 200).await;
        let id = us.id();
        let begun = Instant::now();
        let event = format!("{path}/events/{id}");
        let answer = us.ask("ana", "PUT", &format!("{event}?durability=global"), MESSAGE).await;
        assert_eq!((answer.status, &answer.body["durability"]), (202, &"global".into()), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        let place =
            eu.until("bo", &format!("{event}?author=ana"), "there", |answer| answer.status == 200).await;
        assert_eq!(place.body["origin"], "us-east-1");

        regions.between.cut_off(&NAMES[1].parse::<Region>().unwrap(), true);
        // What was underway when the line was cut may still be told.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (begun, id) = (Instant::now(), us.id());
        let event = format!("{path}/events/{id}?durability=global");
        let answer = us.ask("ana", "PUT", &event, MESSAGE).await;
        assert_eq!((answer.status, &answer.body["durability"]), (202, &"region".into()), "{answer:?}");
        assert!((9..=12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        regions.between.end();
    });
}

/// E7, E13: one `PUT` that was made in two regions is told with its twin, and stands in history twice: REST
/// never filters.
#[test]
fn a_put_in_two_regions_has_a_twin() {
    run(async {
        let ([mut us, eu], regions) = two(52);
        let path = us.stream(&["bo"]).await;
        eu.until("bo", &path, "known there", |answer| answer.status == 200).await;
        let id = us.id();
        let event = format!("{path}/events/{id}");
        for region in [&us, &eu] {
            assert_eq!(region.ask("bo", "PUT", &event, MESSAGE).await.status, 202);
        }
        for region in [&us, &eu] {
            let twice =
                |answer: &super::Answer| answer.body["twins"].as_array().is_some_and(|t| t.len() == 1);
            let place = region.until("bo", &event, "there twice", twice).await;
            let twin = &place.body["twins"][0];
            let at = |place: &serde_json::Value| (place["hlc"].to_string(), place["origin"].to_string());
            assert!(at(&place.body) < at(twin), "the first in display order is the event: {place:?}");
            assert_eq!(region.get("bo", &format!("{path}/events")).await.texts(), ["hello", "hello"]);
        }
        regions.between.end();
    });
}
