//! Input that nobody means well, in paused time: refused with problem details, and nobody else notices.

use sterna_gateway::edge::{BODY_BYTES, BODY_TIME};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{Answer, Request, World, run};

/// G9: a body is bounded whether its length is announced, a lie, or not said at all; it is refused before it
/// is kept.
#[test]
fn a_body_is_bounded_in_bytes() {
    run(async {
        let mut world = World::new(41);
        let path = world.stream(&[]).await;
        let id = world.id();
        let put = || {
            let request =
                Request::new("PUT", &format!("{path}/events/{id}")).token(&world.token("acme", "ana"));
            request.header("Content-Type: application/json")
        };
        let announced = put().header("Content-Length: 1000000000000").bare_body(b"{");
        assert_eq!(world.send(announced).await.refused(), (413, "payload_too_large"));
        let mut chunks = Vec::new();
        for _ in 0..3 {
            chunks.extend_from_slice(format!("{BODY_BYTES:x}\r\n{}\r\n", " ".repeat(BODY_BYTES)).as_bytes());
        }
        let unannounced = put().header("Transfer-Encoding: chunked").bare_body(&chunks);
        assert_eq!(world.send(unannounced).await.refused(), (413, "payload_too_large"));
        let nothing = put().body(b"");
        assert_eq!(world.send(nothing).await.refused(), (400, "bad_request"));
        world.held(&path, 1).await;
    });
}

/// G9: whoever sends their body a byte at a time is refused after its time, and holds up nobody.
#[test]
fn a_body_is_bounded_in_time() {
    run(async {
        let mut world = World::new(42);
        let path = world.stream(&["bo"]).await;
        let id = world.id();
        let request = Request::new("PUT", &format!("{path}/events/{id}"))
            .token(&world.token("acme", "ana"))
            .header("Content-Type: application/json")
            .header("Content-Length: 1000");
        let (ours, theirs) = tokio::io::duplex(1024);
        world.edge.connect(theirs);
        let (mut read, mut write) = tokio::io::split(ours);
        let begun = Instant::now();
        write.write_all(&request.bytes()).await.unwrap();
        let mut text = Vec::new();
        let dripping = async {
            while write.write_all(b" ").await.is_ok() {
                tokio::time::sleep(BODY_TIME / 20).await;
            }
        };
        let other = async {
            world.say("bo", &path, "nobody waits").await;
            assert!(begun.elapsed() < BODY_TIME / 2, "{:?}", begun.elapsed());
        };
        tokio::select! {
            biased;
            _ = async { tokio::join!(dripping, other) } => {}
            _ = read.read_to_end(&mut text) => {}
        }
        let _ = read.read_to_end(&mut text).await;
        assert_eq!(Answer::parse(&text).refused(), (408, "bad_request"));
        assert!(begun.elapsed() < BODY_TIME * 2, "{:?}", begun.elapsed());
    });
}

