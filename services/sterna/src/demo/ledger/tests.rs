//! The ledger bites: each broken promise, made on purpose, is a failure.

use sterna_stream::Hlc;

use super::*;

const MEMBERS: [DeviceNumber; 3] = [1, 2, 3];

fn room() -> StreamId {
    "demo/chat/room".parse().unwrap()
}

const BY_ONE: Author = Author { device: 1, region: 0 };

fn place(seq: u64) -> Place {
    Place { hlc: Hlc::at(seq), origin: "us-east-1".parse().unwrap(), seq }
}

fn show(ledger: &mut Ledger, device: DeviceNumber, label: Label, seq: u64) {
    let shown = Shown { place: place(seq), late: false, region: 1, now: Instant::now(), calm: true };
    ledger.shown(device, &room(), label, shown);
}

/// Ten events by device 1, acked; device 1 shows all of them.
fn sent() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.room(room(), MEMBERS);
    for label in 1..=10 {
        ledger.sent(label, &room(), BY_ONE, Instant::now(), true);
        ledger.acked(label, Instant::now(), true);
        show(&mut ledger, 1, label, label);
    }
    ledger
}

/// Device 2 shows all, device 3 what is left for the test.
fn all_but_the_third() -> Ledger {
    let mut ledger = sent();
    (1..=10).for_each(|label| show(&mut ledger, 2, label, label));
    ledger
}

#[test]
fn what_everybody_shows_once_and_in_order_holds() {
    let mut ledger = all_but_the_third();
    assert!(ledger.unsettled_since().is_some() && !ledger.is_settled());
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    let good = Verdict { sent: 10, acked: 10, delivered: 30, ..Verdict::default() };
    assert_eq!((ledger.verdict(), ledger.is_settled()), (good, true));
    assert!(good.holds());
    assert_eq!(ledger.counts(), (10, 10, 30));
    let pairs: Vec<_> = ledger.delivery.iter().map(|(pair, latencies)| (*pair, latencies.len())).collect();
    assert_eq!(pairs, [((0, 1), 20)], "authors are not delivered to");
}

/// G2: one acked event that one device never showed.
#[test]
fn a_lost_event_is_a_failure() {
    let mut ledger = all_but_the_third();
    (1..=10).filter(|label| *label != 7).for_each(|label| show(&mut ledger, 3, label, label));
    assert_eq!(ledger.verdict().lost, 1);
    assert!(!ledger.verdict().holds());
}

