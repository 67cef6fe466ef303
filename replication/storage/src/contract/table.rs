//! The sentences of [`crate::table::Table`].

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use crate::contract::{Holds, Sentence, holds, run};
use crate::error::Error;
use crate::key::{HASH_BYTES, Key, Name, SORT_BYTES};
use crate::table::Consistency::{Consistent, Eventual};
use crate::table::Expect::{Absent, Any, Version};
use crate::table::{
    Delete, GET_KEYS_MAX, Item, Order, PAGE_BYTES, PUT_ITEMS_MAX, Page, Put, Range, Table, VALUE_BYTES, Write,
};

/// Pages that a sentence follows before it says that they never end.
const PAGES_MAX: usize = 10_000;

#[derive(Clone)]
struct Subject {
    table: Arc<dyn Table>,
    space: Arc<str>,
}

/// Panics with every sentence that `table` breaks. All keys' hash parts begin with `space`.
pub async fn table(table: Arc<dyn Table>, space: &str) {
    run("Table", SENTENCES, Subject { table, space: space.into() }).await;
}

const SENTENCES: &[Sentence<Subject>] = &[
    ("T1 absent: stores version 1", |s| absent_stores(s).boxed()),
    ("T2 absent: finds what stands", |s| absent_finds(s).boxed()),
    ("T3 version: compare and set", |s| version_compares(s).boxed()),
    ("T4 any: always stores", |s| any_stores(s).boxed()),
    ("T5 get: in order", |s| get_in_order(s).boxed()),
    ("T6 consistent reads see every confirmed write", |s| consistent_reads(s).boxed()),
    ("T7 query: inclusive, ascending", |s| query_ascends(s).boxed()),
    ("T8 query: reverse", |s| query_descends(s).boxed()),
    ("T9 query: pages", |s| query_pages(s).boxed()),
    ("T10 delete", |s| deletes(s).boxed()),
    ("T11 scan: each item once", |s| scans(s).boxed()),
    ("T12 put_many: independent", |s| puts_many(s).boxed()),
    ("T13 limits", |s| refuses(s).boxed()),
    ("T14 bytes", |s| keeps_bytes(s).boxed()),
    ("T15 5 workers × 10 compare-and-sets = 50", |s| counts_to_fifty(s).boxed()),
    ("T16 8 writers, one Done", |s| one_of_eight(s).boxed()),
    ("T17 keys are apart", |s| keys_are_apart(s).boxed()),
];

impl Subject {
    fn key(&self, hash: &str, sort: &str) -> Key {
        Key::new(Name::Events, format!("{}/{hash}", self.space), sort)
    }

    fn range(&self, hash: &str) -> Range {
        Range::new(Name::Events, format!("{}/{hash}", self.space))
    }

    async fn put(&self, key: &Key, value: &str) -> Result<Put, Error> {
        self.table.put(key.clone(), value.to_owned().into(), Any).await
    }

    async fn one(&self, key: &Key) -> Result<Option<Item>, Error> {
        Ok(self.table.get(std::slice::from_ref(key), Consistent).await?.pop().flatten())
    }

    async fn all(&self, range: Range) -> Result<Vec<Page>, Error> {
        let mut pages = vec![self.table.query(range.clone()).await?];
        while let Some(token) = pages.last().and_then(|page| page.next.clone())
            && pages.len() < PAGES_MAX
        {
            pages.push(self.table.query(range.clone().after(token)).await?);
        }
        Ok(pages)
    }
}

fn sorts(pages: &[Page]) -> Vec<&str> {
    pages.iter().flat_map(|page| &page.items).map(|item| &*item.key.sort).collect()
}

async fn absent_stores(s: Subject) -> Holds {
    let key = s.key("t1", "a");
    let put = s.table.put(key.clone(), Bytes::from_static(b"one"), Absent).await?;
    holds!(put == Put::Done(1), "{put:?}");
    let item = s.one(&key).await?;
    let stored = Item { key, value: Bytes::from_static(b"one"), version: 1 };
    holds!(item.as_ref() == Some(&stored), "{item:?}");
    Ok(())
}

