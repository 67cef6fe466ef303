//! In paused time. `mine`: every stream of the user, now and later (docs/protocol.md, rule 6).

use std::collections::BTreeSet;

use sterna_proto::v1;
use sterna_proto::v1::attach_down::What as Down;
use sterna_protocol::Limits as Terms;
use sterna_protocol::frame::{ClientFrame, ServerFrame, Subscribe, Unsubscribe};
use sterna_stream::{Reason, StreamId};
use tokio::time::Duration;

use crate::person::Person;
use crate::world::{Setup, World, run};

fn mine(tail: Option<u32>) -> ClientFrame {
    ClientFrame::Subscribe(Subscribe { mine: true, tail, ..Subscribe::default() })
}

fn are_anas(world: &World, streams: &[&StreamId]) {
    let names = streams.iter().map(ToString::to_string).collect();
    world.shelf.held().mine.insert("ana".into(), names);
}

/// Interest comes for these, in any order; each joins at its beginning and is told.
async fn followed(world: &mut World, person: &mut Person, streams: &[&StreamId]) {
    let expected: BTreeSet<String> = streams.iter().map(ToString::to_string).collect();
    let mut seen = BTreeSet::new();
    while seen.len() < expected.len() {
        seen.extend(world.state.followed().await);
    }
    assert_eq!(seen, expected);
    for stream in streams {
        world.joined(stream, "").await;
        let ServerFrame::Subscribed(subscribed) = person.frame().await else { panic!("subscribed") };
        assert_eq!(subscribed.streams[0].stream, **stream);
    }
}

async fn changed(world: &mut World, stream: &StreamId, users: &[&str]) {
    let users = users.iter().map(ToString::to_string).collect();
    let changed = v1::MembersChanged { stream: stream.to_string(), users, everyone: false };
    world.state.tell(&mut world.pushed, Down::Members(changed)).await;
}

/// Rule 6: all that there are are followed; being added shows as an unasked `subscribed`, of nobody else's
/// additions anything.
#[test]
fn all_streams_are_followed_now_and_later() {
    run(async {
        let mut world = World::new().await;
        let (a, b, later) = (world.stream(), world.stream(), world.stream());
        are_anas(&world, &[&a, &b]);
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        ana.send(&[mine(Some(5))]).await;
        followed(&mut world, &mut ana, &[&a, &b]).await;
        changed(&mut world, &later, &["cy", "bo"]).await;
        assert!(world.state.is_quiet(2).await, "of ana nothing was said, and bo did not ask");
        changed(&mut world, &later, &["cy", "ana"]).await;
        followed(&mut world, &mut ana, &[&later]).await;
        bo.quiet(1).await;
    });
}

/// Rule 6: what is followed by name already keeps its place.
#[test]
fn what_is_followed_by_name_keeps_its_place() {
    run(async {
        let mut world = World::new().await;
        let (named, other) = (world.stream(), world.stream());
        are_anas(&world, &[&named, &other]);
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &named, "us:4").await;
        ana.send(&[mine(None)]).await;
        followed(&mut world, &mut ana, &[&other]).await;
        ana.quiet(2).await;
    });
}

/// Rule 6: with more memberships than `max_subscriptions` the most recently active are followed, and one
/// `limit_exceeded` that names no stream says so; a later addition that finds no place is named.
#[test]
fn more_than_the_limit_is_said_once() {
    run(async {
        let terms = Terms { max_subscriptions: 2, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let (a, b, c) = (world.stream(), world.stream(), world.stream());
        are_anas(&world, &[&b, &a, &c]);
        let mut ana = world.person("ana").await;
        ana.send(&[mine(None)]).await;
        let error = ana.refused(Reason::LimitExceeded).await;
        assert_eq!((error.stream, error.event_id), (None, None));
        followed(&mut world, &mut ana, &[&b, &a]).await;
        changed(&mut world, &c, &["ana"]).await;
        let error = ana.refused(Reason::LimitExceeded).await;
        assert_eq!(error.stream, Some(c.to_string().into()));
        ana.quiet(5).await;
    });
}

/// G9: asked again and again it is refused by name, and costs a few listings.
#[test]
fn a_storm_of_mine_is_rate_limited() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        are_anas(&world, &[&stream]);
        let mut ana = world.person("ana").await;
        ana.send(&vec![mine(None); 500]).await;
        assert_eq!(world.state.followed().await, [stream.to_string()]);
        for _ in 3..500 {
            let error = ana.refused(Reason::RateLimited).await;
            assert!(error.stream.is_none() && error.retry_after_ms.is_some());
        }
        assert_eq!(world.shelf.held().listings, 3);
    });
}

/// Rule 6: a stream of which nobody can say now whether it is theirs keeps no other from being followed, and
/// is asked for again.
#[test]
fn a_stream_that_cannot_be_read_is_listed_again() {
    run(async {
        let mut world = World::new().await;
        let (a, late) = (world.stream(), world.stream());
        are_anas(&world, &[&a]);
        world.shelf.held().unknown = vec![late.to_string()];
        let mut ana = world.person("ana").await;
        ana.send(&[mine(None)]).await;
        followed(&mut world, &mut ana, &[&a]).await;
        are_anas(&world, &[&a, &late]);
        followed(&mut world, &mut ana, &[&late]).await;
    });
}

/// A listing that fails is made again; so is one that something may have been missed behind, without the
/// streams that the session left by itself.
#[test]
fn what_may_have_been_missed_is_listed_again() {
    run(async {
        let mut world = World::new().await;
        let (a, left, missed) = (world.stream(), world.stream(), world.stream());
        are_anas(&world, &[&a, &left]);
        world.shelf.held().failures = 1;
        let mut ana = world.person("ana").await;
        ana.send(&[mine(None)]).await;
        followed(&mut world, &mut ana, &[&a, &left]).await;
        ana.send(&[ClientFrame::Unsubscribe(Unsubscribe { streams: vec![left.clone()] })]).await;
        are_anas(&world, &[&a, &left, &missed]);
        // A hole in the numbers ends the attachment.
        world.pushed += 1;
        changed(&mut world, &a, &[]).await;
        assert!(world.state.is_left().await);
        world.attached().await;
        let mut again = BTreeSet::new();
        while again.len() < 2 {
            again.extend(world.state.followed().await);
        }
        assert_eq!(again, [a.to_string(), missed.to_string()].into());
        world.joined(&missed, "").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        assert!(world.state.is_quiet(3).await, "what was left stays left");
    });
}

/// `MINE_ADDED`: additions beyond the queue are listed instead; all are followed in the end.
#[test]
fn additions_beyond_the_queue_are_listed() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.send(&[mine(None), ClientFrame::Ping]).await;
        assert_eq!(ana.frame().await, ServerFrame::Pong);
        world.access.hold();
        for n in 0..sterna_stream::limits::MINE_ADDED + 200 {
            let nowhere: StreamId = format!("acme/chat/none{n}").parse().unwrap();
            changed(&mut world, &nowhere, &["ana"]).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        are_anas(&world, &[&stream]);
        world.access.let_through(1_000_000);
        followed(&mut world, &mut ana, &[&stream]).await;
    });
}
