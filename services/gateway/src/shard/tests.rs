//! A shard over memory pipes with paused time: what sessions are sent, in what order, and when they are cut
//! off.

#![allow(clippy::unwrap_used)]

mod floors;
mod frames;
mod model;
mod outbox;
pub(crate) mod world;

use std::time::Duration;

use sterna_protocol::frame::GapReason;
use tokio::time::sleep;

use self::world::{Heard, connect, connect_with, cursor, paused, segment, shard, stream};
use super::*;
use crate::limits::GATHER_FOLLOWS;
use crate::reader::Flow;
use crate::seams::Gap;

/// Follows and waits until it is live at `head` (which the ring takes as given).
async fn live(shard: &world::Pipes, client: &mut world::Client, stream: &StreamId, head: &str) {
    let start = Start { cursor: cursor(head), tail: None, ..Start::default() };
    shard.follow(client.id, stream, start).unwrap();
    shard.joined(stream, &cursor(head), &cursor(head));
    assert!(client.text().await.starts_with("s "));
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// E18: how far the logs are known to go is never told below what is here, though nobody says it again.
#[test]
fn how_far_the_logs_go_is_never_told_below_what_is_here() {
    paused(async {
        let (shard, _asked) = shard(Limits::default());
        let a = stream("a");
        let [mut first, mut second, mut third] = [0; 3].map(|_| connect(&shard, 4_096));
        live(&shard, &mut first, &a, "us:5").await;
        shard.joined(&a, &cursor("us:5"), &cursor("eu:2,us:7"));
        let start = || Start { cursor: cursor("us:5"), tail: None, ..Start::default() };
        shard.push(segment(&a, "us", 6, 6, 1));
        shard.follow(second.id, &a, start()).unwrap();
        assert_eq!(second.text().await, "s us:6 eu:2,us:7");
        shard.push(segment(&a, "us", 7, 7, 1));
        shard.push(segment(&a, "us", 8, 8, 1));
        shard.follow(third.id, &a, start()).unwrap();
        assert_eq!(third.text().await, "s us:8 eu:2,us:8");
        shard.push(segment(&a, "eu", 1, 1, 1));
        shard.push(segment(&a, "eu", 2, 2, 1));
        let mut fourth = connect(&shard, 4_096);
        shard.follow(fourth.id, &a, start()).unwrap();
        assert_eq!(fourth.text().await, "s eu:2,us:8 eu:2,us:8");
    });
}

#[test]
fn an_event_reaches_every_follower_and_nobody_else() {
    paused(async {
        let (shard, asked) = shard(Limits::default());
        let (a, b) = (stream("a"), stream("b"));
        let mut clients: Vec<_> = (0..200).map(|_| connect(&shard, 4_096)).collect();
        let mut other = connect(&shard, 4_096);
        for client in &mut clients {
            live(&shard, client, &a, "us:7").await;
        }
        live(&shard, &mut other, &b, "us:1").await;
        assert_eq!(*asked.interest.borrow(), [(a.clone(), true), (b.clone(), true)]);
        assert_eq!((shard.followers(&a).len(), shard.followers(&b)), (200, vec![other.id]));
        for seq in 8..30 {
            shard.push(segment(&a, "us", seq, seq, 10));
        }
        shard.push(segment(&b, "us", 2, 4, 1));
        for client in &mut clients {
            for seq in 8..30 {
                assert_eq!(client.text().await, format!("e us {seq} {seq} xxxxxxxxxx"));
            }
        }
        assert_eq!(other.text().await, "e us 2 4 x");
        assert_eq!(shard.counters().evicted, 0);
        settle().await;
        shard.with(|contents| {
            assert!(contents.rings.iter().all(|(_, ring)| ring.is_empty()), "all current: no memory")
        });
    });
}

/// G9, rule 21: who falls out of the ring is told 4001, after whole frames without a hole, and never anything
/// else.
#[test]
fn a_slow_reader_is_cut_off_with_4001_and_nothing_left_out() {
    paused(async {
        let (shard, _) = shard(Limits { ring_entries: 8, ..Limits::default() });
        let a = stream("a");
        let (mut slow, mut quick) = (connect(&shard, 100), connect(&shard, 100_000));
        live(&shard, &mut slow, &a, "").await;
        live(&shard, &mut quick, &a, "").await;
        for seq in 1..=20 {
            shard.push(segment(&a, "us", seq, seq, 60));
            settle().await;
        }
        for seq in 1..=20 {
            assert!(quick.text().await.starts_with(&format!("e us {seq} {seq} ")));
        }
        let mut next = 1;
        let end = loop {
            match slow.hear().await {
                Heard::Text(text) => assert!(text.starts_with(&format!("e us {next} {next} ")), "{text}"),
                end => break end,
            }
            next += 1;
        };
        assert_eq!(end, Heard::Closed(4001, "slow".into()));
        assert!((2..20).contains(&next), "cut off in the middle, not at {next}");
        assert_eq!(slow.hear().await, Heard::End);
        drop(slow.socket);
        assert_eq!(slow.session.await.unwrap(), Ended::Closed(4001));
        assert_eq!((shard.counters().slow, shard.counters().evicted > 0), (1, true));
    });
}

/// A pipe of one byte: every write is partial, and frames still arrive whole and in order, own ones between
/// them.
#[test]
fn partial_writes_are_resumed_exactly() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let (a, b) = (stream("a"), stream("b"));
        for pipe in [1, 2, 3, 7, 64] {
            let mut client = connect(&shard, pipe);
            live(&shard, &mut client, &a, "").await;
            live(&shard, &mut client, &b, "").await;
            for seq in 1..=15 {
                shard.push(segment(&a, "us", seq, seq, 40));
                shard.push(segment(&b, "us", seq, seq, 3));
                let mut own = Messages::new(Encoding::Json);
                own.add(format!("own {seq}").as_bytes());
                assert!(shard.deliver(client.id, own));
            }
            let mut counts = [0; 3];
            for _ in 0..45 {
                let text = client.text().await;
                let kind = if text.starts_with("own") { 0 } else { 1 + usize::from(text.len() > 20) };
                counts[kind] += 1;
                let seq = counts[kind].to_string();
                assert_eq!(
                    text.split(' ').find_map(|word| word.parse::<u32>().ok()).unwrap().to_string(),
                    seq
                );
            }
            assert_eq!(counts, [15; 3]);
            drop(client);
            settle().await;
        }
    });
}

