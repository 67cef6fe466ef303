//! Holding on to state: attach again, tell all anew, compare heads (E15, E16).

use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;
use sterna_stream::limits::{EPHEMERAL_BYTES, EPHEMERAL_PER_S};
use sterna_stream::{StreamId, partition};
use tokio::time::Duration;

use crate::person::{subscribe, typing};
use crate::world::{Setup, World, run};
use crate::{place, segment};

/// Two streams that ana follows live at us:1, told to state in one go.
async fn two(world: &mut World) -> (crate::person::Person, [StreamId; 2]) {
    let mut ana = world.person("ana").await;
    let first = world.stream();
    let second = loop {
        let other = world.stream();
        if partition::of(&other, 4) != partition::of(&first, 4) {
            break other;
        }
    };
    world.live(&mut ana, &first, "us:1").await;
    world.live(&mut ana, &second, "us:1").await;
    (ana, [first, second])
}

fn names(streams: &[StreamId]) -> Vec<String> {
    let mut names: Vec<String> = streams.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

/// Each stream at us:1, as a comparison names them.
fn heads(streams: &[StreamId]) -> Vec<(String, String)> {
    names(streams).into_iter().map(|name| (name, "us:1".to_owned())).collect()
}

async fn followed(world: &mut World) -> Vec<String> {
    let mut streams = world.state.followed().await;
    streams.sort_unstable();
    streams
}

/// E15: a hole in the numbers of pushes ends the attachment; the next one tells all interest, and a ring that
/// is behind the head pulls what it missed.
#[test]
fn a_hole_in_push_numbers_is_healed_by_attaching_again() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, streams) = two(&mut world).await;
        world.pushed += 1;
        world.push(&segment(&streams[0], 3, 3)).await;
        assert!(world.state.is_left().await);
        world.attached().await;
        assert_eq!(followed(&mut world).await, names(&streams));
        world.joined(&streams[0], "us:3").await;
        world.joined(&streams[1], "us:1").await;
        let ask = world.notification.up().await;
        assert_eq!((&ask.stream[..], ask.after), (streams[0].as_str(), Some(place("us:1"))));
        world.notification.page(ask.tag, "", &[segment(&streams[0], 2, 3)]).await;
        assert_eq!(ana.seqs().await, [2, 3]);
        world.push(&segment(&streams[1], 2, 2)).await;
        assert_eq!(ana.seqs().await, [2]);
    });
}

/// E15: so does the end of the stream, and a wish that was lost with it.
#[test]
fn an_ended_attachment_is_opened_again_with_all_interest() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, streams) = two(&mut world).await;
        let third = world.stream();
        ana.subscribe(&third, "").await;
        world.state = {
            drop(world.state);
            world.attaching[0].next().await
        };
        let all = [streams[0].clone(), streams[1].clone(), third];
        assert_eq!(followed(&mut world).await, names(&all));
    });
}

/// E15: a resync of some partitions follows their streams again, and no others; one of all, all.
#[test]
fn a_resync_follows_the_streams_of_its_partitions_again() {
    run(async {
        let mut world = World::new().await;
        let (_ana, streams) = two(&mut world).await;
        let partitions = vec![u32::from(partition::of(&streams[1], 4))];
        world.state.tell(&mut world.pushed, What::Resync(v1::Resync { partitions })).await;
        assert_eq!(followed(&mut world).await, names(&streams[1..]));
        assert!(world.state.is_quiet(2).await);
        world.state.tell(&mut world.pushed, What::Resync(v1::Resync::default())).await;
        assert_eq!(followed(&mut world).await, names(&streams));
    });
}

/// E14, E16: with each head goes the newest stamp of its stream that came by: state tells newer ones.
#[test]
fn a_comparison_says_the_newest_stamps() {
    run(async {
        let mut world = World::new().await;
        let (_ana, streams) = two(&mut world).await;
        let stamps = async |world: &mut World| {
            let heads = world.state.comparison().await;
            assert!(heads.iter().all(|of| !of.looked_lately), "so few streams have a look in each round");
            heads.iter().map(|of| of.newest).collect::<Vec<_>>()
        };
        let before = stamps(&mut world).await;
        let at = names(&streams).iter().position(|name| *name == streams[1].as_str()).unwrap();
        let (newest, head) =
            (before[at] + 70, Some((&"us:1".parse::<sterna_stream::Cursor>().unwrap()).into()));
        let joined = v1::Joined { stream: streams[1].to_string(), head, newest, ..v1::Joined::default() };
        world.state.tell(&mut world.pushed, What::Joined(joined)).await;
        let mut expected = before;
        expected[at] = newest;
        assert_eq!(stamps(&mut world).await, expected);
    });
}

/// E16: heads are compared on a timer, so that a push that was lost without a trace is pulled.
#[test]
fn heads_are_compared_on_a_timer_and_a_lost_push_is_pulled() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, streams) = two(&mut world).await;
        for _ in 0..3 {
            let asked = tokio::time::timeout(Duration::from_secs(31), world.state.compared()).await;
            assert_eq!(asked.expect("asked in time"), heads(&streams));
            world.state.tell(&mut world.pushed, What::Compared(v1::Compared {})).await;
            ana.quiet(1).await;
        }
        world.joined(&streams[1], "us:2").await;
        let ask = world.notification.up().await;
        assert_eq!(ask.stream, streams[1].as_str());
        world.notification.page(ask.tag, "", &[segment(&streams[1], 2, 2)]).await;
        assert_eq!(ana.seqs().await, [2]);
    });
}

