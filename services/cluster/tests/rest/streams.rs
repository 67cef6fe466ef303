//! Creating streams, looking at them, and who may, in paused time.

use sterna_stream::created;

use super::{PAGE, Request, World, run, token};

/// E3: a creation gives 201 and the stream that its id names; again it is 200 and unchanged, in whatever
/// order.
#[test]
fn a_stream_is_created_once() {
    run(async {
        let mut world = World::new(1);
        let id = world.id();
        let name = created::name("acme", &"ana".parse().unwrap(), id);
        let body = format!(
            r#"{{"event_id":"{id}","history":"since_joined","members":[{{"user":"bo","role":"reader"}}]}}"#
        );
        let made = world.ask("ana", "POST", "/v1/streams/chat", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.body["stream"], format!("acme/chat/{name}"));
        let path = format!("/v1/streams/chat/{name}");
        assert_eq!(made.headers["location"], path);
        world.until("bo", &path, "bo's", |answer| answer.body["role"] == "reader").await;
        let seen = world.get("ana", &path).await;
        assert_eq!((&seen.body["role"], &seen.body["history"]), (&"owner".into(), &"since_joined".into()));
        world.held(&path, 2).await;
        for body in [&body, &format!(r#"{{"event_id":"{id}"}}"#)] {
            let again = world.ask("ana", "POST", "/v1/streams/chat", body).await;
            assert_eq!((again.status, &again.body["stream"]), (200, &made.body["stream"]));
            assert_eq!(again.body["history"], "since_joined", "unchanged");
        }
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.held(&path, 2).await;
        let other = world.ask("bo", "POST", "/v1/streams/chat", &body).await;
        assert_eq!(other.status, 201, "nobody else's id makes the same stream");
        assert_ne!(other.body["stream"], made.body["stream"]);
    });
}

/// A head is tagged: whoever holds it is told that it has not changed, until it has.
#[test]
fn a_head_that_has_not_changed_is_304() {
    run(async {
        let mut world = World::new(2);
        let path = world.stream(&[]).await;
        let first = world.get("ana", &path).await;
        assert_eq!((first.status, &first.body["head"]), (200, &serde_json::json!({ "us-east-1": 1 })));
        let held = Request::new("GET", &path)
            .token(&world.token("acme", "ana"))
            .header(&format!("If-None-Match: {}", first.headers["etag"]));
        let same = world.send(held.clone()).await;
        assert_eq!((same.status, &*same.text), (304, ""));
        assert_eq!(same.headers["etag"], first.headers["etag"]);
        world.say("ana", &path, "hello").await;
        world.held(&path, 2).await;
        assert_eq!(world.send(held).await.status, 200);
        let head = world.send(Request::new("HEAD", &path).token(&world.token("acme", "ana"))).await;
        assert_eq!((head.status, &*head.text), (200, ""));
    });
}

/// G7: a stream that is absent, another tenant's or not visible gives one answer to the letter; and a token
/// of another tenant names streams of its own tenant only.
#[test]
fn what_may_not_be_seen_is_not_found() {
    run(async {
        let mut world = World::new(3);
        let path = world.stream(&[]).await;
        let id = world.id();
        let message = r#"{"kind":"message","payload":1}"#;
        for (method, below, body) in [
            ("GET", String::new(), ""),
            ("GET", "/members".into(), ""),
            ("GET", "/events".into(), ""),
            ("GET", format!("/events/{id}"), ""),
            ("PUT", format!("/events/{id}"), message),
            ("PUT", "/members/eve".into(), r#"{"role":"owner"}"#),
            ("DELETE", "/members/ana".into(), ""),
        ] {
            let mut answers = Vec::new();
            for (tenant, user, stream) in
                [("acme", "eve", &*path), ("other", "ana", &path), ("acme", "ana", "/v1/streams/chat/none")]
            {
                let request = Request::new(method, &format!("{stream}{below}"));
                answers.push(world.send(request.token(&world.token(tenant, user)).json(body)).await);
            }
            for answer in &answers {
                assert_eq!(answer.refused(), (404, "not_found"), "{method} {below}");
                assert_eq!(answer.text, answers[0].text, "{method} {below}");
            }
        }
        world.held(&path, 1).await;
    });
}

/// E32: no token, a foreign one and one that has ended are told apart and challenged; nothing is done.
#[test]
fn without_a_good_token_nothing_is_answered() {
    run(async {
        let world = World::new(4);
        let ended = token(&world.plan, "acme", "ana", super::NOW);
        let good = world.token("acme", "ana");
        let request = || Request::new("GET", "/v1/streams/chat/a");
        for (request, code) in [
            (request(), "token_invalid"),
            (request().token("x"), "token_invalid"),
            (request().token(&ended), "token_expired"),
            (request().token(&good).token(&good), "token_invalid"),
            (request().header(&format!("Authorization: Basic {good}")), "token_invalid"),
            (request().header("Authorization: Bearer"), "token_invalid"),
        ] {
            let answer = world.send(request).await;
            assert_eq!(answer.refused(), (401, code));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
        assert_eq!(world.send(request().token(&good)).await.refused(), (404, "not_found"));
        // Where a client goes that reaches nothing else needs no token.
        assert_eq!(world.send(Request::new("GET", "/v1/regions")).await.status, 200);
    });
}

/// What is not there yet says so by name.
#[test]
fn names_for_people_say_that_they_wait() {
    run(async {
        let mut world = World::new(5);
        let alias = world.get("ana", "/v1/streams?alias=general").await;
        assert_eq!((alias.refused(), &alias.body["field"]), ((501, "bad_request"), &"alias".into()));
        let id = world.id();
        let body = format!(r#"{{"event_id":"{id}","alias":"general"}}"#);
        let named = world.ask("ana", "POST", "/v1/streams/chat", &body).await;
        assert_eq!((named.refused(), &named.body["field"]), ((400, "bad_request"), &"alias".into()));
    });
}

/// One's streams come in pages, each once, with role and head; nobody else's are among them.
#[test]
fn ones_streams_are_listed() {
    run(async {
        let mut world = World::new(7);
        let mut made = Vec::new();
        for n in 0..7 {
            let path = world.stream(if n < 5 { &["bo"] } else { &[] }).await;
            made.push(path.replace("/v1/streams", "acme"));
        }
        made.sort_unstable();
        for limit in [1, 3, 7, 500] {
            let (mut listed, mut next) = (Vec::new(), String::new());
            loop {
                let answer = world.get("ana", &format!("/v1/streams?kind=chat&limit={limit}{next}")).await;
                let page = answer.body["streams"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone();
                assert!(page.len() <= limit, "{answer:?}");
                assert!(
                    page.iter().all(|mine| mine["role"] == "owner" && mine["head"]["us-east-1"].is_u64())
                );
                listed.extend(page.iter().map(|mine| mine["stream"].as_str().unwrap().to_owned()));
                match answer.body["next"].as_str() {
                    Some(token) => next = format!("&page={token}"),
                    None => break,
                }
            }
            assert_eq!(listed, made, "{limit}");
        }
        let of = async |user| world.get(user, "/v1/streams").await.body["streams"].as_array().unwrap().len();
        assert_eq!((of("bo").await, of("eve").await), (5, 0));
        let first = world.get("bo", "/v1/streams").await;
        let held = Request::new("GET", "/v1/streams").token(&world.token("acme", "bo"));
        let held = held.header(&format!("If-None-Match: {}", first.headers["etag"]));
        assert_eq!(world.send(held).await.status, 304);
        for (query, field) in [("kind=A%2Fb", "kind"), ("limit=0", "limit"), ("page=%C3%A4", "page")] {
            let answer = world.get("ana", &format!("/v1/streams?{query}")).await;
            assert_eq!((answer.refused(), &answer.body["field"]), ((400, "bad_request"), &field.into()));
        }
    });
}

/// CORS: a page that may connect may ask, and read answers; any other is refused, whatever its token.
#[test]
fn pages_are_taken_by_the_same_list_as_connections() {
    run(async {
        let mut world = World::new(6);
        let path = world.stream(&[]).await;
        let ask =
            |method: &str, origin: &str| Request::new(method, &path).header(&format!("Origin: {origin}"));
        let before = |origin: &str| ask("OPTIONS", origin).header("Access-Control-Request-Method: PUT");
        let answer = world.send(before(PAGE)).await;
        assert_eq!((answer.status, &*answer.headers["access-control-allow-origin"]), (204, PAGE));
        assert!(answer.headers["access-control-allow-methods"].contains("PUT"));
        assert!(answer.headers["access-control-allow-headers"].contains("authorization"));
        let ana = world.token("acme", "ana");
        let read = world.send(ask("GET", PAGE).token(&ana)).await;
        assert_eq!((read.status, &*read.headers["access-control-allow-origin"]), (200, PAGE));
        assert_eq!(read.headers["vary"], "origin");
        let refused = world.send(ask("GET", PAGE)).await;
        assert_eq!(refused.headers["access-control-allow-origin"], PAGE, "a page may read why not");
        for evil in ["https://evil.example.com", "null", "https://app.example.com.evil.com"] {
            for request in [before(evil), ask("GET", evil).token(&ana)] {
                let answer = world.send(request).await;
                assert_eq!(answer.refused(), (403, "origin_not_allowed"));
                assert!(!answer.headers.contains_key("access-control-allow-origin"));
            }
        }
    });
}