async fn absent_finds(s: Subject) -> Holds {
    let key = s.key("t2", "a");
    s.table.put(key.clone(), Bytes::from_static(b"first"), Absent).await?;
    let put = s.table.put(key.clone(), Bytes::from_static(b"second"), Absent).await?;
    let Put::Found(found) = put else { return Err(format!("{put:?}").into()) };
    holds!(found.value == "first" && found.version == 1 && found.key == key, "{found:?}");
    let item = s.one(&key).await?;
    holds!(item == Some(found), "changed: {item:?}");
    Ok(())
}

async fn version_compares(s: Subject) -> Holds {
    let key = s.key("t3", "a");
    let missing = s.table.put(key.clone(), Bytes::from_static(b"x"), Version(1)).await?;
    holds!(missing == Put::Missing && s.one(&key).await?.is_none(), "nothing stands: {missing:?}");
    s.put(&key, "one").await?;
    let raised = s.table.put(key.clone(), Bytes::from_static(b"two"), Version(1)).await?;
    holds!(raised == Put::Done(2), "{raised:?}");
    for version in [0, 1, 3] {
        let put = s.table.put(key.clone(), Bytes::from_static(b"no"), Version(version)).await?;
        let Put::Found(found) = put else { return Err(format!("{version}: {put:?}").into()) };
        holds!(found.value == "two" && found.version == 2, "{found:?}");
    }
    holds!(s.one(&key).await?.is_some_and(|item| item.value == "two" && item.version == 2), "changed");
    Ok(())
}

async fn any_stores(s: Subject) -> Holds {
    let key = s.key("t4", "a");
    let mut before = 0;
    for n in 0..5 {
        let put = s.put(&key, &format!("value {n}")).await?;
        let Put::Done(version) = put else { return Err(format!("{put:?}").into()) };
        holds!(version > before, "version {version} after {before}");
        let item = s.one(&key).await?;
        let stored = item.is_some_and(|item| item.version == version && item.value == format!("value {n}"));
        holds!(stored, "put {n} is not read");
        before = version;
    }
    Ok(())
}

async fn get_in_order(s: Subject) -> Holds {
    let keys = ["c", "missing", "a", "b", "a"].map(|sort| s.key("t5", sort));
    for key in [&keys[0], &keys[2], &keys[3]] {
        s.put(key, &key.sort).await?;
    }
    let items = s.table.get(&keys, Consistent).await?;
    holds!(items.len() == keys.len(), "{} answers", items.len());
    for (key, item) in keys.iter().zip(items) {
        let value = item.map(|item| item.value);
        holds!(value == (&*key.sort != "missing").then(|| Bytes::from(key.sort.to_string())), "{key:?}");
    }
    holds!(s.table.get(&[], Eventual).await?.is_empty(), "no keys, no answers");
    let many: Vec<_> = (0..=GET_KEYS_MAX).map(|n| s.key("t5", &n.to_string())).collect();
    holds!(s.table.get(&many[1..], Consistent).await?.len() == GET_KEYS_MAX, "the most keys");
    let refused = s.table.get(&many, Consistent).await;
    holds!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    Ok(())
}

async fn consistent_reads(s: Subject) -> Holds {
    let key = s.key("t6", "a");
    for n in 0..20 {
        s.put(&key, &n.to_string()).await?;
        let got = s.one(&key).await?.map(|item| item.value);
        let page = s.table.query(s.range("t6").reverse().limit(1)).await?;
        let queried = page.items.first().map(|item| item.value.clone());
        holds!(got == Some(n.to_string().into()) && queried == got, "{n}: {got:?}, {queried:?}");
    }
    Ok(())
}

