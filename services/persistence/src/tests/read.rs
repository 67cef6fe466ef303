//! Read: dense pages, both ways; where they start, what stops them.

use bytes::Bytes;
use tonic::Code;

use super::{Chain, World, firsts, places, request, span};
use crate::read::READ_BYTES_MAX;
use sterna_proto::v1;

/// E17: a read starts with the segment that holds the seq after the cursor, and ends with the one that
/// reaches its end.
#[tokio::test(start_paused = true)]
async fn a_read_starts_at_the_greatest_first_seq_that_reaches_the_cursor() {
    let world = World::new();
    world.put(&Chain::of("a").sized(&[3, 3, 3])).await;
    for (after, upto, expected) in [
        (0, 0, vec![1, 4, 7]),
        (2, 0, vec![1, 4, 7]),
        (3, 0, vec![4, 7]),
        (3, 6, vec![4]),
        (4, 7, vec![4, 7]),
        (8, 0, vec![7]),
        (9, 0, vec![]),
        (30, 0, vec![]),
        (u64::MAX, 0, vec![]),
    ] {
        let answer = world.read(request(&[span("a", after, upto)])).await;
        assert_eq!(firsts(&answer), expected, "after {after} up to {upto}");
        assert!(answer.holes.is_empty() && answer.remaining.is_empty());
        let newest = v1::ReadRequest { newest_first: true, ..request(&[span("a", after, upto)]) };
        let answer = world.read(newest).await;
        assert_eq!(firsts(&answer), expected.into_iter().rev().collect::<Vec<_>>(), "{after}, {upto}");
        assert!(answer.holes.is_empty() && answer.remaining.is_empty(), "{answer:?}");
    }
}

/// Without spans all origins are read from their beginning; spans that did not fit remain as they were.
#[tokio::test(start_paused = true)]
async fn a_page_ends_with_the_segment_that_reaches_its_events_and_says_what_remains() {
    let world = World::new();
    world.put(&Chain::of("a").sized(&[2, 2, 2])).await;
    world.put(&Chain::of("b").sized(&[1])).await;
    let place = |origin: &str, first| (origin.to_owned(), first);
    let all = world.read(request(&[])).await;
    assert_eq!(places(&all.records), [place("a", 1), place("a", 3), place("a", 5), place("b", 1)]);

    let three = v1::ReadRequest { max_events: 3, ..request(&[]) };
    let answer = world.read(three.clone()).await;
    assert_eq!(places(&answer.records), [place("a", 1), place("a", 3)]);
    assert_eq!(answer.remaining, [span("a", 4, 0), span("b", 0, 0)]);
    let newest = world.read(v1::ReadRequest { newest_first: true, ..three }).await;
    assert_eq!(places(&newest.records), [place("a", 5), place("a", 3)]);
    assert_eq!(newest.remaining, [span("a", 0, 2), span("b", 0, 0)]);
    let rest = v1::ReadRequest { newest_first: true, ..request(&newest.remaining) };
    assert_eq!(places(&world.read(rest).await.records), [place("a", 1), place("b", 1)]);
}

/// E17: nothing is jumped: a hole ends its origin's part, is named, and costs no other origin anything.
#[tokio::test(start_paused = true)]
async fn a_hole_stops_its_origin_and_is_told() {
    let world = World::new();
    let chain = Chain::of("a").sized(&[2, 2, 2]);
    world.put(&[chain[0].clone(), chain[2].clone()]).await;
    world.put(&Chain::of("b").sized(&[1])).await;
    let forward = world.read(request(&[])).await;
    assert_eq!((firsts(&forward), &forward.holes[..]), (vec![1, 1], &[span("a", 2, 4)][..]));
    let bounded = world.read(request(&[span("a", 0, 3)])).await;
    assert_eq!((firsts(&bounded), &bounded.holes[..]), (vec![1], &[span("a", 2, 3)][..]));
    let newest = v1::ReadRequest { newest_first: true, ..request(&[]) };
    let backward = world.read(newest.clone()).await;
    assert_eq!((firsts(&backward), &backward.holes[..]), (vec![5, 1], &[span("a", 2, 4)][..]));
    assert!(forward.remaining.is_empty() && backward.remaining.is_empty());
}

/// E17: what is missing at a chain's beginning, or at the end that the reader names, is a hole as well.
#[tokio::test(start_paused = true)]
async fn a_hole_at_either_end_is_told() {
    let world = World::new();
    let chain = Chain::of("a").sized(&[2, 2, 2]);
    world.put(&chain[1..]).await;
    let forward = world.read(request(&[span("a", 0, 0)])).await;
    assert_eq!((firsts(&forward), &forward.holes[..]), (vec![], &[span("a", 0, 2)][..]));
    let newest = |upto| v1::ReadRequest { newest_first: true, ..request(&[span("a", 0, upto)]) };
    let backward = world.read(newest(0)).await;
    assert_eq!((firsts(&backward), &backward.holes[..]), (vec![5, 3], &[span("a", 0, 2)][..]));
    let beyond = world.read(newest(9)).await;
    assert_eq!((firsts(&beyond), &beyond.holes[..]), (vec![], &[span("a", 6, 9)][..]));
}

/// E29: an answer's bytes are bounded whatever is asked, and a table whose own pages are shorter than that
/// ends no read early.
#[tokio::test(start_paused = true)]
async fn a_table_that_answers_in_short_pages_is_read_to_its_end() {
    let world = World::new();
    let mut chain = Chain::of("a");
    let large = |n| chain.next(&[(n, Bytes::from(vec![b'x'; 60 * 1024]))], &[]);
    let segments: Vec<_> = (1..=40).map(large).collect();
    world.put(&segments).await;
    for newest_first in [false, true] {
        let (mut got, mut pages, mut spans) = (Vec::new(), 0, vec![span("a", 0, 0)]);
        while !spans.is_empty() {
            let asked = v1::ReadRequest { max_bytes: u32::MAX, newest_first, ..request(&spans) };
            let answer = world.read(asked).await;
            let bytes: usize = answer.records.iter().map(Bytes::len).sum();
            assert!(bytes < READ_BYTES_MAX + 64 * 1024, "{bytes}");
            got.extend(firsts(&answer));
            (pages, spans) = (pages + 1, answer.remaining);
        }
        got.sort_unstable();
        assert_eq!((got, pages), ((1..=40).collect(), 3));
    }
}

/// E30: what is damaged is the operator's to know; the caller learns `internal` and nothing of its content.
#[tokio::test(start_paused = true)]
async fn a_damaged_item_is_internal_without_detail() {
    let world = World::new();
    let chain = Chain::of("a").sized(&[1, 1]);
    world.put(&chain[..1]).await;
    world.put_at(2, &chain[1], Bytes::from_static(b"\xff\xffsecret")).await;
    let refused = world.called_by("state").read(request(&[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    let said = format!("{refused:?} {:?}", sterna_proto::refusal::from_status(&refused));
    assert!(!said.contains("secret") && !said.contains("general"), "{said}");
}

/// E2: a segment under another's key is damage, however well formed it is.
#[tokio::test(start_paused = true)]
async fn a_segment_under_another_key_is_damage() {
    let world = World::new();
    let chain = Chain::of("a").sized(&[1, 1]);
    world.put_at(1, &chain[1], chain[1].bytes.clone()).await;
    let refused = world.called_by("state").read(request(&[span("a", 0, 0)])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

/// A table that does not answer is `unavailable`: the reader may come back.
#[tokio::test(start_paused = true)]
async fn a_silent_table_is_unavailable() {
    let world = World::new();
    world.faults.set_down(true);
    let refused = world.called_by("state").read(request(&[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}
