//! Hello, renewal, and frames that are none (docs/protocol.md, sections 1 and 3, rules 1 and 24).

use sterna_protocol::frame::{ClientFrame, ServerFrame};
use sterna_stream::Reason;
use tokio::time::{Duration, Instant};

use crate::person::{Heard, Person, hello, publish, subscribe, text};
use crate::world::{NOW, World, run};

/// Section 1: a first frame that is not hello is a bad_frame.
#[test]
fn a_first_frame_that_is_not_hello_ends_the_session() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let firsts = [
            text(&ClientFrame::Ping),
            text(&subscribe(&[&stream], None, None)),
            r#"{"waves":{}}"#.to_owned(),
            r#"{"publish":{"stream":"no","event_id":"no","kind":"k","payload":1}}"#.to_owned(),
            "not even JSON".to_owned(),
        ];
        for first in firsts {
            let mut person = Person::connect(&world.gateway);
            person.say(&[first, text(&hello(&format!("ana@{}", NOW + 60_000)))]).await;
            person.refused(Reason::BadFrame).await;
            person.closed(4300).await;
        }
        assert_eq!(world.access.asked(), []);
    });
}

/// Section 1: hello within 10 s, else 4101, whatever the wall clock does meanwhile (E35).
#[test]
fn who_says_nothing_for_ten_seconds_is_told_4101() {
    run(async {
        let world = World::new().await;
        let (began, mut person) = (Instant::now(), Person::connect(&world.gateway));
        world.clock.step_ms(-3_600_000);
        person.closed(4101).await;
        let waited = began.elapsed();
        assert!((Duration::from_secs(10)..=Duration::from_secs(11)).contains(&waited), "{waited:?}");
        assert_eq!(person.hear().await, Heard::End);
        drop(person);
        let mut person = Person::connect(&world.gateway);
        world.clock.step_ms(3_600_000);
        person.quiet(9).await;
        assert_eq!(world.gateway.sessions(), 1, "whoever was closed is gone");
    });
}

/// Section 5: 4201 and 4200 on a first hello; nothing behind it is looked at.
#[test]
fn a_first_hello_with_a_bad_or_old_token_is_told_so() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let old = format!("ana@{NOW}");
        for (token, reason, code) in
            [("forged", Reason::TokenInvalid, 4201), (&old, Reason::TokenExpired, 4200)]
        {
            let mut person = Person::connect(&world.gateway);
            let id = world.id();
            person.send(&[hello(token), subscribe(&[&stream], None, None), publish(&stream, id)]).await;
            person.refused(reason).await;
            person.closed(code).await;
        }
        assert_eq!(world.access.asked(), []);
    });
}

/// Rule 24: a failed renewal leaves the old token; a good one moves the end; then 4200.
#[test]
fn a_session_lives_as_long_as_its_newest_good_token() {
    run(async {
        let world = World::new().await;
        let mut person = Person::connect(&world.gateway);
        person.hello(&format!("ana@{}", NOW + 20_000)).await;
        let ServerFrame::Welcome(welcome) = person.frame().await else { panic!("no welcome") };
        assert_eq!((welcome.token_expires_in_ms, welcome.time_unix_ms), (20_000, NOW));
        assert_eq!(
            (&*welcome.tenant, welcome.user.as_str(), welcome.ping_interval_ms),
            ("acme", "ana", 25_000)
        );
        let (other, old) = (format!("bo@{}", NOW + 90_000), format!("ana@{}", NOW - 1));
        for (token, reason) in
            [(&*other, Reason::Forbidden), ("forged", Reason::TokenInvalid), (&old, Reason::TokenExpired)]
        {
            person.hello(token).await;
            person.refused(reason).await;
        }
        person.hello(&format!("ana@{}", NOW + 40_000)).await;
        assert_eq!(person.frame().await.name(), "welcome");
        let began = Instant::now();
        person.refused(Reason::TokenExpired).await;
        person.closed(4200).await;
        let lived = began.elapsed();
        assert!((Duration::from_secs(39)..=Duration::from_secs(41)).contains(&lived), "{lived:?}");
    });
}

