use super::*;

fn at(term: u64, n: u64) -> LogPos {
    LogPos { term, n }
}

/// A mark at this place that says everything below `done` is settled.
fn mark(covered: &mut Covered, term: u64, n: u64, done: u64) {
    covered.logged(Placed { pos: at(term, n), continues: None }, Some(done));
}

/// A term's first record, which is no mark.
fn opens(covered: &mut Covered, term: u64, continues: LogPos) {
    let pos = at(term, continues.n + 1);
    covered.logged(Placed { pos, continues: Some(continues) }, None);
}

/// E9: what a mark says of the ingress is covered when another region has the mark, in any order of the two,
/// and is told once.
#[test]
fn what_stands_before_a_mark_that_another_region_has_is_covered() {
    let mut covered = Covered::default();
    mark(&mut covered, 1, 3, 10);
    mark(&mut covered, 1, 5, 20);
    assert_eq!(covered.news(), None, "nobody has anything");
    covered.heard(at(1, 2));
    assert_eq!(covered.news(), None, "that is before the first mark");
    covered.heard(at(1, 4));
    assert_eq!((covered.news(), covered.news()), (Some(10), None));
    covered.heard(at(1, 9));
    assert_eq!(covered.news(), Some(20));
    mark(&mut covered, 1, 8, 30);
    assert_eq!(covered.news(), Some(30), "the watermark came before the mark was consumed");
    mark(&mut covered, 1, 10, 40);
    assert_eq!(covered.news(), None);
}

/// E9: old marks of other regions that are replayed take nothing back.
#[test]
fn a_replayed_mark_of_another_region_changes_nothing() {
    let mut covered = Covered::default();
    mark(&mut covered, 1, 3, 10);
    covered.heard(at(1, 3));
    covered.heard(at(1, 1));
    assert_eq!(covered.news(), Some(10));
    mark(&mut covered, 1, 3, 10);
    assert_eq!(covered.news(), None, "the own mark read again says nothing new");
}

/// E9, E21: a mark behind the place that a newer term continues is abandoned: the newer term's numbers are
/// others.
#[test]
fn an_abandoned_mark_is_not_covered_by_a_newer_terms_number() {
    let mut covered = Covered::default();
    mark(&mut covered, 1, 3, 10);
    mark(&mut covered, 1, 6, 20);
    opens(&mut covered, 2, at(1, 4));
    covered.heard(at(2, 9));
    assert_eq!(covered.news(), Some(10), "that of 20 stood behind the continued place");
    mark(&mut covered, 1, 7, 30);
    assert_eq!(covered.news(), None, "the older term's owner still writes");
    mark(&mut covered, 2, 8, 25);
    assert_eq!(covered.news(), Some(25));
}

/// E21: a watermark of a term whose first record was not consumed here says nothing yet of older marks.
#[test]
fn a_watermark_of_a_term_that_is_not_met_yet_waits() {
    let mut covered = Covered::default();
    mark(&mut covered, 1, 6, 20);
    covered.heard(at(2, 9));
    assert_eq!(covered.news(), None);
    opens(&mut covered, 2, at(1, 6));
    assert_eq!(covered.news(), Some(20));
}

/// E21: whoever reads the log from its middle does not know which marks of older terms count.
#[test]
fn a_term_that_continues_something_unread_forgets_older_marks() {
    for continues in [None, Some(at(2, 7))] {
        let mut covered = Covered::default();
        mark(&mut covered, 1, 6, 20);
        covered.logged(Placed { pos: at(3, 8), continues }, None);
        covered.heard(at(3, 9));
        assert_eq!(covered.news(), None, "{continues:?}");
    }
}

/// A watermark of the mark's own term covers it though it is abandoned later: that region has the records.
#[test]
fn a_watermark_of_the_same_term_covers_before_a_newer_one_begins() {
    let mut covered = Covered::default();
    mark(&mut covered, 1, 6, 20);
    covered.heard(at(1, 6));
    opens(&mut covered, 2, at(1, 4));
    assert_eq!(covered.news(), Some(20));
}

/// E29: the marks that wait are bounded; what waits longest is kept, and after the cut everything is covered.
#[test]
fn marks_of_a_long_cut_are_bounded_and_lose_nothing() {
    let mut covered = Covered::default();
    let many = COVERED_MARKS as u64 + 50;
    for n in 1..=many {
        mark(&mut covered, 1, n, n * 10);
    }
    assert_eq!(covered.marks.len(), COVERED_MARKS);
    covered.heard(at(1, many - 1));
    assert_eq!(covered.news(), Some((COVERED_MARKS as u64 - 1) * 10), "all but the newest");
    mark(&mut covered, 1, many + 1, many * 10 + 1);
    covered.heard(at(1, many + 1));
    assert_eq!(covered.news(), Some(many * 10 + 1));
}

/// An idle partition keeps one mark, the earliest that says it.
#[test]
fn marks_that_say_nothing_new_are_not_kept() {
    let mut covered = Covered::default();
    for n in 1..=100 {
        mark(&mut covered, 1, n, 10);
    }
    assert_eq!(covered.marks.len(), 1);
    covered.heard(at(1, 1));
    assert_eq!(covered.news(), Some(10));
}