/// A huge dirty room takes turns with small ones: a small room is served within a slice, whatever else is
/// dirty.
#[test]
fn a_huge_room_does_not_hold_up_small_ones() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let (huge, small) = (stream("huge"), stream("small"));
        let mut crowd: Vec<_> = (0..1_000).map(|_| connect(&shard, 4_096)).collect();
        for client in &mut crowd {
            live(&shard, client, &huge, "").await;
        }
        let mut lone = connect(&shard, 4_096);
        live(&shard, &mut lone, &small, "").await;
        settle().await;
        shard.push(segment(&huge, "us", 1, 1, 10));
        shard.push(segment(&small, "us", 1, 1, 10));
        let before = shard.counters().writes;
        shard.with(|contents| contents.slice());
        assert!(lone.text().await.starts_with("e us 1 1"));
        let writes = shard.counters().writes - before;
        assert!(writes <= 64, "{writes} writes in one slice");
        for client in &mut crowd {
            assert!(client.text().await.starts_with("e us 1 1"));
        }
    });
}

/// E16: what the ring has is dropped; above a gap is held; what is missing is pulled, again until it is
/// there.
#[test]
fn a_gap_is_pulled_and_filled_in_order() {
    paused(async {
        let (shard, asked) = shard(Limits::default());
        let a = stream("a");
        let mut client = connect(&shard, 4_096);
        live(&shard, &mut client, &a, "us:4").await;
        shard.push(segment(&a, "us", 3, 4, 1));
        shard.push(segment(&a, "us", 8, 9, 1));
        shard.push(segment(&a, "us", 7, 7, 1));
        shard.push(segment(&a, "eu", 1, 1, 1));
        assert_eq!(*asked.pulls.borrow(), [(a.clone(), cursor("us:4"))]);
        sleep(Duration::from_millis(2_500)).await;
        assert_eq!(asked.pulls.borrow().len(), 3, "asked again while it is missing");
        shard.joined(&a, &cursor("us:9"), &cursor("us:9"));
        assert_eq!(asked.pulls.borrow().len(), 3, "known already");
        shard.push(segment(&a, "us", 5, 6, 1));
        for expected in ["e eu 1 1 x", "e us 5 6 x", "e us 7 7 x", "e us 8 9 x"] {
            assert_eq!(client.text().await, expected);
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!(asked.pulls.borrow().len(), 3, "and not after");
        assert_eq!(shard.counters().old, 1);
    });
}

/// E16: a pull names the origins that the ring has nothing of: whoever answers cannot know them.
#[test]
fn a_pull_names_an_origin_that_is_new_here() {
    paused(async {
        let (shard, asked) = shard(Limits::default());
        let a = stream("a");
        let mut client = connect(&shard, 4_096);
        live(&shard, &mut client, &a, "us:4").await;
        shard.push(segment(&a, "eu", 5, 6, 1));
        assert_eq!(*asked.pulls.borrow(), [(a.clone(), cursor("us:4"))]);
        assert_eq!(*asked.wanted.borrow(), [cursor("eu:6,us:4")]);
        shard.push(segment(&a, "eu", 1, 4, 1));
        for expected in ["e eu 1 4 x", "e eu 5 6 x"] {
            assert_eq!(client.text().await, expected);
        }
    });
}

/// E15, E16: heads that `state` reports later reveal what was lost without a later event.
#[test]
fn a_higher_head_after_a_resync_is_pulled() {
    paused(async {
        let (shard, asked) = shard(Limits::default());
        let a = stream("a");
        let mut client = connect(&shard, 4_096);
        live(&shard, &mut client, &a, "us:4").await;
        shard.joined(&a, &cursor("us:6"), &cursor("us:6"));
        assert_eq!(*asked.pulls.borrow(), [(a.clone(), cursor("us:4"))]);
        shard.push(segment(&a, "us", 5, 6, 1));
        assert_eq!(client.text().await, "e us 5 6 x");
        shard.joined(&a, &cursor("us:2"), &cursor("us:2"));
        assert_eq!(shard.heads(), [(a, cursor("us:6"))]);
    });
}

/// E17 (a)-(f): interest before reading; pages until, with the ring, nothing is missing; then live.
#[test]
fn a_join_reads_pages_until_the_ring_completes_them() {
    paused(async {
        let (shard, asked) = shard(Limits { ring_entries: 2, ..Limits::default() });
        let a = stream("a");
        let mut client = connect(&shard, 4_096);
        shard
            .follow(client.id, &a, Start { cursor: cursor("us:2"), tail: Some(9), ..Start::default() })
            .unwrap();
        assert!(asked.asks.borrow().is_empty(), "nothing is read before the ring fills");
        shard.joined(&a, &cursor("us:5"), &cursor("us:6"));
        assert_eq!(client.text().await, "s us:5 us:6");
        let ask = asked.asks.borrow_mut().pop().unwrap();
        assert_eq!((ask.from, ask.tail), (cursor("us:2"), Some(9)));
        // The ring passes by: of 6, 7, 8 it keeps two.
        for seq in 6..=8 {
            shard.push(segment(&a, "us", seq, seq, 1));
        }
        let gap = Gap { reason: GapReason::Skipped, from: cursor("us:2"), to: cursor("us:3") };
        let page = Page { gap: Some(gap), segments: vec![segment(&a, "us", 4, 5, 1)] };
        shard.page(client.id, &a, &page);
        assert_eq!(client.text().await, "g skipped us:3");
        assert_eq!(client.text().await, "e us 4 5 x");
        settle().await;
        let ask = asked.asks.borrow_mut().pop().unwrap();
        assert_eq!((ask.from, ask.tail), (cursor("us:5"), None));
        shard.page(client.id, &a, &Page { gap: None, segments: vec![segment(&a, "us", 6, 6, 1)] });
        for seq in 6..=8 {
            assert_eq!(client.text().await, format!("e us {seq} {seq} x"));
        }
        shard.push(segment(&a, "us", 9, 9, 1));
        assert_eq!(client.text().await, "e us 9 9 x");
        assert!(asked.asks.borrow().is_empty());
        assert_eq!(shard.counters().joins, 1);
    });
}

/// E17: a page with a hole, or larger than asked for, is not data; E18: what is late is asked for again, and
/// said.
#[test]
fn an_unusable_or_empty_page_is_asked_for_again() {
    paused(async {
        let (shard, asked) = shard(Limits { page_bytes: 100, ..Limits::default() });
        let a = stream("a");
        let mut client = connect(&shard, 4_096);
        shard.follow(client.id, &a, Start::default()).unwrap();
        shard.joined(&a, &cursor("us:5"), &cursor("us:5"));
        assert!(client.text().await.starts_with("s "));
        for segments in [vec![segment(&a, "us", 2, 5, 1)], vec![segment(&a, "us", 1, 5, 90)], vec![]] {
            let ask = asked.asks.borrow_mut().pop().unwrap();
            assert_eq!(ask.from, cursor(""));
            shard.page(client.id, &a, &Page { gap: None, segments });
            sleep(Duration::from_millis(1_100)).await;
        }
        assert_eq!(shard.counters().bad_pages, 2);
        for _ in 0..9 {
            asked.asks.borrow_mut().clear();
            shard.page(client.id, &a, &Page::default());
            sleep(Duration::from_millis(1_100)).await;
        }
        assert_eq!(client.text().await, "g waiting us:5");
        shard.page(client.id, &a, &Page { gap: None, segments: vec![segment(&a, "us", 1, 5, 1)] });
        assert_eq!(client.text().await, "e us 1 5 x");
    });
}

/// E17: many joins of one session hold one page between them.
#[test]
fn a_session_holds_one_page_at_a_time() {
    paused(async {
        let (shard, asked) = shard(Limits::default());
        let mut client = connect(&shard, 64);
        let streams: Vec<_> = (0..5).map(|n| stream(&n.to_string())).collect();
        for stream in &streams {
            shard.follow(client.id, stream, Start::default()).unwrap();
            shard.joined(stream, &cursor("us:3"), &cursor("us:3"));
        }
        for _ in 0..5 {
            assert!(client.text().await.starts_with("s "));
        }
        for done in 0..5 {
            let asks = std::mem::take(&mut *asked.asks.borrow_mut());
            assert_eq!(asks.len(), 1, "after {done} joins");
            let stream = &asks[0].stream;
            let page = Page { gap: None, segments: vec![segment(stream, "us", 1, 3, 99)] };
            shard.page(client.id, stream, &page);
            settle().await;
            assert!(asked.asks.borrow().is_empty(), "not before the page is taken");
            assert!(client.text().await.starts_with("e us 1 3 "));
            settle().await;
        }
        assert_eq!(shard.counters().joins, 5);
    });
}

/// E17: in backlog mode only a stall closes: 30 s without a byte taken.
#[test]
fn a_stalled_join_is_closed_and_a_slow_one_is_not() {
    paused(async {
        let (shard, _) = shard(Limits { ring_entries: 3, ..Limits::default() });
        let a = stream("a");
        let (mut slow, stalled) = (connect(&shard, 10), connect(&shard, 10));
        for id in [slow.id, stalled.id] {
            shard.follow(id, &a, Start::default()).unwrap();
        }
        shard.joined(&a, &cursor("us:1"), &cursor("us:1"));
        for id in [slow.id, stalled.id] {
            shard.page(id, &a, &Page { gap: None, segments: vec![segment(&a, "us", 1, 1, 100)] });
        }
        for seq in 2..=10 {
            shard.push(segment(&a, "us", seq, seq, 100));
        }
        assert!(slow.text().await.starts_with("s "));
        for _ in 0..5 {
            let mut part = [0; 10];
            sleep(Duration::from_secs(10)).await;
            tokio::io::AsyncReadExt::read(&mut slow.socket, &mut part).await.unwrap();
        }
        assert_eq!(shard.counters().slow, 1);
        assert_eq!(stalled.session.await.unwrap(), Ended::Closed(4001));
        assert!(!slow.session.is_finished());
    });
}

/// Rule 18: pinged every interval; 60 s of silence is 4100, any byte is life.
#[test]
fn silence_is_pinged_and_then_closed() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let (mut silent, mut alive) = (connect(&shard, 4_096), connect(&shard, 4_096));
        shard.ping_every(alive.id, 50);
        sleep(Duration::from_secs(26)).await;
        assert_eq!(silent.text().await, "p");
        sleep(Duration::from_secs(26)).await;
        alive.say(0x89, b"there?").await;
        for expected in ["p", "pong there?"] {
            assert_eq!(alive.text().await, expected);
        }
        sleep(Duration::from_secs(10)).await;
        assert_eq!(silent.text().await, "p");
        assert_eq!(silent.hear().await, Heard::Closed(4100, "heartbeat_lost".into()));
        assert_eq!(silent.session.await.unwrap(), Ended::Closed(4100));
        sleep(Duration::from_secs(60)).await;
        assert!(!alive.session.is_finished());
        assert_eq!(shard.counters().silent, 1);
    });
}

