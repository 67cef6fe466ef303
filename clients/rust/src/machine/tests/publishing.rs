//! The outbox: ids, marks, order, acks, bounds.

use super::*;
use crate::config::ACK_MS;

fn live() -> (Rig, SocketId) {
    let mut rig = Rig::new();
    rig.follow(CHAT);
    let id = rig.live(US);
    (rig, id)
}

/// P12, E7: an id is minted at the first attempt, from the server's clock, and stored before it is sent.
#[test]
fn an_id_is_minted_when_first_sent_from_the_servers_clock() {
    let mut rig = Rig::new();
    rig.now.wall_ms = 1_000_000; // A device that believes in 1970.
    rig.publish(1, "written offline");
    rig.pass(3_600_000);
    let id = rig.live(US);
    rig.now.wall_ms += 40;
    rig.now.mono_ms += 40;
    rig.publish(2, "written online");
    let sent = rig.published(id);
    assert_eq!(sent[0].event_id.time_ms(), WALL_MS);
    assert_eq!(sent[1].event_id.time_ms(), WALL_MS + 40);
    assert!(!sent[0].resend && !sent[1].resend);
    let stored = rig.storage.load().unwrap().outbox;
    assert_eq!(stored[&Key(1)].event_id, Some(sent[0].event_id));

    let actions = rig.machine.handle(rig.now, Input::Publish(Key(3), draft(CHAT, "x")));
    let send = actions.iter().position(|action| matches!(action, Action::Send(..))).unwrap();
    let minted = |action: &Action| matches!(action, Action::Store(Change::Queued(q)) if q.event_id.is_some());
    assert!(actions.iter().position(minted).unwrap() < send);
}

/// P13: without an ack for 10 s it is sent again, with its id and marked.
#[test]
fn a_retry_keeps_its_id_and_is_marked() {
    let (mut rig, id) = live();
    rig.publish(1, "hi");
    let first = rig.published(id).remove(0);
    rig.pass(ACK_MS / 2);
    rig.frame(id, ServerFrame::Ping);
    rig.pass(ACK_MS / 2 - 1);
    assert!(rig.published(id).is_empty());
    rig.pass(1);
    let again = rig.published(id);
    assert_eq!(again, [Publish { resend: true, ..first }]);
}

/// P13: in a new region what is left is sent again, marked, in order, after catching up and before anything
/// new.
#[test]
fn a_new_region_gets_the_rest_again_in_order() {
    let (mut rig, id) = live();
    for key in 1..=4 {
        rig.publish(key, "hi");
    }
    let sent = rig.published(id);
    // The second is safe; the third came back from us-east-1, which then dies with what it had.
    rig.frame(id, ack(&[sent[1].event_id], US, Durability::Global));
    rig.frame(id, events(CHAT, vec![sequenced(&sent[2], US, 1)]));
    rig.give(Input::Closed(id, 1006));
    rig.publish(5, "written meanwhile");
    rig.give(Input::Disconnect);
    let id = rig.welcome(EU);
    assert!(rig.published(id).is_empty(), "first the stream is caught up");
    rig.frame(id, subscribed(CHAT, &cursor(""), &cursor("")));
    let again = rig.published(id);
    let ids: Vec<EventId> = again.iter().map(|publish| publish.event_id).collect();
    assert_eq!(ids[..3], [sent[0].event_id, sent[2].event_id, sent[3].event_id]);
    let marks: Vec<bool> = again.iter().map(|publish| publish.resend).collect();
    assert_eq!(marks, [true, true, true, false]);
}

/// P13: what came back and is held by a region other than its origin is in two regions, and leaves the
/// outbox.
#[test]
fn what_another_region_holds_is_not_sent_again() {
    let (mut rig, id) = live();
    rig.publish(1, "hi");
    rig.publish(2, "ho");
    let sent = rig.published(id);
    rig.frame(id, events(CHAT, vec![sequenced(&sent[0], US, 1), sequenced(&sent[1], US, 2)]));
    rig.give(Input::Closed(id, 1006));
    rig.give(Input::Disconnect);
    let id = rig.welcome(EU);
    rig.frame(id, subscribed(CHAT, &cursor("us-east-1:1"), &cursor("us-east-1:1")));
    let again = rig.published(id);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].event_id, sent[1].event_id);
    // Its twin of the new region is on its way; the first one arrives by mirror, in a session of eu-west-1.
    rig.frame(id, events(CHAT, vec![sequenced(&sent[1], US, 2)]));
    assert_eq!(rig.outcomes(2).last(), Some(&Outcome::Safe));
    assert_eq!(rig.machine.queued(), 0);
    assert!(rig.storage.load().unwrap().outbox.is_empty());
}