/// E16: state that answers neither a comparison nor a follow is left, and attached to again, whatever else it
/// says.
#[test]
fn state_that_answers_no_comparison_is_left() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, streams) = two(&mut world).await;
        let watch = async {
            assert_eq!(world.state.compared().await, heads(&streams));
            let mut said = 0;
            while !world.state.is_left_within(Duration::from_secs(1)).await {
                said += 1;
                assert!(said < 60, "it is left within two rounds");
                world.state.tell(&mut world.pushed, What::Covered(v1::Covered::default())).await;
            }
            assert!(said > 20, "it has a round to answer");
            world.attached().await;
            assert_eq!(followed(&mut world).await, names(&streams));
        };
        tokio::select! {
            biased;
            () = watch => {}
            heard = ana.hear() => panic!("{heard:?}"),
        }
    });
}

/// E16: so is state that takes no more wishes, and with them no comparison, although it pushes.
#[test]
fn state_that_takes_no_wishes_is_left() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, streams) = two(&mut world).await;
        let (mut bo, mut seq) = (world.person("bo").await, 1);
        bo.subscribe(&streams[0], "us:1").await;
        assert_eq!(bo.frame().await.name(), "subscribed");
        while !world.state.is_left_within(Duration::from_secs(1)).await {
            // More than its queue holds before the first comparison, all of it nothing that it would answer.
            for _ in 0..EPHEMERAL_PER_S {
                for who in [&mut ana, &mut bo] {
                    who.send(&[typing(&streams[0], None, EPHEMERAL_BYTES)]).await;
                }
            }
            seq += 1;
            assert!(seq < 60, "it is left within two rounds");
            world.push(&segment(&streams[0], seq, seq)).await;
            assert_eq!((ana.seqs().await, bo.seqs().await), (vec![seq], vec![seq]));
        }
        assert!(seq > 30, "it has a round to take one");
        world.attached().await;
        assert_eq!(followed(&mut world).await, names(&streams));
    });
}

/// E16: a stream that state never answered for is followed once more instead of being compared, and an answer
/// to a comparison is no join of it.
#[test]
fn what_is_not_joined_is_followed_again_by_the_comparison() {
    run(async {
        let mut world = World::new().await;
        let (mut ana, stream) = (world.person("ana").await, world.stream());
        ana.subscribe(&stream, "").await;
        assert_eq!(followed(&mut world).await, [stream.to_string()]);
        let asked = tokio::time::timeout(Duration::from_secs(31), followed(&mut world)).await;
        assert_eq!(asked.expect("asked in time"), [stream.to_string()]);
        world.state.tell(&mut world.pushed, What::Compared(v1::Compared {})).await;
        ana.quiet(1).await;
        world.joined(&stream, "").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
    });
}

/// E15: every instance is told; who does not own a stream says so, and whoever does joins it. What follows a
/// slow instance's queue does not hold up another's pushes.
#[test]
fn every_instance_is_told_and_the_owner_answers() {
    run(async {
        let mut world = World::with(Setup { states: 2, ..Setup::default() }).await;
        let (stream, mut ana) = (world.stream(), world.person("ana").await);
        let (mut second, mut pushed) = (world.attaching[1].next().await, 0);
        ana.subscribe(&stream, "").await;
        for state in [&mut world.state, &mut second] {
            assert_eq!(state.followed().await, [stream.to_string()]);
        }
        let no = v1::Joined { stream: stream.to_string(), not_owner: true, ..v1::Joined::default() };
        world.state.tell(&mut world.pushed, What::Joined(no)).await;
        ana.quiet(1).await;
        second.joined(&mut pushed, &stream, "").await;
        assert_eq!(ana.frame().await.name(), "subscribed");
        second.push(&mut pushed, &segment(&stream, 1, 1)).await;
        assert_eq!(ana.seqs().await, [1]);
    });
}

/// G9: more interest than the queue of wishes holds waits for it; meanwhile pushes come in, and all is told.
#[test]
fn more_interest_than_fits_the_queue_is_told_in_the_end() {
    run(async {
        let mut world = World::new().await;
        let stream = world.stream();
        let mut ana = world.person("ana").await;
        world.live(&mut ana, &stream, "").await;
        for n in 0..300 {
            let other = world.stream();
            ana.send(&[subscribe(&[&other], Some(""), None)]).await;
            if n % 4 == 0 {
                // One wish each, because state reads none of them meanwhile.
                ana.send(&[sterna_protocol::frame::ClientFrame::Ping]).await;
                assert_eq!(ana.frame().await.name(), "pong");
            }
        }
        world.push(&segment(&stream, 1, 1)).await;
        assert_eq!(ana.seqs().await, [1]);
        let mut told = 0;
        while told < 300 {
            told += world.state.followed().await.len();
        }
        assert_eq!(told, 300);
    });
}
