//! Publishes: acks, refusals, terms, grants (docs/protocol.md, rules 12 to 16 and 22; E32).
//! All in paused time.

use sterna_access::Action;
use sterna_process::Clock;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What as Down;
use sterna_protocol::Limits as Terms;
use sterna_protocol::frame::{Durability, ServerFrame};
use sterna_stream::{Hlc, Reason};
use tokio::time::{Duration, Instant, advance, sleep};

use crate::person::{Heard, publish, publish_seen};
use crate::world::{NOW, Setup, World, run};
use crate::{of_members, segment};

/// Rules 12 and 14: one ack, from this region, once messaging has it.
#[test]
fn a_publish_is_acked_when_messaging_has_it() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        ana.publish(&stream, id).await;
        let command = world.messaging.up().await;
        assert_eq!(
            (&*command.kind, &command.payload[..], command.resend),
            ("message", &br#""hi""#[..], false)
        );
        ana.quiet(1).await;
        world.messaging.accept(command.tag).await;
        let ServerFrame::Ack(ack) = ana.frame().await else { panic!("no ack") };
        assert_eq!(
            (ack.event_ids, ack.region.as_str(), ack.durability),
            (vec![id], "us", Durability::Region)
        );
    });
}

/// Section 6: every refusal of a publish names its event, and no stream (rule 25); that of an id says by
/// which time it was judged (E5).
#[test]
fn a_refused_publish_names_its_event() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.access.refuse("bo", Reason::Forbidden);
        let id = world.id();
        bo.publish(&stream, id).await;
        let error = bo.refused(Reason::Forbidden).await;
        assert_eq!((error.event_id, error.stream), (Some(id.to_string().into()), None));
        assert_eq!(error.time_unix_ms, None);
        let id = world.id();
        ana.publish(&stream, id).await;
        let command = world.messaging.up().await;
        world.messaging.refuse(command.tag, Reason::IdTooOld).await;
        let error = ana.refused(Reason::IdTooOld).await;
        assert_eq!((error.event_id, error.stream), (Some(id.to_string().into()), None));
        let said = error.time_unix_ms.expect("a time");
        assert!((NOW..=world.clock.wall_ms()).contains(&said), "{said}");
    });
}

/// Rule 15: no more than `max_in_flight` without an ack; each answer makes room for one.
#[test]
fn too_many_without_an_ack_are_refused() {
    run(async {
        let terms = Terms { max_in_flight: 3, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        let ids: Vec<_> = (0..5).map(|_| world.id()).collect();
        for id in &ids[..4] {
            ana.publish(&stream, *id).await;
        }
        let error = ana.refused(Reason::LimitExceeded).await;
        assert_eq!((error.event_id, error.retry_after_ms), (Some(ids[3].to_string().into()), None));
        world.accept().await;
        ana.acked(ids[0]).await;
        ana.publish(&stream, ids[4]).await;
        for id in [ids[1], ids[2], ids[4]] {
            world.accept().await;
            ana.acked(id).await;
        }
    });
}

/// Rule 22: over the rate is refused with the time to wait; after it, it passes.
#[test]
fn over_the_rate_is_refused_until_it_has_passed() {
    run(async {
        let terms = Terms { max_in_flight: 100, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        let ids: Vec<_> = (0..62).map(|_| world.id()).collect();
        ana.send(&ids[..61].iter().map(|id| publish(&stream, *id)).collect::<Vec<_>>()).await;
        let error = ana.refused(Reason::RateLimited).await;
        assert_eq!((error.event_id, error.retry_after_ms), (Some(ids[60].to_string().into()), Some(50)));
        advance(Duration::from_millis(50)).await;
        ana.publish(&stream, ids[61]).await;
        for id in ids[..60].iter().chain([&ids[61]]) {
            let command = world.accept().await;
            assert_eq!(&command.event_id[..], id.to_bytes());
            ana.acked(*id).await;
        }
    });
}

/// Rule 22: who goes on over the rate for ten seconds without a pause is closed with 4102.
#[test]
fn ignoring_the_rate_for_ten_seconds_ends_the_session() {
    run(async {
        let terms = Terms { publishes_per_s: 1, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.access.refuse("ana", Reason::Forbidden);
        let began = Instant::now();
        loop {
            let id = world.id();
            ana.publish(&stream, id).await;
            match ana.hear().await {
                Heard::Closed(code) => break assert_eq!(code, 4102),
                Heard::Frame(ServerFrame::Error(_)) => advance(Duration::from_millis(100)).await,
                other => panic!("{other:?}"),
            }
        }
        let (least, most) = (Duration::from_secs(10), Duration::from_secs(11));
        assert!((least..=most).contains(&began.elapsed()), "{:?}", began.elapsed());
    });
}

/// Rule 13: an answer that does not come within 10 s, or is lost with the stream, is an open outcome.
#[test]
fn a_publish_without_an_answer_is_unavailable_after_ten_seconds() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        let began = Instant::now();
        ana.publish(&stream, id).await;
        let command = world.messaging.up().await;
        let error = ana.refused(Reason::Unavailable).await;
        assert_eq!((error.event_id, error.retry_after_ms), (Some(id.to_string().into()), Some(1_000)));
        assert!((Duration::from_secs(10)..=Duration::from_secs(11)).contains(&began.elapsed()));
        world.messaging.accept(command.tag).await;
        ana.quiet(5).await;
    });
}

