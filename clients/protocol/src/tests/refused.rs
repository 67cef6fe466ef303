//! Ids that a user may have typed are refused by name; the session goes on.

use sterna_stream::Reason;
use sterna_stream::limits::EPHEMERAL_BYTES;

use super::{client, server};
use crate::encoding::Encoding;
use crate::error::Rejection;
use crate::frame::{self, ClientFrame};
use crate::limits::ECHO_BYTES;

const ID: &str = "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11";

fn publish(stream: &str, event_id: &str, kind: &str) -> String {
    format!(r#"{{"publish":{{"stream":"{stream}","event_id":"{event_id}","kind":"{kind}","payload":1}}}}"#)
}

fn refusal(json: &str) -> frame::Error {
    match client(json) {
        Err(rejection @ Rejection::Refused(_)) => {
            assert_eq!(rejection.close_code(), None, "the session goes on");
            rejection.into_error()
        }
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn a_publish_is_refused_by_its_event_id_as_it_was_written() {
    let v4 = "01a1fb1d-da00-4c1e-9a40-5f2d8b6e3a11";
    let error = refusal(&publish("acme/chat/a", v4, "message"));
    assert_eq!((error.code.as_str(), error.event_id.as_deref()), ("bad_event_id", Some(v4)));
    let error = refusal(&publish("Acme", ID, "message"));
    assert_eq!(
        (error.code.as_str(), error.event_id.as_deref(), error.stream.as_deref()),
        ("bad_stream", Some(ID), Some("Acme"))
    );
    let error = refusal(&publish("acme/chat/a", ID, "Not A Kind"));
    assert_eq!(
        (error.code.as_str(), error.field.as_deref(), error.event_id.as_deref()),
        ("bad_request", Some("kind"), Some(ID))
    );
    let error = refusal(&publish("acme/chat/a", &"é".repeat(300), "message"));
    assert!(
        error.event_id.is_some_and(|echo| echo.len() <= ECHO_BYTES),
        "no more than a stream's length comes back"
    );
}

#[test]
fn each_stream_of_a_subscribe_is_answered_also_one_that_is_none() {
    let streams = r#"{"stream":"acme/chat/a"},{"stream":"General"},{"stream":"acme/chat/b"}"#;
    let json = format!(r#"{{"subscribe":{{"streams":[{streams}]}}}}"#);
    let ClientFrame::Subscribe(subscribe) = client(&json).unwrap() else { panic!("a subscribe") };
    assert_eq!(subscribe.streams.len(), 2);
    assert_eq!(subscribe.malformed, ["General".into()]);
}

#[test]
fn the_same_is_refused_in_protobuf() {
    let body = [b"\x0a\x04Acme\x12\x24", ID.as_bytes(), b"\x1a\x01m\x22\x011"].concat();
    let message = [&[0x42, body.len() as u8], &body[..]].concat();
    assert_eq!(
        Encoding::Protobuf.decode_client(&message).unwrap_err(),
        client(&publish("Acme", ID, "m")).unwrap_err()
    );
}

/// Rule 25: an error that names a stream ends the subscription to it, so this one names none.
#[test]
fn an_ephemeral_above_1_kib_is_refused_without_naming_its_stream() {
    let ephemeral = |bytes: usize| {
        format!(
            r#"{{"ephemeral":{{"stream":"acme/chat/a","kind":"typing","payload":"{}"}}}}"#,
            "x".repeat(bytes - 2)
        )
    };
    assert!(client(&ephemeral(EPHEMERAL_BYTES)).is_ok());
    let error = refusal(&ephemeral(EPHEMERAL_BYTES + 1));
    assert_eq!((error.code.reason(), error.stream), (Some(Reason::PayloadTooLarge), None));
}

#[test]
fn a_server_frame_is_good_or_bad_and_never_refused() {
    for json in [
        r#"{"ephemeral":{"stream":"Acme","kind":"typing"}}"#,
        r#"{"gap":{"stream":"Acme","reason":"skipped"}}"#,
        r#"{"gap":{"stream":"acme/chat/a"}}"#,
        r#"{"ack":{"region":"us-east-1","durability":"region"}}"#,
        r#"{"ack":{"event_id":"x","region":"us-east-1","durability":"region"}}"#,
    ] {
        assert!(matches!(server(json), Err(Rejection::Bad(_))), "{json}");
    }
}
