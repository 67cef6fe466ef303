//! What pages hold: the cut of a long backlog, and everything after it once, wherever it comes from.

use sterna_proto::{convert, v1};
use sterna_storage::control;
use sterna_storage::tails::Limits;
use sterna_stream::Cursor;

use super::{Backlog, World, ask, chain, pairs};

fn cursor(text: &str) -> Cursor {
    text.parse().unwrap()
}

/// E17, E18: of a backlog longer than the tail the newest n events over all origins, in display order (hlc,
/// origin), remain; the rest is one `skipped_to`. Judged by sorting all events.
#[tokio::test(start_paused = true)]
async fn a_backlog_longer_than_the_tail_is_cut_to_the_newest_over_all_origins() {
    let world = World::new();
    let eu = chain("eu", 10, &[&[10, 40], &[50], &[60, 90]]);
    let us = chain("us", 10, &[&[20, 30, 50], &[70], &[80, 90]]);
    let mut events: Vec<(u64, &str, u64)> = Vec::new();
    for (origin, stamps) in [("eu", &[10, 40, 50, 60, 90][..]), ("us", &[20, 30, 50, 70, 80, 90])] {
        events.extend((1..).zip(stamps).map(|(seq, ms)| (*ms, origin, seq)));
    }
    events.sort_unstable();
    world.put(&eu).await;
    world.put(&us).await;
    for tail in 1..=12usize {
        let backlog = world.backlog(ask("", "eu:5,us:6", tail as u32), async || {}).await;
        let kept = &events[events.len().saturating_sub(tail)..];
        for (origin, head) in [("eu", 5), ("us", 6)] {
            let mut expected: Vec<u64> = kept.iter().filter(|e| e.1 == origin).map(|e| e.2).collect();
            expected.sort_unstable();
            let skipped = expected.first().map_or(head, |oldest| oldest - 1);
            assert_eq!(backlog.skipped.get(&origin.parse().unwrap()), skipped, "{origin}, tail {tail}");
            assert_eq!(backlog.seqs(origin, skipped), expected, "{origin}, tail {tail}");
        }
        assert_eq!(backlog.upto, cursor("eu:5,us:6"));
    }
    let whole = world.backlog(ask("eu:3,us:6", "eu:5,us:6", 2), async || {}).await;
    assert!(whole.skipped.is_empty(), "what fits the tail is not cut");
    assert_eq!(whole.places(), [("eu".to_owned(), 4)]);
}

/// E17: pages of about 128 KiB, asked for until one is complete, tile (after, head].
#[tokio::test(start_paused = true)]
async fn pages_tile_what_follows_the_cursor() {
    let world = World::new();
    world.put(&pairs("eu", 10_000, 40, 3)).await;
    world.put(&pairs("us", 10_000, 30, 5)).await;
    let backlog = world.backlog(ask("eu:7", "eu:80,us:60", 0), async || {}).await;
    assert_eq!(backlog.seqs("eu", 7), (8..=80).collect::<Vec<_>>());
    assert_eq!(backlog.seqs("us", 0), (1..=60).collect::<Vec<_>>());
    assert_eq!(backlog.upto, cursor("eu:80,us:60"));
    assert!((9..=14).contains(&backlog.pages), "{}", backlog.pages);
}

async fn filled() -> World {
    let world = World::new();
    for (origin, segments) in [("eu", 20), ("us", 12)] {
        let chain = pairs(origin, 5_000, segments, 3);
        world.put(&chain).await;
        world.append(&chain).await;
    }
    world
}

fn sorted(backlog: Backlog) -> (Vec<(String, u64)>, Cursor) {
    let mut places = backlog.places();
    places.sort();
    (places, backlog.upto)
}

/// E15: tails that hold everything answer alone; they are soft, and without them the table answers the same.
#[tokio::test(start_paused = true)]
async fn tails_answer_alone_and_their_loss_changes_nothing() {
    let wanted = || ask("eu:3", "eu:40,us:24", 0);
    let world = filled().await;
    world.persistence.kill();
    let from_tails = world.backlog(wanted(), async || {}).await;
    assert!(from_tails.pages > 1);
    let from_tails = sorted(from_tails);
    assert_eq!(from_tails.1, cursor("eu:40,us:24"));

    let world = filled().await;
    let wiped = world.backlog(wanted(), async || world.tails.wipe()).await;
    assert_eq!(sorted(wiped), from_tails, "wiped between two pages");

    let world = filled().await;
    let lossy = world.backlog(wanted(), async || world.tails.lose_last(3)).await;
    assert_eq!(sorted(lossy), from_tails, "its newest entries lost between pages");
}

