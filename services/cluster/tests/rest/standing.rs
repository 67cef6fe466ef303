//! Who may ask nothing at all: whoever is suspended in their tenant is told so whatever they ask (A7).

use sterna_cluster::Tenant;

use super::{Answer, NOW, Request, World, run, token};

impl World {
    /// A region whose tenant ops administers.
    async fn administered(seed: u64) -> Self {
        let world = Self::planned(seed, |plan| plan.tenants = vec![Tenant::new("acme", "ops").unwrap()]);
        world.until("ops", ACCESS, "founded", |answer| answer.status == 200).await;
        world
    }

    /// Suspends a user, or lifts that.
    async fn suspend(&mut self, payload: &str) {
        let (path, body) = (
            format!("{ACCESS}/events/{}", self.id()),
            format!(r#"{{"kind":"suspension","payload":{{"v":1,{payload}}}}}"#),
        );
        let answer = self.ask("ops", "PUT", &path, &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

const ACCESS: &str = "/v1/streams/access/main";

/// E24, A7, G7: whoever is suspended is refused whatever they ask, their own streams' list included, and is
/// served when that is lifted; nobody else notices.
#[test]
fn whoever_is_suspended_is_refused_whatever_they_ask() {
    run(async {
        let mut world = World::administered(41).await;
        let path = world.stream(&["bo"]).await;
        world.suspend(r#""user":"bo","suspended":true"#).await;
        world.until("bo", &path, "refused", |answer| answer.status == 403).await;
        let id = world.id();
        for (method, asked, body) in [
            ("GET", "/v1/streams".into(), String::new()),
            ("GET", "/v1/streams?kind=chat&limit=1".into(), String::new()),
            ("POST", "/v1/streams/chat".into(), format!(r#"{{"event_id":"{id}"}}"#)),
            ("GET", path.clone(), String::new()),
            ("GET", format!("{path}/members"), String::new()),
            ("DELETE", format!("{path}/members/bo"), String::new()),
            ("PUT", format!("{path}/members/eve"), r#"{"role":"reader"}"#.into()),
            ("GET", format!("{path}/events"), String::new()),
            ("GET", format!("{path}/events/{id}"), String::new()),
            ("PUT", format!("{path}/events/{id}"), r#"{"kind":"message","payload":1}"#.into()),
        ] {
            let answer = world.ask("bo", method, &asked, &body).await;
            assert_eq!(answer.refused(), (403, "forbidden"), "{method} {asked}");
            assert!(answer.body["detail"].as_str().unwrap().contains("suspended"), "{answer:?}");
        }
        assert_eq!(world.get("ana", "/v1/streams").await.status, 200);
        world.suspend(r#""user":"bo","suspended":false"#).await;
        let listed = |answer: &Answer| answer.status == 200;
        let answer = world.until("bo", "/v1/streams", "served", listed).await;
        assert_eq!(answer.body["streams"][0]["stream"], path.replace("/v1/streams", "acme"));
    });
}

/// E24, A7: a token from before a suspension's `not_before` is void also when the suspension is lifted, and
/// says so as one that has ended does; a newer one is good.
#[test]
fn a_token_from_before_a_suspension_is_void() {
    run(async {
        let mut world = World::administered(42).await;
        let path = world.stream(&["bo"]).await;
        let not_before = format!(r#""user":"bo","suspended":true,"not_before_ms":{NOW}"#);
        world.suspend(&not_before).await;
        world.until("bo", &path, "refused", |answer| answer.status == 403).await;
        world.suspend(r#""user":"bo","suspended":false"#).await;
        world.until("bo", &path, "served", |answer| answer.status == 200).await;
        let hour_ms = 3_600_000;
        let old = token(&world.plan, "acme", "bo", NOW - 1_000 + hour_ms);
        for asked in ["/v1/streams", &path, &format!("{path}/events")] {
            let answer = world.send(Request::new("GET", asked).token(&old)).await;
            assert_eq!(answer.refused(), (401, "token_expired"), "{asked}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            assert_eq!(world.get("bo", asked).await.status, 200);
        }
    });
}
