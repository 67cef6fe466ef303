//! Takeover, puts, adoption, duplicates, the log's numbers.

use super::*;

/// E11: what arrives while a put is unconfirmed becomes the next segment, whole.
#[test]
fn one_put_is_unconfirmed_and_the_rest_waits_for_it() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1)]);
    script.answer_heads();
    script.feed([new(1, 1), new(4, 1)]);
    script.feed([new(5, 1)]);
    let first = script.put().unwrap();
    assert!(script.put().is_none());
    script.answer_put(&first, PutAnswer::Stored);
    let second = script.put().unwrap();
    assert_eq!((first.first, first.last(), second.first, second.last()), (1, 1, 2, 4));
    assert_eq!((second.from.offset, second.prefix), (5, first.prefix_after()));
    assert!(second.stamps[0] > first.max_hlc());
}

/// E11: streams of a partition run side by side; E12: the commit waits for the slowest of them.
#[test]
fn streams_run_in_parallel_and_the_commit_is_the_low_water_mark() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1), new(1, 2), new(7, 2)]);
    script.answer_heads();
    let slow = script.put().unwrap();
    script.stored();
    script.logged();
    assert_eq!(script.machine.committed(), 0, "offset 0 is not sequenced");
    script.answer_put(&slow, PutAnswer::Stored);
    assert_eq!(script.machine.committed(), 0, "nor logged");
    script.logged();
    assert_eq!(script.machine.committed(), 8);
}

/// E12: a put that timed out is put again, the same; finding it there is a confirmation.
#[test]
fn a_put_of_unknown_outcome_is_put_again_and_recognised() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1)]);
    script.answer_heads();
    let lost = script.put().unwrap();
    script.answer_put(&lost, PutAnswer::Unknown);
    let again = script.put().unwrap();
    assert_eq!(lost, again);
    script.answer_put(&again, PutAnswer::Found(lost.clone()));
    script.logged();
    assert_eq!(script.machine.committed(), 1);
    assert_eq!(script.machine.counters().adopted, 0);
}

/// E12: another writer's segment is in the way: it goes to the log before anything later of the stream,
/// settles what it covers, and the rest follows it.
#[test]
fn a_segment_in_the_way_is_adopted_and_logged_first() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1), new(3, 1), new(5, 1)]);
    script.answer_heads();
    let own = script.put().unwrap();
    let other = Arc::new(Segment {
        stamps: vec![Hlc::at(WALL_MS + 9), Hlc::at(WALL_MS + 10)].into(),
        bodies: own.bodies[..2].into(),
        from: crate::segment::Position { offset: 3, ..own.from },
        ..(*own).clone()
    });
    script.answer_put(&own, PutAnswer::Found(other.clone()));
    let (pos, _, logged) = script.produce().unwrap();
    assert_eq!((pos.n, logged), (1, Some(other.clone())));
    let rest = script.put().unwrap();
    assert_eq!((rest.first, rest.bodies.len(), rest.prefix), (3, 1, other.prefix_after()));
    assert!(rest.stamps[0] > other.max_hlc(), "head and stamp come from what was adopted");
    assert_eq!(rest.bodies[0], own.bodies[2], "what waits again has its body");
    script.hand(Input::Produced { pos, offset: Some(9) });
    assert_eq!(script.machine.committed(), 5, "offsets 0 and 3 are settled by it, 5 is not");
}

/// E10, E12: after a takeover, a record whose segment was put but perhaps not produced is not merely
/// recognised: the segment is produced again, and the record is settled when the log has it.
#[test]
fn a_replayed_record_is_settled_when_its_segment_is_logged_again() {
    let mut before = Script::new(Limits::default());
    before.feed([new(5, 1), new(6, 1)]);
    before.answer_heads();
    let put = before.stored();
    let mut script = Script::resumed(5, Limits::default());
    script.feed([new(5, 1), new(6, 1)]);
    assert!(matches!(script.asked[0], Action::ReadHead { resume: 5, .. }));
    script.hand(Input::Head { stream: stream(1), chain: vec![put.clone()] });
    assert_eq!(script.machine.committed(), 5);
    let (pos, _, logged) = script.produce().unwrap();
    assert_eq!(logged, Some(put));
    script.hand(Input::Produced { pos, offset: Some(0) });
    assert_eq!(script.machine.committed(), 7);
    assert!(script.put().is_none(), "and it is not sequenced twice");
}

/// E4, E13: a resend after its original, and an original after its resend, are one event; both are reported.
#[test]
fn duplicates_are_proven_in_either_order_and_reported() {
    let mut script = Script::new(Limits::default());
    script.feed([record(0, 1, 77, false), record(1, 1, 88, true)]);
    script.settle();
    script.feed([record(2, 1, 77, true), record(3, 1, 88, false)]);
    assert!(script.put().is_none());
    assert_eq!((script.duplicates(), script.machine.committed()), (2, 4));
    assert_eq!(script.machine.counters().late_originals, 1);
    let other = Record { content: ContentHash([2; 16]), ..record(4, 1, 77, true) };
    script.feed([other]);
    assert_eq!(script.stored().first, 3, "the same id with other content is another event");
    assert_eq!(script.machine.counters().reused_ids, 1);
}

