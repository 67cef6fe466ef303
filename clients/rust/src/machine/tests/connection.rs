//! States, close codes, back-off, tokens, silence.

use sterna_protocol::close::{self, Advice};

use super::*;
use crate::config::*;

/// Section 7: the states that a plain session goes through.
#[test]
fn a_session_goes_through_its_states_in_order() {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    assert_eq!(rig.state(), State::Idle);
    rig.live(US);
    rig.give(Input::Disconnect);
    let states: Vec<_> = rig
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::State(state) => Some(*state),
            _ => None,
        })
        .collect();
    use State::{CatchingUp, Connecting, Greeting, Idle, Live};
    assert_eq!(states, [Connecting, Greeting, CatchingUp, Live, Idle]);
    assert_eq!(rig.closed, [(SocketId(1), 1000)]);
    assert_eq!(rig.machine.deadline(), None, "an idle client waits for nothing");
}

/// Section 1: `hello` and all `subscribe` go out before `welcome`; section 13: home is what the DNS name led
/// to.
#[test]
fn hello_and_every_subscribe_are_sent_before_welcome() {
    let mut rig = Rig::new();
    for n in 0..400 {
        rig.follow(&format!("acme/chat/a-room-with-a-rather-long-name-so-that-one-frame-is-too-small-{n}"));
    }
    let id = rig.open();
    assert_eq!(rig.opened[0].1, "wss://rt.example.com/v1/connect");
    rig.give(Input::Opened(id));
    let ClientFrame::Hello(hello) = rig.sent.pop_front().unwrap().1 else { panic!("hello comes first") };
    assert_eq!((hello.home, hello.ping_interval_ms), (None, Some(8_000)));
    let mut bytes = Vec::new();
    for (_, frame) in &rig.sent {
        bytes.clear();
        sterna_protocol::Encoding::Json.encode_client(frame, &mut bytes);
        assert!(bytes.len() < 64 * 1024, "a subscribe larger than a frame is sent in several");
    }
    assert!(rig.sent.len() > 1);
    assert_eq!(rig.subscriptions(id).len(), 400);
    rig.frame(id, welcome(US));
    assert_eq!(rig.storage.load().unwrap().home, Some(US.parse().unwrap()));
}

/// Section 5: every code leads where its range says, from a live session.
#[test]
fn close_codes_lead_where_their_range_says() {
    for (code, state) in [
        (1001, State::Waiting),
        (1002, State::Stopped),
        (1003, State::Stopped),
        (1005, State::Waiting),
        (1006, State::Waiting),
        (1007, State::Stopped),
        (1008, State::Stopped),
        (1009, State::Stopped),
        (1011, State::Waiting),
        (1012, State::Waiting),
        (1013, State::Waiting),
        (4000, State::Waiting),
        (4001, State::Waiting),
        (4099, State::Waiting),
        (4100, State::Waiting),
        (4103, State::Waiting),
        (4199, State::Waiting),
        (4200, State::Waiting),
        (4201, State::Waiting),
        (4300, State::Stopped),
        (4301, State::Stopped),
        (4302, State::Stopped),
        (4999, State::Stopped),
    ] {
        let mut rig = Rig::new();
        let id = rig.live(US);
        rig.give(Input::Closed(id, code));
        assert_eq!(rig.state(), state, "{code}");
        if code == 1013 {
            rig.pass(4_999);
            assert_eq!(rig.state(), State::Waiting, "1013 waits at least 5 s");
        }
        if state == State::Waiting {
            rig.pass(6_000);
            assert_ne!(rig.state(), State::Waiting, "{code}");
            assert_eq!(
                rig.tokens_asked,
                if close::advice(code) == Advice::NewToken { 2 } else { 1 },
                "{code}"
            );
        } else {
            rig.pass(600_000);
            assert_eq!(rig.state(), State::Stopped, "{code}");
            assert_eq!(rig.machine.deadline(), None);
            assert!(rig.notices.contains(&Notice::Stopped { end: End::Closed(code), error: None }));
        }
    }
}

/// Section 5: "at once" twice within 60 s is backing off.
#[test]
fn coming_back_at_once_twice_within_a_minute_is_backing_off() {
    let waits = |between_ms: u64| {
        let mut longest = 0;
        for seed in 0..64 {
            let mut rig = Rig::new();
            rig.machine.random = random(seed);
            let mut id = rig.live(US);
            for _ in 0..5 {
                rig.pass(1);
                rig.frame(id, ServerFrame::Ping);
                let mut left = between_ms;
                while left > 0 {
                    rig.pass(left.min(5_000));
                    left -= left.min(5_000);
                    rig.frame(id, ServerFrame::Ping);
                }
                rig.give(Input::Closed(id, 4001));
                longest = longest.max(rig.machine.due_ms - rig.now.mono_ms);
                id = rig.live(US);
            }
        }
        longest
    };
    assert!(waits(61_000) <= AT_ONCE_MS);
    assert!(waits(12_000) > AT_ONCE_MS * 2, "the step grows");
}

