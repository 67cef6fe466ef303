//! The port `Table`: ordered items under (hash key, sort key), written one at a time under a condition.
//!
//! It promises what one region of a DynamoDB global table can keep. The suite `contract::table` is its
//! specification; sentence numbers T1 … T17 are the same there and here.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Error;
use crate::key::{Key, Name};

/// Most keys of one `get`.
pub const GET_KEYS_MAX: usize = 100;
/// Most items of one `put_many`.
pub const PUT_ITEMS_MAX: usize = 256;
/// Largest value, bytes: DynamoDB's 400 KB less keys, names and version.
pub const VALUE_BYTES: usize = 384 * 1_024;
/// A page ends with the item that reaches this size, bytes of keys and values.
pub const PAGE_BYTES: usize = 1_024 * 1_024;

/// What must hold at a key for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no item.
    Absent,
    /// There is one, of this version.
    Version(u64),
    /// Nothing.
    Any,
}

/// How fresh a read is. Both read this region only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// May miss the latest writes (usually < 1 s), item by item. Half the price.
    Eventual,
    /// Sees every write that this region confirmed before the read began.
    Consistent,
}

/// What is stored at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where.
    pub key: Key,
    /// The bytes as they were put.
    pub value: Bytes,
    /// From 1, raised by each write of a region; travels with the item to other regions.
    pub version: u64,
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// Stored, with this version.
    Done(u64),
    /// The condition failed and nothing changed; this stands there. After [`Error::Unknown`], or inside a
    /// client that repeats requests, it may be one's own earlier put: compare the bytes (E12).
    Found(Item),
    /// A version was expected and there is no item.
    Missing,
}

/// What became of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// There is no item now.
    Done,
    /// The condition failed and nothing changed; this stands there.
    Found(Item),
}

/// One item to put.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// What, at most [`VALUE_BYTES`].
    pub value: Bytes,
    /// Under which condition.
    pub expect: Expect,
}

/// Direction of a query along the sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest sort key first.
    Forward,
    /// Greatest sort key first.
    Reverse,
}

/// Where a page ended. Valid for the same table, hash key and bounds only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(pub(crate) Key);

/// The items of one hash key whose sort keys lie within inclusive bounds.
#[derive(Clone, Debug)]
pub struct Range {
    /// The table.
    pub table: Name,
    /// The hash key.
    pub hash: Arc<str>,
    /// Smallest sort key, inclusive; `None`: from the first.
    pub from: Option<Arc<str>>,
    /// Greatest sort key, inclusive; `None`: to the last.
    pub to: Option<Arc<str>>,
    /// Direction.
    pub order: Order,
    /// Most items of a page, at least 1.
    pub limit: usize,
    /// Freshness.
    pub read: Consistency,
    /// Goes on after an earlier page.
    pub after: Option<Token>,
}

/// A part of an answer.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order asked for.
    pub items: Vec<Item>,
    /// `None`: nothing follows. A page may hold fewer items than asked for, even none, though more follow;
    /// and something may be announced though nothing follows.
    pub next: Option<Token>,
}

