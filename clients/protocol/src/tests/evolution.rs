//! Mixed versions are the normal case: what a newer peer adds does not break an older one (section 10).

use prost::Message;
use sterna_stream::Reason;

use super::{Frame, client, server};
use crate::encoding::Encoding;
use crate::error::{ErrorCode, Rejection};
use crate::frame::{ClientFrame, GapReason, ServerFrame};
use crate::limits::Limits;

/// Rule 10.1: both sides ignore fields that they do not know, wherever these stand.
#[test]
fn an_unknown_field_is_ignored_in_json() {
    let plain =
        client(r#"{"subscribe":{"streams":[{"stream":"acme/chat/a","tail":5}],"mine":true}}"#).unwrap();
    let newer = concat!(
        r#"{"subscribe":{"future":[{"a":[null,1e9,"\u00e9"]}],"#,
        r#""streams":[{"since":{"x":{}},"stream":"acme/chat/a","tail":5}],"mine":true,"z":0}}"#
    );
    assert_eq!(client(newer).unwrap(), plain);
}

/// Rule 10.1, in protobuf.
#[test]
fn an_unknown_field_is_ignored_in_protobuf() {
    let plain = client(r#"{"unsubscribe":{"streams":["acme/chat/a"]}}"#).unwrap();
    let message = Frame::Client(plain.clone()).encode(Encoding::Protobuf);
    for future in [&b"\xf8\x07\x05"[..], b"\xfa\x07\x02hi", b"\xf9\x07\0\0\0\0\0\0\0\0", b"\xfd\x07\0\0\0\0"]
    {
        let body = [future, &message[2..], future].concat();
        let newer = [&[message[0], body.len() as u8], &body[..]].concat();
        assert_eq!(Encoding::Protobuf.decode_client(&newer).unwrap(), plain);
    }
}

/// Rule 10.2: a frame of an unknown name is told apart from a bad one, and nothing else happens.
#[test]
fn an_unknown_frame_is_survivable_on_both_sides() {
    for json in [r#"{"reaction":{"to":["x",{"y":1}]}}"#, r#"{"reaction":5}"#, r#"{"reaction":null}"#] {
        for rejection in [client(json).unwrap_err(), server(json).unwrap_err()] {
            assert_eq!(rejection, Rejection::Unknown("reaction".into()));
            assert_eq!(rejection.close_code(), None);
            let error = rejection.into_error();
            assert_eq!(
                (error.code.reason(), error.frame.as_deref()),
                (Some(Reason::UnknownFrame), Some("reaction"))
            );
        }
    }
    for message in [&b"\xfa\x01\x02hi"[..], b"\xf8\x01\x05"] {
        let rejection = Encoding::Protobuf.decode_client(message).unwrap_err();
        assert_eq!(rejection, Rejection::Unknown("field 31".into()));
    }
    let longest = format!("{{\"{}\":1}}", "é".repeat(1_000));
    let Err(Rejection::Unknown(name)) = client(&longest) else { panic!("an unknown frame") };
    assert_eq!(name.len(), 254, "as much of it as is told back");
}

#[test]
fn a_frame_of_the_other_direction_is_an_unknown_one() {
    assert!(matches!(client(r#"{"welcome":{}}"#), Err(Rejection::Unknown(_))));
    assert!(matches!(server(r#"{"hello":{}}"#), Err(Rejection::Unknown(_))));
    let gap = Frame::Server(server(r#"{"gap":{"stream":"acme/chat/a","reason":"lost"}}"#).unwrap());
    assert!(matches!(
        Encoding::Protobuf.decode_client(&gap.encode(Encoding::Protobuf)),
        Err(Rejection::Unknown(_))
    ));
}

/// Rule 10.1: reasons and codes from the future keep their names, and the cursor moves by rule 8.
#[test]
fn a_name_from_the_future_is_carried_on() {
    let json = r#"{"gap":{"stream":"acme/chat/a","reason":"archived","from":{},"to":{"us-east-1":5}}}"#;
    let ServerFrame::Gap(gap) = server(json).unwrap() else { panic!("a gap") };
    assert_eq!(gap.reason, GapReason::Other("archived".into()));
    assert!(gap.reason.moves_the_cursor() && !GapReason::Waiting.moves_the_cursor());
    let json = r#"{"error":{"code":"quota_spent","retry_after_ms":0}}"#;
    let ServerFrame::Error(error) = server(json).unwrap() else { panic!("an error") };
    assert_eq!((&error.code, error.retry_after_ms), (&ErrorCode::Other("quota_spent".into()), Some(0)));
    let error = Frame::Server(ServerFrame::Error(error));
    assert_eq!(error.encode(Encoding::Json), json.as_bytes());
    assert_eq!(Frame::decode(Encoding::Protobuf, &error.encode(Encoding::Protobuf)).unwrap(), error);
}

/// Rule 10.1: a limit that is missing, or lower than its default, is the default.
#[test]
fn missing_and_lowered_limits_are_the_defaults() {
    let welcome = |limits: &str| {
        let json = format!(
            r#"{{"welcome":{{"session":"s","region":"us-east-1","tenant":"acme","user":"ana"{limits}}}}}"#
        );
        let ServerFrame::Welcome(welcome) = server(&json).unwrap() else { panic!("a welcome") };
        welcome.limits
    };
    assert_eq!(welcome(""), Limits::default());
    assert_eq!(welcome(r#","limits":null"#), Limits::default());
    assert_eq!(welcome(r#","limits":{"max_in_flight":1,"max_unheard_of":7}"#), Limits::default());
    assert_eq!(
        welcome(r#","limits":{"max_backlog":5000}"#),
        Limits { max_backlog: 5_000, ..Limits::default() }
    );
}

#[test]
fn null_is_an_absent_field() {
    let plain = client(r#"{"subscribe":{"streams":[{"stream":"acme/chat/a"}]}}"#).unwrap();
    let nulls = concat!(
        r#"{"subscribe":{"streams":[{"stream":"acme/chat/a","cursor":null,"tail":null,"presence":null}],"#,
        r#""mine":null,"tail":null}}"#
    );
    assert_eq!(client(nulls).unwrap(), plain);
    let ClientFrame::Subscribe(subscribe) = plain else { panic!("a subscribe") };
    assert_eq!(subscribe.streams[0].cursor, None, "absent is not the empty cursor");
    let json = r#"{"subscribe":{"streams":[{"stream":"acme/chat/a","cursor":{},"tail":0}]}}"#;
    let frame = Frame::Client(client(json).unwrap());
    assert_eq!(frame.encode(Encoding::Json), json.as_bytes());
    assert_eq!(Frame::decode(Encoding::Protobuf, &frame.encode(Encoding::Protobuf)).unwrap(), frame);
}

/// Rule 10.3: a number of the schema means one thing, in both directions and for ever.
#[test]
fn both_directions_share_their_numbers() {
    let ping = crate::wire::ServerFrame { frame: Some(crate::wire::ServerBody::Ping(crate::wire::Ping {})) };
    assert_eq!(Encoding::Protobuf.decode_client(&ping.encode_to_vec()).unwrap(), ClientFrame::Ping);
}