/// Section 1, rule 1: connect, subscribe and publish in one write, decided slowly: handled in the order sent.
#[test]
fn frames_right_behind_hello_are_handled_in_order() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut person = Person::connect(&world.gateway);
        let (first, second) = (world.id(), world.id());
        world.access.hold();
        let frames = [
            hello(&format!("ana@{}", NOW + 60_000)),
            subscribe(&[&stream], Some(""), None),
            publish(&stream, first),
            ClientFrame::Ping,
            publish(&stream, second),
        ];
        person.send(&frames).await;
        assert_eq!(person.frame().await.name(), "welcome");
        person.quiet(1).await;
        assert_eq!(world.access.asked().len(), 1, "nothing behind an open decision is looked at");
        world.access.let_through(1);
        assert_eq!(world.state.followed().await, [stream.to_string()]);
        person.quiet(1).await;
        world.access.let_through(1);
        assert_eq!(person.frame().await, ServerFrame::Pong);
        for id in [first, second] {
            let command = world.accept().await;
            assert_eq!(&command.event_id[..], id.to_bytes());
            person.acked(id).await;
        }
    });
}

/// Section 5: a message of the other type is 1003.
#[test]
fn a_message_of_the_wrong_type_is_told_1003() {
    run(async {
        let world = World::new().await;
        let mut person = world.person("ana").await;
        person.say_binary().await;
        person.closed(1003).await;
    });
}

/// Section 6: a frame from the future is answered and survived; the tenth is not.
#[test]
fn an_unknown_frame_is_answered_and_the_tenth_ends_the_session() {
    run(async {
        let world = World::new().await;
        let mut person = world.person("ana").await;
        for n in 1..=10 {
            person.say(&[format!(r#"{{"wave{n}":{{}}}}"#)]).await;
            let error = person.refused(Reason::UnknownFrame).await;
            assert_eq!(error.frame.as_deref(), Some(&*format!("wave{n}")));
        }
        person.closed(4300).await;
    });
}

/// Section 6: a name that is none is refused by its code, in order, and the session goes on.
#[test]
fn an_empty_name_is_refused_and_the_session_goes_on() {
    run(async {
        let mut world = World::new().await;
        let id = world.id();
        let mut person = world.person("ana").await;
        let long = format!("acme/chat/{}", "x".repeat(300));
        for stream in ["", &long] {
            for frame in [
                format!(r#"{{"subscribe":{{"streams":[{{"stream":"{stream}"}}]}}}}"#),
                format!(r#"{{"unsubscribe":{{"streams":["{stream}"]}}}}"#),
            ] {
                person.say(&[frame]).await;
                let error = person.refused(Reason::BadStream).await;
                assert_eq!(error.stream.is_some(), !stream.is_empty());
            }
        }
        let publish = |id: &str, kind: &str| {
            let text = r#"{"publish":{"stream":"acme/chat/a","event_id":"ID","kind":"KIND","payload":1}}"#;
            text.replace("ID", id).replace("KIND", kind)
        };
        person.say(&[publish(&id.to_string(), "")]).await;
        let error = person.refused(Reason::BadRequest).await;
        assert_eq!((error.field.as_deref(), error.event_id), (Some("kind"), Some(id.to_string().into())));
        person.say(&[publish("x", "message")]).await;
        let error = person.refused(Reason::BadEventId).await;
        assert!(error.time_unix_ms.is_some_and(|time| time >= NOW), "an id is judged by a time");
        person.send(&[ClientFrame::Ping]).await;
        assert_eq!(person.frame().await, ServerFrame::Pong);
    });
}

/// Section 6: what is no frame at all ends the session.
#[test]
fn what_is_no_frame_ends_the_session() {
    run(async {
        let world = World::new().await;
        let mut person = world.person("ana").await;
        person.say(&[r#"{"ping":{},"pong":{}}"#.to_owned()]).await;
        person.refused(Reason::BadFrame).await;
        person.closed(4300).await;
    });
}

/// Rule 18 and the frames that have no effect yet: a ping is answered, `cursor` and `move_failed` are taken.
#[test]
fn pings_are_answered_and_cursors_taken_silently() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut person = world.person("ana").await;
        let frames = [
            format!(r#"{{"cursor":{{"streams":[{{"stream":"{stream}","cursor":{{"us":3}}}}]}}}}"#),
            r#"{"move_failed":{"to":"eu-west-1","reason":"connect_timeout"}}"#.to_owned(),
            text(&ClientFrame::Pong),
            text(&ClientFrame::Ping),
        ];
        person.say(&frames).await;
        assert_eq!(person.frame().await, ServerFrame::Pong);
        person.quiet(30).await;
    });
}