async fn query_ascends(s: Subject) -> Holds {
    for sort in ["b", "a#10", "a#09", "a~", "B", "a", "ä"] {
        s.put(&s.key("t7", sort), sort).await?;
        s.put(&s.key("t7x", sort), "another hash key").await?;
    }
    let all = s.all(s.range("t7")).await?;
    let expected = ["B", "a", "a#09", "a#10", "a~", "b", "ä"];
    holds!(sorts(&all) == expected, "{:?}", sorts(&all));
    holds!(all.iter().flat_map(|page| &page.items).all(|i| i.value == i.key.sort.as_bytes()), "values");
    let part = s.all(s.range("t7").from("a#09").to("b")).await?;
    holds!(sorts(&part) == expected[2..6], "inclusive: {:?}", sorts(&part));
    let between = s.all(s.range("t7").from("a#00").to("a#095")).await?;
    holds!(sorts(&between) == ["a#09"], "bounds need not exist: {:?}", sorts(&between));
    for nothing in [s.range("t7").from("b").to("a"), s.range("t7").from("c").to("z"), s.range("t7-none")] {
        let pages = s.all(nothing.clone()).await?;
        holds!(sorts(&pages).is_empty(), "{nothing:?}");
    }
    Ok(())
}

async fn query_descends(s: Subject) -> Holds {
    for n in 0..10 {
        s.put(&s.key("t8", &format!("{n:02}")), "").await?;
    }
    let newest = s.table.query(s.range("t8").reverse().limit(1)).await?;
    holds!(sorts(&[newest]) == ["09"], "the greatest");
    let below = s.table.query(s.range("t8").to("055").reverse().limit(1)).await?;
    holds!(sorts(&[below]) == ["05"], "the greatest at or below a bound");
    let all = s.all(s.range("t8").from("03").to("06").reverse().limit(3)).await?;
    holds!(sorts(&all) == ["06", "05", "04", "03"], "{:?}", sorts(&all));
    Ok(())
}

async fn query_pages(s: Subject) -> Holds {
    let big = Bytes::from(vec![7; 200_000]);
    let expected: Vec<_> = (0..25).map(|n| format!("{n:02}")).collect();
    for sort in &expected {
        s.table.put(s.key("t9", sort), big.clone(), Any).await?;
    }
    for limit in [1, 3, 25, 26, usize::MAX] {
        for order in [Order::Forward, Order::Reverse] {
            let pages = s.all(Range { limit, order, ..s.range("t9") }).await?;
            let mut got = sorts(&pages);
            if order == Order::Reverse {
                got.reverse();
            }
            holds!(got == expected, "limit {limit} {order:?}: {got:?}");
            let fits =
                |page: &Page| page.items.len() <= limit && page.items.len() * big.len() < 2 * PAGE_BYTES;
            holds!(pages.iter().all(fits), "a page beyond its bounds");
        }
    }
    let first = s.table.query(s.range("t9").limit(10)).await?;
    let token = first.next.ok_or("more follows, but no token")?;
    s.put(&s.key("t9", "00a"), "behind the token").await?;
    let rest = s.all(s.range("t9").limit(10).after(token.clone())).await?;
    holds!(sorts(&rest) == expected[first.items.len()..], "{:?}", sorts(&rest));
    s.table.delete(token.key().clone(), Any).await?;
    let rest = s.all(s.range("t9").after(token)).await?;
    holds!(sorts(&rest) == expected[first.items.len()..], "a token outlives its item: {:?}", sorts(&rest));
    Ok(())
}

async fn deletes(s: Subject) -> Holds {
    let key = s.key("t10", "a");
    for expect in [Any, Absent, Version(1)] {
        holds!(s.table.delete(key.clone(), expect).await? == Delete::Done, "nothing stands, {expect:?}");
    }
    s.put(&key, "one").await?;
    s.put(&key, "two").await?;
    for expect in [Absent, Version(1), Version(3)] {
        let kept = s.table.delete(key.clone(), expect).await?;
        let Delete::Found(found) = kept else { return Err(format!("{expect:?}: {kept:?}").into()) };
        holds!(found.value == "two" && s.one(&key).await? == Some(found), "{expect:?}");
    }
    for expect in [Version(2), Any] {
        holds!(s.table.delete(key.clone(), expect).await? == Delete::Done, "{expect:?}");
        holds!(s.one(&key).await?.is_none(), "still there");
        holds!(sorts(&s.all(s.range("t10")).await?).is_empty(), "still queried");
        let put = s.table.put(key.clone(), Bytes::new(), Absent).await?;
        holds!(put == Put::Done(1), "put again: {put:?}");
    }
    Ok(())
}

