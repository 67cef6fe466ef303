//! In paused time: what waits for one session is bounded, whatever it is.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::FutureExt;

use super::world::connect_with;
use super::*;
use crate::limits::{SPARE_FRAMES, SPARE_OUTBOXES};
use crate::seams::{Ask, Page};

/// G9: a session that does not take its own frames is cut off, not buffered.
#[test]
fn the_outbox_is_bounded() {
    paused(async {
        let limits = Limits { outbox_frames: 5, outbox_bytes: 100, ..Limits::default() };
        let (shard, _) = shard(limits);
        for size in [1, 60] {
            let client = connect(&shard, 1);
            let deliver = || {
                let mut own = Messages::new(Encoding::Json);
                own.add(&vec![b'x'; size]);
                shard.deliver(client.id, own)
            };
            assert_eq!((0..9).filter(|_| deliver()).count(), if size == 1 { 5 } else { 1 });
        }
        assert_eq!(shard.counters().slow, 2);
    });
}

/// E29: of outboxes that are empty again a few small ones are kept, however many sessions had one.
#[test]
fn a_few_empty_outboxes_are_kept() {
    paused(async {
        let (shard, _) = shard(Limits::default());
        let deliver = |id, count| {
            for _ in 0..count {
                let mut own = Messages::new(Encoding::Json);
                own.add(b"x");
                assert!(shard.deliver(id, own));
            }
        };
        let kept = || shard.with(|contents| contents.spare.len());
        let mut clients: Vec<_> = (0..SPARE_OUTBOXES + 3).map(|_| connect(&shard, 4_096)).collect();
        deliver(clients[0].id, SPARE_FRAMES + 1);
        for _ in 0..=SPARE_FRAMES {
            assert_eq!(clients[0].text().await, "x");
        }
        assert_eq!(kept(), 0, "a large one is given back");
        for client in &clients {
            deliver(client.id, 1);
        }
        for client in &mut clients {
            assert_eq!(client.text().await, "x");
        }
        assert_eq!(kept(), SPARE_OUTBOXES);
        deliver(clients[0].id, 1);
        assert_eq!(kept(), SPARE_OUTBOXES - 1, "and used");
    });
}

/// G9, E29: who answers one frame with many waits until those before are written, or the session has ended.
#[test]
fn what_answers_much_waits_for_room() {
    paused(async {
        let (shard, _) = shard(Limits { outbox_frames: 4, ..Limits::default() });
        let mut client = connect(&shard, 1);
        let id = client.id;
        let deliver = || {
            let mut own = Messages::new(Encoding::Json);
            own.add(b"x");
            shard.deliver(id, own)
        };
        for round in 0..2 {
            shard.room(id).await;
            assert!(deliver() && deliver());
            let mut room = pin!(shard.room(id));
            assert!(room.as_mut().now_or_never().is_none(), "half of its outbox is used");
            if round == 0 {
                assert_eq!((client.text().await, client.text().await), ("x".into(), "x".into()));
            } else {
                shard.close(id, 1012, "restart");
            }
            room.await;
        }
        assert_eq!(shard.counters().slow, 0);
    });
}

/// G9: who takes nothing cannot make more wait for it by asking for more: its turns wait, and it is not
/// listened to. When it reads again it gets all of it.
#[test]
fn who_takes_nothing_can_ask_for_nothing_more() {
    const STREAMS: usize = 40;
    paused(async {
        let (shard, asked) = shard(Limits { outbox_bytes: 100, ..Limits::default() });
        let heard = Rc::new(Cell::new(0));
        let count = heard.clone();
        let mut client = connect_with(&shard, 16, move |_, _| {
            count.set(count.get() + 1);
            Flow::Continue
        });
        let streams: Vec<StreamId> = (0..STREAMS).map(|n| stream(&format!("s{n}"))).collect();
        for stream in &streams {
            shard.follow(client.id, stream, Start::default()).unwrap();
            shard.joined(stream, &cursor("us:1"), &cursor("us:1"));
            settle().await;
        }
        assert_eq!(asked.asks.borrow().len(), 1, "one page at a time");
        // Left and followed again its first stream does not free the turn for another page.
        for stream in streams.iter().rev().cycle().take(3 * STREAMS) {
            shard.unfollow(client.id, stream);
            shard.follow(client.id, stream, Start::default()).unwrap();
            shard.joined(stream, &cursor("us:1"), &cursor("us:1"));
            settle().await;
        }
        assert!(asked.asks.borrow().len() <= 2, "{} pages were asked for", asked.asks.borrow().len());
        assert!(shard.with(|contents| contents.sessions[client.id.slot as usize].blocked));
        let before = heard.get();
        // What it says fills the pipe, which nobody reads: there is no room for a second frame.
        let mut fits = async || {
            let said = tokio::time::timeout(Duration::from_secs(1), client.say(0x81, &[b'x'; 10])).await;
            said.is_ok()
        };
        assert_eq!((fits().await, fits().await), (true, false), "one frame waits in the pipe");
        assert_eq!(heard.get(), before, "it is not listened to");
        let mut answered = 0;
        while answered < STREAMS {
            let asks: Vec<Ask> = asked.asks.borrow_mut().drain(..).collect();
            for ask in asks {
                let page = Page { gap: None, segments: vec![segment(&ask.stream, "us", 1, 1, 1)] };
                shard.page(ask.session, &ask.stream, &page);
            }
            if client.text().await.starts_with("e ") {
                answered += 1;
            }
        }
        settle().await;
        assert!(heard.get() > before, "and listened to again");
    });
}
