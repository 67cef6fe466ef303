//! Make before break.

use super::*;

/// Connects to us-east-1, following, and asks to move to eu-west-1.
fn moving(after_ms: u32, deadline_ms: u32) -> (Rig, SocketId) {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    let first = rig.live(US);
    rig.frame(first, asked_to_move(EU, after_ms, deadline_ms));
    assert_eq!(rig.state(), State::Moving);
    (rig, first)
}

/// The second socket, opened and greeted.
fn second(rig: &mut Rig) -> SocketId {
    let second = rig.opened.last().unwrap().0;
    rig.give(Input::Opened(second));
    second
}

/// Section 8: waits exactly its turn, takes the address from `welcome`, brings the ticket, keeps the first
/// until the second is current.
#[test]
fn a_move_makes_before_it_breaks() {
    let (mut rig, first) = moving(4_200, 30_000);
    rig.pass(4_199);
    assert_eq!(rig.opened.len(), 1);
    rig.pass(1);
    assert!(rig.opened[1].1.contains(EU));
    rig.sent.clear();
    let second = second(&mut rig);
    let Some((_, ClientFrame::Hello(hello))) = rig.sent.pop_front() else { panic!("hello") };
    assert_eq!(hello.ticket, Some(Secret::new("mv1.ticket")));
    assert_eq!(hello.home, Some(US.parse().unwrap()), "home is kept over moves");
    rig.frame(second, welcome(EU));
    rig.frame(second, subscribed(CHAT, &cursor("us-east-1:2"), &cursor("us-east-1:2")));
    rig.frame(first, events(CHAT, vec![event(US, 1)]));
    rig.frame(second, events(CHAT, vec![event(US, 1)]));
    assert!(rig.closed.is_empty(), "the second is not current yet");
    rig.frame(first, events(CHAT, vec![event(US, 2)]));
    assert_eq!((rig.closed.as_slice(), rig.state()), (&[(first, 1000)][..], State::Live));
    rig.frame(second, events(CHAT, vec![event(US, 2), event(US, 3)]));
    assert_eq!(rig.shown(), [(US.into(), 1), (US.into(), 2), (US.into(), 3)], "both feed one cursor");
    assert!(rig.notices.contains(&Notice::CaughtUp(CHAT.parse().unwrap())));
    rig.give(Input::Closed(second, 1006));
    rig.open();
    assert!(rig.opened.last().unwrap().1.contains(EU), "it stays there");
}

/// Section 8, E6: after the second's `welcome` nothing new is sent before what has not come back.
#[test]
fn publishes_keep_their_order_over_a_move() {
    let (mut rig, first) = moving(0, 30_000);
    rig.publish(1, "a");
    let sent = rig.published(first);
    assert_eq!(sent.len(), 1, "the first goes on accepting");
    rig.frame(first, ack(&[sent[0].event_id], US, Durability::Region));
    let second = second(&mut rig);
    rig.frame(second, welcome(EU));
    rig.publish(2, "b");
    assert!(rig.published(first).is_empty() && rig.published(second).is_empty());
    rig.answer(second);
    let on_second: Vec<(Payload, bool)> =
        rig.published(second).into_iter().map(|publish| (publish.payload, publish.resend)).collect();
    assert_eq!(on_second, [(payload("a"), true), (payload("b"), false)]);
}

/// Section 8: a target that cannot be reached is told; the first goes on, also with publishing; the next is
/// tried.
#[test]
fn an_unreachable_target_is_told_and_the_next_one_tried() {
    let (mut rig, first) = moving(0, 30_000);
    let failures: [fn(&mut Rig, SocketId); 4] = [
        |rig, second| rig.give(Input::Failed(second, Failure::Unreachable)),
        |rig, second| {
            rig.give(Input::Opened(second));
            rig.give(Input::Closed(second, 1013));
        },
        |rig, _| rig.pass(crate::config::OPEN_MS),
        |rig, second| {
            rig.give(Input::Opened(second));
            rig.frame(second, welcome(EU));
            rig.publish(1, "held");
            rig.give(Input::Closed(second, 4301));
        },
    ];
    for fail in failures {
        rig.sent.clear();
        let second = rig.opened.last().unwrap().0;
        fail(&mut rig, second);
        let told = |(to, frame): &(SocketId, ClientFrame)| {
            *to == first && matches!(frame, ClientFrame::MoveFailed(failed) if failed.to.as_str() == EU)
        };
        assert!(rig.sent.iter().any(told), "{:?}", rig.sent);
        assert_eq!(rig.state(), State::Live);
        rig.frame(first, asked_to_move(EU, 0, 30_000));
    }
    assert_eq!(rig.published(first).len(), 1, "what was held goes out on the first");
}

