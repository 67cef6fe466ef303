//! Asking notification: whatever becomes of a question, its session goes on (E17).

use sterna_protocol::frame::ServerFrame;
use sterna_stream::Reason;
use sterna_stream::limits::SHARD_ASKS;
use tokio::time::Duration;

use crate::person::subscribe;
use crate::segment;
use crate::world::{World, run};

/// A question that is refused, or lost with its stream, is asked again, with the same bound.
#[test]
fn a_lost_or_refused_question_is_asked_again_with_its_tail() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.send(&[subscribe(&[&stream], None, Some(2))]).await;
        world.state.followed().await;
        world.joined(&stream, "us:9").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        assert_eq!(world.notification.up().await.tail, 2);
        world.notification = {
            drop(world.notification);
            world.asking.next().await
        };
        let ask = world.notification.up().await;
        assert_eq!(ask.tail, 2, "asked again as it was");
        world.notification.refuse(ask.tag, Reason::Unavailable).await;
        let ask = world.notification.up().await;
        assert_eq!(ask.tail, 2);
        world.notification.page(ask.tag, "us:7", &[segment(&stream, 8, 9)]).await;
        assert_eq!(ana.frame().await.name(), "gap");
        assert_eq!(ana.seqs().await, [8, 9]);
    });
}

/// Rule 9: history that is not readable for ten seconds is told as late, once, and comes when it is there.
#[test]
fn history_that_is_late_is_told_once_and_comes() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.send(&[subscribe(&[&stream], Some("us:8"), None)]).await;
        world.state.followed().await;
        world.joined(&stream, "us:9").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        let mut told = 0;
        for _ in 0..14 {
            let ask = world.notification.up().await;
            world.notification.refuse(ask.tag, Reason::Unavailable).await;
            if let Ok(frame) = tokio::time::timeout(Duration::from_millis(1), ana.frame()).await {
                let ServerFrame::Gap(gap) = frame else { panic!("{frame:?}") };
                assert_eq!((gap.reason.as_str(), gap.to), ("waiting", "us:9".parse().unwrap()));
                told += 1;
            }
        }
        assert_eq!(told, 1);
        let ask = world.notification.up().await;
        world.notification.page(ask.tag, "", &[segment(&stream, 9, 9)]).await;
        assert_eq!(ana.seqs().await, [9]);
    });
}

/// Rule 9: so is a hole in front of those who are live, in each follower's own socket.
#[test]
fn a_hole_in_front_of_live_sessions_is_told_after_ten_seconds() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:4").await;
        world.push(&segment(&stream, 7, 7)).await;
        ana.quiet(9).await;
        let ServerFrame::Gap(gap) = ana.frame().await else { panic!("no gap") };
        assert_eq!(gap.reason.as_str(), "waiting");
        assert_eq!((gap.from, gap.to), ("us:4".parse().unwrap(), "us:7".parse().unwrap()));
        ana.quiet(15).await;
        let mut ask = world.notification.up().await;
        while let Ok(up) = tokio::time::timeout(Duration::from_millis(1), world.notification.up()).await {
            ask = up;
        }
        world.notification.page(ask.tag, "", &[segment(&stream, 5, 6)]).await;
        assert_eq!([ana.seqs().await, ana.seqs().await], [vec![5, 6], vec![7]]);
    });
}

/// A page with a hole, or one that is no page, is not used and asked for again.
#[test]
fn a_page_with_a_hole_is_asked_for_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        ana.subscribe(&stream, "us:1").await;
        world.state.followed().await;
        world.joined(&stream, "us:4").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        let ask = world.notification.up().await;
        world.notification.page(ask.tag, "", &[segment(&stream, 3, 4)]).await;
        let ask = world.notification.up().await;
        world.notification.page(ask.tag, "", &[segment(&stream, 2, 4)]).await;
        assert_eq!(ana.seqs().await, [2, 3, 4]);
    });
}

/// G9: questions that find no place are asked again; nobody is forgotten.
#[test]
fn questions_beyond_the_queue_are_asked_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut first = world.person("ana").await;
        first.subscribe(&stream, "").await;
        world.state.followed().await;
        world.joined(&stream, "us:1").await;
        let mut people = Vec::new();
        for _ in 0..2 * SHARD_ASKS + 50 {
            let mut person = world.person("bo").await;
            person.subscribe(&stream, "").await;
            people.push(person);
        }
        for person in &mut people {
            assert_eq!(person.frame().await.name(), "subscribed");
        }
        world.notification = {
            drop(world.notification);
            world.asking.next().await
        };
        let answering = async {
            loop {
                let ask = world.notification.up().await;
                world.notification.page(ask.tag, "", &[segment(&stream, 1, 1)]).await;
            }
        };
        let hearing = async {
            for person in &mut people {
                assert_eq!(person.seqs().await, [1]);
            }
        };
        tokio::select! {
            biased;
            () = hearing => {}
            () = answering => {}
        }
    });
}

/// E1, rule 8: what was lost with a life that has ended is told as such, to whoever reads history and to
/// whoever is live, and both go on behind it.
#[test]
fn what_was_lost_is_told_and_what_is_behind_it_is_shown() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "us:4").await;
        world.push(&segment(&stream, 7, 7)).await;
        let ask = world.notification.up().await;
        world.notification.page_behind_lost(ask.tag, "us:6", &[segment(&stream, 7, 7)]).await;
        let mut bo = world.person("bo").await;
        bo.send(&[subscribe(&[&stream], Some("us:2"), None)]).await;
        assert_eq!(bo.frame().await.name(), "subscribed");
        let ask = world.notification.up().await;
        world.notification.page_behind_lost(ask.tag, "us:6", &[segment(&stream, 7, 7)]).await;
        for (person, from) in [(&mut ana, "us:4"), (&mut bo, "us:2")] {
            let ServerFrame::Gap(gap) = person.frame().await else { panic!("no gap") };
            let (from, to) = (from.parse().unwrap(), "us:6".parse().unwrap());
            assert_eq!((gap.reason.as_str(), gap.from, gap.to), ("lost", from, to));
        }
        world.push(&segment(&stream, 8, 8)).await;
        for person in [&mut ana, &mut bo] {
            assert_eq!([person.seqs().await, person.seqs().await].concat(), [7, 8]);
        }
    });
}
