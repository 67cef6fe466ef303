//! A shard that is left: paced `move` frames, the next target after `move_failed`, 4000 for who does not go
//! (docs/protocol.md, section 8).

use sterna_gateway::leaving::Leaving;
use sterna_protocol::frame::{ClientFrame, Move, MoveFailed, ServerFrame};
use tokio::time::{Duration, Instant};

use crate::person::{Heard, Person};
use crate::segment;
use crate::world::{World, run};

fn leaving(to: &[&str], per_s: u32, patience_s: u64) -> Leaving {
    let to = to.iter().map(|region| region.parse().unwrap()).collect();
    Leaving { to, reason: "deploy".into(), per_s, patience: Duration::from_secs(patience_s) }
}

async fn moved(person: &mut Person) -> Move {
    match person.frame().await {
        ServerFrame::Move(asked) => asked,
        other => panic!("a move was expected, not {other:?}"),
    }
}

fn failed(to: &str) -> ClientFrame {
    ClientFrame::MoveFailed(MoveFailed { to: to.parse().unwrap(), reason: "timeout".into() })
}

/// G6: turns are spread by what the target admits; who says hello later has the next turn; the shard goes on
/// delivering and accepting.
#[test]
fn everybody_has_a_turn_at_the_targets_pace_and_is_served_meanwhile() {
    run(async {
        let mut world = World::new().await;
        let (stream, id) = (world.stream(), world.id());
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        let mut others = vec![world.person("bo").await, world.person("cy").await];
        let gateway = world.gateway.clone();
        let leave = gateway.leave(leaving(&["us"], 2, 30));
        let people = async {
            let mut turns = vec![moved(&mut ana).await];
            for other in &mut others {
                turns.push(moved(other).await);
            }
            let mut late = world.person("dee").await;
            turns.push(moved(&mut late).await);
            let after: Vec<u32> = turns.iter().map(|turn| turn.after_ms).collect();
            assert_eq!(after, [0, 500, 1_000, 1_500]);
            for turn in &turns {
                assert_eq!(turn.deadline_ms - turn.after_ms, 30_000, "the same patience for each");
                assert_eq!((turn.to.as_str(), &*turn.reason), ("us", "deploy"));
            }
            world.push(&segment(&stream, 1, 2)).await;
            assert_eq!(ana.seqs().await, [1, 2]);
            ana.publish(&stream, id).await;
            world.accept().await;
            ana.acked(id).await;
            drop((ana, others, late));
        };
        let began = Instant::now();
        tokio::join!(leave, people);
        assert!(began.elapsed() < Duration::from_secs(5), "it ends when nobody is left");
    });
}

/// Section 8: who answers nothing gets 4000 at the deadline; who could not reach the last target stays, for
/// 1012.
#[test]
fn who_does_not_go_is_closed_with_4000_and_who_cannot_stays() {
    run(async {
        let world = World::new().await;
        let (mut deaf, mut stuck) = (world.person("ana").await, world.person("bo").await);
        let gateway = world.gateway.clone();
        let began = Instant::now();
        let people = async {
            assert_eq!(moved(&mut deaf).await.to.as_str(), "eu");
            assert_eq!(moved(&mut stuck).await.to.as_str(), "eu");
            stuck.send(&[failed("eu")]).await;
            assert_eq!(moved(&mut stuck).await.to.as_str(), "ap");
            stuck.send(&[failed("ap")]).await;
            deaf.closed(4000).await;
            assert!((9..=13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        };
        tokio::join!(gateway.leave(leaving(&["eu", "ap"], 100, 10)), people);
        stuck.quiet(20).await;
        let process = world.process.clone();
        let closed = async {
            stuck.closed(1012).await;
            drop((deaf, stuck));
        };
        tokio::join!(process.drain(Duration::from_secs(5)), closed);
    });
}

/// G9: `move_failed` of a move that nobody asked for, or of another target, changes nothing, however often.
#[test]
fn a_storm_of_move_failed_is_answered_with_nothing() {
    run(async {
        let world = World::new().await;
        let mut ana = world.person("ana").await;
        let storm: Vec<ClientFrame> = (0..1_000).map(|_| failed("eu")).collect();
        for _ in 0..10 {
            ana.send(&storm).await;
        }
        ana.quiet(1).await;
        let gateway = world.gateway.clone();
        let people = async {
            assert_eq!(moved(&mut ana).await.to.as_str(), "us");
            ana.send(&storm).await;
            ana.send(&[ClientFrame::Ping]).await;
            assert_eq!(ana.frame().await, ServerFrame::Pong);
            ana.send(&[failed("us"), failed("us"), ClientFrame::Ping]).await;
            assert_eq!(ana.frame().await, ServerFrame::Pong, "there is no second target");
        };
        tokio::join!(gateway.leave(leaving(&["us"], 1, 30)), people);
        drop(ana);
    });
}

/// Section 8: a second move replaces the first, for everybody and with new turns.
#[test]
fn leaving_again_replaces_the_first() {
    run(async {
        let world = World::new().await;
        let mut ana = world.person("ana").await;
        let gateway = world.gateway.clone();
        let people = async {
            assert_eq!(moved(&mut ana).await.to.as_str(), "us");
            let again = world.gateway.leave(leaving(&["eu"], 1, 3));
            let end = async {
                assert_eq!(moved(&mut ana).await.to.as_str(), "eu");
                assert_eq!(ana.hear().await, Heard::Closed(4000));
            };
            tokio::join!(again, end);
        };
        let began = Instant::now();
        tokio::join!(gateway.leave(leaving(&["us"], 1, 60)), people);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}
