#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// The prefix after each of `bodies`, cut into segments at `cuts`: a copy's boundaries.
fn boundaries(bodies: &[u8], cuts: &[bool]) -> Vec<(u64, Prefix)> {
    let mut prefix = Prefix::START;
    let mut boundaries = Vec::new();
    for (at, body) in bodies.iter().enumerate() {
        prefix = prefix.extend(Hlc(at as u64 + 1), &[*body]);
        if cuts.get(at) == Some(&true) || at + 1 == bodies.len() {
            boundaries.push((at as u64 + 1, prefix));
        }
    }
    boundaries
}

proptest! {
    /// E23: a longer copy is never a fork and a fork is never repaired, whatever the boundaries.
    #[test]
    fn equal_missing_and_fork_are_told_apart(
        bodies in prop::collection::vec(any::<u8>(), 1..30), cuts in prop::collection::vec(any::<bool>(), 30),
        theirs in 0usize..30, wrong in prop::option::of(0usize..30),
    ) {
        let ours = boundaries(&bodies, &cuts);
        let mut copy = bodies[..theirs.min(bodies.len())].to_vec();
        let wrong = wrong.filter(|&at| at < copy.len());
        wrong.into_iter().for_each(|at| copy[at] ^= 1);
        let copy_boundaries = boundaries(&copy, &cuts);
        let (here, there) = (bodies.len() as u64, copy.len() as u64);
        match (compare(&ours, &copy_boundaries), wrong) {
            (Comparison::Equal(seq), None) => prop_assert!(seq == here && seq == there),
            (Comparison::Missing { upto, ours, theirs }, None) => {
                prop_assert!((ours, theirs) == (here, there) && here != there && upto <= there);
            }
            (Comparison::Fork { after, by }, Some(at)) => {
                prop_assert!(after <= at as u64 && (at as u64) < by);
            }
            // The difference lies above the last boundary that both hold: not provable yet.
            (Comparison::Missing { upto, .. }, Some(at)) => prop_assert!(upto <= at as u64),
            (found, wrong) => prop_assert!(false, "{found:?} with {wrong:?}"),
        }
    }
}

#[test]
fn nothing_is_equal_to_nothing_and_missing_from_something() {
    let some = boundaries(&[1, 2], &[]);
    assert_eq!(compare(&[], &[]), Comparison::Equal(0));
    assert_eq!(compare(&[], &some), Comparison::Missing { upto: 0, ours: 0, theirs: 2 });
}

/// E21: the number of a record is part of the running hash, so that equal records in other places differ.
#[test]
fn the_log_hash_depends_on_numbers_order_and_records() {
    let (a, b) = (LogHash::of_bytes(b"a"), LogHash::of_bytes(b"b"));
    let ab = LogHash::START.extend(1, &a).extend(2, &b);
    assert_ne!(ab, LogHash::START.extend(1, &b).extend(2, &a));
    assert_ne!(ab, LogHash::START.extend(2, &a).extend(3, &b));
    assert_eq!(ab, LogHash::START.extend(1, &a).extend(2, &b));
}