/// P14: the first ack is told at once, the second lets go; with one region the first does.
#[test]
fn an_event_is_kept_until_its_second_ack_or_its_first() {
    let (mut rig, id) = live();
    rig.publish(1, "hi");
    let sent = rig.published(id).remove(0);
    rig.frame(id, ack(&[sent.event_id], US, Durability::Region));
    let accepted = Outcome::Accepted { region: US.parse().unwrap(), durability: Durability::Region };
    assert_eq!((rig.outcomes(1), rig.machine.queued()), (vec![accepted.clone()], 1));
    rig.pass(1_000);
    rig.frame(id, ack(&[sent.event_id], EU, Durability::Global));
    assert_eq!((rig.outcomes(1), rig.machine.queued()), (vec![accepted, Outcome::Safe], 0));

    let mut rig = Rig::with(Config { keep_until: None, ..config() }, MemoryStorage::new(Device(7)));
    let id = rig.open();
    rig.give(Input::Opened(id));
    rig.frame(id, welcome_with(US, |welcome| welcome.endpoints.truncate(1)));
    rig.publish(1, "hi");
    let sent = rig.published(id).remove(0);
    rig.frame(id, ack(&[sent.event_id], US, Durability::SingleCopy));
    assert_eq!(rig.machine.queued(), 0, "one configured region: the first ack is the last word");
}

/// Section 13: a full outbox gives up its oldest accepted event, counted and told, and never an unacked one.
#[test]
fn a_full_outbox_gives_up_accepted_events_only() {
    let config = Config { outbox_events: 3, ..config() };
    let mut rig = Rig::with(config, MemoryStorage::new(Device(7)));
    rig.follow(CHAT);
    let id = rig.live(US);
    for key in 1..=3 {
        rig.publish(key, "hi");
    }
    let sent = rig.published(id);
    rig.publish(4, "no room");
    assert_eq!((rig.outcomes(4), rig.machine.queued()), (vec![Outcome::Full], 3));
    rig.frame(id, ack(&[sent[1].event_id, sent[2].event_id], US, Durability::Region));
    rig.publish(5, "room");
    assert_eq!(rig.outcomes(2).last(), Some(&Outcome::GivenUp), "the oldest accepted one, not the oldest");
    assert_eq!(rig.outcomes(1), []);
    assert_eq!((rig.machine.given_up(), rig.machine.queued()), (1, 3));
    let stored = rig.storage.load().unwrap().outbox;
    assert_eq!(stored.keys().map(|key| key.0).collect::<Vec<_>>(), [1, 3, 5]);
}

/// Section 13: bytes are bounded as events are.
#[test]
fn the_outbox_is_bounded_in_bytes() {
    let config = Config { outbox_bytes: 10, ..config() };
    let mut rig = Rig::with(config, MemoryStorage::new(Device(7)));
    rig.publish(1, "1234");
    rig.publish(2, "12345");
    assert_eq!(rig.outcomes(2), [Outcome::Full]);
    rig.publish(3, "12");
    assert_eq!(rig.outcomes(3), []);
}

/// P15: at most `max_in_flight` without an ack; the next goes out with the next ack.
#[test]
fn the_window_of_unacked_publishes_is_kept() {
    let (mut rig, id) = live();
    for key in 1..=40 {
        rig.publish(key, "hi");
    }
    let sent = rig.published(id);
    assert_eq!(sent.len(), 32);
    rig.frame(id, ack(&[sent[5].event_id, sent[6].event_id], US, Durability::Region));
    assert_eq!(rig.published(id).len(), 2);
}

/// P22: the announced rate is kept, so that pipelined events are not refused out of order.
#[test]
fn the_rate_of_publishes_is_kept() {
    let (mut rig, id) = live();
    for key in 1..=100 {
        rig.publish(key, "hi");
        let ids: Vec<EventId> = rig.published(id).iter().map(|publish| publish.event_id).collect();
        assert_eq!(ids.is_empty(), key > 60, "{key}");
        rig.frame(id, ack(&ids, US, Durability::Region));
    }
    rig.pass(1_000);
    assert_eq!(rig.published(id).len(), 20);
}

