//! The decoder against `tungstenite`, on valid, split, mutated and hand-made input.

#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error};

use super::*;

/// What a reader made of some bytes: the messages, then how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    messages: Vec<String>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Refused(u16),
}

/// Zeros are an unmasked frame: whatever was cut short completes, and then is refused.
const PADDING: usize = 2 * FRAME_BYTES;

fn ours(bytes: &[u8], cuts: &[usize]) -> (Verdict, Option<Violation>) {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len() + PADDING, 0);
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    let mut sizes = cuts.iter().copied().cycle();
    let mut rest: &mut [u8] = &mut bytes;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (mut part, after) = rest.split_at_mut(size);
        rest = after;
        loop {
            let end = match decoder.next(&mut part) {
                Ok(None) => break,
                Ok(Some(Message::Close(code))) => {
                    messages.push(format!("close {code:?}"));
                    (End::Closed, None)
                }
                Ok(Some(message)) => {
                    messages.push(said(&message));
                    continue;
                }
                Err(violation) => (End::Refused(violation.close_code()), Some(violation)),
            };
            return (Verdict { messages, end: end.0 }, end.1);
        }
    }
    (Verdict { messages, end: End::Open }, None)
}

fn said(message: &Message<'_>) -> String {
    match message {
        Message::Text(text) => format!("text {text:?}"),
        Message::Binary(bytes) => format!("binary {:?}", &bytes[..]),
        Message::Ping(bytes) => format!("ping {:?}", &bytes[..]),
        Message::Pong => "pong".into(),
        Message::Close(code) => format!("close {code:?}"),
    }
}

fn theirs(bytes: &[u8]) -> Verdict {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len() + PADDING, 0);
    let config = WebSocketConfig::default()
        .max_frame_size(Some(FRAME_BYTES))
        .max_message_size(Some(FRAME_BYTES))
        .read_buffer_size(16 * 1024);
    let stream = Duplex { read: Cursor::new(bytes) };
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut messages = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => messages.push(format!("text {:?}", text.as_str())),
            Ok(tungstenite::Message::Binary(bytes)) => messages.push(format!("binary {:?}", &bytes[..])),
            Ok(tungstenite::Message::Ping(bytes)) => messages.push(format!("ping {:?}", &bytes[..])),
            Ok(tungstenite::Message::Pong(_)) => messages.push("pong".into()),
            Ok(tungstenite::Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                break End::Refused(1002);
            }
            Ok(tungstenite::Message::Close(close)) => {
                messages.push(format!("close {:?}", close.map(|close| u16::from(close.code))));
                break End::Closed;
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("only read on request"),
            Err(Error::Utf8(_)) => break End::Refused(1007),
            Err(Error::Capacity(_)) => break End::Refused(1009),
            Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                break End::Open;
            }
            Err(Error::Protocol(_)) => break End::Refused(1002),
            Err(other) => panic!("unexpected {other:?}"),
        }
    };
    Verdict { messages, end }
}

struct Duplex {
    read: Cursor<Vec<u8>>,
}

impl std::io::Read for Duplex {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.read.read(buffer)
    }
}

impl std::io::Write for Duplex {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn client_frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut header = Header::new(OpCode::Text);
    header.set_payload_len(payload.len()).set_masked(true).set_mask(u32::from_be_bytes(key));
    let mut bytes = Codec::new().encode_header(&header).to_vec();
    bytes[0] = first;
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[a-zé😀]{0,40}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..140),
        1 => (120usize..130).prop_map(|n| vec![b'x'; n]),
        1 => (0usize..4).prop_map(|at| [65_535, 65_536, 65_537, 40_000][at]).prop_map(|n| vec![b'y'; n]),
        2 => (any::<u16>(), "[a-z]{0,9}").prop_map(|(code, reason)| {
            let code = if code % 2 == 0 { 990 + code % 40 } else { code };
            [&code.to_be_bytes()[..], reason.as_bytes()].concat()
        }),
    ]
}

fn frame_bytes() -> impl Strategy<Value = Vec<u8>> {
    // Text and binary, whole and in fragments; continuations; control frames; now and then anything.
    let usual =
        [0x81u8, 0x81, 0x82, 0x82, 0x01, 0x01, 0x02, 0x00, 0x00, 0x80, 0x80, 0x80, 0x89, 0x89, 0x8a, 0x88];
    let first = prop_oneof![16 => prop::sample::select(usual.to_vec()), 1 => any::<u8>()];
    (first, payload(), any::<[u8; 4]>()).prop_map(|(first, payload, key)| client_frame(first, &payload, key))
}

