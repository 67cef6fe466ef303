//! What a stranger may send, and the verdict on each.

use prost::Message;
use sterna_stream::limits::{FRAME_BYTES, JSON_NESTING, PAYLOAD_BYTES, SEQ_MAX};

use super::{Frame, client, server};
use crate::encoding::Encoding;
use crate::error::Rejection;
use crate::frame::ClientFrame;
use crate::{close, wire};

const PUBLISH: &str = concat!(
    r#"{"publish":{"stream":"acme/chat/a","event_id":"01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11","#,
    r#""kind":"message","payload":PAYLOAD}}"#
);

const EVENTS: &str = concat!(
    r#"{"events":{"stream":"acme/chat/a","events":[{"origin":"us-east-1","seq":1,"hlc":"01a1fb1dda000007","#,
    r#""event_id":"01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11","author":"ana","kind":"message","#,
    r#""payload":PAYLOAD}]}}"#
);

fn publish(payload: &str) -> String {
    PUBLISH.replace("PAYLOAD", payload)
}

fn stored(seq: &str) -> String {
    format!(r#"{{"cursor":{{"streams":[{{"stream":"acme/chat/a","cursor":{{"us-east-1":{seq}}}}}]}}}}"#)
}

fn is_bad<T>(read: &Result<T, Rejection>) -> bool {
    matches!(read, Err(bad @ Rejection::Bad(_)) if bad.close_code() == Some(close::BAD_FRAME))
}

#[test]
fn what_is_no_frame_is_bad() {
    for text in [
        "",
        " ",
        "null",
        "5",
        "[]",
        "\"ping\"",
        "{}",
        "{\"ping\":{}",
        "{\"ping\":{}}x",
        "{\"ping\":{}}{}",
        "\u{feff}{\"ping\":{}}",
        "{\"ping\":{},\"pong\":{}}",
        "{\"ping\":{},\"ping\":{}}",
        "{\"ping\":{},\"\\u0070ing\":{}}",
        "{\"ping\":5}",
        "{\"ping\":[]}",
        "{\"future\":{},\"ping\":{}}",
        "{\"ping\":{},\"future\":{}}",
        "{\"future\":{\"a\":1,\"a\":2}}",
        "{\"future\":NaN}",
        "{ping:{}}",
        "{\"hello\":{}}",
        "{\"hello\":null}",
        "{\"publish\":{}}",
        "{\"subscribe\":{\"streams\":{}}}",
        "{\"subscribe\":{\"tail\":-1}}",
        "{\"subscribe\":{\"tail\":1.0}}",
        "{\"subscribe\":{\"tail\":4294967296}}",
        "{\"subscribe\":{\"mine\":\"true\"}}",
        "{\"unsubscribe\":{\"streams\":[5]}}",
        "{\"subscribe\":{\"mine\":true,\"ignored\":{\"x\":1,\"x\":2}}}",
    ] {
        assert!(is_bad(&client(text)), "{text:?}");
    }
    assert!(is_bad(&Encoding::Json.decode_client(b"{\"ping\":{\"\xff\":1}}")), "not UTF-8");
    assert!(is_bad(&Encoding::Json.decode_client(&vec![b' '; FRAME_BYTES + 1])));
    assert_eq!(client(" \r\n{\"ping\" : { } }\t").unwrap(), ClientFrame::Ping, "white space is no fault");
}

#[test]
fn what_is_no_message_of_the_schema_is_bad() {
    let publish = Frame::Client(client(&publish("1")).unwrap()).encode(Encoding::Protobuf);
    let twice = [&publish[..], &publish].concat();
    let ping_and_future = [0x82, 0x01, 0x00, 0xfa, 0x01, 0x00];
    let not_text = [0x22, 0x03, 0x0a, 0x01, 0xff];
    let zero_field = [0x02, 0x00];
    let too_long = vec![0; FRAME_BYTES + 1];
    let wrong_type = [0x40, 0x01];
    let messages: [&[u8]; 9] = [
        b"",
        &publish[..publish.len() - 1],
        &twice,
        &ping_and_future,
        &not_text,
        &zero_field,
        &too_long,
        &wrong_type,
        b"{}",
    ];
    for message in messages {
        assert!(is_bad(&Encoding::Protobuf.decode_client(message)), "{message:x?}");
    }
}

#[test]
fn numbers_end_where_javascript_ends() {
    let ClientFrame::Cursor(cursors) = client(&stored(&SEQ_MAX.to_string())).unwrap() else {
        panic!("a cursor")
    };
    assert_eq!(cursors.streams[0].cursor.get(&"us-east-1".parse().unwrap()), SEQ_MAX);
    for seq in [
        "9007199254740992",
        "18446744073709551615",
        "99999999999999999999999",
        "-1",
        "1.5",
        "1e3",
        "1.0",
        "\"7\"",
        "-0",
        "[]",
    ] {
        assert!(is_bad(&client(&stored(seq))), "{seq}");
    }
    let places = vec![wire::Place { origin: "us-east-1".into(), seq: SEQ_MAX + 1 }];
    let stored = wire::Stored { stream: "acme/chat/a".into(), cursor: Some(wire::Cursor { places }) };
    let body = wire::ClientBody::Cursor(wire::Cursors { streams: vec![stored] });
    let message = wire::ClientFrame { frame: Some(body) }.encode_to_vec();
    assert!(is_bad(&Encoding::Protobuf.decode_client(&message)), "2^53");
}

#[test]
fn a_cursor_has_at_most_32_origins_each_once() {
    let with = |origins: usize| {
        let pairs: Vec<String> = (0..origins).map(|n| format!("\"r-{n}\":1")).collect();
        format!(r#"{{"cursor":{{"streams":[{{"stream":"acme/chat/a","cursor":{{{}}}}}]}}}}"#, pairs.join(","))
    };
    assert!(client(&with(32)).is_ok());
    assert!(is_bad(&client(&with(33))));
    assert!(is_bad(&client(&with(2).replace("r-1", "r-0"))));
    let mut twice = Frame::Client(client(&with(2)).unwrap()).encode(Encoding::Protobuf);
    let at = twice.windows(3).position(|w| w == b"r-1").unwrap();
    twice[at + 2] = b'0';
    assert!(is_bad(&Encoding::Protobuf.decode_client(&twice)));
}

#[test]
fn a_frame_nests_32_deep_and_its_payload_28() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let ignored = |levels: usize| format!(r#"{{"ping":{{"ignored":{}}}}}"#, nested(levels));
    assert!(client(&ignored(JSON_NESTING - 2)).is_ok());
    assert!(is_bad(&client(&ignored(JSON_NESTING - 1))));
    assert!(client(&publish(&nested(28))).is_ok());
    assert!(is_bad(&client(&publish(&nested(29)))), "an events frame could not carry it");
    let behind = publish(&format!("1,\"ignored\":{}", nested(JSON_NESTING - 2)));
    assert!(client(&behind).is_ok(), "the payload's bound ends with the payload");
    let event = |levels: usize| EVENTS.replace("PAYLOAD", &nested(levels));
    assert!(server(&event(28)).is_ok(), "what was published can be delivered");
    assert!(is_bad(&server(&event(29))));
}

#[test]
fn a_payload_is_judged_alike_in_both_encodings() {
    let plain = Frame::Client(client(&publish("\"PAYLOAD\"")).unwrap());
    for (payload, good) in [
        ("{\"text\":\"hi\"}", true),
        (" 1 ", true),
        ("null", true),
        ("1e999", true),
        ("\"\\ud83d\\udc26\"", true),
        ("{\"a\":1,\"a\":1}", false),
        ("\"\\ud800\"", false),
        ("NaN", false),
        ("1,2", false),
        ("", false),
        ("[", false),
        ("\"\u{1}\"", false),
        ("1 2", false),
        ("\u{feff}1", false),
    ] {
        let json = client(&publish(payload));
        let field = [&[0x22, payload.len() as u8], payload.as_bytes()].concat();
        let protobuf = Encoding::Protobuf.decode_client(&with_payload(&plain, &field));
        assert_eq!(json.is_ok(), good, "{payload:?} in JSON");
        assert_eq!(protobuf.is_ok(), good, "{payload:?} in protobuf");
        if good {
            assert_eq!(json.unwrap(), protobuf.unwrap(), "{payload:?} is the same event in both");
        }
    }
}

/// The publish with another payload field.
fn with_payload(plain: &Frame, field: &[u8]) -> Vec<u8> {
    let message = plain.encode(Encoding::Protobuf);
    let old = b"\x22\x09\"PAYLOAD\"";
    let at = message.windows(old.len()).position(|w| w == old).unwrap();
    let body = [&message[2..at], field, &message[at + old.len()..]].concat();
    [&[message[0], body.len() as u8], &body[..]].concat()
}

#[test]
fn a_payload_above_60_kib_in_a_frame_that_fits_is_refused_and_the_session_goes_on() {
    let text = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES - 1));
    let json = client(&publish(&text)).unwrap_err();
    assert_eq!((json.reason().code(), json.close_code()), ("payload_too_large", None));
    let largest = client(&publish(&text.replacen('x', "", 1))).unwrap();
    let mut protobuf = Frame::Client(largest).encode(Encoding::Protobuf);
    let at = protobuf.iter().position(|b| *b == b'x').unwrap();
    protobuf.insert(at, b'x');
    // Lengths of the frame's and the payload's field, three bytes each, one more.
    protobuf[1] += 1;
    protobuf[at - 4] += 1;
    assert_eq!(Encoding::Protobuf.decode_client(&protobuf).unwrap_err(), json);
}

#[test]
fn secrets_and_contents_stay_out_of_debug_output_and_errors() {
    let hello = client(
        r#"{"hello":{"token":"s3cret","device":"01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11","ticket":"t1cket"}}"#,
    );
    let shown = format!("{:?}", hello.unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains("t1cket"), "{shown}");
    let error = client(r#"{"hello":{"token":"s3cret","device":"s3cret"}}"#).unwrap_err().into_error();
    assert!(!format!("{error:?}").contains("s3cret"));
}
