//! What the memory table promises beyond the suite.

use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::table::Consistency::{Consistent, Eventual};

fn key(sort: &str) -> Key {
    Key::new(Name::Control, "us-east-1", sort)
}

async fn value(table: &MemoryTable, sort: &str, read: Consistency) -> Option<Bytes> {
    table.get(&[key(sort)], read).await.unwrap().pop().flatten().map(|item| item.value)
}

/// E10: whoever takes over must not restore from an eventual read.
#[tokio::test(start_paused = true)]
async fn eventual_reads_miss_the_latest_writes_and_consistent_ones_do_not() {
    let table = MemoryTable::new();
    table.put(key("a"), "old".into(), Expect::Any).await.unwrap();
    table.set_eventual_lag(Duration::from_millis(500));
    table.put(key("a"), "new".into(), Expect::Any).await.unwrap();
    table.put(key("b"), "new".into(), Expect::Any).await.unwrap();
    for _ in 0..2 {
        assert_eq!(value(&table, "a", Eventual).await.unwrap(), "old");
        assert_eq!(value(&table, "b", Eventual).await, None);
        assert_eq!(value(&table, "a", Consistent).await.unwrap(), "new");
        let range = Range::new(Name::Control, "us-east-1");
        assert_eq!(table.query(range.clone().eventual()).await.unwrap().items.len(), 1);
        assert_eq!(table.query(range).await.unwrap().items.len(), 2);
        advance(Duration::from_millis(249)).await;
    }
    advance(Duration::from_millis(2)).await;
    assert_eq!(value(&table, "a", Eventual).await.unwrap(), "new");
    assert_eq!(value(&table, "b", Eventual).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_value_is_shared_and_never_copied() {
    let table = MemoryTable::new();
    let bytes = Bytes::from(vec![7; 10_000]);
    table.put(key("a"), bytes.clone(), Expect::Absent).await.unwrap();
    assert_eq!(value(&table, "a", Consistent).await.unwrap().as_ptr(), bytes.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn a_wiped_table_is_empty_and_goes_on() {
    let table = MemoryTable::new();
    table.put(key("a"), "one".into(), Expect::Any).await.unwrap();
    assert_eq!(table.len(Name::Control), 1);
    table.wipe();
    assert!(table.is_empty(Name::Control));
    assert_eq!(table.put(key("a"), "two".into(), Expect::Absent).await.unwrap(), Put::Done(1));
}

/// E10, E26: a deleted item is still read for a while, alone and in its order between others; a consistent
/// read has no ghosts.
#[tokio::test(start_paused = true)]
async fn eventual_reads_still_see_what_was_deleted() {
    let table = MemoryTable::new();
    for sort in ["a", "b", "c", "d"] {
        table.put(key(sort), sort.to_owned().into(), Expect::Any).await.unwrap();
    }
    table.set_eventual_lag(Duration::from_millis(500));
    let sorts = async |range: Range| {
        let page = table.query(range).await.unwrap();
        page.items.iter().map(|item| item.key.sort.to_string()).collect::<String>()
    };
    let range = Range::new(Name::Control, "us-east-1");
    for sort in ["b", "d"] {
        table.delete(key(sort), Expect::Any).await.unwrap();
    }
    assert_eq!(value(&table, "b", Eventual).await.unwrap(), "b");
    assert_eq!(value(&table, "b", Consistent).await, None);
    assert_eq!(sorts(range.clone().eventual()).await, "abcd");
    assert_eq!(sorts(range.clone().eventual().reverse().limit(3)).await, "dcb");
    assert_eq!(sorts(range.clone().eventual().from("b").to("c")).await, "bc");
    assert_eq!(sorts(range.clone()).await, "ac");
    table.put(key("b"), "again".into(), Expect::Absent).await.unwrap();
    assert_eq!(value(&table, "b", Eventual).await.unwrap(), "b");
    for sort in ["a", "b", "c"] {
        table.delete(key(sort), Expect::Any).await.unwrap();
    }
    assert_eq!(sorts(range.clone().eventual()).await, "abcd", "also where nothing is left");
    advance(Duration::from_millis(501)).await;
    assert_eq!(sorts(range.eventual()).await, "");
    assert_eq!(value(&table, "b", Eventual).await, None);
}
