//! Cursors, holes, order and twins.

use super::*;

fn rig_at(place: &str) -> (Rig, SocketId) {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    let id = rig.live(US);
    if !place.is_empty() {
        rig.frame(id, gap(CHAT, "skipped", "", place));
        rig.notices.clear();
    }
    (rig, id)
}

/// P7: the next is stored and shown, what was had is dropped, a jump closes with 4400 and resumes.
#[test]
fn the_next_is_shown_once_and_a_jump_resumes() {
    let (mut rig, id) = rig_at("us-east-1:4");
    rig.frame(id, events(CHAT, vec![event(US, 4), event(US, 5), event(EU, 1)]));
    rig.frame(id, events(CHAT, vec![event(US, 5), event(US, 6)]));
    assert_eq!(rig.shown(), [(US.into(), 5), (EU.into(), 1), (US.into(), 6)]);
    assert_eq!(rig.stored_cursor(CHAT), cursor("eu-west-1:1,us-east-1:6"));
    rig.frame(id, events(CHAT, vec![event(US, 7), event(US, 9), event(US, 8)]));
    assert_eq!(rig.closed.last(), Some(&(id, 4400)));
    assert_eq!(rig.stored_cursor(CHAT), cursor("eu-west-1:1,us-east-1:7"));
    let id = rig.welcome(US);
    assert_eq!(rig.subscriptions(id)[0].cursor, Some(cursor("eu-west-1:1,us-east-1:7")));
}

/// P7: an event is stored with its place before it is shown.
#[test]
fn an_event_is_stored_before_it_is_shown() {
    let (mut rig, id) = rig_at("");
    let frame = events(CHAT, vec![event(US, 1), event(US, 2)]);
    let actions = rig.machine.handle(rig.now, Input::Frame(id, Box::new(frame)));
    let last_store = actions.iter().rposition(|action| matches!(action, Action::Store(_))).unwrap();
    let first_shown = actions.iter().position(|action| matches!(action, Action::Tell(Notice::Shown { .. })));
    assert!(last_store < first_shown.unwrap());
}

/// P8: a gap of any reason, known or not, leaves its hole and moves the cursor, never backwards.
#[test]
fn a_gap_leaves_a_hole_and_moves_the_cursor() {
    for reason in ["skipped", "expired", "lost", "hidden", "of-the-future"] {
        let (mut rig, id) = rig_at("eu-west-1:9,us-east-1:4");
        rig.frame(id, gap(CHAT, reason, "us-east-1:2", "eu-west-1:5,us-east-1:7"));
        assert_eq!(rig.stored_cursor(CHAT), cursor("eu-west-1:9,us-east-1:7"));
        let hole = Hole { origin: US.parse().unwrap(), after: 4, upto: 7, reason: reason.parse().unwrap() };
        let told = Notice::Skipped(CHAT.parse().unwrap(), vec![hole.clone()]);
        assert!(rig.notices.contains(&told), "{:?}", rig.notices);
        rig.give(Input::Fetched(CHAT.parse().unwrap(), hole.clone()));
        assert!(!rig.machine.holes(&CHAT.parse().unwrap()).contains(&hole));
    }
}

/// P8: a gap that begins beyond the cursor would leave seqs that nobody told of.
#[test]
fn a_gap_beyond_the_cursor_is_a_hole_seen() {
    let (mut rig, id) = rig_at("us-east-1:4");
    rig.frame(id, gap(CHAT, "skipped", "us-east-1:6", "us-east-1:9"));
    assert_eq!(rig.closed.last(), Some(&(id, 4400)));
    assert_eq!(rig.stored_cursor(CHAT), cursor("us-east-1:4"));
}

/// P9: `waiting` moves nothing.
#[test]
fn waiting_moves_nothing() {
    let (mut rig, id) = rig_at("us-east-1:4");
    rig.frame(id, gap(CHAT, "waiting", "eu-west-1:1", "eu-west-1:9"));
    assert_eq!(rig.stored_cursor(CHAT), cursor("us-east-1:4"));
    assert!(matches!(rig.notices[..], [Notice::Waiting(_)]));
}

/// P8, G9: holes are bounded; joined ones ask for more than is missing, never for less.
#[test]
fn too_many_holes_are_joined_and_none_is_lost() {
    let mut stream = follow::Stream::new(twins::Twins::new(10, 10));
    for n in 0..100u64 {
        let reason = if n % 2 == 0 { "skipped" } else { "expired" }.parse().unwrap();
        let (from, to) = (cursor(&format!("us-east-1:{}", n)), cursor(&format!("us-east-1:{}", n + 1)));
        let stream_id = CHAT.parse().unwrap();
        stream.gap(&Gap { stream: stream_id, reason, from, to }, 8).unwrap();
    }
    assert!(stream.holes.len() <= 8);
    for seq in 1..=100 {
        assert!(stream.holes.iter().any(|hole| hole.after < seq && seq <= hole.upto), "{seq} is forgotten");
    }
}

