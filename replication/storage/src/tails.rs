//! The port `Tails`: the newest segments of each (stream, origin), so that a resume needs no table.
//!
//! Tail and head are one key and one script: what a reader sees is always a dense run that ends at its head
//! (E15). Soft state: Redis may lose its last writes or everything at any moment, so heads from here are
//! hints and nothing but speed depends on this port. The suite `contract::tails` is its specification (L1 …
//! L12).

use async_trait::async_trait;
use bytes::Bytes;
use sterna_stream::{Cursor, Origin, StreamId};

use crate::error::Error;

/// Most streams of one `heads`.
pub const HEADS_STREAMS_MAX: usize = 1_000;

/// Bounds of what is kept; a backend's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most entries of one (stream, origin).
    pub entries: usize,
    /// Most bytes of entries of one (stream, origin), at least that of one segment.
    pub bytes: usize,
    /// Most (stream, origin) pairs; beyond, tails that are wholly in the table vanish, those unused for
    /// longest first.
    pub tails: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 256, bytes: 256 * 1_024, tails: 200_000 }
    }
}

/// One segment, as stored everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Seq of its first event, from 1.
    pub first: u64,
    /// Seq of its last event, at least `first`.
    pub last: u64,
    /// Its stored bytes.
    pub bytes: Bytes,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is the tail's newest entry.
    Done,
    /// The head, given, is already at or above its last seq; nothing changed.
    Known(u64),
    /// It does not begin right after the head, given; nothing changed. Append what lies between, or forget
    /// the tail.
    Gap(u64),
    /// The tail is at its limit and its oldest entry is not known to be in the local table; it was not added
    /// (E20).
    Full,
}

/// What a tail holds of one origin after a reader's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who sequenced it.
    pub origin: Origin,
    /// First seq the tail holds: a reader whose cursor is below `floor - 1` must read the table first.
    pub floor: u64,
    /// Last seq the tail holds.
    pub head: u64,
    /// The entries whose last seq is above the cursor, ascending and dense; fewer where `max_bytes` ended
    /// them.
    pub entries: Vec<Entry>,
}

/// The tails of a region. Shared as `Arc<dyn Tails>`.
///
/// - L1 an append to an absent tail starts it, at any seq. - L2 an append that begins at head + 1 moves the
/// head to its last seq. - L3 one whose last seq is at or below the head is `Known`; nothing changes. - L4
/// any other is a `Gap`, an overlapping one too; nothing changes. - L5 `read` gives, per origin in byte
/// order, floor, head and the entries after the cursor, bytes as appended. - L6 `heads` gives a cursor per
/// stream in the order asked, empty where there is no tail. - L7 streams and origins are apart. - L8 no entry
/// leaves before `ensured` covers it: a tail at its limit answers `Full`, and goes on after `trim`.   A tail
/// that is wholly ensured may vanish at any time. - L9 the newest entry of a tail is never trimmed. - L10
/// after `forget` the tail is absent. - L11 `read` gives at most `max_bytes`, yet at least one entry if there
/// is one; asking again with the cursor moved   gives each entry once. - L12 of concurrent equal appends one
/// is `Done`, the others `Known`; concurrent appenders leave a dense tail.
#[async_trait]
pub trait Tails: Send + Sync {
    /// Adds the newest entry. `ensured`: everything of (stream, origin) up to this seq is readable in the
    /// local table.
    ///
    /// # Errors
    /// [`Error::Limit`] for an entry larger than a tail may be, or one that ends before it begins.
    async fn append(
        &self,
        stream: &StreamId,
        origin: &Origin,
        entry: Entry,
        ensured: u64,
    ) -> Result<Appended, Error>;
    /// What follows `after`, at most about `max_bytes` over all origins.
    async fn read(&self, stream: &StreamId, after: &Cursor, max_bytes: usize) -> Result<Vec<Part>, Error>;
    /// The head of every tail of each stream; at most [`HEADS_STREAMS_MAX`] streams.
    async fn heads(&self, streams: &[StreamId]) -> Result<Vec<Cursor>, Error>;
    /// Says how far the local table holds (stream, origin) and drops what is over the limit.
    async fn trim(&self, stream: &StreamId, origin: &Origin, ensured: u64) -> Result<(), Error>;
    /// Drops the tail: the next append starts it anew.
    async fn forget(&self, stream: &StreamId, origin: &Origin) -> Result<(), Error>;
}

/// Refuses an entry that no tail could hold.
pub(crate) fn check_entry(entry: &Entry, limits: &Limits) -> Result<(), Error> {
    if entry.first == 0 || entry.last < entry.first {
        return Err(Error::Limit { what: "events of an entry, at least", limit: 1 });
    }
    if entry.bytes.len() > limits.bytes {
        return Err(Error::Limit { what: "bytes of an entry", limit: limits.bytes });
    }
    Ok(())
}
