//! The control items of a region's life (E1): its incarnation, which its witness alone writes; that a new
//! life was opened, and which topics each life's are, which the region itself writes; and that all that is
//! left of an ended life was gathered, which a rebuild writes into each region's table, behind what it says.
//!
//! But for that one, whose value is always the same and which is never taken back, each has one writing
//! region, so a condition that only holds locally suffices. Their values are ASCII text,
//! for the operator who looks at the table at night: `v=1` and `name=value` fields, separated by single
//! spaces; unknown fields are ignored.

use bytes::Bytes;
use sterna_stream::{Origin, Region};

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

/// How a life of a region stands, as far as a table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No later one is known, and it was opened: it may go on.
    Present,
    /// This one has followed.
    Ended(u32),
    /// Its rebuild did not end, or never began.
    Unopened,
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

/// How this life of a region stands, as the region's own table says. One is opened when all that was readable
/// of the former ones has been produced again; the first needs no opening.
///
/// # Errors
/// As [`incarnation`].
pub async fn standing(table: &dyn Table, origin: &Origin) -> Result<Standing, Error> {
    let present = incarnation(table, &origin.region()).await?;
    if present > origin.incarnation() {
        return Ok(Standing::Ended(present));
    }
    let opened = origin.incarnation() == 1 || read(table, layout::opened(origin)).await?.is_some();
    Ok(if opened { Standing::Present } else { Standing::Unopened })
}

/// Opens a life. Doing it again changes nothing.
///
/// # Errors
/// As [`Table::put`].
pub async fn open(table: &dyn Table, origin: &Origin) -> Result<(), Error> {
    table.put(layout::opened(origin), Bytes::from_static(b"v=1"), Expect::Absent).await.map(|_| ())
}

/// Says in one region's table that all that is left of an ended life, wherever it was left, stands in it.
/// Doing it again changes nothing.
///
/// # Errors
/// As [`Table::put`].
pub async fn declare_gathered(table: &dyn Table, origin: &Origin) -> Result<(), Error> {
    table.put(layout::gathered(origin), Bytes::from_static(b"v=1"), Expect::Absent).await.map(|_| ())
}

/// Which of these lives have ended and are gathered: what of them does not stand in this region's table will
/// never come. At most [`GET_KEYS_MAX`](crate::table::GET_KEYS_MAX) lives.
///
/// # Errors
/// As [`Table::get`].
pub async fn gathered(table: &dyn Table, origins: &[Origin]) -> Result<Vec<Origin>, Error> {
    let keys: Vec<crate::Key> = origins.iter().map(layout::gathered).collect();
    let items = if keys.is_empty() { Vec::new() } else { table.get(&keys, Consistency::Consistent).await? };
    let found = origins.iter().zip(items).filter(|(_, item)| item.is_some());
    Ok(found.map(|(origin, _)| origin.clone()).collect())
}

/// Which ingress and which log are this life's: the identities that they had when it was first seen, which
/// are those given if that is now.
///
/// # Errors
/// As [`Table::put`]; [`Error::Corrupt`].
pub async fn topics(table: &dyn Table, origin: &Origin, now: (u128, u128)) -> Result<(u128, u128), Error> {
    let key = layout::topics(origin);
    if let Some(item) = read(table, key.clone()).await? {
        return parse_topics(&item.value);
    }
    match table.put(key, encode_topics(now), Expect::Absent).await? {
        Put::Found(item) => parse_topics(&item.value),
        Put::Done(_) | Put::Missing => Ok(now),
    }
}

async fn read(table: &dyn Table, key: crate::Key) -> Result<Option<Item>, Error> {
    Ok(table.get(&[key], Consistency::Consistent).await?.pop().flatten())
}

// === the items' text ===

fn encode_incarnation(incarnation: u32, witness: &Region) -> Bytes {
    format!("v=1 incarnation={incarnation} witness={witness}").into()
}

fn parse_incarnation(value: &[u8]) -> Result<u32, Error> {
    const CORRUPT: Error = Error::Corrupt("incarnation");
    field(value, "incarnation").and_then(|n| n.parse().ok()).filter(|&n| n > 0).ok_or(CORRUPT)
}

fn encode_topics((ingress, log): (u128, u128)) -> Bytes {
    format!("v=1 ingress={ingress:032x} log={log:032x}").into()
}

fn parse_topics(value: &[u8]) -> Result<(u128, u128), Error> {
    let identity = |name| field(value, name).and_then(|digits| u128::from_str_radix(digits, 16).ok());
    identity("ingress").zip(identity("log")).ok_or(Error::Corrupt("topics"))
}

fn field<'a>(value: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = std::str::from_utf8(value).ok()?.split(' ').filter_map(|field| field.split_once('='));
    if fields.next()? != ("v", "1") {
        return None;
    }
    fields.find(|(field, _)| *field == name).map(|(_, value)| value)
}