/// E15: a tail that begins behind the cursor, or does not reach the head, or misses an origin, is not used.
#[tokio::test(start_paused = true)]
async fn tails_that_lack_anything_are_not_used() {
    let world = World::with_tails(Limits { entries: 3, ..Limits::default() });
    let (eu, us) = (pairs("eu", 10, 6, 3), pairs("us", 10, 6, 5));
    for chain in [&eu, &us] {
        world.put(chain).await;
    }
    world.append(&eu).await;
    world.persistence.pause(true);
    let from_tails = world.page(ask("eu:6,us:12", "eu:12,us:12", 0)).await;
    assert_eq!(from_tails.records.len(), 3, "the tail begins with seq 7 and nothing of us is wanted");
    world.persistence.pause(false);
    for (after, head) in [("", "eu:12"), ("eu:6", "eu:12,us:12"), ("eu:6,us:2", "eu:12,us:12")] {
        let backlog = world.backlog(ask(after, head, 0), async || {}).await;
        let from = if after.is_empty() { 0 } else { 6 };
        assert_eq!(backlog.seqs("eu", from), (from + 1..=12).collect::<Vec<_>>());
        assert_eq!(backlog.upto, cursor(head));
    }
}

/// E17, E18: a cursor is never lowered because this region is behind, and being ahead of it is no error.
#[tokio::test(start_paused = true)]
async fn a_device_may_be_ahead_of_the_region() {
    let world = World::new();
    let (eu, us) = (pairs("eu", 10, 3, 3), pairs("us", 10, 3, 5));
    for tails in [false, true] {
        for chain in [&eu, &us] {
            if tails {
                world.append(chain).await;
            } else {
                world.put(chain).await;
            }
        }
        for (after, tail) in [("ap:4,eu:9,us:2", 0), ("ap:4,eu:9,us:2", 2)] {
            let backlog = world.backlog(ask(after, "eu:6,us:6", tail), async || {}).await;
            let from = if tail == 0 { 2 } else { 4 };
            assert_eq!(backlog.seqs("us", from), (from + 1..=6).collect::<Vec<_>>());
            assert_eq!(backlog.seqs("eu", 0), [0_u64; 0]);
            assert_eq!(backlog.upto, cursor("ap:4,eu:9,us:6"));
        }
        let origins = ["eu", "us"].map(|origin| (origin.parse().unwrap(), u64::MAX));
        let far: Cursor = origins.into_iter().collect();
        let after = convert::cursor_field(&far);
        let backlog = world.backlog(v1::Ask { after, ..ask("", "eu:6,us:6", 1) }, async || {}).await;
        assert_eq!((backlog.segments.len(), backlog.upto), (0, far), "tails: {tails}");
    }
}

/// E17: a hole in the table ends a page below it; nothing beyond is handed out until it is readable.
#[tokio::test(start_paused = true)]
async fn a_hole_ends_the_page_below_it() {
    let world = World::new();
    let eu = pairs("eu", 10, 4, 3);
    world.put(&[eu[0].clone(), eu[2].clone(), eu[3].clone()]).await;
    let backlog = world.backlog(ask("", "eu:8", 0), async || {}).await;
    assert_eq!((backlog.seqs("eu", 0), backlog.upto), (vec![1, 2], cursor("eu:2")));
    world.put(&eu[1..2]).await;
    let backlog = world.backlog(ask("eu:2", "eu:8", 0), async || {}).await;
    assert_eq!(backlog.upto, cursor("eu:8"));
}

/// E1, E17, E18: a hole is not jumped while it may be filled. Once the life is gathered, what is missing is
/// lost: a page that begins there says so and goes on behind it, and other origins never wait for it.
#[tokio::test(start_paused = true)]
async fn what_was_lost_with_a_life_that_is_gathered_is_told_and_passed() {
    let world = World::new();
    let (eu, us) = (pairs("eu", 10, 2, 3), pairs("us", 10, 6, 5));
    world.put(&eu).await;
    for kept in [&us[..2], &us[3..4], &us[5..]] {
        world.put(kept).await;
    }
    let wanted = || ask("", "eu:4,us:12", 0);
    for other in [None, Some("eu")] {
        if let Some(other) = other {
            control::declare_gathered(&*world.table, &other.parse().unwrap()).await.unwrap();
        }
        let backlog = world.backlog(wanted(), async || {}).await;
        assert_eq!((backlog.upto, backlog.lost), (cursor("eu:4,us:4"), Cursor::new()));
        let page = world.page(ask("us:4", "eu:4,us:12", 0)).await;
        assert_eq!((page.records.len(), page.lost_to.is_none()), (2, true), "eu alone goes on");
    }

    control::declare_gathered(&*world.table, &"us".parse().unwrap()).await.unwrap();
    let backlog = world.backlog(wanted(), async || {}).await;
    let us: Vec<u64> = backlog.places().into_iter().filter(|p| p.0 == "us").map(|p| p.1).collect();
    assert_eq!(us, [1, 3, 7, 11]);
    assert_eq!(backlog.seqs("eu", 0), [1, 2, 3, 4]);
    assert_eq!((backlog.upto, backlog.lost), (cursor("eu:4,us:12"), cursor("us:10")));
    let page = world.page(ask("us:5", "eu:4,us:12", 0)).await;
    assert_eq!(convert::cursor(page.lost_to.as_ref()).unwrap(), cursor("us:6"), "begun in the middle");
    world.put(&pairs("ap", 10, 2, 3)[1..]).await;
    let page = world.page(ask("eu:4,us:4", "ap:4,eu:4,us:12", 0)).await;
    assert_eq!(convert::cursor(page.lost_to.as_ref()).unwrap(), cursor("us:6"), "ap's may still come");
}
