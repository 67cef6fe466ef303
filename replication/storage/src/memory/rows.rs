//! One table of one region as plain data: no lock, no clock, no I/O.
//!
//! Items of a hash key are in order; each slot knows when it was written (for the last writer to win)
//! and, where eventual reads are to lag, what stood there before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use sterna_stream::map::Map;
use tokio::time::Instant;

use crate::key::{Key, Name};
use crate::memory::rows::sorted::{Row, Sorted, above, below};
use crate::table::{Expect, Item, Order, PAGE_BYTES, Page, Range, Token};

mod sorted;

/// Deleted keys that are remembered, so that an older write which arrives late does not bring them back.
const TOMBSTONES: usize = 65_536;

/// The internal timestamp by which the last writer wins; the region breaks ties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) at: u64,
    pub(crate) region: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) value: Bytes,
    pub(crate) version: u64,
    pub(crate) stamp: Stamp,
}

/// A write on its way to another region. `slot` `None`: a delete.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) slot: Option<Slot>,
    pub(crate) stamp: Stamp,
}

/// What eventual reads still see of a key, and until when.
struct Before {
    until: Instant,
    slot: Option<Slot>,
}

/// Hash and sort key within a table.
type Place = (Arc<str>, Arc<str>);

#[derive(Default)]
pub(crate) struct Rows {
    hashes: Map<Arc<str>, Sorted>,
    /// The same hash keys in order, for scans.
    order: BTreeSet<Arc<str>>,
    tombstones: BTreeMap<Place, Stamp>,
    buried: VecDeque<Place>,
    before: BTreeMap<Place, Before>,
    fading: VecDeque<(Instant, Place)>,
    last: u64,
}

/// Up to when eventual reads may see the past: now and now + lag; `None`: they see the present.
pub(crate) type Lag = Option<(Instant, Instant)>;

impl Rows {
    /// A stamp above all that this region ever gave, and above what it replaces.
    pub(crate) fn stamp(&mut self, now: u64, region: u16, replaces: Option<Stamp>) -> Stamp {
        let above = replaces.map_or(0, |stamp| stamp.at).max(self.last);
        self.last = now.max(above + 1);
        Stamp { at: self.last, region }
    }

    pub(crate) fn slot(&self, key: &Key) -> Option<&Slot> {
        self.hashes.get(&key.hash)?.get(&key.sort)
    }

    /// When the key's item was deleted, if that is remembered.
    pub(crate) fn buried(&self, key: &Key) -> Option<Stamp> {
        if self.tombstones.is_empty() {
            return None;
        }
        self.tombstones.get(&(key.hash.clone(), key.sort.clone())).copied()
    }

    pub(crate) fn set(&mut self, key: &Key, slot: Slot, lag: Lag) {
        self.remember(key, lag);
        if !self.tombstones.is_empty() {
            self.tombstones.remove(&(key.hash.clone(), key.sort.clone()));
        }
        if let Some(sorts) = self.hashes.get_mut(&key.hash) {
            sorts.insert(Row { sort: key.sort.clone(), slot });
            return;
        }
        self.order.insert(key.hash.clone());
        self.hashes.insert(key.hash.clone(), Sorted::of(Row { sort: key.sort.clone(), slot }));
    }

    pub(crate) fn remove(&mut self, key: &Key, stamp: Stamp, lag: Lag) {
        self.remember(key, lag);
        if let Some(sorts) = self.hashes.get_mut(&key.hash) {
            sorts.remove(&key.sort);
            if sorts.len() == 0 {
                self.hashes.remove(&key.hash);
                self.order.remove(&key.hash);
            }
        }
        let place = (key.hash.clone(), key.sort.clone());
        if self.tombstones.insert(place.clone(), stamp).is_none() {
            self.buried.push_back(place);
        }
        if self.buried.len() > TOMBSTONES
            && let Some(oldest) = self.buried.pop_front()
        {
            self.tombstones.remove(&oldest);
        }
    }

    /// Takes in another region's write if it is the later one.
    pub(crate) fn merge(&mut self, change: &Change, lag: Lag) -> bool {
        let standing = self.slot(&change.key).map(|slot| slot.stamp).or_else(|| self.buried(&change.key));
        if standing >= Some(change.stamp) {
            return false;
        }
        match &change.slot {
            Some(slot) => self.set(&change.key, slot.clone(), lag),
            None => self.remove(&change.key, change.stamp, lag),
        }
        true
    }