/// Section 5: 42xx gets a new token; the same code again without a session between stops.
#[test]
fn a_refused_token_is_replaced_once() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.give(Input::Opened(id));
    rig.give(Input::Closed(id, 4201));
    assert_eq!(rig.state(), State::Waiting);
    let id = rig.open();
    assert_eq!(rig.tokens_asked, 2);
    rig.give(Input::Opened(id));
    rig.give(Input::Closed(id, 4201));
    assert_eq!(rig.state(), State::Stopped);
}

/// Section 5: full jitter also before the first try, never above 30 s, back to the start only after 60 s of
/// session.
#[test]
fn back_off_is_full_jitter_and_forgets_only_a_proven_session() {
    let mut first = Vec::new();
    for seed in 0..200 {
        let mut rig = Rig::new();
        rig.machine.random = random(seed);
        rig.give(Input::Connect);
        first.push(rig.machine.due_ms - rig.now.mono_ms);
    }
    assert!(first.iter().all(|ms| *ms <= BACK_OFF_MS) && first.iter().any(|ms| *ms > 250));

    let mut backoff = Backoff::default();
    let mut random = random(3);
    let wait = |backoff: &mut Backoff, code, live_ms: u64, random: &mut dyn Random| {
        let advice = Advice::BackOff { at_least_ms: 0 };
        backoff.ended(QUICK_MS * 2, End::Closed(code), advice, live_ms, random).for_ms
    };
    let waits: Vec<u64> = (0..400).map(|_| wait(&mut backoff, 1006, 59_999, &mut *random)).collect();
    assert!(waits.iter().all(|ms| *ms <= BACK_OFF_MAX_MS));
    assert!(*waits[50..].iter().max().unwrap() > 25_000 && *waits[50..].iter().min().unwrap() < 2_000);
    assert!(wait(&mut backoff, 1006, 60_000, &mut *random) <= BACK_OFF_MS);
}

/// Section 5: five quick attempts that end in one way: at least 60 s, and the application is told.
#[test]
fn five_quick_ends_in_one_way_are_told_and_waited_for() {
    let mut rig = Rig::new();
    for attempt in 1..=5 {
        let id = rig.open();
        rig.give(Input::Failed(id, Failure::Unreachable));
        let told = rig.notices.iter().any(|notice| matches!(notice, Notice::Struggling { attempts: 5, .. }));
        assert_eq!(told, attempt == 5);
    }
    rig.give(Input::Online);
    rig.pass(59_999);
    assert_eq!(rig.state(), State::Waiting, "no hint shortens it");
}

/// Section 7: `online` redraws what remains of a wait with the first step.
#[test]
fn a_hint_of_the_network_cuts_a_wait_short() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.give(Input::Closed(id, 1006));
    rig.machine.due_ms = rig.now.mono_ms + 25_000;
    rig.give(Input::Online);
    rig.pass(BACK_OFF_MS);
    assert_eq!(rig.state(), State::Connecting);

    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.give(Input::Closed(id, 1013));
    rig.give(Input::Foreground);
    rig.pass(4_999);
    assert_eq!(rig.state(), State::Waiting, "what the server asked for stands");
}

/// Section 7: the second failure leads to the next endpoint, and from there nothing leads back by itself.
#[test]
fn two_failures_lead_to_the_next_endpoint_and_no_way_leads_back() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.give(Input::Closed(id, 1012));
    for expected in [US, US, EU, EU] {
        let id = rig.open();
        assert!(rig.opened.last().unwrap().1.contains(expected), "{:?}", rig.opened);
        if expected == US || rig.opened.len() == 4 {
            rig.give(Input::Failed(id, Failure::Unreachable));
        } else {
            rig.give(Input::Opened(id));
            rig.frame(id, welcome(EU));
            assert_eq!(rig.storage.load().unwrap().home, Some(US.parse().unwrap()), "home stays over a hop");
            rig.give(Input::Closed(id, 1006));
        }
    }
    assert!(rig.opened.last().unwrap().1.contains(EU));
}

/// Section 7: what one endpoint asks for is not waited for at the next: a region that answers 503 with an
/// hour's `Retry-After` is left within the back-off.
#[test]
fn retry_after_binds_at_the_endpoint_that_said_it_only() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.give(Input::Closed(id, 1012));
    for seconds in [1, 3_600] {
        let id = rig.open();
        let failure = Failure::Refused { status: 503, retry_after_s: Some(seconds) };
        rig.give(Input::Failed(id, failure));
        if seconds == 1 {
            rig.pass(999);
            assert_eq!(rig.state(), State::Waiting);
        }
    }
    let opened = rig.opened.len();
    rig.pass(4 * BACK_OFF_MS);
    assert_eq!(rig.opened.len(), opened + 1, "{:?}", rig.opened);
    assert!(rig.opened.last().unwrap().1.contains(EU), "{:?}", rig.opened);
}

/// Section 13: a new start of the application stays for ten minutes after a hop, then asks the DNS name
/// again.
#[test]
fn a_hop_is_stayed_with_for_ten_minutes() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.give(Input::Closed(id, 1012));
    for _ in 0..2 {
        let id = rig.open();
        rig.give(Input::Failed(id, Failure::Unreachable));
    }
    rig.give(Input::Disconnect);
    rig.pass(STAY_MS - 60_000);
    rig.open();
    assert!(rig.opened.last().unwrap().1.contains(EU));
    rig.give(Input::Disconnect);
    rig.pass(STAY_MS);
    rig.open();
    assert_eq!(rig.opened.last().unwrap().1, "wss://rt.example.com/v1/connect");
}

