//! E29: each of the machine's limits, hit.

use super::takeover::PLACED_BYTES_MAX;
use super::*;

/// E8: a full queue concerns its stream alone: later records are skipped and read again, the commit stays
/// below them, publishes to it are answered `overloaded`, and other streams go on.
#[test]
fn a_hot_stream_is_skipped_and_read_again_and_blocks_nobody() {
    let mut script = Script::new(Limits { queue_records: 2, ..Limits::default() });
    let records: Vec<Record> = (0..6).map(|offset| new(offset, 1)).collect();
    script.feed(records.clone());
    script.feed([new(6, 2)]);
    assert!(script.machine.overloaded(&stream(1)) && !script.machine.overloaded(&stream(2)));
    script.answer_heads();
    let hot = script.put().unwrap();
    assert_eq!(hot.stamps.len(), 2);
    assert_eq!(script.stored().stream, stream(2));
    script.logged();
    script.answer_put(&hot, PutAnswer::Stored);
    script.logged();
    assert_eq!(script.machine.committed(), 2, "the first that was skipped");
    let mut from = 2;
    while let Some((start, upto)) = script.take(|action| match action {
        Action::Reread { from, upto } => Some((*from, *upto)),
        _ => None,
    }) {
        assert_eq!((start, upto), (from, 7));
        let page = records[from as usize..].iter().take(3).cloned().collect();
        script.hand(Input::Reread { records: page, next: (from + 3).min(7) });
        script.settle();
        from += 2;
    }
    assert!(!script.machine.overloaded(&stream(1)));
    assert_eq!(script.machine.committed(), 7);
    let counters = script.machine.counters();
    assert_eq!((counters.events, counters.overflows, counters.skipped), (7, 1, 4));
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let mut script = Script::new(Limits { queue_bytes: 40, ..Limits::default() });
    script.feed([new(0, 1), new(1, 1)]);
    assert!(script.machine.overloaded(&stream(1)), "two bodies of 33 bytes");
}

#[test]
fn feeding_pauses_while_too_much_is_held() {
    for limits in
        [Limits { held_records: 4, ..Limits::default() }, Limits { held_bytes: 4 * 33, ..Limits::default() }]
    {
        let mut script = Script::new(limits);
        script.feed((0..4).map(|offset| new(offset, offset as u32)));
        assert!(matches!(script.asked.pop(), Some(Action::Pause(true))));
        assert!(script.machine.overloaded(&stream(9)));
        script.settle();
        let paused = script.asked.iter().filter(|action| matches!(action, Action::Pause(_))).count();
        assert!(paused == 1 && !script.machine.overloaded(&stream(9)), "it goes on at half");
    }
}

#[test]
fn a_segment_is_bounded_in_events_and_bytes_and_always_takes_one() {
    for (limits, lengths) in [
        (Limits { segment_events: 2, ..Limits::default() }, [2, 1]),
        (Limits { segment_bytes: 2 * (33 + 12), ..Limits::default() }, [2, 1]),
        (Limits { segment_bytes: 10, ..Limits::default() }, [1, 1]),
    ] {
        let mut script = Script::new(limits);
        script.feed((0..3).map(|offset| new(offset, 1)));
        script.answer_heads();
        let segments = [script.stored(), script.stored()];
        assert_eq!(segments.map(|segment| segment.stamps.len()), lengths);
    }
}

#[test]
fn puts_wait_while_too_many_log_records_are_unacknowledged() {
    let mut script = Script::new(Limits { unacked_records: 2, ..Limits::default() });
    script.feed((0..4).map(|offset| new(offset, offset as u32)));
    script.answer_heads();
    script.stored();
    script.stored();
    assert!(script.put().is_none(), "no room");
    script.logged();
    assert!(script.put().is_some() && script.put().is_none());
}

