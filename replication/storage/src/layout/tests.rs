//! Golden keys: what stands in every table for ever.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::memory::MemoryTable;
use crate::table::{Expect, Table};

fn stream() -> StreamId {
    "acme/chat/general".parse().unwrap()
}

fn origin(text: &str) -> Origin {
    text.parse().unwrap()
}

fn texts(key: &Key) -> (&str, &str, &str) {
    (key.table.as_str(), &key.hash, &key.sort)
}

/// E2: numbers in keys have fixed width.
#[test]
fn golden_keys_never_change() {
    let region: Region = "us-east-1".parse().unwrap();
    let ana: UserId = "ana#1".parse().unwrap();
    assert_eq!(
        texts(&segment(&stream(), &origin("us-east-1~2"), 1_204)),
        ("events", "acme/chat/general", "us-east-1~2#00000000000000001204")
    );
    assert_eq!(
        texts(&cursor("acme", &ana, "a#%b", &stream(), &region)),
        ("cursors", "acme#a%23%25b#ana#1", "acme/chat/general#us-east-1")
    );
    assert_eq!(
        texts(&device_seen("acme", &ana, "a#%b", &region)),
        ("cursors", "acme#a%23%25b#ana#1", "seen#us-east-1")
    );
    assert_eq!(
        texts(&touched(&ana, &stream(), &region)),
        ("members", "acme#ana#1", "acme/chat/general#us-east-1")
    );
    assert_eq!(
        texts(&checkpoint(&origin("us-east-1"), 7, 3, 1_795_214_400, 1)),
        ("checkpoints", "us-east-1", "00007#00000000000000000003#00000000001795214400#00001")
    );
    assert_eq!(texts(&incarnation(&region)), ("control", "us-east-1", "incarnation"));
    assert_eq!(texts(&gathered(&origin("us-east-1~2"))), ("control", "us-east-1", "gathered#0000000002"));
}

#[test]
fn numbers_of_all_lengths_sort_as_numbers() {
    let firsts = [0, 1, 9, 10, 99, 1_000, u64::from(u32::MAX), (1 << 53) - 1, u64::MAX];
    let keys: Vec<_> = firsts.map(|n| segment(&stream(), &origin("us-east-1"), n).sort).into();
    assert!(keys.is_sorted());
    assert!(keys.iter().zip(firsts).all(|(key, n)| parse_segment(key) == Some((origin("us-east-1"), n))));
}

/// E1: a region's lives are different origins, and no origin's range holds another's segments.
#[test]
fn ranges_of_an_origin_hold_no_other_origin() {
    let names = ["us-east-1", "us-east-1~2", "us-east-10", "us-east", "us-east-1~20"];
    for inside in names {
        let range = segments_from(&stream(), &origin(inside), 0);
        for other in names {
            for first in [1, u64::MAX] {
                let sort = segment(&stream(), &origin(other), first).sort;
                let within = range.from.as_ref().unwrap() <= &sort && &sort <= range.to.as_ref().unwrap();
                assert_eq!(within, inside == other, "{other} in {inside}");
            }
        }
    }
}

#[test]
fn what_is_not_a_key_of_ours_is_not_parsed() {
    let sorts = ["us-east-1", "us-east-1#1", "us-east-1#+0000000000000000001", "#00000000000000000001"];
    assert!(sorts.iter().all(|sort| parse_segment(sort).is_none()));
    let key = checkpoint(&origin("us-east-1"), 7, 3, 5, 1);
    assert_eq!(parse_checkpoint(&key.sort), Some((7, 3, 5, 1)));
    assert_eq!(parse_checkpoint(&format!("{}#", key.sort)), None);
    assert_eq!(parse_checkpoint("7#3#5#1"), None);
}

#[test]
fn checkpoints_of_a_partition_hold_no_other_partition() {
    let range = checkpoints_from(&origin("us-east-1"), 7, 3, 10);
    let inside = |p, term, second| {
        let sort = checkpoint(&origin("us-east-1"), p, term, second, 0).sort;
        range.from.as_ref().unwrap() <= &sort && &sort <= range.to.as_ref().unwrap()
    };
    assert!(inside(7, 3, 10) && inside(7, 3, 11) && inside(7, u64::MAX, 0));
    assert!(!inside(7, 3, 9) && !inside(7, 2, 99) && !inside(6, 9, 9) && !inside(8, 3, 10));
}

/// E10, E17: takeover reads the newest segment, a reader starts at the greatest first seq ≤ cursor + 1.
#[tokio::test]
async fn a_segment_is_found_by_any_seq_in_it_and_origins_are_walked() {
    let table = MemoryTable::new();
    let origins = ["eu-west-1", "us-east-1", "us-east-1~2"].map(origin);
    for (origin, first) in origins.iter().flat_map(|origin| [1, 4, 20].map(|first| (origin, first))) {
        table.put(segment(&stream(), origin, first), Bytes::new(), Expect::Absent).await.unwrap();
    }
    let found = async |range: Range| {
        let page = table.query(range).await.unwrap();
        page.items.first().and_then(|item| parse_segment(&item.key.sort))
    };
    for origin in &origins {
        for (seq, first) in [(1, 1), (3, 1), (4, 4), (19, 4), (20, 20), (u64::MAX, 20)] {
            let expected = Some((origin.clone(), first));
            assert_eq!(found(segment_at(&stream(), origin, seq)).await, expected, "{seq}");
        }
        assert_eq!(found(segment_at(&stream(), origin, 0)).await, None);
        assert_eq!(found(segments_from(&stream(), origin, 2)).await, Some((origin.clone(), 4)));
    }
    let (mut walked, mut below) = (Vec::new(), None);
    while let Some((origin, newest)) = found(segment_of_origin_below(&stream(), below.as_ref())).await {
        assert_eq!(newest, 20);
        walked.insert(0, origin.clone());
        below = Some(origin);
    }
    assert_eq!(walked, origins);
}