#[test]
fn malformed_frames_close_with_their_code_and_a_close_is_answered() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let mut wrong = connect(&shard, 4_096);
        wrong.say(0x83, b"").await;
        let reason = "protocol_error: reserved opcode";
        assert_eq!(wrong.hear().await, Heard::Closed(1002, reason.into()));
        let mut leaving = connect(&shard, 4_096);
        leaving.say(0x88, &1000u16.to_be_bytes()).await;
        assert_eq!(leaving.hear().await, Heard::Closed(1000, String::new()));
        assert_eq!(leaving.hear().await, Heard::End);
        drop(leaving.socket);
        assert_eq!(leaving.session.await.unwrap(), Ended::Left(Some(1000)));
        // `wrong` keeps its end open and is dropped after a while all the same.
        assert_eq!(wrong.session.await.unwrap(), Ended::Closed(1002));
        shard.with(|contents| assert_eq!(contents.sessions.len(), 0));
    });
}

#[test]
fn a_paused_session_is_not_read_until_it_is_resumed() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let said = Rc::new(RefCell::new(Vec::new()));
        let heard = said.clone();
        let mut client = connect_with(&shard, 4_096, move |_, message| {
            heard.borrow_mut().push(format!("{message:?}"));
            Flow::Pause
        });
        for text in ["one", "two", "three"] {
            client.say(0x81, text.as_bytes()).await;
        }
        for count in 1..=3 {
            settle().await;
            assert_eq!(said.borrow().len(), count);
            shard.resume(client.id);
        }
        assert_eq!(said.borrow()[2], "Text(\"three\")");
    });
}

