//! Lookup: every place of an event, found without reading more than its id's time allows.

use bytes::Bytes;
use sterna_proto::{convert, v1};
use sterna_stream::limits::{CLOCK_BOUND_MS, ID_LEAD_MS};
use sterna_stream::{Cursor, EventId, Hlc};

use super::{Chain, NOW, STREAM, World, body};

async fn lookup(world: &World, id: EventId, author: &str) -> (Vec<(String, u64, Hlc)>, Cursor) {
    let event_id = Bytes::copy_from_slice(&id.to_bytes());
    let request = v1::LookupRequest { stream: STREAM.into(), event_id, author: author.into() };
    let answer = world.called_by("gateway").lookup(request).await.unwrap().into_inner();
    let places = answer.places.into_iter().map(|place| (place.origin, place.seq, Hlc(place.hlc))).collect();
    (places, convert::cursor(answer.seen.as_ref()).unwrap())
}

fn id(ms: u64, n: u128) -> EventId {
    EventId::mint(NOW + ms, n)
}

/// E7, E13: twins are found in display order, (hlc, origin); an id of another author's is another event.
#[tokio::test(start_paused = true)]
async fn twins_are_found_in_display_order() {
    let world = World::new();
    let (wanted, other) = (id(0, 1), id(0, 2));
    let mine = |ms| (ms, body(wanted, "ana", true));
    let (mut b, mut a, mut c) = (Chain::of("b"), Chain::of("a"), Chain::of("c"));
    world.put(&[b.next(&[(5, body(other, "ana", false)), mine(9)], &[])]).await;
    world.put(&[a.next(&[mine(9)], &[]), a.next(&[(12, body(wanted, "bo", false))], &[])]).await;
    world.put(&[c.next(&[mine(8)], &[])]).await;
    let place = |origin: &str, seq, ms| (origin.to_owned(), seq, Hlc::at(NOW + ms));
    let (places, seen) = lookup(&world, wanted, "ana").await;
    assert_eq!(places, [place("c", 1, 8), place("a", 1, 9), place("b", 2, 9)]);
    assert_eq!(seen, "a:2,b:2,c:1".parse().unwrap());
    assert_eq!(lookup(&world, wanted, "bo").await.0, [place("a", 2, 12)]);
    assert!(lookup(&world, id(0, 3), "ana").await.0.is_empty());
}

/// E13: stamps are at least the id's time less what clocks may be wrong by, so nothing older is read.
#[tokio::test(start_paused = true)]
async fn a_search_ends_at_the_bound_of_the_ids_time() {
    let world = World::new();
    let margin = CLOCK_BOUND_MS + ID_LEAD_MS;
    let early = id(10 * margin, 1);
    let mut chain = Chain::of("a");
    let at = |chain: &mut Chain, ms: u64, id| chain.next(&[(ms, body(id, "ana", true))], &[]);
    let mut segments: Vec<_> = (1..=300).map(|n| at(&mut chain, n, id(0, 9))).collect();
    segments.push(at(&mut chain, 9 * margin - 1, early));
    segments.push(at(&mut chain, 9 * margin, early));
    segments.extend((1..=20).map(|n| at(&mut chain, 10 * margin + n, id(0, 9))));
    world.put(&segments).await;
    let (calls, (places, _)) = world.calls(lookup(&world, early, "ana")).await;
    let seqs: Vec<u64> = places.iter().map(|(_, seq, _)| *seq).collect();
    assert_eq!(seqs, [302], "what is stamped a millisecond below the bound cannot be it");
    assert_eq!(calls, 3, "the head, that no other origin is there, and one page of the chain");
    let (calls, (places, _)) = world.calls(lookup(&world, id(0, 9), "ana")).await;
    assert_eq!(places.len(), 320);
    assert!(calls >= 7, "an old id is read back to its time: {calls}");
}

/// E7: a table's short page is not the end of the search.
#[tokio::test(start_paused = true)]
async fn an_event_behind_large_segments_is_found() {
    let world = World::new();
    let mut chain = Chain::of("a");
    let mut segments = vec![chain.next(&[(1, body(id(0, 1), "ana", false))], &[])];
    segments.extend((2..=40).map(|n| chain.next(&[(n, Bytes::from(vec![b'x'; 60 * 1024]))], &[])));
    world.put(&segments).await;
    assert_eq!(lookup(&world, id(0, 1), "ana").await.0.len(), 1);
}

/// E17: what is not readable yet was not searched, and `seen` does not claim it.
#[tokio::test(start_paused = true)]
async fn seen_ends_below_a_hole() {
    let world = World::new();
    let chain = Chain::of("a").sized(&[2, 2, 2]);
    world.put(&[chain[0].clone(), chain[2].clone()]).await;
    world.put(&Chain::of("b").sized(&[1, 2])[1..]).await;
    assert_eq!(lookup(&world, id(0, 1), "ana").await.1, "a:2".parse().unwrap());
}
