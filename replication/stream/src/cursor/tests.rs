#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn any_cursor() -> impl Strategy<Value = Cursor> {
    let origin = prop::sample::select(vec!["eu-west-1", "us-east-1", "us-east-1~2", "ap-southeast-1"]);
    prop::collection::vec((origin, 0u64..50), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(o, seq)| (o.parse().unwrap(), seq)).collect())
}

fn joined(a: &Cursor, b: &Cursor) -> Cursor {
    let mut joined = a.clone();
    joined.merge(b);
    joined
}

proptest! {
    /// G4, G5: replicas that merge the same cursors in any order and number agree.
    #[test]
    fn merging_is_a_join(a in any_cursor(), b in any_cursor(), c in any_cursor()) {
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert!(joined(&a, &b).covers(&a) && joined(&a, &b).covers(&b));
    }

    #[test]
    fn the_meet_is_covered_by_both(a in any_cursor(), b in any_cursor()) {
        let meet = a.meet(&b);
        prop_assert!(a.covers(&meet) && b.covers(&meet));
        prop_assert_eq!(meet.clone(), b.meet(&a));
        prop_assert_eq!(joined(&meet, &a), a);
    }

    #[test]
    fn covering_both_ways_is_equality(a in any_cursor(), b in any_cursor()) {
        prop_assert_eq!(a.covers(&b) && b.covers(&a), a == b);
    }

    #[test]
    fn the_text_form_round_trips(a in any_cursor()) {
        prop_assert_eq!(a.to_string().parse::<Cursor>().unwrap(), a);
    }
}

#[test]
fn a_missing_origin_means_zero_and_zero_is_not_stored() {
    let origin: Origin = "us-east-1".parse().unwrap();
    let mut cursor = Cursor::new();
    assert!(!cursor.advance(&origin, 0));
    assert!(cursor.is_empty());
    assert!(cursor.advance(&origin, 3));
    assert!(!cursor.advance(&origin, 2), "a cursor never goes back");
    assert_eq!(cursor.get(&origin), 3);
}

#[test]
fn a_cursor_in_a_url_is_bounded_and_exact() {
    for bad in
        ["us-east-1", "us-east-1:", "us-east-1:-1", "us-east-1:+1", "a:1,a:2", "a:9007199254740993", "a:1,"]
    {
        assert!(bad.parse::<Cursor>().is_err(), "{bad}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("r{n}:1")).collect();
    assert!(many[..32].join(",").parse::<Cursor>().is_ok());
    assert!(many.join(",").parse::<Cursor>().is_err());
}