/// G3: shown again, at its own place or at another.
#[test]
fn an_event_shown_twice_is_a_failure() {
    for again_at in [10, 11] {
        let mut ledger = all_but_the_third();
        (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
        show(&mut ledger, 3, 10, again_at);
        assert_eq!(ledger.verdict().shown_twice, 1);
        assert!(!ledger.verdict().holds());
    }
}

/// G4: two devices that show the same events in different orders, or one that shows one above others without
/// saying so.
#[test]
fn another_order_is_a_failure() {
    let mut ledger = all_but_the_third();
    for (label, seq) in [(1, 1), (3, 2), (2, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (10, 10)] {
        show(&mut ledger, 3, label, seq);
    }
    assert_eq!(ledger.verdict().reordered, 4, "two events and two places");
    assert!(!ledger.verdict().holds());

    let mut ledger = all_but_the_third();
    for label in [1, 3, 2, 4, 5, 6, 7, 8, 9, 10] {
        show(&mut ledger, 3, label, label);
    }
    assert_eq!(ledger.verdict().reordered, 1);
    assert!(!ledger.verdict().holds());
}

#[test]
fn a_late_insertion_that_is_announced_is_none() {
    let mut ledger = all_but_the_third();
    for label in [1, 3, 2, 4, 5, 6, 7, 8, 9, 10] {
        let shown =
            Shown { place: place(label), late: label == 2, region: 1, now: Instant::now(), calm: true };
        ledger.shown(3, &room(), label, shown);
    }
    assert!(ledger.verdict().holds());
}

/// Twins: the later one is taken off the screen when the earlier comes.
#[test]
fn a_twin_that_is_hidden_again_was_not_shown_twice() {
    let mut ledger = all_but_the_third();
    (1..=9).for_each(|label| show(&mut ledger, 3, label, label));
    show(&mut ledger, 3, 10, 12);
    ledger.hidden(3, &room(), &[place(12)]);
    show(&mut ledger, 3, 10, 10);
    assert_eq!(ledger.verdict().delivered, 30);
    assert!(ledger.verdict().holds());
    // Hidden and never shown again is lost.
    ledger.hidden(3, &room(), &[place(10)]);
    assert_eq!(ledger.verdict().lost, 1);
}

/// E9: where there are other regions, every acked event is known in another one at the end.
#[test]
fn an_acked_event_without_a_second_ack_is_a_failure_where_there_are_other_regions() {
    let mut ledger = all_but_the_third();
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    assert!(ledger.verdict().holds(), "a region alone has nobody to tell it");
    ledger.several_regions = true;
    (1..=9).for_each(|label| ledger.safe(label));
    ledger.safe(4);
    let Verdict { safe, alone, .. } = ledger.verdict();
    assert_eq!((safe, alone, ledger.verdict().holds()), (9, 1, false));
    ledger.safe(10);
    assert_eq!((ledger.verdict().alone, ledger.verdict().holds()), (0, true));
}

#[test]
fn what_nobody_sent_there_is_a_failure() {
    let mut ledger = all_but_the_third();
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    show(&mut ledger, 3, 99, 11);
    let other: StreamId = "demo/chat/other".parse().unwrap();
    ledger.room(other.clone(), MEMBERS);
    let shown = Shown { place: place(1), late: false, region: 1, now: Instant::now(), calm: true };
    ledger.shown(3, &other, 1, shown);
    assert_eq!(ledger.verdict().invented, 2);
    assert!(!ledger.verdict().holds());
}

#[test]
fn an_event_without_an_answer_is_a_failure_and_a_refused_one_is_none() {
    let mut ledger = all_but_the_third();
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    ledger.sent(11, &room(), BY_ONE, Instant::now(), true);
    assert_eq!((ledger.verdict().unanswered, ledger.is_settled()), (1, false));
    assert!(!ledger.verdict().holds());
    ledger.refused(11);
    assert_eq!((ledger.verdict().refused, ledger.is_settled()), (1, true));
    assert!(ledger.verdict().holds());
    assert!(!Ledger::default().verdict().holds(), "a run without events shows nothing");
}

/// What a killed device still had stored must arrive; what it had not stored may be gone.
#[test]
fn only_what_a_killed_device_had_not_stored_may_be_missing() {
    let mut ledger = all_but_the_third();
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    for label in [11, 12, 13] {
        ledger.sent(label, &room(), BY_ONE, Instant::now(), true);
    }
    ledger.killed(2, &BTreeSet::new());
    assert_eq!(ledger.verdict().unanswered, 3, "another device's");
    ledger.killed(1, &BTreeSet::from([11]));
    assert_eq!((ledger.verdict().unanswered, ledger.verdict().unsaved), (1, 2));
    show(&mut ledger, 1, 12, 11);
    assert_eq!((ledger.verdict().unsaved, ledger.verdict().lost), (1, 2), "it was sent after all");
}

/// A run without an end keeps so many events, judges the older ones when they are settled, and still sees one
/// of those shown again.
#[test]
fn what_is_settled_and_old_is_judged_and_forgotten() {
    let mut ledger = all_but_the_third();
    (1..=10).for_each(|label| show(&mut ledger, 3, label, label));
    let before = ledger.verdict();
    ledger.forget(4);
    assert_eq!(ledger.events.len(), 4);
    assert!(ledger.rooms[&room()].devices.values().all(|s| s.shown.len() == 4 && s.times.len() == 4));
    assert_eq!(ledger.verdict(), Verdict { judged_early: 6, ..before });
    assert_eq!((ledger.counts(), ledger.is_settled()), ((10, 10, 30), true));
    show(&mut ledger, 2, 3, 3);
    let verdict = ledger.verdict();
    assert_eq!((verdict.shown_twice, verdict.holds()), (1, false), "one that was forgotten came again");
}

/// What is not on every screen is kept, however old it is: it may still turn out to be lost.
#[test]
fn what_is_not_settled_is_not_forgotten() {
    let mut ledger = all_but_the_third();
    (1..=10).filter(|label| *label != 3).for_each(|label| show(&mut ledger, 3, label, label));
    ledger.forget(0);
    assert_eq!(ledger.events.keys().copied().collect::<Vec<_>>(), (3..=10).collect::<Vec<_>>());
    assert_eq!((ledger.verdict().lost, ledger.verdict().judged_early), (1, 2));
}

/// G4: two screens that differ are seen also when the event is forgotten.
#[test]
fn a_difference_is_judged_before_it_is_forgotten() {
    let mut ledger = all_but_the_third();
    (1..=8).for_each(|label| show(&mut ledger, 3, label, label));
    show(&mut ledger, 3, 10, 9);
    show(&mut ledger, 3, 9, 10);
    ledger.forget(0);
    assert!(ledger.events.is_empty());
    assert!(ledger.verdict().reordered > 0, "{:?}", ledger.verdict());
}
