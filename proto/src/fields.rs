//! Reads messages field by field, straight from their bytes, in the one form in which prost and this crate
//! write them: rising order, nothing unknown, nothing repeated. Any other form is `None`.

use prost::encoding::decode_varint;
use sterna_stream::{Cursor, Policy, limits};

/// The fields of a message that are not read yet, in rising order. Tags below 16 fit the one byte that is
/// looked at; what is left over at the end was not expected.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next field, if it has this tag and a length.
    pub(crate) fn bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = self.0.strip_prefix(&[tag << 3 | 2])?;
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    pub(crate) fn text(&mut self, tag: u8) -> Option<&'a str> {
        let mut after = Fields(self.0);
        let text = std::str::from_utf8(after.bytes(tag)?).ok()?;
        self.0 = after.0;
        Some(text)
    }

    /// The next field, if it has this tag and is a number.
    pub(crate) fn number(&mut self, tag: u8) -> Option<u64> {
        let mut rest = self.0.strip_prefix(&[tag << 3])?;
        let number = decode_varint(&mut rest).ok()?;
        self.0 = rest;
        Some(number)
    }

    /// The next field, if it has this tag and eight bytes.
    pub(crate) fn fixed(&mut self, tag: u8) -> Option<u64> {
        let (number, rest) = self.0.strip_prefix(&[tag << 3 | 1])?.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// What `Policy` encodes.
pub(crate) fn policy(message: &[u8]) -> Option<Policy> {
    let mut fields = Fields(message);
    let access = fields.bytes(1).map_or_else(|| Some(Cursor::new()), cursor)?;
    let member = fields.bytes(2).map_or_else(|| Some(Cursor::new()), cursor)?;
    fields.end()?;
    Some(Policy { access, member })
}

fn cursor(message: &[u8]) -> Option<Cursor> {
    let (mut fields, mut cursor, mut count) = (Fields(message), Cursor::new(), 0);
    while let Some(entry) = fields.bytes(1) {
        count += 1;
        let mut entry = Fields(entry);
        let origin = entry.text(1)?.parse().ok()?;
        cursor.advance(&origin, entry.number(2).unwrap_or(0));
        entry.end()?;
    }
    fields.end()?;
    (count <= limits::CURSOR_ORIGINS).then_some(cursor)
}
