//! The contract, kept by a real DynamoDB (Local), and what only it can show.
//!
//! `STERNA_DYNAMODB` says where it is; `cargo xtask stack up` starts one and prints what to export.

use std::sync::Arc;

use super::*;
use crate::contract;

/// Where the real table is. A test that cannot reach it fails: nothing passes by being skipped.
fn endpoint() -> String {
    std::env::var("STERNA_DYNAMODB")
        .expect("STERNA_DYNAMODB names no DynamoDB; start one with `cargo xtask stack up`")
}

/// Fresh tables: one process keeps apart what was made under different regions.
async fn tables(region: &str) -> DynamoTable {
    let client = local(&endpoint(), region);
    provision(&client, "test-", Throughput::OnDemand).await.unwrap();
    DynamoTable::new(client, Config::new("test-", 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_keeps_the_contract() {
    let space = format!("suite-{}", std::process::id());
    contract::table(Arc::new(tables("contract-1").await), &space).await;
}

#[tokio::test]
async fn provisioning_twice_changes_nothing() {
    let table = tables("provision-1").await;
    let key = Key::new(Name::Events, format!("again-{}", std::process::id()), "a");
    assert_eq!(table.put(key.clone(), "one".into(), Expect::Absent).await.unwrap(), Put::Done(1));
    let again = tables("provision-1").await;
    let found = again.get(&[key], Consistency::Consistent).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().value, "one");
}

/// More than one answer holds (16 MB): the rest is asked for again.
#[tokio::test]
async fn keys_that_an_answer_left_out_are_asked_for_again() {
    let table = tables("large-1").await;
    let value = Bytes::from(vec![7; crate::table::VALUE_BYTES]);
    let hash = format!("large-{}", std::process::id());
    let keys: Vec<Key> = (0..60).map(|n| Key::new(Name::Files, hash.as_str(), format!("{n:02}"))).collect();
    let writes = keys.iter().map(|key| Write { key: key.clone(), value: value.clone(), expect: Expect::Any });
    assert!(table.put_many(writes.collect()).await.iter().all(Result::is_ok));
    let first = Box::pin(
        table
            .client
            .batch_get_item()
            .set_request_items(table.ask(&keys.iter().cloned().collect(), Consistency::Consistent))
            .send(),
    )
    .await
    .unwrap();
    assert!(first.unprocessed_keys.is_some_and(|keys| !keys.is_empty()), "else this test shows nothing");
    let items = table.get(&keys, Consistency::Consistent).await.unwrap();
    assert!(items.iter().all(|item| item.as_ref().is_some_and(|item| item.value == value)));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_unavailable_and_nothing_is_made() {
    let table = DynamoTable::new(local(&endpoint(), "nowhere-1"), Config::new("none-", 1));
    let put = table.put(Key::new(Name::Events, "a", "b"), Bytes::new(), Expect::Absent).await;
    assert!(matches!(put, Err(Error::Unavailable(_))), "{put:?}");
    let query = table.query(Range::new(Name::Events, "a")).await;
    assert!(matches!(query, Err(Error::Unavailable(_))), "{query:?}");
}

/// Nobody listens: nothing was sent, and a write may be repeated.
#[tokio::test]
async fn a_write_that_reached_nobody_changed_nothing() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = local(&format!("http://127.0.0.1:{port}"), "nobody-1");
    let table = DynamoTable::new(client, Config::new("", 1));
    let put = table.put(Key::new(Name::Events, "a", "b"), Bytes::new(), Expect::Absent).await;
    assert!(matches!(put, Err(Error::Unavailable(_))), "{put:?}");
}

/// E12: the connection breaks after the request was sent: the write may have been applied.
#[tokio::test]
async fn a_write_whose_answer_never_came_is_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = local(&format!("http://{}", listener.local_addr().unwrap()), "silent-1");
    let table = DynamoTable::new(client, Config::new("", 1));
    let hang_up = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut start = [0; 1];
        socket.readable().await.unwrap();
        let _ = socket.try_read(&mut start);
    };
    let put = table.put(Key::new(Name::Events, "a", "b"), Bytes::new(), Expect::Absent);
    let (put, ()) = tokio::join!(put, hang_up);
    assert!(matches!(put, Err(Error::Unknown(_))), "{put:?}");
}