/// Section 8: a region that is not known is not gone to; 4000 at the deadline comes back to where it was.
#[test]
fn an_unknown_region_is_not_gone_to() {
    let mut rig = Rig::new();
    let first = rig.live(US);
    rig.frame(first, asked_to_move("ap-south-1", 0, 10_000));
    assert_eq!((rig.state(), rig.opened.len()), (State::Live, 1));
}

/// Section 8: 4000 during the wait for its turn leads to the target, with the ticket.
#[test]
fn a_socket_lost_before_its_turn_comes_back_at_the_target() {
    let (mut rig, first) = moving(20_000, 30_000);
    rig.give(Input::Closed(first, 4000));
    assert_eq!(rig.state(), State::Waiting);
    rig.sent.clear();
    let id = rig.open();
    assert!(rig.opened.last().unwrap().1.contains(EU));
    rig.give(Input::Opened(id));
    let Some((_, ClientFrame::Hello(hello))) = rig.sent.pop_front() else { panic!("hello") };
    assert!(hello.ticket.is_some());
}

/// Section 8: the first dies while the second is on its way: the second is the session.
#[test]
fn the_second_takes_over_when_the_first_dies() {
    let (mut rig, first) = moving(0, 30_000);
    let second = rig.opened.last().unwrap().0;
    rig.give(Input::Closed(first, 1006));
    assert_eq!(rig.state(), State::Connecting);
    rig.give(Input::Opened(second));
    rig.frame(second, welcome(EU));
    rig.answer(second);
    assert_eq!((rig.state(), rig.opened.len()), (State::Live, 2));
}

/// Section 8: at the deadline a welcomed second takes over, current or not; without one the client comes
/// back.
#[test]
fn the_deadline_ends_a_move() {
    let (mut rig, first) = moving(0, 9_000);
    let second = second(&mut rig);
    rig.frame(second, welcome(EU));
    rig.frame(second, subscribed(CHAT, &cursor("us-east-1:9"), &cursor("us-east-1:9")));
    rig.pass(9_000);
    assert_eq!((rig.closed.as_slice(), rig.state()), (&[(first, 1000)][..], State::Live));

    let (mut rig, _) = moving(8_000, 9_000);
    rig.pass(9_000);
    assert_eq!((rig.state(), rig.closed.len()), (State::Waiting, 2));
    rig.open();
    assert!(rig.opened.last().unwrap().1.contains(EU));
}

/// Section 8: a second `move` replaces the first.
#[test]
fn a_second_move_replaces_the_first() {
    let (mut rig, first) = moving(0, 30_000);
    let abandoned = rig.opened.last().unwrap().0;
    rig.frame(first, asked_to_move(US, 1_000, 30_000));
    assert_eq!(rig.closed, [(abandoned, 1000)]);
    rig.give(Input::Opened(abandoned));
    rig.pass(1_000);
    assert!(rig.opened.last().unwrap().1.contains(US), "inside a region too, at a deploy");
    assert_eq!(rig.opened.len(), 3);
}

/// Section 5: a code that says stop stops a moving client altogether.
#[test]
fn a_stop_while_moving_stops_both_sockets() {
    let (mut rig, first) = moving(0, 30_000);
    let second = second(&mut rig);
    rig.give(Input::Closed(first, 1008));
    assert_eq!((rig.state(), rig.closed.as_slice()), (State::Stopped, &[(second, 1000)][..]));
    assert_eq!(rig.machine.deadline(), None);
}
