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

/// Section 6: what a user may have typed is refused by its own code, also where nothing was typed.
#[test]
fn an_empty_kind_or_stream_of_a_publish_is_refused_by_name() {
    for kind in ["", "k".repeat(33).as_str()] {
        let error = refusal(&publish("acme/chat/a", ID, kind));
        assert_eq!(
            (error.code.as_str(), error.field.as_deref(), error.event_id.as_deref()),
            ("bad_request", Some("kind"), Some(ID))
        );
    }
    let error = refusal(&publish("", ID, "message"));
    assert_eq!((error.code.as_str(), error.event_id.as_deref()), ("bad_stream", Some(ID)));
    assert_eq!(error.stream, None, "an empty name names nothing");
}

/// Section 13: the frame's other streams are followed.
#[test]
fn each_stream_of_a_subscribe_is_answered_also_one_that_is_none() {
    let long = format!("acme/chat/{}", "x".repeat(ECHO_BYTES));
    let streams = format!(
        r#"{{"stream":"acme/chat/a"}},{{"stream":"General"}},{{"stream":""}},{{"stream":"{long}"}},{{}}"#
    );
    let json = format!(r#"{{"subscribe":{{"streams":[{streams},{{"stream":"acme/chat/b"}}]}}}}"#);
    let ClientFrame::Subscribe(subscribe) = client(&json).unwrap() else { panic!("a subscribe") };
    assert_eq!(subscribe.streams.len(), 2);
    let malformed: Vec<&str> = subscribe.malformed.iter().map(|text| &**text).collect();
    assert_eq!(malformed, ["General", "", &long[..ECHO_BYTES], ""]);
}

#[test]
fn a_frame_that_names_no_stream_is_refused_and_the_session_goes_on() {
    let long = format!("acme/chat/{}", "x".repeat(ECHO_BYTES));
    for stream in ["", "General", &long] {
        for json in [
            format!(r#"{{"unsubscribe":{{"streams":["acme/chat/a","{stream}"]}}}}"#),
            format!(r#"{{"cursor":{{"streams":[{{"stream":"{stream}","cursor":{{"us-east-1":1}}}}]}}}}"#),
            format!(r#"{{"ephemeral":{{"stream":"{stream}","kind":"typing"}}}}"#),
        ] {
            let error = refusal(&json);
            assert_eq!(error.code.reason(), Some(Reason::BadStream), "{json}");
            let named = (!stream.is_empty()).then_some(&stream[..stream.len().min(ECHO_BYTES)]);
            assert_eq!(error.stream.as_deref(), named);
            assert!(error.detail.is_some());
        }
    }
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
