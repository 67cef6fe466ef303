//! Followers with a floor: nothing that stands below it is ever sent to them, and what they are sent tiles
//! (E24).

use sterna_stream::Hlc;
use sterna_stream::order::Place;

use super::*;
use crate::limits::Limits;

fn floor(hlc: u64) -> Option<Place> {
    Some(Place { hlc: Hlc(hlc), origin: "us".parse().unwrap(), seq: hlc })
}

/// Live at `us:9`, one without and one with a floor at us 10.
async fn two() -> (world::Pipes, Rc<world::Asked>, [world::Client; 2]) {
    let (shard, asked) = shard(Limits::default());
    let a = stream("a");
    let mut clients = [connect(&shard, 4_096), connect(&shard, 4_096)];
    live(&shard, &mut clients[0], &a, "us:9").await;
    let start = Start { cursor: cursor("us:9"), floor: floor(10), ..Start::default() };
    shard.follow(clients[1].id, &a, start).unwrap();
    assert!(clients[1].text().await.starts_with("s "));
    (shard, asked, clients)
}

/// E24: what comes to light late and stands below the start stays hidden, live ones too; the rest comes as to
/// everybody.
#[test]
fn a_live_event_below_the_floor_is_hidden() {
    paused(async {
        let (shard, _asked, [mut all, mut new]) = two().await;
        let a = stream("a");
        shard.push(segment(&a, "us", 10, 11, 1));
        shard.push(segment(&a, "eu", 1, 3, 1));
        shard.push(segment(&a, "eu", 4, 12, 1));
        shard.push(segment(&a, "us", 12, 12, 1));
        for text in ["e us 10 11 x", "e eu 1 3 x", "e eu 4 12 x", "e us 12 12 x"] {
            assert_eq!(all.text().await, text);
        }
        for text in ["e us 10 11 x", "g hidden eu:3", "g hidden eu:10", "e eu 11 12 x", "e us 12 12 x"] {
            assert_eq!(new.text().await, text);
        }
        settle().await;
        shard.with(|contents| assert!(contents.rings.iter().all(|(_, ring)| ring.is_empty())));
    });
}

/// E24: a join, or a resume from any cursor, is told by gaps what is hidden of its pages and of the ring.
#[test]
fn a_join_is_told_what_is_hidden_and_gets_the_rest() {
    paused(async {
        let (shard, asked, [_all, _live]) = two().await;
        let a = stream("a");
        let mut new = connect(&shard, 4_096);
        let start = Start { cursor: cursor("us:4"), floor: floor(8), ..Start::default() };
        shard.follow(new.id, &a, start).unwrap();
        assert!(new.text().await.starts_with("s "));
        shard.push(segment(&a, "eu", 1, 9, 1));
        let ask = asked.asks.borrow_mut().pop().unwrap();
        assert_eq!(ask.from, cursor("us:4"));
        let page = Page { gap: None, segments: vec![segment(&a, "us", 5, 9, 1)] };
        shard.page(new.id, &a, &page);
        for text in ["g hidden us:7", "e us 8 9 x", "g hidden eu:8", "e eu 9 9 x"] {
            assert_eq!(new.text().await, text);
        }
    });
}

/// E24: whoever is removed and added again starts later, though what was not sent yet waits in the ring.
#[test]
fn a_floor_that_rises_hides_what_waits() {
    paused(async {
        let (shard, _asked, [mut all, mut new]) = two().await;
        let a = stream("a");
        shard.push(segment(&a, "us", 10, 11, 1));
        shard.push(segment(&a, "us", 12, 14, 1));
        shard.set_floor(new.id, &a, floor(13));
        shard.push(segment(&a, "us", 15, 15, 1));
        for text in ["g hidden us:11", "g hidden us:12", "e us 13 14 x", "e us 15 15 x"] {
            assert_eq!(new.text().await, text);
        }
        shard.set_floor(new.id, &a, None);
        shard.push(segment(&a, "eu", 1, 1, 1));
        assert_eq!(new.text().await, "e eu 1 1 x", "the stream's history is for all now");
        assert_eq!(all.text().await, "e us 10 11 x");
    });
}

/// G9: what is put into its outbox for that is bounded: who takes nothing is cut off like anybody slow.
#[test]
fn who_takes_nothing_is_cut_off_whatever_is_hidden_from_it() {
    paused(async {
        let (shard, _asked) = shard(Limits { ring_entries: 8, ..Limits::default() });
        let a = stream("a");
        let mut new = connect(&shard, 64);
        let start = Start { cursor: cursor("us:9"), floor: floor(1_000), ..Start::default() };
        shard.follow(new.id, &a, start).unwrap();
        shard.joined(&a, &cursor("us:9"), &cursor("us:9"));
        assert!(new.text().await.starts_with("s "));
        for seq in 1..100 {
            shard.push(segment(&a, "eu", seq, seq, 1));
            settle().await;
        }
        assert_eq!(shard.counters().slow, 1);
        let closed = loop {
            match new.hear().await {
                Heard::Text(text) => assert!(text.starts_with("g hidden"), "{text}"),
                other => break other,
            }
        };
        assert_eq!(closed, Heard::Closed(4001, "slow".into()));
    });
}

/// E1, E24: what was lost with its life below something that is hidden is hidden with it, so that what is
/// told tiles; below what is shown it is told as lost, as to everybody.
#[test]
fn what_was_lost_below_something_hidden_is_hidden_with_it() {
    paused(async {
        let (shard, _asked, [mut all, mut new]) = two().await;
        let a = stream("a");
        for (first, last) in [(3, 4), (14, 14)] {
            shard.push(segment(&a, "eu", first, last, 1));
            shard.lost(&a, &cursor(&format!("eu:{}", first - 1)));
            shard.push(segment(&a, "eu", first, last, 1));
        }
        for text in ["g lost eu:2", "e eu 3 4 x", "g lost eu:13", "e eu 14 14 x"] {
            assert_eq!(all.text().await, text);
        }
        for text in ["g hidden eu:4", "g lost eu:13", "e eu 14 14 x"] {
            assert_eq!(new.text().await, text);
        }
    });
}