async fn scans(s: Subject) -> Holds {
    let mut expected = BTreeSet::new();
    for (hash, sort) in (0..40).flat_map(|h| (0..5).map(move |n| (h, n))) {
        let key = Key::new(Name::Members, format!("{}/t11-{hash}", s.space), format!("{sort}"));
        s.table.put(key.clone(), Bytes::from(vec![1; 20_000]), Any).await?;
        expected.insert(key);
    }
    s.put(&s.key("t11-1", "another table"), "").await?;
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = s.table.scan(Name::Members, after).await?;
        seen.extend(page.items.into_iter().map(|item| item.key));
        pages += 1;
        holds!(pages < PAGES_MAX, "the scan never ends");
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let own = format!("{}/t11-", s.space);
    seen.retain(|key| key.hash.starts_with(&own));
    let (count, seen) = (seen.len(), BTreeSet::from_iter(seen));
    holds!(seen == expected && count == expected.len() && pages > 1, "{count} items on {pages} pages");
    Ok(())
}

async fn puts_many(s: Subject) -> Holds {
    let write = |sort: String, expect| Write { key: s.key("t12", &sort), value: sort.into(), expect };
    s.put(&s.key("t12", "1"), "taken").await?;
    let writes = vec![
        write("0".into(), Absent),
        write("1".into(), Absent),
        write("2".into(), Version(9)),
        write("3".into(), Any),
        write("s".repeat(SORT_BYTES + 1), Any),
        write("5".into(), Absent),
    ];
    let answers = s.table.put_many(writes).await;
    let expected = matches!(
        &answers[..],
        [
            Ok(Put::Done(1)),
            Ok(Put::Found(found)),
            Ok(Put::Missing),
            Ok(Put::Done(1)),
            Err(Error::Limit { .. }),
            Ok(Put::Done(1))
        ] if found.value == "taken"
    );
    holds!(expected, "{answers:?}");
    holds!(sorts(&s.all(s.range("t12")).await?) == ["0", "1", "3", "5"], "what was stored");
    let most = |n| (0..n).map(|n| write(format!("many {n:04}"), Absent)).collect::<Vec<_>>();
    let answers = s.table.put_many(most(PUT_ITEMS_MAX)).await;
    let done = answers.iter().filter(|answer| matches!(answer, Ok(Put::Done(1)))).count();
    holds!(done == PUT_ITEMS_MAX && answers.len() == done, "{done} done");
    let answers = s.table.put_many(most(PUT_ITEMS_MAX + 1)).await;
    let refused = answers.iter().all(|answer| matches!(answer, Err(Error::Limit { .. })));
    holds!(refused && answers.len() == PUT_ITEMS_MAX + 1, "too many");
    holds!(s.one(&s.key("t12", &format!("many {PUT_ITEMS_MAX:04}"))).await?.is_none(), "refused, yet stored");
    Ok(())
}

async fn refuses(s: Subject) -> Holds {
    let long = |n| "x".repeat(n);
    let space = s.space.len() + 1;
    let bad = [
        Key::new(Name::Events, "", "a"),
        s.key("t13", ""),
        s.key(&long(HASH_BYTES - space + 1), "a"),
        s.key("t13", &long(SORT_BYTES + 1)),
    ];
    for key in bad {
        let put = s.table.put(key.clone(), Bytes::new(), Any).await;
        holds!(matches!(put, Err(Error::Limit { .. })), "put {key:?}: {put:?}");
        let get = s.table.get(std::slice::from_ref(&key), Consistent).await;
        holds!(matches!(get, Err(Error::Limit { .. })), "get {key:?}: {get:?}");
        let delete = s.table.delete(key.clone(), Any).await;
        holds!(matches!(delete, Err(Error::Limit { .. })), "delete {key:?}: {delete:?}");
    }
    let key = s.key("t13", "a");
    let put = s.table.put(key.clone(), Bytes::from(vec![0; VALUE_BYTES + 1]), Any).await;
    holds!(matches!(put, Err(Error::Limit { .. })) && s.one(&key).await?.is_none(), "value: {put:?}");
    for range in [s.range("t13").limit(0), s.range("t13").from("")] {
        let query = s.table.query(range).await;
        holds!(matches!(query, Err(Error::Limit { .. })), "{query:?}");
    }
    let longest = s.key(&long(HASH_BYTES - space), &long(SORT_BYTES));
    holds!(s.put(&longest, "fits").await? == Put::Done(1), "the longest key");
    Ok(())
}