/// E18: "caught up" is said only when everything known is here; a region that is behind holds nothing back.
#[test]
fn caught_up_is_said_only_when_everything_known_is_here() {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    let id = rig.welcome(US);
    rig.frame(id, subscribed(CHAT, &cursor("us-east-1:1"), &cursor("eu-west-1:1,us-east-1:1")));
    assert_eq!(rig.state(), State::CatchingUp);
    rig.frame(id, events(CHAT, vec![event(US, 1)]));
    assert_eq!(rig.state(), State::Live, "what the region itself lacks never holds publishing");
    let caught_up = Notice::CaughtUp(CHAT.parse().unwrap());
    assert!(!rig.notices.contains(&caught_up));
    rig.frame(id, events(CHAT, vec![event(EU, 1)]));
    assert!(rig.notices.contains(&caught_up));
}

fn twin(origin: &str, seq: u64, stamp: u64, resend: bool) -> Event {
    let id = EventId::mint(WALL_MS, 99);
    Event { event_id: id, hlc: sterna_stream::Hlc::at(WALL_MS + stamp), resend, ..event(origin, seq) }
}

/// P10, E13: of twins the one with the smaller display position is shown, in either order of arrival.
#[test]
fn twins_are_shown_once_in_either_order() {
    let (early, late) = (twin(US, 1, 10, false), twin(EU, 1, 20, true));
    let (mut rig, id) = rig_at("");
    rig.frame(id, events(CHAT, vec![early.clone(), late.clone()]));
    assert_eq!(rig.shown(), [(US.into(), 1)]);
    assert_eq!(rig.stored_cursor(CHAT), cursor("eu-west-1:1,us-east-1:1"), "the hidden one moves the cursor");

    let (mut rig, id) = rig_at("");
    rig.frame(id, events(CHAT, vec![late.clone(), early]));
    assert_eq!(rig.shown(), [(EU.into(), 1), (US.into(), 1)]);
    let Some(Notice::Shown { hides, .. }) = rig.notices.last() else { panic!("{:?}", rig.notices) };
    assert_eq!(hides, &[twins::place_of(&late)], "the later twin gives way");
}

/// P10: equals of which none is marked are two events; so are equals with other content.
#[test]
fn only_marked_equals_are_twins() {
    let (mut rig, id) = rig_at("");
    let other = Event { payload: payload("other"), ..twin(EU, 2, 30, true) };
    rig.frame(id, events(CHAT, vec![twin(US, 1, 10, false), twin(EU, 1, 20, false), other]));
    assert_eq!(rig.shown().len(), 3);
}

/// P10, E13: twins are recognised over a restart of the application, from what is stored.
#[test]
fn twins_are_recognised_after_a_restart() {
    let (mut rig, id) = rig_at("");
    rig.frame(id, events(CHAT, vec![twin(US, 1, 10, false)]));
    let mut rig = Rig::with(config(), rig.storage.clone());
    rig.follow(CHAT);
    let id = rig.live(US);
    rig.frame(id, events(CHAT, vec![twin(EU, 1, 20, true)]));
    assert_eq!(rig.shown(), []);
}

/// E4, E13: one id with ever other contents is ever another event: an arrival is compared with its equals
/// alone, so that a thousand such cost what a thousand others cost.
#[test]
fn a_reused_id_is_compared_with_nothing() {
    let mut twins = twins::Twins::new(2_000, 2_000);
    for seq in 1..=1_000 {
        let event = twin(EU, seq, seq, seq % 2 == 0);
        let payload = payload(&seq.to_string());
        assert!(matches!(twins.add(&Event { payload, ..event }), twins::Shown::Yes { .. }));
    }
    assert_eq!(twins.most_equals(), 1);
}

/// G9: the memory of twins is bounded: far below the newest both are shown.
#[test]
fn the_memory_of_twins_is_bounded() {
    let mut twins = twins::Twins::new(4, 2);
    for seq in 1..100 {
        twins.add(&event(US, seq));
        twins.add(&Event { resend: true, ..event(EU, seq) });
    }
    let old = Event { resend: true, ..event(US, 1) };
    let again =
        Event { hlc: sterna_stream::Hlc::at(WALL_MS + 500), origin: EU.parse().unwrap(), seq: 500, ..old };
    assert_eq!(twins.add(&again), twins::Shown::Yes { late: false, hides: Vec::new() });
    let near = Event { resend: true, ..event(US, 99) };
    let near =
        Event { hlc: sterna_stream::Hlc::at(WALL_MS + 501), origin: EU.parse().unwrap(), seq: 501, ..near };
    assert_eq!(twins.add(&near), twins::Shown::No);
}

