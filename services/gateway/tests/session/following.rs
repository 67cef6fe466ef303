//! Subscribing: from where, how much, how many, and what is refused (docs/protocol.md, rules 4 to 6 and 25).
//! All in paused time.

use sterna_access::Action;
use sterna_protocol::Limits as Terms;
use sterna_protocol::frame::{ClientFrame, ServerFrame, Unsubscribe};
use sterna_stream::limits::{SUBSCRIPTIONS_BURST, SUBSCRIPTIONS_PER_S};
use sterna_stream::{Reason, StreamId};
use tokio::time::{Duration, sleep};

use crate::person::subscribe;
use crate::segment;
use crate::world::{Setup, World, run};

/// Rule 25: an error that names the stream, and nothing of it is followed; absence and another's tenant
/// alike.
#[test]
fn a_refused_subscription_names_its_stream() {
    run(async {
        let mut world = World::new().await;
        let (stream, absent) = (world.stream(), "acme/chat/absent".parse().unwrap());
        let others = "other/chat/general".parse().unwrap();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        ana.send(&[subscribe(&[&absent, &others], None, None)]).await;
        for name in [&absent, &others] {
            let error = ana.refused(Reason::NotFound).await;
            assert_eq!((error.stream, error.retry_after_ms), (Some(name.as_str().into()), None));
        }
        world.access.refuse("bo", Reason::PolicyStale);
        bo.subscribe(&stream, "").await;
        let error = bo.refused(Reason::PolicyStale).await;
        assert_eq!((error.stream, error.retry_after_ms), (Some(stream.as_str().into()), Some(1_000)));
        assert!(world.state.is_quiet(1).await, "state is not asked for what nobody may follow");
    });
}

/// Rule 25: however many streams one frame names that may not be followed, whoever reads is told of each,
/// and is not taken for slow.
#[test]
fn each_of_a_thousand_refused_streams_is_named() {
    run(async {
        let world = World::new().await;
        let names: Vec<StreamId> =
            (0..SUBSCRIPTIONS_BURST).map(|n| format!("acme/chat/absent-{n}").parse().unwrap()).collect();
        let asked: Vec<&StreamId> = names.iter().collect();
        let mut ana = world.person("ana").await;
        ana.send(&[subscribe(&asked, None, None)]).await;
        for name in &names {
            assert_eq!(ana.refused(Reason::NotFound).await.stream.as_deref(), Some(name.as_str()));
        }
        // These are refused at once, without a look at anything.
        ana.send(&[subscribe(&asked, None, None)]).await;
        for name in &names {
            assert_eq!(ana.refused(Reason::RateLimited).await.stream.as_deref(), Some(name.as_str()));
        }
    });
}

/// G9, E29: asking for streams again and again costs nobody else anything: beyond a rate nothing is
/// looked up, and each is told when it may come again.
#[test]
fn a_storm_of_subscriptions_is_rate_limited() {
    run(async {
        let world = World::new().await;
        let absent: StreamId = "acme/chat/absent".parse().unwrap();
        let mut ana = world.person("ana").await;
        for _ in 0..SUBSCRIPTIONS_BURST / 50 {
            ana.send(&[subscribe(&[&absent; 50], None, None)]).await;
            for _ in 0..50 {
                ana.refused(Reason::NotFound).await;
            }
        }
        assert_eq!(world.access.asked().len() as u64, SUBSCRIPTIONS_BURST);
        ana.send(&[subscribe(&[&absent; 3], None, None)]).await;
        for _ in 0..3 {
            let error = ana.refused(Reason::RateLimited).await;
            let one_ms = 1_000 / SUBSCRIPTIONS_PER_S as u32;
            assert_eq!(
                (error.stream.as_deref(), error.retry_after_ms),
                (Some(absent.as_str()), Some(one_ms))
            );
        }
        assert_eq!(world.access.asked(), []);
        sleep(Duration::from_millis(1_000 / SUBSCRIPTIONS_PER_S)).await;
        ana.send(&[subscribe(&[&absent], None, None)]).await;
        ana.refused(Reason::NotFound).await;
    });
}

/// Section 6: each malformed stream is answered by itself; the good ones beside it are followed.
#[test]
fn each_malformed_stream_is_answered_and_the_others_followed() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        let frame = format!(
            r#"{{"subscribe":{{"streams":[{{"stream":"no"}},{{"stream":"{stream}"}},{{"stream":"A/b"}}]}}}}"#
        );
        ana.say(&[frame]).await;
        for name in ["no", "A/b"] {
            assert_eq!(ana.refused(Reason::BadStream).await.stream.as_deref(), Some(name));
        }
        assert_eq!(world.state.followed().await, [stream.to_string()]);
    });
}