/// Section 7: opening has 5 s, greeting 10 s, catching up 5 s.
#[test]
fn every_phase_has_its_limit() {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    let id = rig.open();
    rig.pass(OPEN_MS);
    assert_eq!(rig.closed, [(id, close::PEER_SILENT)]);
    let id = rig.open();
    rig.give(Input::Opened(id));
    rig.pass(GREET_MS);
    assert_eq!(rig.closed.last(), Some(&(id, close::PEER_SILENT)));
    rig.welcome(US);
    rig.pass(CATCH_UP_MS - 1);
    assert_eq!(rig.state(), State::CatchingUp, "no answer to the subscribe");
    rig.pass(1);
    assert_eq!(rig.state(), State::Live);
}

/// P24: at 80 % of the token's life a second `hello` renews it, and its `welcome` changes only the terms.
#[test]
fn a_token_is_renewed_at_four_fifths_of_its_life() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.sent.clear();
    rig.token = Some("renewed");
    let mut passed = 0;
    while passed < 720_000 {
        assert!(!rig.sent.iter().any(|(_, frame)| matches!(frame, ClientFrame::Hello(_))), "at {passed}");
        rig.pass(5_000);
        rig.frame(id, ServerFrame::Ping);
        passed += 5_000;
    }
    let hellos: Vec<_> =
        rig.sent.iter().filter(|(_, frame)| matches!(frame, ClientFrame::Hello(_))).collect();
    let (to, ClientFrame::Hello(hello)) = hellos[0] else { panic!() };
    assert_eq!((*to, hello.token.reveal(), hellos.len()), (id, "renewed", 1));
    rig.frame(id, welcome(US));
    assert_eq!((rig.state(), rig.tokens_asked), (State::Live, 2));
}

/// P24: a token within 60 s of its end is not used for a new socket.
#[test]
fn an_ending_token_is_not_used_for_a_new_socket() {
    let mut rig = Rig::new();
    let id = rig.open();
    rig.give(Input::Opened(id));
    rig.frame(id, welcome_with(US, |welcome| welcome.token_expires_in_ms = 59_000));
    rig.give(Input::Closed(id, 1006));
    rig.token = None;
    rig.pass(1_000);
    assert_eq!((rig.state(), rig.tokens_asked, rig.opened.len()), (State::Connecting, 2, 1));
    rig.notices.clear();
    rig.pass(TOKEN_MS);
    assert!(rig.notices.contains(&Notice::State(State::Waiting)), "no token is a failed attempt");
}

/// P18: a ping is answered at once, whatever else is going on.
#[test]
fn a_ping_is_answered_at_once() {
    let mut rig = Rig::new();
    let id = rig.welcome(US);
    rig.sent.clear();
    rig.frame(id, ServerFrame::Ping);
    assert_eq!(rig.sent.pop_front(), Some((id, ClientFrame::Pong)));
}

/// P18: silence of the ping interval and 5 s ends the socket, with 4401; any frame counts as life.
#[test]
fn silence_ends_the_socket() {
    let mut rig = Rig::new();
    let id = rig.live(US);
    for _ in 0..5 {
        rig.pass(12_999);
        rig.give(Input::Heard(id));
    }
    assert_eq!(rig.state(), State::Live);
    rig.pass(13_000);
    assert_eq!((rig.state(), rig.closed.last()), (State::Waiting, Some(&(id, close::PEER_SILENT))));
}

/// P19: after a sleep the wall clock tells: a ping is sent, nothing else, and 3 s are waited.
#[test]
fn a_jump_of_the_wall_clock_puts_the_socket_in_doubt() {
    for answered in [true, false] {
        let mut rig = Rig::new();
        let id = rig.live(US);
        rig.sent.clear();
        rig.now.wall_ms += 3_600_000;
        rig.publish(1, "written after the sleep");
        assert_eq!(rig.sent.pop_front(), Some((id, ClientFrame::Ping)));
        assert!(rig.sent.is_empty(), "what might be lost is not sent");
        rig.pass(PROBE_MS - 1);
        if answered {
            rig.frame(id, ServerFrame::Pong);
            assert_eq!(rig.published(id).len(), 1);
        }
        rig.pass(1);
        assert_eq!(rig.state(), if answered { State::Live } else { State::Waiting });
    }
    let mut rig = Rig::new();
    let id = rig.live(US);
    rig.sent.clear();
    rig.now.wall_ms += 3_600_000;
    rig.give(Input::Foreground);
    assert_eq!(rig.sent.pop_front(), Some((id, ClientFrame::Ping)), "waking up asks too");
    rig.now.wall_ms -= 7_200_000;
    rig.frame(id, ServerFrame::Pong);
    rig.pass(10_000);
    assert_eq!(rig.state(), State::Live, "a clock that is set back proves nothing");
}
