//! docs/protocol.md is a test: its example lines are frames, its tables are the code's.

use std::collections::BTreeSet;

use sterna_stream::Reason;

use super::Frame;
use crate::close::{self, Advice, advice};
use crate::encoding::Encoding;
use crate::limits::Limits;

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");

/// Names of the frames, as section 3's table lists them.
pub(super) const FRAMES: [&str; 17] = [
    "ack",
    "cursor",
    "ephemeral",
    "error",
    "events",
    "gap",
    "hello",
    "move",
    "move_failed",
    "ping",
    "pong",
    "presence",
    "publish",
    "subscribe",
    "subscribed",
    "unsubscribe",
    "welcome",
];

fn section(title: &str) -> &'static str {
    let from = DOCUMENT.find(title).expect("the section stands in the document");
    let rest = &DOCUMENT[from..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

fn examples() -> Vec<&'static str> {
    section("## 3. Frames").lines().filter(|line| line.starts_with("{\"")).collect()
}

#[test]
fn every_frame_has_an_example_line() {
    let lines = examples();
    assert!(lines.len() >= 20, "the examples are found");
    let names = lines.iter().map(|line| Frame::decode(Encoding::Json, line.as_bytes()).unwrap().name());
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(FRAMES));
}

#[test]
fn every_example_line_goes_through_both_encodings_and_comes_back_byte_for_byte() {
    for line in examples() {
        let typed = Frame::decode(Encoding::Json, line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
        let protobuf = typed.encode(Encoding::Protobuf);
        let again = Frame::decode(Encoding::Protobuf, &protobuf).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(again, typed);
        let json = String::from_utf8(again.encode(Encoding::Json)).unwrap();
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&json), value(line));
        assert_eq!(sorted(&json), sorted(line), "the same bytes but for the order of origins in a cursor");
    }
}

/// The pieces of a line in order: the document writes origins by distance, encoders by name.
fn sorted(line: &str) -> Vec<&str> {
    let mut pieces: Vec<&str> = line.split([',', '{', '}']).collect();
    pieces.sort_unstable();
    pieces
}

#[test]
fn the_table_of_error_codes_is_the_closed_set_of_reasons() {
    let mut told = BTreeSet::new();
    for row in section("## 6. Error codes").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let codes: Vec<&str> = cells[1].split(", ").map(|code| code.trim_matches('`')).collect();
        let statuses: Vec<&str> = cells[2].split(", ").collect();
        for (at, code) in codes.iter().enumerate() {
            let reason = Reason::from_code(code).unwrap_or_else(|| panic!("{code} is no reason"));
            told.insert(reason);
            let status = statuses.get(at).or(statuses.first()).unwrap();
            if *status != "–" {
                assert_eq!(reason.http_status().to_string(), **status, "{code}");
            }
        }
    }
    assert_eq!(told, BTreeSet::from(Reason::ALL));
}

#[test]
fn the_table_of_close_codes_names_every_code_and_its_range_says_what_to_do() {
    let mut told = BTreeSet::new();
    for row in section("## 5. Close codes")
        .lines()
        .filter(|line| line.starts_with("| 4") || line.starts_with("| standard"))
    {
        let (range, rest) = row[2..].split_once(" | ").unwrap();
        for code in rest.split(&['|', '·'][..]).map(str::trim) {
            let Some((number, name)) = code.split_once(" `") else { continue };
            let (Ok(number), Some((name, _))) = (number.parse::<u16>(), name.split_once('`')) else {
                continue;
            };
            assert_eq!(close::name(number), name);
            let expected = match range {
                // What it advises stands in a cell of its own, which `close::tests` walks.
                "standard" => advice(number),
                "40xx" => Advice::AtOnce,
                "41xx" => Advice::BackOff { at_least_ms: 0 },
                "42xx" => Advice::NewToken,
                _ => Advice::Stop,
            };
            assert_eq!(advice(number), expected, "{number}");
            told.insert(number);
        }
    }
    let known = close::NAMES.into_iter().map(|(code, _)| code).collect::<BTreeSet<_>>();
    assert_eq!(told, known);
}

#[test]
fn the_documented_limits_are_the_defaults() {
    let Frame::Server(crate::ServerFrame::Welcome(welcome)) = examples()
        .into_iter()
        .map(|line| Frame::decode(Encoding::Json, line.as_bytes()).unwrap())
        .find(|frame| frame.name() == "welcome")
        .unwrap()
    else {
        unreachable!("a welcome is a server's frame")
    };
    assert_eq!(welcome.limits, Limits::default());
}
