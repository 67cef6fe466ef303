use super::*;

fn session(slot: u32) -> SessionId {
    SessionId { slot, generation: 1 }
}

fn id(n: u128) -> EventId {
    EventId::mint(1, n)
}

fn place(partition: u32, offset: u64) -> Place {
    Place { partition, incarnation: 1, offset }
}

fn covered(acks: &mut SecondAcks, partition: u32, below: u64) -> Vec<(SessionId, Vec<EventId>)> {
    acks.covered(&v1::Covered { partition, incarnation: 1, below })
}

/// E9: the second ack follows when another region has the ingress up to behind it, and not before; once.
#[test]
fn a_second_ack_follows_when_the_offset_is_covered() {
    let mut acks = SecondAcks::default();
    for (offset, who, n) in [(4, 1, 1), (5, 2, 2), (9, 1, 3)] {
        assert_eq!(acks.taken(place(0, offset), id(n), session(who)), Then::Waits);
    }
    assert_eq!(covered(&mut acks, 0, 4), [], "what is covered is below");
    assert_eq!(covered(&mut acks, 1, 99), [], "another partition says nothing");
    assert_eq!(covered(&mut acks, 0, 6), [(session(1), vec![id(1)]), (session(2), vec![id(2)])]);
    assert_eq!(covered(&mut acks, 0, 6), [], "once");
    assert_eq!(covered(&mut acks, 0, 10), [(session(1), vec![id(3)])]);
    assert!(acks.waiting.is_empty() && acks.sessions.is_empty());
}

/// E9: that it is covered may be known before its first ack comes, and is not taken back by an instance that
/// knows less.
#[test]
fn what_is_covered_already_is_acked_at_once() {
    let mut acks = SecondAcks::default();
    covered(&mut acks, 0, 10);
    covered(&mut acks, 0, 3);
    assert_eq!(acks.taken(place(0, 9), id(1), session(1)), Then::Covered);
    assert_eq!(acks.taken(place(0, 10), id(2), session(1)), Then::Waits);
    assert!(acks.asked(place(0, 9)).is_none());
}

/// E9: an event sent twice stands twice in the ingress: a proven duplicate gets both acks again.
#[test]
fn a_repeat_gets_a_second_ack_of_its_own() {
    let mut acks = SecondAcks::default();
    acks.taken(place(0, 1), id(1), session(1));
    acks.taken(place(0, 2), id(1), session(1));
    assert_eq!(covered(&mut acks, 0, 2), [(session(1), vec![id(1)])]);
    assert_eq!(covered(&mut acks, 0, 3), [(session(1), vec![id(1)])]);
}

/// E1: offsets of two lives of a region are never compared; what waits from an earlier life is forgotten.
#[test]
fn an_earlier_incarnation_is_not_covered_by_a_later_ones_offsets() {
    let mut acks = SecondAcks::default();
    acks.taken(place(0, 5), id(1), session(1));
    assert_eq!(acks.covered(&v1::Covered { partition: 0, incarnation: 2, below: 9 }), []);
    assert!(acks.waiting.is_empty());
    let new = Place { incarnation: 2, ..place(0, 20) };
    assert_eq!(acks.taken(new, id(2), session(1)), Then::Waits);
    assert_eq!(covered(&mut acks, 0, 99), [], "the earlier life's state says what it likes");
    let told = acks.covered(&v1::Covered { partition: 0, incarnation: 2, below: 21 });
    assert_eq!(told, [(session(1), vec![id(2)])]);
}

#[test]
fn a_session_that_closed_is_forgotten() {
    let mut acks = SecondAcks::default();
    acks.taken(place(0, 1), id(1), session(1));
    acks.taken(place(0, 2), id(2), session(2));
    acks.closed(session(1));
    assert_eq!((acks.waiting.len(), acks.sessions.len()), (1, 1));
    assert_eq!(covered(&mut acks, 0, 9), [(session(2), vec![id(2)])]);
}

/// E9: a request without a session waits in the same line, and may give up.
#[test]
fn a_request_is_told_or_gives_up() {
    let mut acks = SecondAcks::default();
    let mut told = acks.asked(place(0, 1)).unwrap();
    let _left = acks.asked(place(0, 2)).unwrap();
    assert!(told.try_recv().is_err());
    covered(&mut acks, 0, 2);
    assert_eq!(told.try_recv(), Ok(()));
    acks.given_up(place(0, 2));
    assert!(acks.waiting.is_empty());
}

/// E29: at the bound nothing more waits, and that is counted; what is covered makes room.
#[test]
fn what_waits_is_bounded_and_what_finds_no_place_is_counted() {
    let mut acks = SecondAcks::default();
    for offset in 0..SECOND_ACKS as u64 {
        assert_eq!(acks.taken(place(0, offset), id(1), session(1)), Then::Waits);
    }
    assert_eq!(acks.taken(place(1, 0), id(2), session(2)), Then::Forgotten);
    assert!(acks.asked(place(1, 0)).unwrap().try_recv().is_err(), "a request is told nothing either");
    assert_eq!((acks.take_forgotten(), acks.take_forgotten()), (2, 0));
    covered(&mut acks, 0, 1);
    assert_eq!(acks.taken(place(1, 0), id(2), session(2)), Then::Waits);
}
