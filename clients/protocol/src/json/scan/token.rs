//! The tokens of JSON: brackets, keys, numbers, strings and their escapes.
//!
//! The scanner's lower half. White space is passed over in `peek` alone; bytes of strings that mean
//! themselves are passed eight at a time, because payloads are mostly such.

use std::borrow::Cow;

use super::{KEYS_COMPARED, Read, Scanner};
use crate::payload::Malformed;

/// A string as it stands between its quotes.
pub(super) struct Quoted<'a> {
    raw: &'a str,
    escaped: bool,
}

// === impl Scanner: tokens ===

impl<'a> Scanner<'a> {
    /// The next byte that is no white space, not consumed.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&b) = self.text.as_bytes().get(self.at) {
            if !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(b);
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn open(&mut self, bracket: u8, what: &'static str) -> Read<()> {
        if self.peek() != Some(bracket) {
            return self.fail(what);
        }
        if self.depth == self.deepest {
            return self.fail("nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Behind a member: whether `bracket` ends the list or a comma goes on.
    pub(super) fn closes(&mut self, bracket: u8) -> Read<bool> {
        match self.peek() {
            Some(b',') => self.at += 1,
            Some(b) if b == bracket => {
                self.at += 1;
                return Ok(true);
            }
            _ => return self.fail("expected a comma or the end of an object or array"),
        }
        Ok(false)
    }

    pub(super) fn key(&mut self, base: usize) -> Read<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return self.fail("expected a key");
        }
        let at = self.at;
        let key = self.quoted()?.unescaped();
        let known = &self.keys[base..];
        if known.len() < KEYS_COMPARED && known.contains(&key) {
            return Err(Malformed::Text { what: "a key stands twice", at });
        }
        if self.peek() != Some(b':') {
            return self.fail("expected a colon");
        }
        self.at += 1;
        self.keys.push(key.clone());
        Ok(key)
    }

    /// The keys from `base` on are all different; small objects were compared as they came.
    pub(super) fn distinct(&mut self, base: usize) -> Read<()> {
        let keys = &mut self.keys[base..];
        if keys.len() <= KEYS_COMPARED {
            return Ok(());
        }
        keys.sort_unstable();
        let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        if twice { self.fail("a key stands twice") } else { Ok(()) }
    }

    pub(super) fn literal(&mut self, word: &'static str) -> Read<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    pub(super) fn digits(&mut self) -> Read<()> {
        self.at += usize::from(self.here() == Some(b'-'));
        if self.here() == Some(b'0') {
            self.at += 1;
        } else {
            self.run_of_digits()?;
        }
        if self.here() == Some(b'.') {
            self.at += 1;
            self.run_of_digits()?;
        }
        if let Some(b'e' | b'E') = self.here() {
            self.at += 1;
            self.at += usize::from(matches!(self.here(), Some(b'+' | b'-')));
            self.run_of_digits()?;
        }
        Ok(())
    }

    fn run_of_digits(&mut self) -> Read<()> {
        let from = self.at;
        while self.here().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from { self.fail("expected a digit") } else { Ok(()) }
    }

    fn here(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

// === impl Scanner: strings ===

impl<'a> Scanner<'a> {
    pub(super) fn quoted(&mut self) -> Read<Quoted<'a>> {
        if self.peek() != Some(b'"') {
            return self.fail("expected a string");
        }
        let from = self.at + 1;
        let mut escaped = false;
        self.at = from;
        loop {
            self.plain();
            match self.here() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("a control character in a string"),
                None => return self.fail("a string without end"),
            }
        }
        self.at += 1;
        Ok(Quoted { raw: &self.text[from..self.at - 1], escaped })
    }

    /// Passes over bytes of a string that mean themselves, eight at a time.
    fn plain(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(eight) = bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let found = special(u64::from_le_bytes(*eight));
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while self.here().is_some_and(|b| b >= b' ' && b != b'"' && b != b'\\') {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Read<()> {
        self.at += 1;
        match self.here() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xd800..=0xdbff => {
                    let follows = self.text.as_bytes()[self.at..].starts_with(b"\\u");
                    self.at += usize::from(follows);
                    match if follows { self.unit()? } else { 0 } {
                        0xdc00..=0xdfff => Ok(()),
                        _ => self.fail("half of a surrogate pair"),
                    }
                }
                0xdc00..=0xdfff => self.fail("half of a surrogate pair"),
                _ => Ok(()),
            },
            _ => self.fail("an escape that is none"),
        }
    }

    /// The four hex digits behind a `u`.
    fn unit(&mut self) -> Read<u16> {
        self.at += 1;
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut unit = 0;
        for &digit in digits {
            let Some(value) = (digit as char).to_digit(16) else {
                return self.fail("expected four hex digits");
            };
            unit = unit << 4 | value as u16;
        }
        if digits.is_empty() {
            return self.fail("expected four hex digits");
        }
        self.at += 4;
        Ok(unit)
    }
}

/// The high bit of the lowest byte that is a quote, a backslash or a control character; 0 if none is.
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))
}

// === impl Quoted ===

impl<'a> Quoted<'a> {
    /// The text that is meant. The scanner has checked every escape.
    pub(super) fn unescaped(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut units = Vec::new();
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let escape = rest.as_bytes()[at + 1];
            rest = &rest[at + 2..];
            if escape != b'u' {
                text.push(meant(escape));
                continue;
            }
            units.clear();
            units.push(u16::from_str_radix(&rest[..4], 16).unwrap_or_default());
            rest = &rest[4..];
            if (0xd800..0xdc00).contains(&units[0]) {
                units.push(u16::from_str_radix(&rest[2..6], 16).unwrap_or_default());
                rest = &rest[6..];
            }
            text.extend(char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or('\u{fffd}')));
        }
        text.push_str(rest);
        Cow::Owned(text)
    }
}

fn meant(escape: u8) -> char {
    match escape {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => other as char,
    }
}