/// P10: an event above which something is shown already is reported as a late insertion.
#[test]
fn a_late_insertion_is_reported() {
    let (mut rig, id) = rig_at("");
    rig.frame(id, events(CHAT, vec![event(US, 1), event(US, 2)]));
    let early = Event { hlc: sterna_stream::Hlc::at(WALL_MS + 1), ..event(EU, 1) };
    rig.frame(id, events(CHAT, vec![early]));
    let late: Vec<bool> = rig
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Shown { late, .. } => Some(*late),
            _ => None,
        })
        .collect();
    assert_eq!(late, [false, false, true]);
}

/// P11: an event of an unknown kind is stored and moves the cursor like any other.
#[test]
fn an_unknown_kind_moves_the_cursor() {
    let (mut rig, id) = rig_at("");
    rig.frame(id, events(CHAT, vec![Event { kind: "of-the-future".parse().unwrap(), ..event(US, 1) }]));
    assert_eq!(rig.stored_cursor(CHAT), cursor("us-east-1:1"));
    assert_eq!(rig.state(), State::Live);
}

/// P4: the server is told only what is stored, at most every 5 s and before sleep.
#[test]
fn cursors_are_reported_after_storing_and_not_too_often() {
    let (mut rig, id) = rig_at("");
    let reports = |rig: &mut Rig| {
        let count = rig.sent.iter().filter(|(_, frame)| matches!(frame, ClientFrame::Cursor(_))).count();
        rig.sent.clear();
        count
    };
    for seq in 1..=10 {
        rig.frame(id, events(CHAT, vec![event(US, seq)]));
        rig.pass(1_000);
    }
    assert!((1..=3).contains(&reports(&mut rig)));
    rig.frame(id, events(CHAT, vec![event(US, 11)]));
    rig.give(Input::Background);
    assert_eq!(reports(&mut rig), 1, "going to sleep");
    let frame = events(CHAT, vec![event(US, 12)]);
    rig.machine.handle(rig.now, Input::Frame(id, Box::new(frame)));
    rig.give(Input::Background);
    assert_eq!(reports(&mut rig), 0, "nobody said that the 12th is stored");
}

/// P6: being added shows as an unasked `subscribed`, being removed as an `error` with the stream.
#[test]
fn mine_joins_and_leaves_by_itself() {
    let mine = Some(crate::config::Mine { tail: Some(20) });
    let mut rig = Rig::with(Config { mine, ..config() }, MemoryStorage::new(Device(7)));
    let id = rig.live(US);
    rig.frame(id, subscribed(CHAT, &cursor("us-east-1:1"), &cursor("us-east-1:1")));
    rig.frame(id, events(CHAT, vec![event(US, 1)]));
    assert_eq!(rig.shown().len(), 1);
    let error = Error::new(Reason::Forbidden).of_stream(CHAT);
    rig.frame(id, ServerFrame::Error(Box::new(error)));
    rig.frame(id, events(CHAT, vec![event(US, 2)]));
    assert_eq!(rig.shown().len(), 1);
    assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::Left { retry_after_ms: None, .. })));
}

/// P25: an error with a time to wait is followed by another `subscribe`, from the cursor.
#[test]
fn a_stream_refused_for_a_while_is_asked_for_again() {
    let (mut rig, id) = rig_at("us-east-1:4");
    let error = Error { retry_after_ms: Some(800), ..Error::new(Reason::PolicyStale).of_stream(CHAT) };
    rig.frame(id, ServerFrame::Error(Box::new(error)));
    rig.pass(799);
    assert!(rig.subscriptions(id).is_empty());
    rig.pass(1);
    assert_eq!(rig.subscriptions(id)[0].cursor, Some(cursor("us-east-1:4")));
}

/// G9: streams are bounded, and the application is told.
#[test]
fn one_stream_too_many_is_refused() {
    let mut rig = Rig::with(Config { streams: 1, ..config() }, MemoryStorage::new(Device(7)));
    rig.follow(CHAT);
    rig.follow("acme/chat/other");
    assert_eq!(rig.notices, [Notice::TooManyStreams("acme/chat/other".parse().unwrap())]);
    rig.give(Input::Unfollow(CHAT.parse().unwrap()));
    rig.follow(CHAT);
    assert_eq!(rig.notices.len(), 1, "a known one can be followed again");
}