/// Whatever stands in a path or a body, the answer is a problem that names it.
#[test]
fn nonsense_is_a_problem() {
    run(async {
        let mut world = World::new(43);
        let path = world.stream(&[]).await;
        let id = world.id();
        let event = format!("{path}/events/{id}");
        let deep = format!("/v1/streams{}", "/x".repeat(9_000));
        let nested = format!(r#"{{"kind":"m","payload":{}{}}}"#, "[".repeat(29), "]".repeat(29));
        for (method, path, body, refused) in [
            ("GET", &*deep, "", (404, "not_found")),
            ("GET", "/v1/streams/chat/a%2Fb", "", (400, "bad_stream")),
            ("GET", "/v1/streams/chat/%2e%2e%2fother", "", (400, "bad_stream")),
            ("GET", "/v1/streams/chat/%", "", (400, "bad_request")),
            ("GET", "/v1/streams/chat/%ff", "", (400, "bad_request")),
            ("GET", "/v1/streams/chat/..", "", (404, "not_found")),
            ("GET", "/v1/streams/Chat/a", "", (400, "bad_stream")),
            ("GET", "/v1/streams/nokind/a", "", (400, "bad_stream")),
            (
                "POST",
                "/v1/streams/nokind",
                r#"{"event_id":"01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11"}"#,
                (400, "bad_stream"),
            ),
            ("POST", "/v1/streams/chat", r#"{"event_id":7}"#, (400, "bad_request")),
            ("POST", "/v1/streams/chat", r#"{"event_id":"x"}"#, (400, "bad_event_id")),
            ("PUT", &event, r#"{"kind":"m","kind":"m","payload":1}"#, (400, "bad_request")),
            ("PUT", &event, r#"{"kind":"m","payload":{"a":1,"a":1}}"#, (400, "bad_request")),
            ("PUT", &event, &nested, (400, "bad_request")),
            ("PUT", &event, "{", (400, "bad_request")),
            ("PUT", &event, "null", (400, "bad_request")),
            ("PUT", &format!("{path}/events/x"), "{}", (400, "bad_event_id")),
            ("PATCH", &event, "{}", (405, "bad_request")),
            ("DELETE", &event, "", (405, "bad_request")),
            ("OPTIONS", &event, "", (405, "bad_request")),
        ] {
            let answer = world.ask("ana", method, path, body).await;
            assert_eq!(answer.refused(), refused, "{method} {path:.100} {body:.100}");
            assert_eq!(answer.headers.contains_key("allow"), refused.0 == 405);
            let timed = answer.body["time_unix_ms"].is_u64();
            assert_eq!(timed, refused.1 == "bad_event_id", "section 6: an id is judged by a time");
        }
        let ana = world.token("acme", "ana");
        for kind in
            ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", "application/json, x"]
        {
            let put =
                Request::new("PUT", &event).token(&ana).header(&format!("Content-Type: {kind}")).body(b"{}");
            assert_eq!(world.send(put).await.refused(), (415, "bad_request"), "{kind}");
        }
        let packed = Request::new("PUT", &event).token(&ana).header("Content-Encoding: gzip").json("{}");
        assert_eq!(world.send(packed).await.refused(), (415, "bad_request"));
        let charset =
            Request::new("PUT", &event).token(&ana).header("Content-Type: application/json; charset=utf-8");
        let charset = charset.body(br#"{"kind":"message","payload":1}"#);
        assert_eq!(world.send(charset).await.status, 202);
        world.held(&path, 2).await;
    });
}

/// G9: one user's connections are bounded, and give their places back; nobody else's are taken.
#[test]
fn one_user_cannot_take_every_connection() {
    run(async {
        let mut world = World::new(44);
        let path = world.stream(&["bo"]).await;
        let request = Request::new("GET", &path).token(&world.token("acme", "ana")).bytes();
        let keeping = String::from_utf8(request).unwrap().replace("Connection: close\r\n", "");
        let most = world.plan.terms.max_in_flight;
        let mut kept = Vec::new();
        for n in 0..=most {
            let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
            world.edge.connect(theirs);
            ours.write_all(keeping.as_bytes()).await.unwrap();
            let mut answer = vec![0; 8 * 1024];
            let read = ours.read(&mut answer).await.unwrap();
            let answer = Answer::parse(&answer[..read]);
            match n == most {
                true => assert_eq!(answer.refused(), (409, "limit_exceeded")),
                false => assert_eq!(answer.status, 200, "{n}: {answer:?}"),
            }
            kept.push(ours);
        }
        assert_eq!(world.get("bo", &path).await.status, 200);
        drop(kept);
        world.until("ana", &path, "answered again", |answer| answer.status == 200).await;
    });
}

/// E34: a shard that crashed answers nothing more; whoever asked is told that the outcome is open, and the
/// shard that comes after it answers again.
#[test]
fn a_crashed_shard_answers_nothing() {
    run(async {
        let mut world = World::new(45);
        let path = world.stream(&[]).await;
        let place = sterna_cluster::region::Place::Gateway(0);
        world.region.borrow_mut().kill(place);
        assert_eq!(world.get("ana", &path).await.refused(), (503, "overloaded"));
        world.region.borrow_mut().restart(place);
        assert_eq!(world.get("ana", &path).await.status, 200);
        let messaging = sterna_cluster::region::Place::Messaging(0);
        world.region.borrow_mut().kill(messaging);
        let id = world.id();
        let body = r#"{"kind":"message","payload":1}"#;
        let open = world.ask("ana", "PUT", &format!("{path}/events/{id}"), body).await;
        assert_eq!(open.refused(), (503, "unavailable"));
        assert_eq!(open.headers["retry-after"], "1");
        world.region.borrow_mut().restart(messaging);
        assert_eq!(world.ask("ana", "PUT", &format!("{path}/events/{id}"), body).await.status, 202);
    });
}