/// Items of a region. Shared as `Arc<dyn Table>`.
///
/// - T1 `put` expecting `Absent` at a free key stores version 1; a consistent read then gives the same
///   bytes.
/// - T2 `put` expecting `Absent` at a taken key changes nothing and gives what stands there.
/// - T3 `put` expecting version n stores n + 1 where n stands; where another stands it gives that, where
///   none, `Missing`.
/// - T4 `put` expecting `Any` always stores, with a version above the one it replaced.
/// - T5 `get` answers in the order of its keys, `None` where nothing stands; keys may repeat; above
///   [`GET_KEYS_MAX`] it is refused.
/// - T6 consistent reads see every write confirmed before.
/// - T7 `query` gives the items of one table and hash key between inclusive bounds, ascending as bytes.
/// - T8 in reverse, descending: `limit` 1 is the greatest.
/// - T9 following `next` until `None` gives each item once, in order; a page ends at `limit` or
///   [`PAGE_BYTES`].
/// - T10 `delete` under its condition leaves nothing, else gives what stands there; deleting nothing is
///   `Done`. A key that is put again starts at version 1: compare versions only on items that are not
///   deleted.
/// - T11 `scan` gives every item of one table once, in no promised order.
/// - T12 `put_many` is that many independent puts at once: an answer for each, in order, and no item
///   waits for another's condition. Keys must differ. Above [`PUT_ITEMS_MAX`] all are refused.
/// - T13 empty and overlong keys, overlong values and a `limit` of 0 are refused with [`Error::Limit`].
/// - T14 values are bytes: empty ones and those of [`VALUE_BYTES`] come back as they were put.
/// - T15 of concurrent compare-and-sets of one version one is `Done`: 5 workers × 10 increments make 50.
/// - T16 of concurrent puts expecting `Absent` one is `Done`; every other finds its bytes.
/// - T17 table, hash and sort key are apart: no two different keys are one item.
///
/// Between regions: writes reach the other regions later, item by item in any order, and the last writer of
/// an item wins whole; conditions see this region only. So compare-and-set belongs on items that one region
/// writes.
#[async_trait]
pub trait Table: Send + Sync {
    /// Stores `value` at `key` if what stands there is as expected.
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error>;
    /// Independent puts, at once.
    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>>;
    /// The items at `keys`.
    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error>;
    /// A page of `range`.
    async fn query(&self, range: Range) -> Result<Page, Error>;
    /// Takes the item at `key` away if it is as expected.
    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error>;
    /// A page of a whole table, for repair only: it costs what the table weighs.
    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error>;
}

// === impl Range ===

impl Range {
    /// All items of `hash`, ascending, consistent, a page at a time.
    pub fn new(table: Name, hash: impl Into<Arc<str>>) -> Self {
        let read = Consistency::Consistent;
        let hash = hash.into();
        Self {
            table,
            hash,
            from: None,
            to: None,
            order: Order::Forward,
            limit: usize::MAX,
            read,
            after: None,
        }
    }

    /// From this sort key on, inclusive.
    #[must_use]
    pub fn from(self, sort: impl Into<Arc<str>>) -> Self {
        Self { from: Some(sort.into()), ..self }
    }

    /// Up to this sort key, inclusive.
    #[must_use]
    pub fn to(self, sort: impl Into<Arc<str>>) -> Self {
        Self { to: Some(sort.into()), ..self }
    }

    /// Descending.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self { order: Order::Reverse, ..self }
    }

    /// At most this many items a page.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// May miss the latest writes.
    #[must_use]
    pub fn eventual(self) -> Self {
        Self { read: Consistency::Eventual, ..self }
    }

    /// Goes on where a page ended.
    #[must_use]
    pub fn after(self, token: Token) -> Self {
        Self { after: Some(token), ..self }
    }

    /// Refuses what a real table would refuse.
    ///
    /// # Errors
    /// [`Error::Limit`] for a limit of 0 or an unfit key.
    pub fn check(&self) -> Result<(), Error> {
        if self.limit == 0 {
            return Err(Error::Limit { what: "items of a page, at least", limit: 1 });
        }
        for sort in [&self.from, &self.to].into_iter().flatten() {
            Key { table: self.table, hash: self.hash.clone(), sort: sort.clone() }.check()?;
        }
        Key { table: self.table, hash: self.hash.clone(), sort: "-".into() }.check()
    }
}

// === impl Token ===

impl Token {
    /// The last key of the page that it ends.
    pub fn key(&self) -> &Key {
        &self.0
    }
}

/// Refuses a write that a real table would refuse.
pub(crate) fn check_write(key: &Key, value: &Bytes) -> Result<(), Error> {
    if value.len() > VALUE_BYTES {
        return Err(Error::Limit { what: "bytes of a value", limit: VALUE_BYTES });
    }
    key.check()
}