    /// Forgets everything, except how far its stamps went.
    pub(crate) fn wipe(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// Every item, as changes for another region's copy.
    pub(crate) fn changes(&self, table: Name) -> Vec<Change> {
        let mut changes = Vec::new();
        for hash in &self.order {
            let Some(sorts) = self.hashes.get(hash) else { continue };
            let mut all = sorts.within(Bound::Unbounded, Bound::Unbounded);
            while let Some(Row { sort, slot }) = all.next(Order::Forward) {
                let key = Key { table, hash: hash.clone(), sort: sort.clone() };
                changes.push(Change { key, stamp: slot.stamp, slot: Some(slot.clone()) });
            }
        }
        changes
    }

    /// The item as a reader sees it: one that may miss the latest writes says what `now` is.
    pub(crate) fn get(&self, key: &Key, now: Option<Instant>) -> Option<Item> {
        let slot = self.seen(&key.hash, &key.sort, self.slot(key), now)?;
        Some(item(key.clone(), slot))
    }

    pub(crate) fn query(&self, range: &Range, now: Option<Instant>) -> Page {
        let (mut from, mut to) = (bound(range.from.as_deref()), bound(range.to.as_deref()));
        match (&range.after, range.order) {
            (Some(token), Order::Forward) => from = Bound::Excluded(&*token.0.sort),
            (Some(token), Order::Reverse) => to = Bound::Excluded(&*token.0.sort),
            (None, _) => {}
        }
        let key = |sort: &Arc<str>| Key { table: range.table, hash: range.hash.clone(), sort: sort.clone() };
        let mut ghosts = self.ghosts(&range.hash, from, to, now);
        let mut within = self.hashes.get(&range.hash).map(|sorts| sorts.within(from, to));
        let mut next = || within.as_mut().and_then(|within| within.next(range.order));
        let mut filling = Filling::new(range.limit);
        let mut row = next();
        while !filling.full() {
            let ghost = match range.order {
                Order::Forward => ghosts.front().filter(|(sort, _)| row.is_none_or(|row| *sort < row.sort)),
                Order::Reverse => ghosts.back().filter(|(sort, _)| row.is_none_or(|row| *sort > row.sort)),
            };
            if let Some((sort, slot)) = ghost {
                filling.pass(key(sort), Some(slot));
                let _ = if range.order == Order::Forward { ghosts.pop_front() } else { ghosts.pop_back() };
                continue;
            }
            let Some(Row { sort, slot }) = row else { break };
            filling.pass(key(sort), self.seen(&range.hash, sort, Some(slot), now));
            row = next();
        }
        filling.page()
    }

    /// What eventual reads still see of a hash key though it was deleted, in order.
    fn ghosts(
        &self,
        hash: &Arc<str>,
        from: Bound<&str>,
        to: Bound<&str>,
        now: Option<Instant>,
    ) -> VecDeque<(Arc<str>, &Slot)> {
        let Some(now) = now.filter(|_| !self.before.is_empty()) else { return VecDeque::new() };
        let sorts = self.hashes.get(hash);
        let first: Place = (hash.clone(), Arc::from(""));
        let of_hash = self.before.range(first..).take_while(|((other, _), _)| other == hash);
        let within = of_hash.filter(|((_, sort), _)| !below(sort, from) && !above(sort, to));
        let gone = within.filter(|((_, sort), before)| {
            before.until > now && sorts.is_none_or(|sorts| sorts.get(sort).is_none())
        });
        gone.filter_map(|((_, sort), before)| Some((sort.clone(), before.slot.as_ref()?))).collect()
    }

    pub(crate) fn scan(&self, table: Name, after: Option<&Token>) -> Page {
        let mut filling = Filling::new(usize::MAX);
        let first = after.map_or(Bound::Unbounded, |token| Bound::Included(&*token.0.hash));
        for hash in self.order.range::<str, _>((first, Bound::Unbounded)) {
            let passed = after.filter(|token| token.0.hash == *hash).map(|token| &*token.0.sort);
            let from = passed.map_or(Bound::Unbounded, Bound::Excluded);
            let Some(sorts) = self.hashes.get(hash) else { continue };
            let mut rest = sorts.within(from, Bound::Unbounded);
            while let Some(Row { sort, slot }) = rest.next(Order::Forward) {
                filling.pass(Key { table, hash: hash.clone(), sort: sort.clone() }, Some(slot));
                if filling.full() {
                    return filling.page();
                }
            }
        }
        filling.page()
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.values().map(Sorted::len).sum()
    }

    fn seen<'a>(
        &'a self,
        hash: &Arc<str>,
        sort: &Arc<str>,
        present: Option<&'a Slot>,
        now: Option<Instant>,
    ) -> Option<&'a Slot> {
        let Some(now) = now else { return present };
        match self.before.get(&(hash.clone(), sort.clone())) {
            Some(before) if before.until > now => before.slot.as_ref(),
            _ => present,
        }
    }

    fn remember(&mut self, key: &Key, lag: Lag) {
        let Some((now, until)) = lag else { return };
        while let Some((faded, place)) = self.fading.front()
            && *faded <= now
        {
            if self.before.get(place).is_some_and(|before| before.until <= now) {
                self.before.remove(place);
            }
            self.fading.pop_front();
        }
        let place = (key.hash.clone(), key.sort.clone());
        if !self.before.contains_key(&place) {
            let slot = self.slot(key).cloned();
            self.before.insert(place.clone(), Before { until, slot });
            self.fading.push_back((until, place));
        }
    }
}

/// A page that is being filled.
struct Filling {
    page: Page,
    limit: usize,
    bytes: usize,
    last: Option<Key>,
}

impl Filling {
    fn new(limit: usize) -> Self {
        Self { page: Page::default(), limit, bytes: 0, last: None }
    }

    fn pass(&mut self, key: Key, slot: Option<&Slot>) {
        if let Some(slot) = slot {
            self.bytes += key.hash.len() + key.sort.len() + slot.value.len();
            self.page.items.push(item(key.clone(), slot));
        }
        self.last = Some(key);
    }

    fn full(&self) -> bool {
        self.page.items.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    // As DynamoDB does, a page that was ended by its bound announces more without looking whether there is
    // any.
    fn page(mut self) -> Page {
        if self.full() {
            self.page.next = self.last.map(Token);
        }
        self.page
    }
}

pub(crate) fn item(key: Key, slot: &Slot) -> Item {
    Item { key, value: slot.value.clone(), version: slot.version }
}

/// Whether what stands is what was expected.
pub(crate) fn fits(slot: Option<&Slot>, expect: Expect) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => slot.is_none(),
        Expect::Version(version) => slot.is_some_and(|slot| slot.version == version),
    }
}

fn bound(sort: Option<&str>) -> Bound<&str> {
    sort.map_or(Bound::Unbounded, Bound::Included)
}
