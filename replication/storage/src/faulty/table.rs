//! A table that breaks on purpose.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

use crate::error::Error;
use crate::faulty::Faults;
use crate::key::{Key, Name};
use crate::table::{Consistency, Delete, Expect, Item, PUT_ITEMS_MAX, Page, Put, Range, Table, Token, Write};

/// `inner`, as far as `faults` let it. Each item of a `put_many` meets its own fate.
#[derive(Clone)]
pub struct FaultyTable {
    inner: Arc<dyn Table>,
    faults: Arc<Faults>,
}

impl FaultyTable {
    /// Wraps a table.
    pub fn new(inner: Arc<dyn Table>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

#[async_trait]
impl Table for FaultyTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        let (inner, hash) = (self.inner.clone(), key.hash.clone());
        self.faults.write(&hash, async move { inner.put(key, value, expect).await }).await
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        if writes.len() > PUT_ITEMS_MAX {
            return self.inner.put_many(writes).await;
        }
        join_all(writes.into_iter().map(|write| self.put(write.key, write.value, write.expect))).await
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        self.faults.read(self.inner.get(keys, read)).await
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        self.faults.read(self.inner.query(range)).await
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error> {
        let (inner, hash) = (self.inner.clone(), key.hash.clone());
        self.faults.write(&hash, async move { inner.delete(key, expect).await }).await
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        self.faults.read(self.inner.scan(table, after)).await
    }
}
