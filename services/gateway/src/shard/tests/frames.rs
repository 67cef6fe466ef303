//! How many frames a session may say (G9, E29). Goal: however many it says, nobody pays for more than its
//! rate, and nothing of it is refused or lost. Method: seconds pass in paused time, and frames are counted.

use std::cell::RefCell;

use tokio::time::sleep;

use super::world::{Client, Heard, Pipes, connect_with, paused, shard};
use super::*;
use crate::reader::Flow;
use crate::wire::Message;

const LIMITS: (u32, u32) = (10, 30);

fn bounded() -> Pipes {
    shard(Limits { frames_per_s: LIMITS.0, frames_burst: LIMITS.1, ..Limits::default() }).0
}

/// A client whose texts are written down.
fn listened_to(shard: &Pipes) -> (Client, Rc<RefCell<Vec<String>>>) {
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = said.clone();
    let client = connect_with(shard, 1 << 16, move |_, message| {
        if let Message::Text(text) = message {
            heard.borrow_mut().push(text.into_owned());
        }
        Flow::Continue
    });
    (client, said)
}

/// So many seconds pass, and what they bring is done.
async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
    settle().await;
}

/// G9, E29: what is too much for this second is read in the next ones, in order, and others do not wait.
#[test]
fn who_says_more_than_its_rate_is_read_later_and_nothing_is_lost() {
    paused(async {
        let shard = bounded();
        let ((mut client, said), (mut other, others)) = (listened_to(&shard), listened_to(&shard));
        for n in 0..75 {
            client.say(0x81, n.to_string().as_bytes()).await;
        }
        settle().await;
        assert_eq!(said.borrow().len(), 30, "a burst");
        for count in [40, 50, 60, 70, 75, 75] {
            other.say(0x81, b"x").await;
            seconds(1).await;
            assert_eq!(said.borrow().len(), count);
        }
        let all: Vec<String> = (0..75).map(|n: u32| n.to_string()).collect();
        assert_eq!(*said.borrow(), all, "in order");
        assert_eq!((others.borrow().len(), shard.counters().held_back), (6, 5));
        assert!(!client.session.is_finished());
    });
}

/// G9: who was quiet may say a burst again, and never more; WebSocket's own frames count as well.
#[test]
fn a_pause_brings_a_burst_back_and_pings_count() {
    paused(async {
        let shard = bounded();
        let (mut client, _) = listened_to(&shard);
        for _ in 0..2 {
            seconds(20).await;
            while !client.sip(4_096).is_empty() {}
            for _ in 0..60 {
                client.say(0x89, b"").await;
            }
            settle().await;
            let pongs = std::iter::from_fn(|| Some(client.sip(4_096)).filter(|heard| !heard.is_empty()));
            let pongs = pongs.flatten().filter(|heard| *heard == Heard::Text("pong ".into())).count();
            assert_eq!(pongs, 30);
        }
    });
}

/// G9: a burst of none would let nobody say anything, ever: it is one frame at least.
#[test]
fn who_has_no_burst_is_read_all_the_same() {
    paused(async {
        let shard = shard(Limits { frames_per_s: 10, frames_burst: 0, ..Limits::default() }).0;
        let (mut client, said) = listened_to(&shard);
        for _ in 0..3 {
            client.say(0x81, b"x").await;
        }
        for count in 1..=3 {
            seconds(1).await;
            assert_eq!(said.borrow().len(), count);
        }
    });
}

/// Rule 18: who is not read because it talks is not silent, and who goes away meanwhile is noticed.
#[test]
fn who_is_held_back_is_not_taken_for_silent_and_may_leave() {
    paused(async {
        let shard = bounded();
        let (mut client, said) = listened_to(&shard);
        for _ in 0..1_200 {
            client.say(0x81, b"x").await;
        }
        seconds(90).await;
        assert_eq!((said.borrow().len(), shard.counters().silent), (30 + 900, 0));
        client.say(0x88, &1000u16.to_be_bytes()).await;
        seconds(60).await;
        drop(client.socket);
        assert_eq!(client.session.await.unwrap(), Ended::Left(Some(1000)));
        shard.with(|contents| assert!(contents.sessions.is_empty() && contents.held_back.is_empty()));
    });
}

/// Whoever the operator lets publish more has so many frames more.
#[test]
fn publishes_and_ephemerals_have_frames_of_their_own() {
    let terms = sterna_protocol::Limits { publishes_per_s: 1_000, ..Default::default() };
    let limits = Limits::default().on_terms(&terms);
    assert_eq!((limits.frames_per_s, limits.frames_burst), (200 + 1_005, 2_000 + 3 * 1_005));
    let most = sterna_protocol::Limits { publishes_per_s: u32::MAX, ..Default::default() };
    assert_eq!(Limits::default().on_terms(&most).frames_per_s, u32::MAX);
}