/// E13: what the window does not reach is looked up in the chain; only this stream waits, and the answer
/// is remembered.
#[test]
fn a_resend_beyond_the_window_is_looked_up_while_other_streams_go_on() {
    let mut before = Script::new(Limits { segment_events: 1, ..Limits::default() });
    before.feed([record(0, 1, 77, false), record(1, 1, 78, false)]);
    before.answer_heads();
    let chain = [before.stored(), before.stored()];
    let mut script = Script::resumed(2, Limits::default());
    script.feed([record(2, 1, 77, true), new(3, 2)]);
    script.hand(Input::Head { stream: stream(1), chain: vec![chain[1].clone()] });
    script.answer_heads();
    assert_eq!(script.stored().stream, stream(2));
    let (since, below) = script
        .take(|action| match action {
            Action::ReadRange { since, below, .. } => Some((*since, *below)),
            _ => None,
        })
        .unwrap();
    assert!(since < chain[0].stamps[0] && below == chain[1].stamps[0]);
    script.hand(Input::Range { stream: stream(1), segments: vec![chain[0].clone()], complete: true });
    assert_eq!((script.duplicates(), script.machine.counters().looks), (1, 1));
    script.feed([record(4, 1, 77, true)]);
    assert_eq!((script.duplicates(), script.machine.counters().looks), (2, 1), "remembered");
}

/// E21: numbers are dense, the first names what it continues, marks are numbered, and a checkpoint claims
/// what was acknowledged and no more.
#[test]
fn a_checkpoint_claims_only_what_the_log_acknowledged() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1), new(1, 2)]);
    script.answer_heads();
    let (first, second) = (script.stored(), script.stored());
    let (pos, hash) = script.machine.tip().unwrap();
    assert_eq!(pos, LogPos { term: 1, n: 3 });
    let expected = LogHash::START.extend(1, &first.prefix_after().0).extend(2, &second.prefix_after().0);
    assert_eq!(hash, expected);
    script.hand(Input::Tick { mark: Some(LogHash::of_bytes(b"a mark")) });
    let nothing = script.checkpoint().unwrap();
    assert_eq!((nothing.number, nothing.log.at.n, nothing.resume, nothing.index.len()), (1, 0, 0, 0));
    let (pos, continues, _) = script.produce().unwrap();
    assert_eq!(continues, Some(LogPos::default()));
    script.hand(Input::Produced { pos, offset: Some(70) });
    assert_eq!(script.logged().n, 2);
    script.hand(Input::Tick { mark: Some(LogHash::of_bytes(b"another")) });
    let both = script.checkpoint().unwrap();
    assert_eq!((both.number, both.log.at.n, both.log.hash, both.resume), (2, 2, expected, 2));
    let named = |n, segment: &Segment| Placed {
        n,
        what: Logged::Segment { stream: segment.stream.clone(), first: segment.first },
    };
    assert_eq!((both.index, both.log.offset), (vec![named(1, &first), named(2, &second)], 102));
    let (pos, _, mark) = script.produce().unwrap();
    assert!(mark.is_none(), "the mark is number 3");
    script.hand(Input::Produced { pos, offset: Some(103) });
    script.hand(Input::Tick { mark: Some(LogHash::of_bytes(b"a third")) });
    let own = LogHash::of_bytes(b"a mark");
    assert_eq!(script.checkpoint().unwrap().index, [Placed { n: 3, what: Logged::Other { own } }]);
}

/// E12: a failed produce has one way out: take over again; a stale generation ends quietly.
#[test]
fn a_failed_produce_restarts_and_a_stale_generation_stops() {
    let mut script = Script::new(Limits::default());
    script.feed([new(0, 1)]);
    script.answer_heads();
    script.stored();
    let (pos, ..) = script.produce().unwrap();
    script.hand(Input::Produced { pos, offset: None });
    assert!(matches!(script.asked.pop(), Some(Action::Restart)));
    script.asked.clear();
    script.feed([new(1, 1)]);
    script.hand(Input::Revoked);
    assert!(script.asked.is_empty() && script.machine.tip().is_none(), "it has ended");
    let mut stale = Script::new(Limits::default());
    stale.hand(Input::Revoked);
    assert!(matches!(stale.asked[..], [Action::Stop(Why::Stale)]));
}

/// A chain with a hole, or with other bytes than were hashed, is an error and not data.
#[test]
fn a_broken_chain_stops_the_partition() {
    let mut before = Script::new(Limits { segment_events: 1, ..Limits::default() });
    before.feed([new(0, 1), new(1, 1), new(2, 1)]);
    before.answer_heads();
    let chain = [before.stored(), before.stored(), before.stored()];
    let forged = Arc::new(Segment { prefix: Default::default(), ..(*chain[1]).clone() });
    for (broken, why) in [
        (vec![chain[0].clone(), chain[2].clone()], invariants::Broken::Gap { expected: 2, found: 3 }),
        (vec![chain[0].clone(), forged], invariants::Broken::Fork(2)),
    ] {
        let mut script = Script::new(Limits::default());
        script.feed([new(0, 1)]);
        script.hand(Input::Head { stream: stream(1), chain: broken });
        let Some(Action::Stop(Why::Chain(_, found))) = script.asked.pop() else { panic!("it goes on") };
        assert_eq!(found, why);
    }
}