/// Section 3: no more streams than `max_subscriptions`; leaving one, or replacing one, makes room.
#[test]
fn more_streams_than_announced_are_refused() {
    run(async {
        let terms = Terms { max_subscriptions: 2, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let streams = [world.stream(), world.stream(), world.stream()];
        let mut ana = world.person("ana").await;
        ana.send(&[subscribe(&[&streams[0], &streams[1], &streams[2]], None, None)]).await;
        let error = ana.refused(Reason::LimitExceeded).await;
        assert_eq!(error.stream.as_deref(), Some(streams[2].as_str()));
        ana.send(&[subscribe(&[&streams[0]], None, None)]).await;
        let leave = Unsubscribe { streams: vec![streams[1].clone()] };
        ana.send(&[ClientFrame::Unsubscribe(leave), subscribe(&[&streams[2]], None, None)]).await;
        ana.quiet(1).await;
    });
}

/// Section 3: a second subscribe replaces the first: from its own cursor, told once each.
#[test]
fn a_second_subscribe_replaces_the_first() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:7").await;
        ana.subscribe(&stream, "us:5").await;
        assert_eq!(world.state.up().await.what.map(|_| ()), Some(()), "the ring began anew");
        world.joined(&stream, "us:7").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        let ask = world.notification.up().await;
        world.notification.page(ask.tag, "", &[segment(&stream, 6, 7)]).await;
        assert_eq!(ana.seqs().await, [6, 7]);
        world.push(&segment(&stream, 8, 8)).await;
        assert_eq!(ana.seqs().await, [8]);
        ana.quiet(1).await;
    });
}

/// A second subscribe that is refused ends the first (rule 25).
#[test]
fn a_refused_second_subscribe_ends_the_first() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        world.access.refuse("ana", Reason::NotFound);
        ana.subscribe(&stream, "").await;
        ana.refused(Reason::NotFound).await;
        world.push(&segment(&stream, 1, 1)).await;
        ana.quiet(1).await;
    });
}

/// Rules 4 and 5: without a cursor from the beginning, and never more than `max_backlog`, whatever is asked.
#[test]
fn without_a_cursor_the_newest_part_of_all_is_sent() {
    run(async {
        for (tail, asked) in [(None, 1_000), (Some(20), 20), (Some(5_000), 1_000)] {
            let mut world = World::new().await;
            let stream = world.stream();
            let mut ana = world.person("ana").await;
            ana.send(&[subscribe(&[&stream], None, tail)]).await;
            world.state.followed().await;
            world.joined(&stream, "us:9000").await;
            let ServerFrame::Subscribed(subscribed) = ana.frame().await else { panic!("no answer") };
            assert_eq!(subscribed.streams[0].head, "us:9000".parse().unwrap());
            let ask = world.notification.up().await;
            assert_eq!((ask.tail, ask.after.unwrap_or_default().entries.len()), (asked, 0));
            world.notification.page(ask.tag, "us:8980", &[segment(&stream, 8_981, 9_000)]).await;
            let ServerFrame::Gap(gap) = ana.frame().await else { panic!("no gap") };
            assert_eq!((gap.reason.as_str(), gap.to), ("skipped", "us:8980".parse().unwrap()));
            assert_eq!(ana.seqs().await.len(), 20);
        }
    });
}

/// Rule 5: a tail of nothing is a gap to the head, and nothing is read.
#[test]
fn a_tail_of_nothing_skips_to_the_head() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.send(&[subscribe(&[&stream], Some("us:3"), Some(0))]).await;
        world.state.followed().await;
        world.joined(&stream, "us:9").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        let ServerFrame::Gap(gap) = ana.frame().await else { panic!("no gap") };
        assert_eq!((gap.from, gap.to), ("us:3".parse().unwrap(), "us:9".parse().unwrap()));
        world.push(&segment(&stream, 10, 10)).await;
        assert_eq!(ana.seqs().await, [10]);
        assert!(world.notification.is_quiet(1).await);
    });
}

/// E24: a decision that a change of members passed by is made again before it counts.
#[test]
fn a_decision_that_members_changed_under_is_made_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        world.access.asked();
        world.access.hold();
        bo.subscribe(&stream, "").await;
        bo.quiet(1).await;
        world.push(&crate::of_members(segment(&stream, 1, 1))).await;
        bo.quiet(1).await;
        world.access.let_through(3);
        assert_eq!(bo.frame().await.name(), "subscribed");
        let by = |name: &str| (name.to_owned(), Action::Read);
        assert_eq!(world.access.asked(), [by("bo"), by("ana"), by("bo")]);
    });
}