/// P22: a refusal for a while stops its stream and no other; then it goes on in order.
#[test]
fn a_rate_limit_stops_one_stream_and_keeps_its_order() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    let first = rig.published(id).remove(0);
    rig.frame(id, refusal(Reason::RateLimited, first.event_id, Some(800)));
    rig.publish(2, "b");
    rig.give(Input::Publish(Key(3), draft("acme/chat/other", "c")));
    let others = rig.published(id);
    assert_eq!((others.len(), others[0].stream.as_str()), (1, "acme/chat/other"));
    rig.pass(799);
    assert!(rig.published(id).is_empty());
    rig.pass(1);
    let texts: Vec<Payload> = rig.published(id).into_iter().map(|publish| publish.payload).collect();
    assert_eq!(texts, [payload("a"), payload("b")]);
}

/// Section 6: `region_leaving` stops publishing here; a new session goes on at once.
#[test]
fn a_leaving_region_gets_nothing_more() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    let first = rig.published(id).remove(0);
    rig.frame(id, refusal(Reason::RegionLeaving, first.event_id, None));
    rig.give(Input::Publish(Key(2), draft("acme/chat/other", "c")));
    assert!(rig.published(id).is_empty());
    rig.give(Input::Closed(id, 4000));
    let id = rig.live(EU);
    assert_eq!(rig.published(id).len(), 2);
}

/// Section 6: without a time to wait a refusal is final.
#[test]
fn a_final_refusal_is_told_and_forgotten() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    let sent = rig.published(id).remove(0);
    rig.frame(id, refusal(Reason::Forbidden, sent.event_id, None));
    let refused = Outcome::Refused { code: Reason::Forbidden.into(), detail: None };
    assert_eq!((rig.outcomes(1), rig.machine.queued()), (vec![refused], 0));
    assert_eq!(rig.state(), State::Live);
}

/// An id refused for its time, by a server that says what time it is.
fn untimely(reason: Reason, id: EventId, time_unix_ms: u64) -> ServerFrame {
    let error = Error { time_unix_ms: Some(time_unix_ms), ..Error::new(reason).of_event(&id.to_string()) };
    ServerFrame::Error(Box::new(error))
}

