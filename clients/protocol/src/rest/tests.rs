//! What bodies become, and how strictly they are read.

use super::*;

const ID: &str = "01a1fb1d-da00-7c1e-9a40-5f2d8b6e3a11";

fn field_of<T: std::fmt::Debug>(taken: Taken<T>) -> (String, Option<String>) {
    let problem = taken.unwrap_err();
    (problem.code, problem.field)
}

#[test]
fn bodies_are_read_whole() {
    let text = format!(
        r#"{{"event_id":"{ID}","history":"since_joined","members":[{{"user":"bo","role":"writer"}}],"x":1}}"#
    );
    let created = create(text.as_bytes()).unwrap();
    assert_eq!((created.event_id, &*created.history), (ID.parse().unwrap(), "since_joined"));
    assert_eq!(created.members, [Member { user: "bo".parse().unwrap(), role: "writer".into() }]);
    let body =
        Bytes::from_static(br#" {"kind":"message","payload": { "a" : 1e999 } ,"seen":"01a1fb1dd9ff0002"}"#);
    let published = publish(&body).unwrap();
    assert_eq!(published.payload.as_str(), r#"{ "a" : 1e999 }"#, "byte for byte");
    assert_eq!(published.seen, Some(Hlc(0x01a1_fb1d_d9ff_0002)));
    assert_eq!(
        publish(&Bytes::from_static(br#"{"kind":"a","payload":null}"#)).unwrap().payload,
        Payload::NULL
    );
    assert_eq!(&*role(br#"{"role":"owner"}"#).unwrap(), "owner");
}

/// E30: what is not taken names itself.
#[test]
fn what_is_not_taken_is_named() {
    let bad = |field: &str| ("bad_request".to_owned(), Some(field.to_owned()));
    assert_eq!(field_of(create(b"{}")), ("bad_event_id".to_owned(), Some("event_id".to_owned())));
    let nobody = format!(r#"{{"event_id":"{ID}","members":[{{"role":"writer"}}]}}"#);
    assert_eq!(field_of(create(nobody.as_bytes())), bad("members"));
    let published = |text: &str| field_of(publish(&Bytes::copy_from_slice(text.as_bytes())));
    assert_eq!(published(r#"{"payload":1}"#), bad("kind"));
    assert_eq!(published(r#"{"kind":"message"}"#), bad("payload"));
    assert_eq!(published(r#"{"kind":"message","payload":1,"seen":"FF"}"#), bad("seen"));
    let large =
        format!(r#"{{"kind":"message","payload":"{}"}}"#, "x".repeat(sterna_stream::limits::PAYLOAD_BYTES));
    assert_eq!(published(&large), ("payload_too_large".to_owned(), None));
}

/// Section 2: duplicate keys and deep nesting are refused wherever they stand; a payload nests 28 levels, as
/// in a frame.
#[test]
fn what_a_frame_may_not_be_a_body_may_not_be() {
    let nested = |n: usize| format!(r#"{{"kind":"m","payload":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(publish(&Bytes::from(nested(NESTING))).is_ok());
    let malformed = [
        nested(NESTING + 1),
        r#"{"kind":"m","kind":"m","payload":1}"#.to_owned(),
        r#"{"kind":"m","k\u0069nd":"m","payload":1}"#.to_owned(),
        r#"{"kind":"m","payload":{"a":1,"a":2}}"#.to_owned(),
        r#"{"kind":"m","payload":1}x"#.to_owned(),
        r#"{"kind":"m","payload":"\ud800"}"#.to_owned(),
        r#"{"kind":1,"payload":1}"#.to_owned(),
        "[]".to_owned(),
        String::new(),
    ];
    for text in malformed {
        assert_eq!(field_of(publish(&Bytes::from(text.clone()))), ("bad_request".to_owned(), None), "{text}");
    }
    assert_eq!(field_of(role(b"\xff")).0, "bad_request");
}
