//! Ephemerals: to followers, from followers, little and seldom, never an answer (docs/protocol.md, rule 23;
//! E19).

use sterna_access::Action;
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;
use sterna_protocol::frame::ServerFrame;
use sterna_stream::Reason;
use tokio::time::{Duration, advance};

use crate::person::typing;
use crate::world::{World, run};
use crate::{of_members, segment};

/// Rule 23: who does not follow may not say; the server names the user, whatever a client says.
#[test]
fn only_followers_say_something_and_the_server_says_who() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        world.live(&mut ana, &stream, "").await;
        bo.send(&[typing(&stream, None, 2)]).await;
        bo.quiet(1).await;
        ana.send(&[typing(&stream, Some("bo"), 10)]).await;
        let said = world.state.ephemeral().await;
        assert_eq!((&said.stream[..], &said.user[..], &said.kind[..]), (stream.as_str(), "ana", "typing"));
        assert_eq!(said.payload.len(), 10);
        ana.quiet(1).await;
    });
}

/// Rule 23, E32: who may follow a stream and not write to it says nothing to the others either; whoever
/// becomes a reader stops at once.
#[test]
fn who_only_reads_says_nothing() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        ana.send(&[typing(&stream, None, 2)]).await;
        assert_eq!(world.state.ephemeral().await.user, "ana");
        world.access.asked();
        ana.send(&[typing(&stream, None, 2)]).await;
        world.state.ephemeral().await;
        assert_eq!(world.access.asked(), [], "decided once");
        world.access.only_reads("ana");
        world.push(&of_members(segment(&stream, 1, 1))).await;
        ana.seqs().await;
        ana.send(&[typing(&stream, None, 2)]).await;
        assert!(world.state.is_quiet(1).await, "no longer");
        let asked = world.access.asked();
        assert!(asked.iter().any(|(_, what)| *what != Action::Read), "it was decided again: {asked:?}");
    });
}

/// E19: what somebody said goes to whoever follows here, and not back to its author.
#[test]
fn an_ephemeral_goes_to_followers_but_not_to_its_author() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        let mut cy = world.person("cy").await;
        world.live(&mut ana, &stream, "").await;
        bo.follow(&stream).await;
        let said = v1::Ephemeral {
            stream: stream.to_string(),
            user: "ana".into(),
            kind: "typing".into(),
            payload: "{}".into(),
        };
        let bad = v1::Ephemeral { user: String::new(), ..said.clone() };
        world.state.tell(&mut world.pushed, What::Ephemeral(bad)).await;
        world.state.tell(&mut world.pushed, What::Ephemeral(said)).await;
        let ServerFrame::Ephemeral(heard) = bo.frame().await else { panic!("no ephemeral") };
        assert_eq!((heard.stream, heard.user.unwrap().as_str()), (stream, "ana"));
        for person in [&mut ana, &mut bo, &mut cy] {
            person.quiet(1).await;
        }
    });
}

/// Rule 23: over five a second is dropped without an answer; a second later there is room again.
#[test]
fn over_the_rate_is_dropped_without_an_answer() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        for _ in 0..2 {
            ana.send(&(0..9).map(|_| typing(&stream, None, 2)).collect::<Vec<_>>()).await;
            for _ in 0..5 {
                world.state.ephemeral().await;
            }
            assert!(world.state.is_quiet(0).await);
            advance(Duration::from_secs(1)).await;
        }
        ana.quiet(1).await;
    });
}

/// Rule 23: at most 1 KiB.
#[test]
fn a_large_ephemeral_is_refused() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        ana.send(&[typing(&stream, None, 1_025), typing(&stream, None, 1_024)]).await;
        let error = ana.refused(Reason::PayloadTooLarge).await;
        assert_eq!(error.stream, None, "it goes on following");
        assert_eq!(world.state.ephemeral().await.payload.len(), 1_024);
    });
}
