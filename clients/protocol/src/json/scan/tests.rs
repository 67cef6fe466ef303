#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn read<'t, T>(text: &'t str, read: impl FnOnce(&mut Scanner<'t>) -> Read<T>) -> Read<T> {
    let mut scanner = Scanner::new(text.as_bytes(), 8)?;
    let value = read(&mut scanner)?;
    scanner.end().map(|()| value)
}

proptest! {
    #[test]
    fn strings_mean_what_serde_makes_of_them(text in any::<String>(), ascii in any::<bool>()) {
        let mut json = serde_json::to_string(&text).unwrap();
        if ascii {
            let units = json.encode_utf16().map(|unit| match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                _ => format!("\\u{unit:04x}"),
            });
            json = units.collect();
        }
        prop_assert_eq!(read(&json, |s| s.string().map(Cow::into_owned)).unwrap(), text);
    }

    #[test]
    fn every_byte_of_a_string_is_looked_at(at in 0..40usize, byte in 0..0x80u8) {
        let mut text = vec![b'x'; 42];
        text[0] = b'"';
        text[41] = b'"';
        text[at + 1] = byte;
        let text = String::from_utf8(text).unwrap();
        let expected = serde_json::from_str::<String>(&text).is_ok();
        prop_assert_eq!(read(&text, Scanner::skip_all).is_ok(), expected);
    }
}

impl Scanner<'_> {
    fn skip_all(&mut self) -> Read<()> {
        self.skip().map(drop)
    }
}

#[test]
fn errors_say_where() {
    let at = |text: &str| match read(text, Scanner::skip_all) {
        Err(Malformed::Text { at, .. }) => at,
        other => panic!("{other:?}"),
    };
    assert_eq!(at("[1,2,x]"), 5);
    assert_eq!(at("{\"a\":1,\"a\":2}"), 7);
    assert_eq!(at("\"abcdefghijkl\n\""), 13);
    assert_eq!(at("[[[[[[[[[0]]]]]]]]]"), 8);
}

#[test]
fn null_reads_as_absent() {
    assert_eq!(read("null", |s| s.string().map(Cow::into_owned)), Ok(String::new()));
    assert_eq!(read("null", Scanner::number), Ok(0));
    assert_eq!(read("null", Scanner::flag), Ok(false));
    assert_eq!(read(" null ", |s| s.optional(Scanner::number)), Ok(None));
    assert_eq!(read(" 7 ", |s| s.optional(Scanner::number)), Ok(Some(7)));
}