/// Frames, some characters split over fragments, with some bytes changed.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let frames = proptest::collection::vec(frame_bytes(), 1..8).prop_map(|frames| frames.concat());
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (frames, changes).prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// Equal, except where one frame has two faults (which is named first is taste) or a length that is not
/// minimal (which tungstenite lets pass, so its verdict may only be longer).
fn agree(bytes: &[u8], cuts: &[usize]) {
    let (mine, why) = ours(bytes, cuts);
    let other = theirs(bytes);
    if why == Some(Violation::Protocol("length is not minimal")) {
        assert!(other.messages.starts_with(&mine.messages), "{mine:?}\n{other:?}");
        return;
    }
    assert_eq!(mine.messages, other.messages);
    let both_faults = matches!(
        (mine.end, other.end),
        (End::Refused(1002), End::Refused(1009)) | (End::Refused(1009), End::Refused(1002))
    ) && matches!(why, Some(Violation::Protocol(_) | Violation::TooBig));
    assert!(mine.end == other.end || both_faults, "{why:?}: {mine:?} {other:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..Default::default() })]

    /// PROTOCOL section 1: what is a message and what ends the session does not depend on how bytes were
    /// split.
    #[test]
    fn any_splitting_and_mutation_gets_the_verdict_of_tungstenite(
        bytes in conversation(),
        cuts in proptest::collection::vec(1usize..200, 1..12),
    ) {
        agree(&bytes, &[usize::MAX]);
        agree(&bytes, &cuts);
    }
}

#[test]
fn a_text_split_inside_a_character_is_one_message() {
    let text = "tern 🐦".as_bytes();
    for cut in 0..=text.len() {
        let bytes =
            [client_frame(0x01, &text[..cut], [1, 2, 3, 4]), client_frame(0x80, &text[cut..], [0; 4])];
        let (verdict, _) = ours(&bytes.concat(), &[1]);
        assert_eq!(verdict.messages, ["text \"tern 🐦\""]);
    }
}

#[test]
fn lengths_must_be_minimal() {
    let long = [0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'a'];
    let longer = [0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 126, 0, 0, 0, 0];
    for bytes in [&long[..], &longer[..]] {
        assert_eq!(ours(bytes, &[1]).0.end, End::Refused(1002));
    }
}

/// G9: a frame above 64 KiB, or fragments that sum up to more, are refused by their header, before their
/// bytes.
#[test]
fn messages_above_the_frame_limit_are_1009() {
    let whole = client_frame(0x82, &vec![0; FRAME_BYTES + 1], [7; 4]);
    let parts =
        [client_frame(0x02, &vec![0; FRAME_BYTES], [7; 4]), client_frame(0x80, &[0], [7; 4])].concat();
    for bytes in [whole, parts] {
        assert_eq!(ours(&bytes, &[999]).0, Verdict { messages: vec![], end: End::Refused(1009) });
    }
    let fits = client_frame(0x82, &vec![0; FRAME_BYTES], [7; 4]);
    assert_eq!(ours(&fits, &[999]).0.messages.len(), 1);
}

/// Section 5: the close reason is the code's name, of 1002 with what was wrong behind it.
#[test]
fn every_violation_is_told_by_the_name_of_its_code() {
    let unmasked = [0x81, 0x00].to_vec();
    let binary = client_frame(0x82, &vec![0; FRAME_BYTES + 1], [7; 4]);
    for (bytes, reason) in [
        (unmasked, "protocol_error: a client's frame is not masked"),
        (client_frame(0x81, b"\xff", [7; 4]), "not_utf8"),
        (binary, "frame_too_large"),
    ] {
        let violation = ours(&bytes, &[999]).1.unwrap();
        assert_eq!(violation.close_reason(), reason);
        let name = sterna_protocol::close::name(violation.close_code());
        assert!(reason.starts_with(name) && !name.is_empty() && reason.len() <= CLOSE_REASON_BYTES);
    }
}

/// G9: between two reads a socket holds bytes of one frame and one message only.
#[test]
fn nothing_is_held_between_messages() {
    let mut bytes = [client_frame(0x81, b"abc", [9; 4]), client_frame(0x82, &[1; 300], [9; 4])].concat();
    let mut decoder = Decoder::default();
    for byte in &mut bytes {
        let mut input = std::slice::from_mut(byte);
        while decoder.next(&mut input).unwrap().is_some() {}
    }
    assert_eq!(decoder.held_bytes(), 0);
    assert!(size_of::<Decoder>() <= 32);
}

#[test]
fn server_frames_are_read_by_tungstenite() {
    let mut messages = Messages::new(Encoding::Json);
    for size in [0, 125, 126, 65_535, 65_536] {
        messages.add(&vec![b'z'; size]);
    }
    let bytes = [&messages.finish()[..], &close(4001, "slow")].concat();
    let stream = Duplex { read: Cursor::new(bytes) };
    let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
    for size in [0, 125, 126, 65_535, 65_536] {
        assert_eq!(socket.read().unwrap().into_text().unwrap().len(), size);
    }
    let tungstenite::Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("no close") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4001, "slow"));
}
