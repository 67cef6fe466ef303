//! L7–L10: reading without a group.

use std::sync::Arc;

use super::crew::{Member, contents, drive, fill, text};
use super::{PARTITIONS, topics};
use crate::error::Error;
use crate::log::Log;
use crate::record::Group;

/// L7: pages of a few records each, from every record on, put together give everything.
pub async fn l7_pages_leave_nothing_out(log: Arc<dyn Log>) {
    const PAGE: usize = 200;
    let [topic, _] = topics();
    let offsets = fill(&log, &topic, 1, ("record number ", 60)).await;
    for (first, &from) in offsets.iter().enumerate() {
        let mut at = from;
        let mut found = Vec::new();
        loop {
            let page = log.read(&topic, 1, at, PAGE).await.expect("in range");
            let size: usize = page.entries.iter().map(|entry| entry.record.size()).sum();
            assert!(size <= PAGE || page.entries.len() == 1, "{size} bytes in a page");
            assert!(
                page.entries.iter().all(|entry| (at..page.next).contains(&entry.offset)),
                "{at}: {page:?}"
            );
            if page.entries.is_empty() {
                break;
            }
            at = page.next;
            found.extend(page.entries.iter().map(|entry| entry.offset));
        }
        assert_eq!(found, offsets[first..]);
    }
}

/// L7: a page of one byte has one record.
pub async fn l7_one_record_is_given_however_small_the_page(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let offsets = fill(&log, &topic, 0, ("x", 3)).await;
    let page = log.read(&topic, 0, offsets[1], 1).await.expect("in range");
    assert_eq!(page.entries.iter().map(text).collect::<Vec<_>>(), ["x1"]);
    let rest = log.read(&topic, 0, page.next, 1).await.expect("in range");
    assert_eq!(rest.entries.iter().map(text).collect::<Vec<_>>(), ["x2"]);
    let end = log.read(&topic, 0, rest.next, 1).await.expect("in range");
    assert!(end.entries.is_empty(), "{end:?}");
}

/// L8: no other record is read in place of one that does not exist.
pub async fn l8_an_offset_beyond_the_end_is_out_of_range(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    fill(&log, &topic, 2, ("x", 5)).await;
    let extent = log.describe(&topic, None).await.expect("there").partitions[2];
    assert!(log.read(&topic, 2, extent.end, 1_024).await.expect("in range").entries.is_empty());
    let beyond = extent.end + 1_000;
    match log.read(&topic, 2, beyond, 1_024).await {
        Err(Error::OutOfRange { topic: of, partition: 2, asked, .. }) if of == topic && asked == beyond => {}
        other => panic!("{other:?}"),
    }
}

/// L9: none in an empty partition, else the newest.
pub async fn l9_last_is_the_newest_record(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    assert_eq!(log.last(&topic, 3).await.expect("there"), None);
    for round in 0..5 {
        fill(&log, &topic, 3, (&format!("{round}."), 7)).await;
        let last = log.last(&topic, 3).await.expect("there").expect("not empty");
        assert_eq!(text(&last), format!("{round}.6"));
        assert_eq!(contents(&log, &topic, 3).await.last(), Some(&last));
    }
}

/// L10: the identity is this topic's and does not change with its contents.
pub async fn l10_a_description_keeps_its_identity(log: Arc<dyn Log>) {
    let [one, two] = topics();
    let before = log.describe(&one, None).await.expect("there");
    assert_eq!(before.partitions.len(), usize::from(PARTITIONS));
    assert!(before.partitions.iter().all(|extent| extent.earliest == extent.end), "empty: {before:?}");
    let offsets = fill(&log, &one, 0, ("x", 5)).await;
    let after = log.describe(&one, None).await.expect("there");
    assert_eq!(after.identity, before.identity);
    assert!(after.partitions[0].end > offsets[4] && after.partitions[0].earliest <= offsets[0], "{after:?}");
    assert_eq!(after.partitions[1].end, before.partitions[1].end);
    assert_ne!(log.describe(&two, None).await.expect("there").identity, before.identity);
    assert!(after.replicas >= 1 && after.partitions[0].in_sync >= 1, "{after:?}");
}

/// L10: committed offsets are the group's own.
pub async fn l10_a_description_tells_what_was_committed(log: Arc<dyn Log>) {
    let [topic, _] = topics();
    let offsets = fill(&log, &topic, 2, ("x", 5)).await;
    let groups: [Group; 2] =
        ["contract-l10", "contract-l10b"].map(|name| name.parse().expect("a valid name"));
    let mut crew = [Member::idle("a", &log, groups[0].as_str(), std::slice::from_ref(&topic)).await];
    drive(&mut crew, "partition 2", |crew| crew[0].owned.contains_key(&2)).await;
    let generation = crew[0].owned[&2];
    crew[0].consumer.commit(2, generation, &[(topic.clone(), offsets[3])]).await.expect("its own");
    for (group, committed) in [(Some(&groups[0]), Some(offsets[3])), (Some(&groups[1]), None), (None, None)] {
        let description = log.describe(&topic, group).await.expect("there");
        assert_eq!(description.partitions[2].committed, committed, "{group:?}");
        assert_eq!(description.partitions[1].committed, None);
    }
}