#[test]
fn a_lost_stream_of_commands_settles_what_was_on_it_and_is_opened_again() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        let (lost, next) = (world.id(), world.id());
        ana.publish(&stream, lost).await;
        world.messaging.up().await;
        world.messaging = {
            drop(world.messaging);
            world.commanding.next().await
        };
        let error = ana.refused(Reason::Unavailable).await;
        assert_eq!(error.event_id, Some(lost.to_string().into()));
        ana.publish(&stream, next).await;
        let command = world.messaging.up().await;
        world.messaging.accept(command.tag).await;
        ana.acked(next).await;
    });
}

/// G9: commands that find no place are refused as not taken.
#[test]
fn a_full_queue_of_commands_refuses_as_overloaded() {
    run(async {
        let terms = Terms { max_in_flight: 5_000, publishes_per_s: 5_000, ..Terms::default() };
        let mut world = World::with(Setup { terms, ..Setup::default() }).await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        drop(world.messaging);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _nobody_answers = world.commanding.next().await;
        let most = 2 * sterna_stream::limits::SHARD_COMMANDS + 100;
        let ids: Vec<_> = (0..most).map(|n| sterna_stream::EventId::mint(NOW, n as u128)).collect();
        for some in ids.chunks(200) {
            ana.send(&some.iter().map(|id| publish(&stream, *id)).collect::<Vec<_>>()).await;
        }
        let error = ana.refused(Reason::Overloaded).await;
        assert!(error.event_id.is_some() && error.retry_after_ms.is_some());
    });
}

/// Rule 16: a stamp that nothing can have yet is refused, with the server's time.
#[test]
fn a_seen_beyond_belief_is_refused_with_the_time() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        for seen in [Hlc::at(NOW + 300_001), Hlc(u64::MAX)] {
            ana.send(&[publish_seen(&stream, id, Some(seen))]).await;
            let error = ana.refused(Reason::BadRequest).await;
            assert_eq!((error.time_unix_ms, error.event_id), (Some(NOW), Some(id.to_string().into())));
        }
        let claim = Hlc::at(NOW + 300_000);
        ana.send(&[publish_seen(&stream, id, Some(claim))]).await;
        assert_eq!(world.accept().await.seen, claim.0);
    });
}

/// Rule 16, E14: without a claim, or with a smaller one, the newest stamp of the stream that came by counts.
#[test]
fn a_missing_seen_is_the_newest_stamp_that_came_by() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        let segment = segment(&stream, 1, 3);
        world.push(&segment).await;
        assert_eq!(ana.seqs().await, [1, 2, 3]);
        for seen in [None, Some(Hlc(5))] {
            let id = world.id();
            ana.send(&[publish_seen(&stream, id, seen)]).await;
            assert_eq!(world.accept().await.seen, segment.max_hlc().0);
            ana.acked(id).await;
        }
    });
}

