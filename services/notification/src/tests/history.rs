//! Ends of a hole, as REST pages are cut from them.

use sterna_proto::record::Stored;
use sterna_proto::{convert, v1};
use sterna_storage::control;
use sterna_stream::{Cursor, Policy};

use super::{STREAM, World, pairs};

fn request(from: &str, to: &str, newest: bool, limit: u32) -> v1::HistoryRequest {
    let cursor = |text: &str| Some((&text.parse::<Cursor>().unwrap()).into());
    v1::HistoryRequest { stream: STREAM.into(), from: cursor(from), to: cursor(to), newest, limit }
}

impl World {
    /// First and last seq of the segments of each origin in the answer, and who waits.
    async fn history(&self, request: v1::HistoryRequest) -> (Vec<(String, u64, u64)>, Vec<String>) {
        let answer = self.called_by("gateway").history(request).await.unwrap().into_inner();
        let segments = answer.records.into_iter().map(|bytes| Stored::decode(bytes).unwrap().segment);
        (segments.map(|s| (s.origin.to_string(), s.first, s.last())).collect(), answer.waiting)
    }
}

fn of(origin: &str, spans: &[(u64, u64)]) -> Vec<(String, u64, u64)> {
    spans.iter().map(|(first, last)| (origin.to_owned(), *first, *last)).collect()
}

/// Section 9: whole segments from the end that is asked for, no more than are needed, each origin by itself.
#[tokio::test(start_paused = true)]
async fn an_end_holds_what_a_page_needs() {
    let world = World::new();
    world.put(&pairs("eu", 10, 10, 3)).await;
    world.put(&pairs("us", 10, 2, 3)).await;
    let (oldest, waiting) = world.history(request("eu:2,us:4", "eu:17,us:4", false, 3)).await;
    assert_eq!((oldest, waiting.len()), (of("eu", &[(3, 4), (5, 6)]), 0));
    let (newest, waiting) = world.history(request("eu:2", "eu:17,us:3", true, 3)).await;
    let expected = [of("eu", &[(17, 18), (15, 16)]), of("us", &[(3, 4), (1, 2)])].concat();
    assert_eq!((newest, waiting.len()), (expected, 0));
}

/// E17: an origin that is not here up to where it is asked for waits, and is never jumped.
#[tokio::test(start_paused = true)]
async fn what_is_not_here_is_named() {
    let world = World::new();
    let eu = pairs("eu", 10, 5, 3);
    world.put(&eu[..2]).await;
    world.put(&eu[3..]).await;
    for (newest, held) in [(false, of("eu", &[(1, 2), (3, 4)])), (true, of("eu", &[(9, 10), (7, 8)]))] {
        let (segments, waiting) = world.history(request("", "eu:10,us:1", newest, 100)).await;
        assert_eq!((segments, waiting), (held, vec!["eu".to_owned(), "us".to_owned()]), "{newest}");
    }
    let (segments, waiting) = world.history(request("eu:6", "eu:12", true, 100)).await;
    assert_eq!((segments.len(), waiting.len()), (0, 1), "beyond the head nothing is known");
}

/// E1, E17: what is missing of a life that is gathered is told as lost by the answer that begins there, and
/// records go on behind it; an answer that meets it later ends there and names nobody who waits. What another
/// life lacks, and what rests on what is not held, waits all the same.
#[tokio::test(start_paused = true)]
async fn what_was_lost_is_told_and_passed() {
    let world = World::new();
    let eu = pairs("eu", 10, 5, 3);
    for kept in [&eu[..2], &eu[3..]] {
        world.put(kept).await;
    }
    control::declare_gathered(&*world.table, &"eu".parse().unwrap()).await.unwrap();
    let answer = async |from: &str, to: &str, newest| {
        let answer = world.called_by("gateway").history(request(from, to, newest, 100)).await;
        let answer = answer.unwrap().into_inner();
        let lost = [&answer.lost_from, &answer.lost_to];
        let lost = lost.map(|cursor| convert::cursor(cursor.as_ref()).unwrap().to_string());
        let segments = answer.records.into_iter().map(|bytes| Stored::decode(bytes).unwrap().segment);
        (segments.map(|s| (s.first, s.last())).collect::<Vec<_>>(), answer.waiting.join(","), lost.join("-"))
    };
    let expected = |spans: &[(u64, u64)], waiting: &str, lost: &str| {
        (spans.to_vec(), waiting.to_owned(), lost.to_owned())
    };
    for (from, to, newest, then) in [
        ("", "eu:10", false, expected(&[(1, 2), (3, 4)], "", "-")),
        ("eu:4", "eu:10", false, expected(&[(7, 8), (9, 10)], "", "eu:4-eu:6")),
        ("eu:5", "eu:10,us:1", false, expected(&[(7, 8), (9, 10)], "us", "eu:5-eu:6")),
        ("eu:4", "eu:5", false, expected(&[], "", "eu:4-eu:5")),
        ("", "eu:10", true, expected(&[(9, 10), (7, 8)], "", "-")),
        ("", "eu:6", true, expected(&[(3, 4), (1, 2)], "", "eu:4-eu:6")),
        ("eu:8", "eu:12", true, expected(&[(9, 10)], "", "eu:10-eu:12")),
        ("eu:10", "eu:12", false, expected(&[], "", "eu:10-eu:12")),
        ("eu:4", "eu:12", false, expected(&[(7, 8), (9, 10)], "", "eu:4-eu:6")),
        ("", "eu:12", true, expected(&[(9, 10), (7, 8)], "", "eu:10-eu:12")),
    ] {
        assert_eq!(answer(from, to, newest).await, then, "({from}, {to}], newest {newest}");
    }
    let mut us: Vec<_> = pairs("us", 10, 2, 3).into_iter().map(|stored| stored.segment).collect();
    us[1].policy = Policy { member: "eu:12".parse().unwrap(), ..Policy::default() };
    world.put(&us.into_iter().map(Stored::new).collect::<Vec<_>>()).await;
    control::declare_gathered(&*world.table, &"us".parse().unwrap()).await.unwrap();
    for to in ["us:4", "us:6"] {
        assert_eq!(answer("us:2", to, false).await, expected(&[], "us", "-"), "{to}");
    }
}

/// E24: what rests on member events that are not held is held back, with all that is behind it.
#[tokio::test(start_paused = true)]
async fn what_rests_on_what_is_not_held_waits() {
    let world = World::new();
    let mut eu: Vec<_> = pairs("eu", 10, 3, 3).into_iter().map(|stored| stored.segment).collect();
    eu[1].policy = Policy { member: "us:3".parse().unwrap(), ..Policy::default() };
    let eu: Vec<Stored> = eu.into_iter().map(Stored::new).collect();
    world.put(&eu).await;
    let us = pairs("us", 10, 2, 3);
    world.put(&us[..1]).await;
    let asked = |newest| request("", "eu:6", newest, 100);
    assert_eq!(world.history(asked(false)).await, (of("eu", &[(1, 2)]), vec!["eu".to_owned()]));
    assert_eq!(world.history(asked(true)).await, (of("eu", &[(5, 6)]), vec!["eu".to_owned()]));
    world.put(&us[1..]).await;
    let whole = of("eu", &[(1, 2), (3, 4), (5, 6)]);
    assert_eq!(world.history(asked(false)).await, (whole, vec![]));
}

/// E32: history is for gateways.
#[tokio::test(start_paused = true)]
async fn only_gateways_read_history() {
    let refused = World::new().called_by("state").history(request("", "eu:1", true, 1)).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
}