/// P12, E7: a refusal for an id's time corrects the clock: what was refused is sent once more under a new id
/// from that time, in order, and what follows has such ids, too.
#[test]
fn a_refused_id_corrects_the_clock_and_is_minted_anew() {
    for (reason, time) in
        [(Reason::BadEventId, WALL_MS - 3_600_000), (Reason::IdTooOld, WALL_MS + 90_000_000)]
    {
        let (mut rig, id) = live();
        rig.publish(1, "a");
        rig.publish(2, "b");
        let refused = rig.published(id);
        rig.frame(id, untimely(reason, refused[0].event_id, time));
        rig.frame(id, untimely(reason, refused[1].event_id, time));
        rig.publish(3, "c");
        let sent = rig.published(id);
        let texts: Vec<&str> = sent.iter().map(|publish| publish.payload.as_str()).collect();
        assert_eq!(texts, [r#""a""#, r#""b""#, r#""c""#], "{reason:?}");
        assert!(sent.iter().all(|publish| publish.event_id.time_ms() == time && !publish.resend));
        let stored = rig.storage.load().unwrap().outbox;
        assert_eq!(stored[&Key(1)].event_id, Some(sent[0].event_id));
        assert_eq!((rig.outcomes(1), rig.outcomes(3)), (vec![], vec![]));

        // A server that refuses that, too, is believed.
        rig.frame(id, untimely(reason, sent[0].event_id, time));
        let refused = Outcome::Refused { code: reason.into(), detail: None };
        assert_eq!((rig.outcomes(1), rig.published(id).len()), (vec![refused], 0));
        rig.frame(id, ack(&[sent[1].event_id], US, Durability::Region));
        let outcomes = rig.outcomes(2);
        assert!(matches!(outcomes.as_slice(), [Outcome::Accepted { .. }]), "{outcomes:?}");
    }
}

/// P17: what was sent before may have been taken then: it gets no other id, whatever is wrong with its own.
#[test]
fn an_id_of_unknown_outcome_is_never_minted_anew() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    rig.give(Input::Closed(id, 1006));
    let id = rig.live(US);
    let again = rig.published(id).pop().unwrap();
    rig.frame(id, untimely(Reason::BadEventId, again.event_id, WALL_MS - 3_600_000));
    assert_eq!((rig.outcomes(1), rig.published(id).len()), (vec![Outcome::Unknown], 0));
}

/// P17: an outcome unknown for longer than the window is looked up, never sent again.
#[test]
fn an_unknown_outcome_past_the_window_is_looked_up() {
    let (mut rig, _) = live();
    rig.publish(1, "a");
    rig.give(Input::Disconnect);
    rig.sent.clear();
    rig.now.mono_ms += 86_400_001;
    let id = rig.open();
    rig.give(Input::Opened(id));
    rig.frame(id, welcome_with(US, |welcome| welcome.time_unix_ms = WALL_MS + 86_400_001));
    rig.answer(id);
    assert!(rig.published(id).is_empty());
    assert_eq!(rig.outcomes(1), [Outcome::Unknown]);
    rig.give(Input::Resolve { key: Key(1), found: false });
    assert_eq!((rig.outcomes(1).pop(), rig.machine.queued()), (Some(Outcome::Lost), 0));

    // The server's word counts too, where it was sent before.
    let (mut rig, id) = live();
    rig.publish(1, "a");
    rig.give(Input::Closed(id, 1006));
    let id = rig.live(US);
    let again = rig.published(id).pop().unwrap();
    assert!(again.resend);
    rig.frame(id, refusal(Reason::IdTooOld, again.event_id, None));
    assert_eq!(rig.outcomes(1), [Outcome::Unknown]);
    rig.give(Input::Resolve { key: Key(1), found: true });
    assert_eq!(rig.outcomes(1).pop(), Some(Outcome::Safe));
}

/// P16: `seen` is what the author was shown when it was written.
#[test]
fn seen_is_what_was_shown_when_it_was_written() {
    let (mut rig, id) = live();
    rig.frame(id, events(CHAT, vec![event(US, 1)]));
    rig.give(Input::Closed(id, 1006));
    rig.publish(1, "a");
    let id = rig.live(US);
    rig.frame(id, events(CHAT, vec![event(US, 2)]));
    assert_eq!(rig.published(id)[0].seen, Some(event(US, 1).hlc));
}

/// E7: after a crash what has an id may have been sent, and is marked.
#[test]
fn a_crash_between_storing_and_sending_costs_a_mark_and_nothing_else() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    let sent = rig.published(id).remove(0);
    let mut rig = Rig::with(config(), rig.storage.clone());
    rig.publish(2, "b");
    let id = rig.live(US);
    let again = rig.published(id);
    assert_eq!((again[0].event_id, again[0].resend), (sent.event_id, true));
    assert!(!again[1].resend);
}

/// E4: other content under our id, or another's use of it, is not ours.
#[test]
fn a_strangers_event_under_our_id_releases_nothing() {
    let (mut rig, id) = live();
    rig.publish(1, "a");
    let sent = rig.published(id).remove(0);
    let stranger = Event { author: "bo".parse().unwrap(), ..sequenced(&sent, EU, 1) };
    let other = Event { payload: payload("b"), ..sequenced(&sent, EU, 2) };
    rig.frame(id, events(CHAT, vec![stranger, other]));
    assert_eq!((rig.outcomes(1), rig.machine.queued()), (vec![], 1));
    rig.frame(id, events(CHAT, vec![sequenced(&sent, EU, 3)]));
    assert_eq!((rig.outcomes(1).pop(), rig.machine.queued()), (Some(Outcome::Safe), 0));
}

/// P23: `typing` at most every 3 s a stream, nothing without a session.
#[test]
fn typing_is_sent_every_three_seconds_at_most() {
    let typing = || {
        let (stream, kind) = (CHAT.parse().unwrap(), "typing".parse().unwrap());
        Input::Ephemeral(Ephemeral { stream, user: None, kind, payload: None })
    };
    let mut rig = Rig::new();
    rig.give(typing());
    assert!(rig.sent.is_empty());
    rig.live(US);
    rig.sent.clear();
    for _ in 0..4 {
        rig.give(typing());
        rig.pass(1_000);
    }
    assert_eq!(rig.sent.len(), 2);
}