#[test]
fn limits_of_sessions_and_follows_refuse_by_name() {
    paused(async {
        let (shard, asked) = shard(Limits { sessions: 1, follows: 2, ..Limits::default() });
        let client = connect(&shard, 64);
        assert_eq!(shard.open(tokio::io::duplex(1).0, Encoding::Json).err(), Some(Refused::Sessions));
        for (name, refused) in [("a", None), ("b", None), ("a", None), ("c", Some(Refused::Follows))] {
            assert_eq!(shard.follow(client.id, &stream(name), Start::default()).err(), refused);
        }
        shard.unfollow(client.id, &stream("b"));
        assert_eq!(asked.interest.borrow().last(), Some(&(stream("b"), false)));
        let id = client.id;
        client.session.abort();
        settle().await;
        assert_eq!(shard.follow(id, &stream("a"), Start::default()).err(), Some(Refused::Ended));
        shard.with(|contents| assert_eq!((contents.rings.len(), contents.sessions.len()), (0, 0)));
    });
}

/// More follows than one write looks at: each ring's own pass serves it.
#[test]
fn a_session_with_many_follows_gets_all_of_them() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let mut client = connect(&shard, 1 << 16);
        let streams: Vec<_> = (0..3 * GATHER_FOLLOWS).map(|n| stream(&n.to_string())).collect();
        for stream in &streams {
            live(&shard, &mut client, stream, "").await;
        }
        for at in streams.iter().rev() {
            shard.push(segment(at, "us", 1, 1, 1));
        }
        for _ in &streams {
            assert_eq!(client.text().await, "e us 1 1 x");
        }
    });
}

/// The structures whose sizes the memory targets rest on.
#[test]
fn idle_structures_stay_small() {
    use crate::ring::Ring;
    use crate::session::{Follow, Session};
    assert!(size_of::<Follow>() <= 24);
    assert!(
        size_of::<Session<tokio::net::TcpStream>>() <= 256,
        "{}",
        size_of::<Session<tokio::net::TcpStream>>()
    );
    assert!(size_of::<Ring>() <= 360, "{}", size_of::<Ring>());
}
