//! One event, in paused time: published, repeated, looked up; and how fast.

use serde_json::json;
use sterna_stream::EventId;
use tokio::time::{Duration, Instant};

use super::{World, run};

/// E7: a `PUT` that is repeated, by whatever layer, is one event, which says that it may be a repeat; each
/// repeat is acked again.
#[test]
fn a_repeated_put_is_one_event() {
    run(async {
        let mut world = World::new(21);
        let path = world.stream(&["bo"]).await;
        let id = world.id();
        let (event, body) =
            (format!("{path}/events/{id}"), r#"{"kind":"message","payload":{"text":"once"}}"#);
        let mut acks = Vec::new();
        for n in 0..5 {
            let answer = world.ask("bo", "PUT", &event, body).await;
            acks.push((answer.status, answer.body));
            // Some while the first is not sequenced yet, some after.
            tokio::time::sleep(Duration::from_millis(100 * n)).await;
        }
        let ack = json!({ "event_id": id.to_string(), "region": "us-east-1", "durability": "region" });
        assert!(acks.iter().all(|got| *got == (202, ack.clone())), "{acks:?}");
        let place = world.until("bo", &event, "found", |answer| answer.status == 200).await;
        assert_eq!((&place.body["origin"], &place.body["seq"]), (&"us-east-1".into(), &3.into()));
        assert_eq!((&place.body["twins"], &place.body["author"]), (&json!([]), &"bo".into()));
        let page = world.get("ana", &format!("{path}/events")).await;
        assert_eq!(page.texts(), ["once"]);
        let shown = &page.body["events"][0];
        assert_eq!((&shown["resend"], &shown["event_id"]), (&true.into(), &id.to_string().into()));
        assert_eq!((&shown["hlc"], &shown["kind"]), (&place.body["hlc"], &"message".into()));
    });
}

/// An event that is not there is told with how far the region has seen; another author's is found by name.
#[test]
fn an_event_is_looked_up_by_its_id_and_author() {
    run(async {
        let mut world = World::new(22);
        let path = world.stream(&["bo"]).await;
        let id = world.say("ana", &path, "hello").await;
        world.held(&path, 3).await;
        let absent = world.get("bo", &format!("{path}/events/{id}")).await;
        assert_eq!(absent.refused(), (404, "not_found"));
        assert_eq!(absent.body["seen"], json!({ "us-east-1": 3 }));
        let found = world.get("bo", &format!("{path}/events/{id}?author=ana")).await;
        assert_eq!((found.status, &found.body["seq"]), (200, &3.into()));
    });
}

/// E9: with no other region there is nothing to wait for, and the answer says what was reached.
#[test]
fn one_region_alone_answers_at_once() {
    run(async {
        let mut world = World::new(23);
        let path = world.stream(&[]).await;
        let id = world.id();
        let begun = Instant::now();
        let event = format!("{path}/events/{id}?durability=global");
        let answer = world.ask("ana", "PUT", &event, r#"{"kind":"message","payload":1}"#).await;
        assert_eq!((answer.status, &answer.body["durability"]), (202, &"region".into()));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let bad = world.ask("ana", "PUT", &event.replace("global", "eternal"), "{}").await;
        assert_eq!((bad.refused(), &bad.body["field"]), ((400, "bad_request"), &"durability".into()));
    });
}

/// E5, E14: what a session's publish is refused for, a `PUT` is refused for, under the same names.
#[test]
fn a_put_is_refused_as_a_publish_is() {
    run(async {
        let mut world = World::new(24);
        let path = world.stream(&["bo"]).await;
        assert_eq!(
            world.ask("ana", "PUT", &format!("{path}/members/cy"), r#"{"role":"reader"}"#).await.status,
            202
        );
        world.until("cy", &path, "cy's", |answer| answer.status == 200).await;
        let now = super::NOW;
        let fine = EventId::mint(now, 99);
        let message = |payload: &str| format!(r#"{{"kind":"message","payload":{payload}}}"#);
        let large = format!("\"{}\"", "x".repeat(60 * 1024));
        for (user, id, body, refused) in [
            ("cy", fine, message("1"), (403, "forbidden")),
            ("ana", EventId::mint(now + 400_000, 1), message("1"), (400, "bad_event_id")),
            ("ana", EventId::mint(now - 90_000_000, 1), message("1"), (409, "id_too_old")),
            ("ana", fine, message(&large), (413, "payload_too_large")),
            ("ana", fine, r#"{"kind":"alias","payload":1}"#.into(), (403, "forbidden")),
            (
                "bo",
                fine,
                r#"{"kind":"member","payload":{"user":"bo","add":"owner"}}"#.into(),
                (403, "forbidden"),
            ),
            (
                "ana",
                fine,
                r#"{"kind":"message","payload":1,"seen":"ffffffffffffffff"}"#.into(),
                (400, "bad_request"),
            ),
        ] {
            let answer = world.ask(user, "PUT", &format!("{path}/events/{id}"), &body).await;
            assert_eq!(answer.refused(), refused, "{user} {id}");
            if body.contains("seen") || ["bad_event_id", "id_too_old"].contains(&refused.1) {
                assert!(answer.body["time_unix_ms"].as_u64().unwrap() >= now, "{answer:?}");
            }
        }
        world.held(&path, 3).await;
    });
}

/// G9: a user's publishes are bounded like a session's, whatever the connections; others are not slowed.
#[test]
fn over_the_rate_is_429_with_the_time_to_wait() {
    run(async {
        let mut world = World::new(25);
        let path = world.stream(&["bo"]).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let body = r#"{"kind":"message","payload":1}"#;
        let mut taken = 0;
        let refused = loop {
            let id = world.id();
            let answer = world.ask("ana", "PUT", &format!("{path}/events/{id}"), body).await;
            if answer.status != 202 {
                break answer;
            }
            taken += 1;
        };
        assert!((60..80).contains(&taken), "{taken}");
        assert_eq!(refused.refused(), (429, "rate_limited"));
        assert_eq!(refused.headers["retry-after"], "1");
        let ms = refused.body["retry_after_ms"].as_u64().unwrap();
        let id = world.id();
        assert_eq!(world.ask("bo", "PUT", &format!("{path}/events/{id}"), body).await.status, 202);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let id = world.id();
        assert_eq!(world.ask("ana", "PUT", &format!("{path}/events/{id}"), body).await.status, 202);
        assert_eq!(world.get("ana", &path).await.status, 200, "reads have a rate of their own");
    });
}
