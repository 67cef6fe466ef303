//! Leaving in good order: whoever drains answers what it took, then tells everybody to come back.

use sterna_gateway::shard::Refused;
use sterna_gateway::wire::Encoding;
use sterna_stream::Reason;
use tokio::time::{Duration, Instant};

use crate::person::Person;
use crate::world::{World, run};

/// Section 5: 1012 to everybody at once, greeted or not; nobody new; every task ends.
#[test]
fn whoever_drains_tells_everybody_1012_and_ends() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        let mut nobody = Person::connect(&world.gateway);
        let process = world.process.clone();
        let people = async {
            ana.closed(1012).await;
            nobody.closed(1012).await;
            let refused = world.gateway.accept(tokio::io::duplex(64).0, Encoding::Json, Vec::new());
            assert_eq!(refused, Err(Refused::Sessions));
            drop((ana, nobody));
        };
        let (drained, ()) = tokio::join!(process.drain(Duration::from_secs(5)), people);
        assert_eq!(drained.cut, 0, "everything ended by itself");
    });
}

/// G1: a command that was taken is answered before its author is sent away; no further one is taken.
#[test]
fn unanswered_commands_are_answered_before_1012() {
    run(async {
        let mut world = World::new().await;
        let (stream, taken, late) = (world.stream(), world.id(), world.id());
        let (mut ana, mut bo) = (world.person("ana").await, world.person("bo").await);
        ana.publish(&stream, taken).await;
        let command = world.messaging.up().await;
        let process = world.process.clone();
        let people = async {
            bo.closed(1012).await;
            ana.publish(&stream, late).await;
            let error = ana.refused(Reason::Overloaded).await;
            assert_eq!(error.event_id, Some(late.to_string().into()));
            ana.quiet(2).await;
            world.messaging.accept(command.tag).await;
            ana.acked(taken).await;
            ana.closed(1012).await;
            drop((ana, bo));
        };
        let (drained, ()) = tokio::join!(process.drain(Duration::from_secs(15)), people);
        assert_eq!(drained.cut, 0);
    });
}

/// Rule 13: at the latest after the ten seconds that an answer is waited for.
#[test]
fn a_drain_waits_no_longer_than_for_an_answer() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        ana.publish(&stream, id).await;
        let _command = world.messaging.up().await;
        let (process, began) = (world.process.clone(), Instant::now());
        let people = async {
            ana.refused(Reason::Unavailable).await;
            ana.closed(1012).await;
            drop(ana);
        };
        let (drained, ()) = tokio::join!(process.drain(Duration::from_secs(30)), people);
        assert_eq!(drained.cut, 0);
        assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    });
}