/// E9, E29: a log that takes nothing for now delays a mark and gets no second one; room that comes is the
/// mark's turn, so that second acks need no pause of the load.
#[test]
fn a_mark_is_queued_under_any_load_and_one_at_a_time() {
    let mut script = Script::new(Limits { unacked_records: 2, ..Limits::default() });
    script.feed((0..4).map(|offset| new(offset, offset as u32)));
    script.answer_heads();
    script.stored();
    script.stored();
    let marks = |script: &Script| {
        let is_mark = |action: &&Action| matches!(action, Action::Produce { what: What::Mark, .. });
        script.asked.iter().filter(is_mark).count()
    };
    script.hand(Input::Tick { mark: script.machine.tip().map(|_| [1; 32]) });
    assert_eq!((marks(&script), script.machine.tip()), (0, None), "it waits for the log");
    script.hand(Input::Tick { mark: Some([2; 32]) });
    script.logged();
    assert_eq!(marks(&script), 1, "its turn is before what came later");
    assert!(script.machine.tip().is_some(), "the next one is due");
}

#[test]
fn reads_under_way_are_bounded() {
    let mut script = Script::new(Limits { reads: 2, ..Limits::default() });
    script.feed((0..5).map(|offset| new(offset, offset as u32)));
    let reads = |script: &Script| {
        script.asked.iter().filter(|action| matches!(action, Action::ReadHead { .. })).count()
    };
    assert_eq!(reads(&script), 2);
    script.hand(Input::Head { stream: stream(0), chain: vec![] });
    assert_eq!(reads(&script), 3);
}

#[test]
fn idle_streams_are_unloaded_and_loaded_again() {
    let mut script = Script::new(Limits { loaded_streams: 2, ..Limits::default() });
    for offset in 0..8 {
        script.feed([new(offset, offset as u32)]);
        script.settle();
    }
    assert!(script.machine.counters().unloaded >= 5, "{:?}", script.machine.counters());
    script.feed([new(8, 0)]);
    assert!(script.asked.iter().any(|action| matches!(action, Action::ReadHead { resume: 8, .. })));
}

/// E21: a checkpoint's index is bounded; a full one is put before its second is over.
#[test]
fn a_full_index_makes_a_checkpoint_of_its_own() {
    let mut script =
        Script::new(Limits { checkpoint_bytes: 2 * 40 + PLACED_BYTES_MAX - 1, ..Limits::default() });
    script.feed((0..4).map(|offset| new(offset, offset as u32)));
    script.settle();
    let [first, second] = [script.checkpoint().unwrap(), script.checkpoint().unwrap()];
    assert_eq!([first.number, second.number], [1, 2]);
    assert_eq!([first.index.len(), second.index.len()], [2, 2]);
    assert_eq!([first.log.at.n, second.log.at.n], [2, 4]);
}

/// E21, E29: a newer term is looked for with each second's checkpoint and after so many log records, one look
/// at a time; met, it ends the machine.
#[test]
fn a_newer_term_is_looked_for_and_ends_the_machine() {
    let limits = Limits { term_records: 3, segment_events: 1, ..Limits::default() };
    let mut script = Script::new(limits);
    let asked = |script: &mut Script| {
        let ask = |action: &Action| matches!(action, Action::ReadTerm).then_some(());
        std::iter::from_fn(|| script.take(ask)).count()
    };
    script.hand(Input::Tick { mark: Some([1; 32]) });
    script.hand(Input::Tick { mark: Some([2; 32]) });
    assert_eq!(asked(&mut script), 1, "one look at a time");
    script.hand(Input::Term { newer: false });
    script.feed([new(0, 1), new(1, 2), new(2, 3), new(3, 4)]);
    script.answer_heads();
    while let Some(segment) = script.put() {
        let stream = segment.stream.clone();
        script.hand(Input::Put { stream, answer: PutAnswer::Stored });
    }
    assert_eq!(asked(&mut script), 1, "four records and two marks");
    script.hand(Input::Term { newer: true });
    assert!(script.take(|action| matches!(action, Action::Restart).then_some(())).is_some());
    script.hand(Input::Tick { mark: Some([3; 32]) });
    assert_eq!(asked(&mut script), 0, "it has ended");
}

/// E29: where a partition's ids stand in its window is its salt's doing: who does not know that cannot choose
/// ids that stand in each other's way.
#[test]
fn a_partitions_ids_stand_where_its_salt_puts_them() {
    let places = |salt| {
        let mut script = Script::salted(0, Limits::default(), salt);
        script.feed((0..64).map(|offset| new(offset, 1)));
        script.settle();
        let places = script.machine.window().places();
        assert_eq!(places.len(), 64);
        places
    };
    assert_eq!(places(7), places(7));
    assert_ne!(places(7), places(8));
}
