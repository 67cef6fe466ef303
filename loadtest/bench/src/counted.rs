//! Stores that count what is asked of them, so that a benchmark can say what an event costs beside CPU.
//!
//! Every call of persistence is one call of the table, so the table's counts are the region's unary RPCs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sterna_cluster::Stores;
use sterna_log::{Consumer, Description, Entry, Group, Log, Offset, Record, Topic};
use sterna_storage::{Consistency, Error, Expect, Item, Key, Name, Page, Put, Range, Table, Token, Write};

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Calls of the table that put; each is one Append.
    pub(crate) put_calls: u64,
    /// Segments in them.
    pub(crate) segments: u64,
    /// Calls of the table that read.
    pub(crate) read_calls: u64,
    /// Records produced, to ingress and log.
    pub(crate) records: u64,
}

#[derive(Default)]
pub(crate) struct Counter {
    put_calls: AtomicU64,
    segments: AtomicU64,
    read_calls: AtomicU64,
    records: AtomicU64,
}

struct CountedTable(Arc<dyn Table>, Arc<Counter>);

struct CountedLog(Arc<dyn Log>, Arc<Counter>);

// === impl Counts ===

impl Counts {
    /// What happened since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            put_calls: self.put_calls - before.put_calls,
            segments: self.segments - before.segments,
            read_calls: self.read_calls - before.read_calls,
            records: self.records - before.records,
        }
    }
}

// === impl Counter ===

impl Counter {
    pub(crate) fn now(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            put_calls: of(&self.put_calls),
            segments: of(&self.segments),
            read_calls: of(&self.read_calls),
            records: of(&self.records),
        }
    }

    /// The same stores, counted.
    pub(crate) fn around(self: &Arc<Self>, stores: &Stores) -> Stores {
        Stores {
            log: Arc::new(CountedLog(stores.log.clone(), self.clone())),
            table: Arc::new(CountedTable(stores.table.clone(), self.clone())),
            tails: stores.tails.clone(),
            neighbours: stores.neighbours.clone(),
            sessions: stores.sessions.clone(),
        }
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

#[async_trait]
impl Table for CountedTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        self.0.put(key, value, expect).await
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        add(&self.1.put_calls, 1);
        add(&self.1.segments, writes.len());
        self.0.put_many(writes).await
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        add(&self.1.read_calls, 1);
        self.0.get(keys, read).await
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        add(&self.1.read_calls, 1);
        self.0.query(range).await
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<sterna_storage::table::Delete, Error> {
        self.0.delete(key, expect).await
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        self.0.scan(table, after).await
    }
}

#[async_trait]
impl Log for CountedLog {
    fn produce(&self, record: Record) -> BoxFuture<'static, Result<Offset, sterna_log::Error>> {
        add(&self.1.records, 1);
        self.0.produce(record)
    }

    async fn join(&self, group: &Group, topics: &[Topic]) -> Result<Box<dyn Consumer>, sterna_log::Error> {
        self.0.join(group, topics).await
    }

    async fn read(
        &self,
        topic: &Topic,
        partition: u16,
        from: Offset,
        max_bytes: usize,
    ) -> Result<sterna_log::Page, sterna_log::Error> {
        self.0.read(topic, partition, from, max_bytes).await
    }

    async fn last(&self, topic: &Topic, partition: u16) -> Result<Option<Entry>, sterna_log::Error> {
        self.0.last(topic, partition).await
    }

    async fn describe(&self, topic: &Topic, group: Option<&Group>) -> Result<Description, sterna_log::Error> {
        self.0.describe(topic, group).await
    }
}