async fn keeps_bytes(s: Subject) -> Holds {
    let values = [Bytes::new(), (0..=255).collect(), Bytes::from(vec![0xff; VALUE_BYTES])];
    for (n, value) in values.into_iter().enumerate() {
        let key = s.key("t14", &n.to_string());
        s.table.put(key.clone(), value.clone(), Absent).await?;
        holds!(s.one(&key).await?.is_some_and(|item| item.value == value), "value {n}");
    }
    Ok(())
}

async fn counts_to_fifty(s: Subject) -> Holds {
    let key = s.key("t15", "counter");
    s.put(&key, "0").await?;
    let mut workers = JoinSet::new();
    for _ in 0..5 {
        workers.spawn(increment(s.clone(), key.clone(), 10));
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    let value = s.one(&key).await?.map(|item| item.value);
    holds!(value.as_deref() == Some(b"50"), "{value:?}");
    Ok(())
}

async fn increment(s: Subject, key: Key, times: u32) -> Holds {
    for _ in 0..times {
        let mut item = s.one(&key).await?.ok_or("the counter is gone")?;
        loop {
            let count: u32 = std::str::from_utf8(&item.value)?.parse()?;
            // Lets the others in between read and write, on one thread too.
            tokio::task::yield_now().await;
            let raised = (count + 1).to_string().into();
            match s.table.put(key.clone(), raised, Version(item.version)).await? {
                Put::Done(_) => break,
                Put::Found(other) => item = other,
                Put::Missing => return Err("the counter is gone".into()),
            }
        }
    }
    Ok(())
}

async fn one_of_eight(s: Subject) -> Holds {
    let key = s.key("t16", "a");
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let (s, key) = (s.clone(), key.clone());
        writers.spawn(async move {
            tokio::task::yield_now().await;
            let value = Bytes::from(format!("writer {n}"));
            (value.clone(), s.table.put(key, value, Absent).await)
        });
    }
    let (mut done, mut found) = (Vec::new(), Vec::new());
    while let Some(writer) = writers.join_next().await {
        match writer? {
            (value, Ok(Put::Done(1))) => done.push(value),
            (_, Ok(Put::Found(item))) => found.push(item.value),
            (_, other) => return Err(format!("{other:?}").into()),
        }
    }
    let equal = found.iter().all(|value| Some(value) == done.first());
    holds!(done.len() == 1 && found.len() == 7 && equal, "done {done:?}, found {found:?}");
    Ok(())
}

async fn keys_are_apart(s: Subject) -> Holds {
    let keys = [
        s.key("t17", "ab#c"),
        s.key("t17#ab", "c"),
        s.key("t17a", "b#c"),
        s.key("t17", "AB#C"),
        Key { table: Name::Control, ..s.key("t17", "ab#c") },
    ];
    for (n, key) in keys.iter().enumerate() {
        let put = s.table.put(key.clone(), n.to_string().into(), Absent).await?;
        holds!(put == Put::Done(1), "{key:?} is another's: {put:?}");
    }
    for (n, item) in s.table.get(&keys, Consistent).await?.into_iter().enumerate() {
        holds!(item.is_some_and(|item| item.value == n.to_string()), "key {n}");
    }
    Ok(())
}
