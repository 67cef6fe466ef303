#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn nested(levels: usize) -> String {
    format!("{}0{}", "[".repeat(levels), "]".repeat(levels))
}

fn is_malformed(text: impl AsRef<[u8]>) -> bool {
    matches!(check(text.as_ref()), Err(Invalid::Malformed(_)))
}

/// Whether serde_json takes `text` for JSON of Unicode text. A number that no float holds is one all the
/// same.
fn serde_takes(text: &[u8]) -> bool {
    let grammar = std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    let value = serde_json::from_slice::<serde_json::Value>(text);
    grammar && value.map_or_else(|e| e.to_string().contains("number out of range"), |_| true)
}

/// Whether an object of `text` has a key twice: parsing forgets it, so that fewer keys are written than stood
/// there.
fn has_twins(text: &[u8]) -> bool {
    struct Walk;
    impl<'de> serde::de::DeserializeSeed<'de> for Walk {
        type Value = bool;
        fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<bool, D::Error> {
            d.deserialize_any(self)
        }
    }
    impl<'de> serde::de::Visitor<'de> for Walk {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let (mut keys, mut twins) = (std::collections::BTreeSet::new(), false);
            while let Some(key) = map.next_key::<String>()? {
                twins |= !keys.insert(key);
                twins |= map.next_value_seed(Walk)?;
            }
            Ok(twins)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
            let mut twins = false;
            while let Some(inner) = seq.next_element_seed(Walk)? {
                twins |= inner;
            }
            Ok(twins)
        }
        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
            Ok(false)
        }
        fn visit_str<E>(self, _: &str) -> Result<bool, E> {
            Ok(false)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    serde::de::DeserializeSeed::deserialize(Walk, &mut deserializer).unwrap_or(false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_serde_writes_is_a_payload(text in crate::tests::json(5)) {
        prop_assert_eq!(check(text.as_bytes()), Ok(()));
    }

    #[test]
    fn the_verdict_on_near_json_is_serdes(
        text in "[\\[\\]{}\",:0-9.eE+\\-\\\\u ntrfalsebdA-F\u{1}\u{e9}]{0,24}",
    ) {
        let text = text.as_bytes();
        prop_assert_eq!(check(text).is_ok(), serde_takes(text) && !has_twins(text));
    }

    #[test]
    fn the_verdict_on_tokens_in_any_order_is_serdes(
        tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..14),
    ) {
        let text = tokens.concat();
        let text = text.as_bytes();
        prop_assert_eq!(check(text).is_ok(), serde_takes(text) && !has_twins(text));
    }

    #[test]
    fn the_verdict_on_damaged_json_is_serdes(
        text in crate::tests::json(4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        prop_assert_eq!(check(&text).is_ok(), serde_takes(&text) && !has_twins(&text));
    }
}

const TOKENS: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"\\u0061\"",
    "\"b\"",
    "\"\"",
    "0",
    "-1",
    "1.5",
    "1e9",
    "1e999",
    "01",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "\"\\ud83d\\udc26\"",
    "\"\\ud83d\"",
    "\"\\udc26\"",
    "\"\\x\"",
    "NaN",
];

#[test]
fn keys_are_compared_as_they_are_meant_in_objects_of_any_size() {
    assert!(is_malformed(r#"{"a":1,"a":2}"#));
    assert!(is_malformed(r#"{"a":1,"\u0061":2}"#));
    assert!(is_malformed(r#"{"x":{"a":1,"b":[{"k":1,"k":1}]}}"#));
    assert!(check(br#"{"a":{"a":1},"b":{"a":{"a":1}}}"#).is_ok(), "other objects may have the same keys");
    for size in [15, 16, 17, 18, 500] {
        let keys = |last: usize| {
            let keys: Vec<String> =
                (0..size).map(|k| format!("\"k{}\":0", if k == size - 1 { last } else { k })).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(check(keys(size).as_bytes()).is_ok(), "{size}");
        for twin in [0, size / 2, size - 2] {
            assert!(is_malformed(keys(twin)), "{size} keys, the last is {twin} again");
        }
    }
}

/// E29: sizes and nesting have a bound and a refusal.
#[test]
fn the_largest_payload_is_60_kib_and_the_deepest_is_28_levels() {
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(check(text(limits::PAYLOAD_BYTES).as_bytes()), Ok(()));
    assert_eq!(check(text(limits::PAYLOAD_BYTES + 1).as_bytes()), Err(Invalid::TooLarge));
    assert_eq!(check(&vec![b'x'; limits::FRAME_BYTES + 1]), Err(Invalid::TooLarge), "not even looked at");
    assert_eq!(check(nested(NESTING).as_bytes()), Ok(()));
    assert!(is_malformed(nested(NESTING + 1)));
    assert!(is_malformed("[".repeat(limits::PAYLOAD_BYTES)));
    let objects = format!("{}0{}", "{\"a\":".repeat(NESTING + 1), "}".repeat(NESTING + 1));
    assert!(is_malformed(objects));
}

#[test]
fn the_hostile_and_the_sloppy_have_a_verdict_each() {
    for bad in [
        "",
        " ",
        "\u{feff}1",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1 2",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "'a'",
        "\"",
        "\"\\",
        "\"\\u",
        "\"\\u12",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\"\n\"",
        "\"\u{0}\"",
        "tru",
        "truex",
        "nulll",
        "[",
        "{",
        "]",
        "// c",
        "undefined",
        "{\"a\":1}{\"a\":1}",
        "[\"\\udbff\"]",
    ] {
        assert!(is_malformed(bad), "{bad:?}");
    }
    assert!(is_malformed(b"\"\xff\""), "not UTF-8");
    assert!(is_malformed(b"\"\xed\xa0\x80\""), "a surrogate in UTF-8");
    for good in [
        "0",
        "-0",
        "1e999",
        "123456789012345678901234567890",
        "\"\\ud83d\\udc26\"",
        "\"\\/\"",
        "\"\u{7f}\"",
        "\"\u{2028}\"",
        "{}",
        "[]",
        "{\"\":\"\"}",
        "\"\"",
    ] {
        assert_eq!(check(good.as_bytes()), Ok(()), "{good:?}");
    }
}

#[test]
fn the_value_is_kept_byte_for_byte_and_the_space_around_it_is_not() {
    let payload = Payload::parse("\r\n\t {\"a\" : 1e2 ,\n\"b\":\"\\u0041\"} \n").unwrap();
    assert_eq!(payload.as_str(), "{\"a\" : 1e2 ,\n\"b\":\"\\u0041\"}");
    assert_eq!(Payload::NULL.as_str(), "null");
    assert_eq!(format!("{payload:?}"), "Payload(26 bytes)", "contents stay out of logs");
}

#[test]
fn an_object_of_very_many_keys_costs_no_more_than_sorting_them() {
    let keys: Vec<String> = (0..7_000).map(|k| format!("\"{k:04}\":0")).collect();
    let text = format!("{{{}}}", keys.join(","));
    assert!(text.len() < limits::PAYLOAD_BYTES + limits::PAYLOAD_BYTES / 4);
    assert_eq!(check(text.as_bytes()).is_err(), text.len() > limits::PAYLOAD_BYTES);
}
