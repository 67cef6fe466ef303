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