/// E32: one decision serves the next publishes of a kind to a stream, until shortly before it ends.
#[test]
fn a_grant_is_kept_per_stream_and_kind_and_renewed_before_it_ends() {
    run(async {
        let mut world = World::new().await;
        let streams: Vec<_> = (0..9).map(|_| world.stream()).collect();
        let mut ana = world.person("ana").await;
        let say = Action::Publish("message".parse().unwrap());
        for _ in 0..3 {
            let id = world.id();
            ana.publish(&streams[0], id).await;
            world.accept().await;
            ana.acked(id).await;
        }
        assert_eq!(world.access.asked(), [("ana".to_owned(), say.clone())]);
        advance(Duration::from_millis(54_900)).await;
        for (wait_ms, asked) in [(0, 0), (200, 1), (0, 0)] {
            advance(Duration::from_millis(wait_ms)).await;
            let id = world.id();
            ana.publish(&streams[0], id).await;
            world.accept().await;
            ana.acked(id).await;
            assert_eq!(world.access.asked().len(), asked);
        }
        // Eight are kept, so that nine in turn are decided each time.
        for _ in 0..2 {
            for stream in &streams {
                let id = world.id();
                ana.publish(stream, id).await;
                world.accept().await;
                ana.acked(id).await;
            }
        }
        assert_eq!(world.access.asked().len(), 8 + 9);
    });
}

/// E24: whoever publishes is decided anew once members changed, though nobody on the shard follows the
/// stream; and once the shard may not have heard of a change.
#[test]
fn a_grant_is_dropped_though_nobody_follows() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut bo = world.person("bo").await;
        let id = world.id();
        bo.publish(&stream, id).await;
        world.accept().await;
        bo.acked(id).await;
        world.access.refuse("bo", Reason::NotFound);
        let changed = v1::MembersChanged {
            stream: stream.to_string(),
            users: vec!["bo".into()],
            ..v1::MembersChanged::default()
        };
        world.state.tell(&mut world.pushed, Down::Members(changed)).await;
        sleep(Duration::from_millis(10)).await;
        let id = world.id();
        bo.publish(&stream, id).await;
        bo.refused(Reason::NotFound).await;
        assert_eq!(world.access.passed_by(), [stream]);
    });
}

/// E24: whoever publishes is decided anew once members changed, whether they follow the stream or not.
#[test]
fn a_grant_is_dropped_when_members_change() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        let id = world.id();
        bo.publish(&stream, id).await;
        world.accept().await;
        bo.acked(id).await;
        world.access.refuse("bo", Reason::NotFound);
        world.push(&of_members(segment(&stream, 1, 1))).await;
        assert_eq!(ana.seqs().await, [1]);
        let id = world.id();
        bo.publish(&stream, id).await;
        bo.refused(Reason::NotFound).await;
        assert_eq!(world.access.passed_by(), [stream.clone(), stream], "once as it was first followed");
    });
}

/// E24: whoever publishes is decided anew once their tenant's access stream changed, whomever it names, and
/// not when another tenant's did.
#[test]
fn a_grant_is_dropped_when_the_tenants_access_stream_changes() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut bo = world.person("bo").await;
        for (tenant, decisions) in [("none", 1), ("other", 0), ("acme", 1)] {
            let changed = v1::MembersChanged {
                stream: format!("{tenant}/access/main"),
                users: vec!["cy".into()],
                ..v1::MembersChanged::default()
            };
            world.state.tell(&mut world.pushed, Down::Members(changed)).await;
            sleep(Duration::from_millis(10)).await;
            let id = world.id();
            bo.publish(&stream, id).await;
            world.accept().await;
            bo.acked(id).await;
            assert_eq!(world.access.asked().len(), decisions, "{tenant}");
        }
    });
}
