//! L1–L6, L11: what a produce promises.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::crew::{contents, fill, record, text, until};
use super::{LARGE_BYTES, PARTITIONS, SMALL_BYTES, topics};
use crate::error::Error;
use crate::log::Log;
use crate::record::{Group, Header, Record, Topic};

/// L1: goal: futures that are dropped before their first poll; method: drop all, wait for the records.
pub async fn l1_a_record_is_enqueued_by_the_call_and_dropping_withdraws_nothing(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    for n in 0..50 {
        drop(log.produce(record(&topic, 0, &n.to_string())));
    }
    until("50 dropped produces to stand in the log", async || {
        let found = contents(&log, &topic, 0).await.len();
        if found == 50 { Ok(()) } else { Err(found) }
    })
    .await;
}

/// L1: goal: order of calls, not of polls; method: call 200, poll them from the last to the first.
pub async fn l1_records_stand_in_call_order_however_their_futures_are_polled(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let mut calls: Vec<_> = (0..200).map(|n| log.produce(record(&topic, 1, &n.to_string()))).collect();
    calls.reverse();
    let answers = join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let offsets: Vec<u64> = answers.into_iter().rev().flatten().collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "offsets rise in call order: {offsets:?}");
    let found: Vec<String> = contents(&log, &topic, 1).await.iter().map(text).collect();
    let called: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(found, called);
}

/// L2: an acknowledged record is read, is the last one, and stands before the end, at once.
pub async fn l2_an_acknowledged_record_is_readable(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    for n in 0..20 {
        let sent = record(&topic, 2, &n.to_string());
        let offset = log.produce(sent.clone()).await.expect("a produce in peace");
        let page = log.read(&topic, 2, offset, SMALL_BYTES).await.expect("in range");
        assert_eq!(page.entries.first().map(|entry| (entry.offset, &entry.record)), Some((offset, &sent)));
        let last = log.last(&topic, 2).await.expect("there").expect("not empty");
        assert_eq!(last.offset, offset);
        let extent = log.describe(&topic, None).await.expect("there").partitions[2];
        assert!(extent.earliest <= offset && offset < extent.end, "{extent:?} has {offset}");
    }
}

/// L3: offsets rise strictly; nothing is said about the distance.
pub async fn l3_offsets_rise(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let mut offsets = fill(&log, &topic, 0, ("a", 300)).await;
    offsets.extend(fill(&log, &topic, 0, ("b", 300)).await);
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    let stand: Vec<u64> = contents(&log, &topic, 0).await.iter().map(|entry| entry.offset).collect();
    assert_eq!(stand, offsets);
}

/// L4: the one in the middle is too large; its neighbours are not disturbed.
pub async fn l4_a_large_record_is_refused_and_disturbs_no_other(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let sized = |bytes| Record { value: Bytes::from(vec![7; bytes]), ..record(&topic, 3, "") };
    let calls = [SMALL_BYTES, LARGE_BYTES, SMALL_BYTES].map(|bytes| log.produce(sized(bytes)));
    let [before, refused, after] =
        <[_; 3]>::try_from(join_all(calls).await).unwrap_or_else(|_| unreachable!("three calls"));
    assert!(before.is_ok() && after.is_ok(), "{before:?} {after:?}");
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(contents(&log, &topic, 3).await.len(), 2);
}

/// L6: empty key and value, headers with equal names and in their order, a name that is not static.
pub async fn l6_bytes_come_back_as_they_went(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let header =
        |name: String, value: &'static [u8]| -> Header { (Cow::Owned(name), Bytes::from_static(value)) };
    let mut sent = record(&topic, 0, "");
    sent.key = Bytes::new();
    let mut second = record(&topic, 0, "\u{0}\u{ff}binary");
    second.timestamp_ms += 1;
    second.headers = ["z", "a", "z"].map(|name| header(name.into(), b"\x00\xff")).into_iter().collect();
    second.headers.push(("log_pos".into(), Bytes::new()));
    for sent in [sent, second] {
        let offset = log.produce(sent.clone()).await.expect("a produce in peace");
        let found = log.last(&topic, 0).await.expect("there").expect("not empty");
        assert_eq!((found.offset, found.record), (offset, sent));
    }
}

/// L11: every call, for a topic and for a partition that do not exist, twice.
pub async fn l11_what_does_not_exist_is_missing_and_stays_so(log: Arc<dyn Log>) {
    let [here, _] = topics();
    let nowhere: Topic = "contract-nowhere".parse().expect("a valid name");
    let group: Group = "contract-l11".parse().expect("a valid name");
    let missing = |error: Option<Error>| assert!(matches!(error, Some(Error::MissingTopic(..))), "{error:?}");
    for _ in 0..2 {
        for (topic, partition) in [(&nowhere, 0), (&here, PARTITIONS)] {
            missing(log.produce(record(topic, partition, "x")).await.err());
            missing(log.read(topic, partition, 0, 1_024).await.err());
            missing(log.last(topic, partition).await.err());
        }
        missing(log.describe(&nowhere, None).await.err());
        missing(log.join(&group, &[here.clone(), nowhere.clone()]).await.err());
    }
}
