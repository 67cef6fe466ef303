//! The table of one region in memory.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::error::Error;
use crate::key::{Key, Name};
use crate::memory::lock;
use crate::memory::replication::Queues;
use crate::memory::rows::{Change, Lag, Rows, Slot, Stamp, fits, item};
use crate::table::{
    Consistency, Delete, Expect, GET_KEYS_MAX, Item, PUT_ITEMS_MAX, Page, Put, Range, Table, Token, Write,
    check_write,
};

/// All tables of one region. One lock per table; puts and gets are below a microsecond.
pub struct MemoryTable {
    rows: [Mutex<Rows>; Name::ALL.len()],
    /// How long eventual reads may miss a write, microseconds.
    lag_us: AtomicU64,
    outgoing: Option<Outgoing>,
}

/// Where writes go, beside here.
struct Outgoing {
    region: u16,
    queues: Arc<Queues>,
    /// How far this region's internal clock is ahead, microseconds.
    skew_us: AtomicI64,
}

impl Default for MemoryTable {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryTable {
    /// An empty table that no other region sees.
    pub fn new() -> Self {
        Self { rows: Default::default(), lag_us: AtomicU64::new(0), outgoing: None }
    }

    pub(crate) fn replicated(region: u16, queues: Arc<Queues>) -> Self {
        let outgoing = Outgoing { region, queues, skew_us: AtomicI64::new(0) };
        Self { outgoing: Some(outgoing), ..Self::new() }
    }

    /// From now on eventual reads miss what was put or deleted less than `lag` ago.
    pub fn set_eventual_lag(&self, lag: Duration) {
        self.lag_us.store(lag.as_micros() as u64, Ordering::Relaxed);
    }

    /// Sets this region's internal clock, by which the last writer wins, ahead (or behind) by this many
    /// milliseconds.
    pub fn set_skew_ms(&self, ahead: i64) {
        if let Some(outgoing) = &self.outgoing {
            outgoing.skew_us.store(ahead.saturating_mul(1_000), Ordering::Relaxed);
        }
    }

    /// Empties every table of this region; what is on its way from and to it still arrives.
    pub fn wipe(&self) {
        self.rows.iter().for_each(|rows| lock(rows).wipe());
    }

    /// Items in a table of this region.
    pub fn len(&self, table: Name) -> usize {
        lock(self.rows(table)).len()
    }

    /// Whether a table of this region is empty.
    pub fn is_empty(&self, table: Name) -> bool {
        self.len(table) == 0
    }

    pub(crate) fn merge(&self, change: &Change) -> bool {
        let lag = self.lag();
        lock(self.rows(change.key.table)).merge(change, lag)
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        Name::ALL.into_iter().flat_map(|table| lock(self.rows(table)).changes(table)).collect()
    }

    fn rows(&self, table: Name) -> &Mutex<Rows> {
        &self.rows[table as usize]
    }

    fn lag(&self) -> Lag {
        let lag_us = self.lag_us.load(Ordering::Relaxed);
        (lag_us > 0).then(Instant::now).map(|now| (now, now + Duration::from_micros(lag_us)))
    }

    fn read_at(&self, read: Consistency) -> Option<Instant> {
        let lagging = read == Consistency::Eventual && self.lag_us.load(Ordering::Relaxed) > 0;
        lagging.then(Instant::now)
    }

    // The change is offered to the other regions before it is made here, under this table's lock, so that a
    // full queue refuses it whole.
    fn stamp_and_send(
        &self,
        rows: &mut Rows,
        key: &Key,
        replaces: Option<Stamp>,
        slot: Option<(&Bytes, u64)>,
    ) -> Result<Stamp, Error> {
        let Some(Outgoing { region, queues, skew_us }) = &self.outgoing else {
            return Ok(rows.stamp(0, 0, replaces));
        };
        let now_us = queues.micros(Instant::now());
        let stamp =
            rows.stamp(now_us.saturating_add_signed(skew_us.load(Ordering::Relaxed)), *region, replaces);
        let slot = slot.map(|(value, version)| Slot { value: value.clone(), version, stamp });
        queues.offer(*region, now_us, Change { key: key.clone(), slot, stamp })?;
        Ok(stamp)
    }

    fn put_now(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        check_write(&key, &value)?;
        let lag = self.lag();
        let mut rows = lock(self.rows(key.table));
        let present = rows.slot(&key);
        match present {
            Some(slot) if !fits(present, expect) => return Ok(Put::Found(item(key.clone(), slot))),
            None if !fits(present, expect) => return Ok(Put::Missing),
            _ => {}
        }
        let version = present.map_or(0, |slot| slot.version) + 1;
        let replaces = present.map(|slot| slot.stamp).or_else(|| rows.buried(&key));
        let stamp = self.stamp_and_send(&mut rows, &key, replaces, Some((&value, version)))?;
        rows.set(&key, Slot { value, version, stamp }, lag);
        Ok(Put::Done(version))
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn put(&self, key: Key, value: Bytes, expect: Expect) -> Result<Put, Error> {
        self.put_now(key, value, expect)
    }

    async fn put_many(&self, writes: Vec<Write>) -> Vec<Result<Put, Error>> {
        if writes.len() > PUT_ITEMS_MAX {
            let refused = Error::Limit { what: "items of one put", limit: PUT_ITEMS_MAX };
            return vec![Err(refused); writes.len()];
        }
        writes.into_iter().map(|write| self.put_now(write.key, write.value, write.expect)).collect()
    }

    async fn get(&self, keys: &[Key], read: Consistency) -> Result<Vec<Option<Item>>, Error> {
        if keys.len() > GET_KEYS_MAX {
            return Err(Error::Limit { what: "keys of one get", limit: GET_KEYS_MAX });
        }
        let now = self.read_at(read);
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            key.check()?;
            items.push(lock(self.rows(key.table)).get(key, now));
        }
        Ok(items)
    }

    async fn query(&self, range: Range) -> Result<Page, Error> {
        range.check()?;
        let now = self.read_at(range.read);
        Ok(lock(self.rows(range.table)).query(&range, now))
    }

    async fn delete(&self, key: Key, expect: Expect) -> Result<Delete, Error> {
        key.check()?;
        let lag = self.lag();
        let mut rows = lock(self.rows(key.table));
        let Some(slot) = rows.slot(&key) else { return Ok(Delete::Done) };
        if !fits(Some(slot), expect) {
            return Ok(Delete::Found(item(key.clone(), slot)));
        }
        let replaces = Some(slot.stamp);
        let stamp = self.stamp_and_send(&mut rows, &key, replaces, None)?;
        rows.remove(&key, stamp, lag);
        Ok(Delete::Done)
    }

    async fn scan(&self, table: Name, after: Option<Token>) -> Result<Page, Error> {
        Ok(lock(self.rows(table)).scan(table, after.as_ref()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
