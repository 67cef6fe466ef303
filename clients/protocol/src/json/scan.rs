//! One pass over JSON text: the grammar of RFC 8259, duplicate keys, nesting and lone surrogates, all at
//! once.
//!
//! Guarantees: what passes is well-formed UTF-8 JSON whose objects have distinct keys (compared unescaped),
//! whose strings are Unicode text and whose nesting is within the limit; the cost is linear in the input, n
//! log n in the keys of one object. Values are skipped or read where they stand; no tree is ever built.
//!
//! Typed reads take `null` for an absent field, as many languages write one.

use std::borrow::Cow;

use smallvec::SmallVec;

use self::token::Quoted;
use crate::payload::Malformed;

#[cfg(test)]
mod tests;
mod token;

/// Keys of an object that are compared one by one as they come; a larger object's are sorted at its end.
const KEYS_COMPARED: usize = 16;

/// Greatest number that is written: what a JavaScript number holds exactly.
const NUMBER_MAX: u64 = sterna_stream::limits::SEQ_MAX;

/// The reader's place in a text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    deepest: usize,
    keys: SmallVec<[Cow<'a, str>; KEYS_COMPARED]>,
}

type Read<T> = Result<T, Malformed>;

// === impl Scanner: the whole text ===

impl<'a> Scanner<'a> {
    /// Starts at the first byte of `text`; objects and arrays may nest `deepest` levels.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub(crate) fn new(text: &'a [u8], deepest: usize) -> Read<Self> {
        let text = std::str::from_utf8(text)
            .map_err(|e| Malformed::Text { what: "not UTF-8", at: e.valid_up_to() })?;
        Ok(Self { text, at: 0, depth: 0, deepest, keys: SmallVec::new() })
    }

    /// Nothing but white space may be left.
    pub(crate) fn end(&mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail("expected nothing more"),
        }
    }

    /// Passes over one value, whatever it is, and gives its text, byte for byte.
    pub(crate) fn skip(&mut self) -> Read<&'a str> {
        self.peek();
        let from = self.at;
        self.value()?;
        Ok(&self.text[from..self.at])
    }

    /// As [`Self::skip`], for a value that may nest only `levels` deep wherever it stands.
    pub(crate) fn skip_within(&mut self, levels: usize) -> Read<&'a str> {
        let outer = self.deepest;
        self.deepest = outer.min(self.depth + levels);
        let raw = self.skip();
        self.deepest = outer;
        raw
    }

    fn value(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'"') => self.quoted().map(drop),
            Some(b'{') => self.object(|s, _| s.value()),
            Some(b'[') => self.array(Self::value),
            Some(b'-' | b'0'..=b'9') => self.digits(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.fail("expected a value"),
        }
    }
}

// === impl Scanner: typed reads ===

impl<'a> Scanner<'a> {
    /// Reads an object: `field` is called behind each key and must read or skip the value.
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        self.open(b'{', "expected an object")?;
        let base = self.keys.len();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let key = self.key(base)?;
                field(self, &key)?;
                if self.closes(b'}')? {
                    break;
                }
            }
        }
        self.distinct(base)?;
        self.keys.truncate(base);
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array: `item` is called before each value and must read or skip it.
    pub(crate) fn array(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.open(b'[', "expected an array")?;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                if self.closes(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over `null`, if that is next.
    pub(crate) fn null(&mut self) -> Read<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal("null").map(|()| true)
    }

    /// Reads a value with `read`, unless it is `null`.
    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.null()? { Ok(None) } else { read(self).map(Some) }
    }

    /// A string, unescaped; empty for `null`.
    pub(crate) fn string(&mut self) -> Read<Cow<'a, str>> {
        if self.null()? {
            return Ok(Cow::Borrowed(""));
        }
        self.quoted().map(Quoted::unescaped)
    }

    /// A whole number from 0 to 2^53 - 1; 0 for `null`.
    pub(crate) fn number(&mut self) -> Read<u64> {
        if self.null()? {
            return Ok(0);
        }
        let from = self.at;
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.fail("expected a number");
        }
        self.digits()?;
        let raw = self.text[from..self.at].trim_ascii_start();
        let whole = raw.bytes().all(|b| b.is_ascii_digit());
        raw.parse()
            .ok()
            .filter(|&n| whole && n <= NUMBER_MAX)
            .ok_or(Malformed::Text { what: "expected a whole number below 2^53", at: from })
    }

    /// A whole number from 0 to 2^32 - 1; 0 for `null`.
    pub(crate) fn small(&mut self) -> Read<u32> {
        let at = self.at;
        u32::try_from(self.number()?)
            .map_err(|_| Malformed::Text { what: "expected a number below 2^32", at })
    }

    /// `true` or `false`; `false` for `null`.
    pub(crate) fn flag(&mut self) -> Read<bool> {
        match self.peek() {
            Some(b't') => self.literal("true").map(|()| true),
            Some(b'f') => self.literal("false").map(|()| false),
            _ if self.null()? => Ok(false),
            _ => self.fail("expected true or false"),
        }
    }

    /// An error at the present place.
    pub(crate) fn fail<T>(&self, what: &'static str) -> Read<T> {
        Err(Malformed::Text { what, at: self.at })
    }
}
