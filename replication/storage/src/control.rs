//! The control item that fences a region's life: its incarnation (E1).
//!
//! It has one writing region, the region's witness, so a condition that only holds locally suffices. Its
//! value is ASCII text, for the operator who looks at the table at night: `v=1` and `name=value` fields,
//! separated by single spaces; unknown fields are ignored.

use bytes::Bytes;
use sterna_stream::Region;

use crate::error::Error;
use crate::layout;
use crate::table::{Consistency, Expect, Item, Put, Table};

#[cfg(test)]
mod tests;

/// What became of an attempt to raise an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// The region's incarnation is now this.
    Done(u32),
    /// It is not what the caller thought, and was left so.
    Is(u32),
    /// The caller is the region itself: only its witness may.
    NotWitness,
}

/// The incarnation of `region` as this region's table has it; 1 if nobody ever raised it. In the witness' own
/// table it is the truth, elsewhere it may be late.
///
/// # Errors
/// As [`Table::get`]; [`Error::Corrupt`].
pub async fn incarnation(table: &dyn Table, region: &Region) -> Result<u32, Error> {
    let item = read(table, layout::incarnation(region)).await?;
    item.map_or(Ok(1), |item| parse_incarnation(&item.value))
}

/// Raises the incarnation of `region` from `from` by one, in the table of its witness, which is `witness`.
///
/// # Errors
/// As [`Table::put`]. After [`Error::Unknown`] the same call answers `Is(from + 1)` if it had succeeded.
pub async fn raise_incarnation(
    table: &dyn Table,
    witness: &Region,
    region: &Region,
    from: u32,
) -> Result<Raised, Error> {
    if witness == region {
        return Ok(Raised::NotWitness);
    }
    let key = layout::incarnation(region);
    let item = read(table, key.clone()).await?;
    let present = item.as_ref().map_or(Ok(1), |item| parse_incarnation(&item.value))?;
    if present != from || from == u32::MAX {
        return Ok(Raised::Is(present));
    }
    let expect = item.map_or(Expect::Absent, |item| Expect::Version(item.version));
    match table.put(key, encode_incarnation(from + 1, witness), expect).await? {
        Put::Done(_) => Ok(Raised::Done(from + 1)),
        Put::Found(item) => Ok(Raised::Is(parse_incarnation(&item.value)?)),
        Put::Missing => Ok(Raised::Is(1)),
    }
}

async fn read(table: &dyn Table, key: crate::Key) -> Result<Option<Item>, Error> {
    Ok(table.get(&[key], Consistency::Consistent).await?.pop().flatten())
}

// === the item's text ===

fn encode_incarnation(incarnation: u32, witness: &Region) -> Bytes {
    format!("v=1 incarnation={incarnation} witness={witness}").into()
}

fn parse_incarnation(value: &[u8]) -> Result<u32, Error> {
    const CORRUPT: Error = Error::Corrupt("incarnation");
    field(value, "incarnation").and_then(|n| n.parse().ok()).filter(|&n| n > 0).ok_or(CORRUPT)
}

fn field<'a>(value: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = std::str::from_utf8(value).ok()?.split(' ').filter_map(|field| field.split_once('='));
    if fields.next()? != ("v", "1") {
        return None;
    }
    fields.find(|(field, _)| *field == name).map(|(_, value)| value)
}
