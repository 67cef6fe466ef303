#![allow(clippy::unwrap_used)]

use super::*;

fn record(term: u64, n: u64) -> Counted {
    Counted { pos: LogPos { term, n }, continues: None, own: [n as u8; 32], before: None }
}

/// The log's end after `numbers` of term 4 behind `start`.
fn hash(start: LogHash, numbers: impl IntoIterator<Item = u64>) -> LogHash {
    numbers.into_iter().fold(start, |hash, n| hash.extend(n, &[n as u8; 32]))
}

fn checkpoint() -> Checkpoint {
    let at = LogPos { term: 4, n: 10 };
    let log = LogEnd { at, hash: hash(LogHash::START, 1..=10), offset: 100 };
    Checkpoint { term: 4, number: 7, resume: 50, log, index: vec![] }
}

fn found(log: impl IntoIterator<Item = Counted>) -> Evidence {
    let mut tail = Tail::from(Some(&checkpoint()));
    (100..).zip(log).for_each(|(offset, record)| tail.read(&record, None, offset));
    let place = Place { origin: "us-east-1".parse().unwrap(), incarnation: 1, partition: 3 };
    Evidence { place, checkpoint: Some(checkpoint()), ingress: 0..200, log: tail }
}

/// E10, E21: the term is raised, the log is continued where it ends, the ingress where the checkpoint says.
#[test]
fn a_takeover_goes_on_where_the_last_term_ended() {
    let log = [record(4, 10), record(4, 11), record(4, 12)];
    let opening = open(found(log)).unwrap();
    assert_eq!((opening.term, opening.resume), (5, 50));
    assert_eq!(opening.log.at, LogPos { term: 4, n: 12 });
    assert_eq!(opening.log.hash, hash(LogHash::START, 1..=12));
    assert_eq!(opening.log.offset, 102);
    let first = opening.checkpoint();
    assert_eq!((first.term, first.number, first.resume, first.log), (5, 0, 50, opening.log));
}

/// E21: what no checkpoint names yet the opening names, and what it has no room for its parts do.
#[test]
fn an_opening_names_what_no_checkpoint_names() {
    let log = (10..=20).map(|n| record(4, n));
    let mut opening = open(found(log)).unwrap();
    let named = |index: &[Placed]| index.iter().map(|placed| placed.n).collect::<Vec<_>>();
    assert_eq!(named(&opening.checkpoint().index), (11..=20).collect::<Vec<_>>());
    let parts = opening.parts(&checkpoint(), 4 * OTHER_BYTES);
    assert_eq!(
        parts.iter().map(|part| named(&part.index)).collect::<Vec<_>>(),
        [[11, 12, 13, 14], [15, 16, 17, 18]]
    );
    assert_eq!(named(&opening.checkpoint().index), [19, 20]);
    assert!(parts.iter().all(|part| part.index.iter().map(Placed::bytes).sum::<usize>() <= 4 * OTHER_BYTES));
    let claims = |part: &Checkpoint| Checkpoint { index: vec![], ..part.clone() };
    assert!(parts.iter().all(|part| claims(part) == checkpoint()), "who reads one reads the checkpoint");
}

/// E21: what an older term writes late does not count, nor does what stands behind a hole.
#[test]
fn only_the_newest_checkpoints_term_counts_and_only_without_hole() {
    let log = [record(4, 10), record(3, 11), record(4, 11), record(3, 12), record(4, 11), record(4, 13)];
    assert_eq!(open(found(log)).unwrap().log.at, LogPos { term: 4, n: 11 });
}

/// E1: the partition stops; nothing may be sequenced behind a log that lost its end.
#[test]
fn a_shorter_or_missing_or_other_log_stops_the_takeover() {
    assert_eq!(open(found([])), Err(Why::LogShorter { claimed: 10, found: 0 }));
    assert_eq!(open(found([record(4, 9)])), Err(Why::LogShorter { claimed: 10, found: 9 }));
    assert_eq!(open(found([record(1, 30)])), Err(Why::LogDiffers(10)));
    let mark = Counted { before: Some(LogHash([7; 32])), ..record(4, 11) };
    assert_eq!(open(found([record(4, 10), mark])), Err(Why::LogDiffers(10)));
    let good = Counted { before: Some(checkpoint().log.hash), ..mark };
    assert!(open(found([record(4, 10), good])).is_ok());
}

/// E1, E10: there is no offset reset.
#[test]
fn an_ingress_that_does_not_hold_the_resume_offset_stops_the_takeover() {
    let with = |ingress| open(Evidence { ingress, ..found([record(4, 10)]) });
    assert_eq!(with(51..200), Err(Why::IngressLost { resume: 50, earliest: 51, end: 200 }));
    assert_eq!(with(0..49), Err(Why::IngressLost { resume: 50, earliest: 0, end: 49 }));
    assert!(with(50..50).is_ok(), "all of it is sequenced");
    let place = found([]).place;
    let nothing = Evidence { place, checkpoint: None, ingress: 1..2, log: Tail::from(None) };
    assert!(
        open(nothing.clone()).is_err(),
        "the first records are gone and nobody says that they were sequenced"
    );
    let first = open(Evidence { ingress: 0..2, ..nothing }).unwrap();
    assert_eq!((first.term, first.resume, first.log), (1, 0, LogEnd::default()));
}

/// E10: positions of another life or partition say nothing here.
#[test]
fn positions_compare_within_one_incarnation_and_partition_only() {
    let here = found([]).place;
    assert_eq!(here.comparable(here.position(9)), Some(9));
    assert_eq!(here.comparable(Position { incarnation: 2, ..here.position(9) }), None);
    assert_eq!(here.comparable(Position { partition: 4, ..here.position(9) }), None);
}
