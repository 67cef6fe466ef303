//! The two control items that fence: a region's incarnation (E1) and a partition's resume item (E21).
//!
//! Each has one writing region, so conditions that only hold locally suffice: the incarnation is written by
//! the region's witness, the resume item by the region itself. Values are ASCII text, for the operator who
//! looks at the table at night: `v=1` and `name=value` fields, separated by single spaces; unknown fields are
//! ignored.

use bytes::Bytes;
use sterna_stream::Region;

use crate::error::Error;
use crate::layout;
use crate::table::{Consistency, Expect, Item, Put, Table};

#[cfg(test)]
mod tests;

/// How often [`take_term`] meets another taker before it gives up with [`Error::Throttled`].
pub const TAKE_TRIES: usize = 8;

/// What a partition's resume item says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The highest term taken; from 1, not dense.
    pub term: u64,
    /// The incarnation in which it was taken.
    pub incarnation: u32,
}

/// What became of an attempt to take a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The term is the caller's alone. `before`: the item it replaced, `None` at the partition's first.
    Term {
        /// Higher than every term of this partition that was taken before in what this region's table holds.
        term: u64,
        /// What the item said before.
        before: Option<Resume>,
    },
    /// The partition has been taken in a later life of the region: the caller is a leftover and must stop.
    Outlived(Resume),
}

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

/// What the resume item of a partition says; `None` before its first term.
///
/// # Errors
/// As [`Table::get`]; [`Error::Corrupt`].
pub async fn resume(table: &dyn Table, region: &Region, partition: u16) -> Result<Option<Resume>, Error> {
    let item = read(table, layout::resume(region, partition)).await?;
    item.map(|item| parse_resume(&item.value)).transpose()
}

/// Takes the next term of a partition for a sequencer of `region` in its `incarnation`: a conditional raise
/// of the resume item, repeated when another taker was faster.
///
/// # Errors
/// As [`Table::put`]; [`Error::Throttled`] after [`TAKE_TRIES`] faster takers. After
/// [`Error::Unknown`] call again: a term that nobody uses is no hole.
pub async fn take_term(
    table: &dyn Table,
    region: &Region,
    partition: u16,
    incarnation: u32,
) -> Result<Taken, Error> {
    let key = layout::resume(region, partition);
    let mut item = read(table, key.clone()).await?;
    for _ in 0..TAKE_TRIES {
        let before = item.as_ref().map(|item| parse_resume(&item.value)).transpose()?;
        if let Some(later) = before.filter(|before| before.incarnation > incarnation) {
            return Ok(Taken::Outlived(later));
        }
        let term = before.map_or(0, |before| before.term) + 1;
        let expect = item.as_ref().map_or(Expect::Absent, |item| Expect::Version(item.version));
        match table.put(key.clone(), encode_resume(Resume { term, incarnation }), expect).await? {
            Put::Done(_) => return Ok(Taken::Term { term, before }),
            Put::Found(faster) => item = Some(faster),
            Put::Missing => item = None,
        }
    }
    Err(Error::Throttled)
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

fn encode_resume(resume: Resume) -> Bytes {
    format!("v=1 term={} incarnation={}", resume.term, resume.incarnation).into()
}

fn parse_resume(value: &[u8]) -> Result<Resume, Error> {
    const CORRUPT: Error = Error::Corrupt("resume");
    let term = field(value, "term").and_then(|n| n.parse().ok()).ok_or(CORRUPT)?;
    let incarnation = field(value, "incarnation").and_then(|n| n.parse().ok()).ok_or(CORRUPT)?;
    Ok(Resume { term, incarnation })
}

fn field<'a>(value: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = std::str::from_utf8(value).ok()?.split(' ').filter_map(|field| field.split_once('='));
    if fields.next()? != ("v", "1") {
        return None;
    }
    fields.find(|(field, _)| *field == name).map(|(_, value)| value)
}
