#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

proptest! {
    /// E14: the next stamp is above the stream's last and above what its author saw, and follows the wall
    /// when it leads.
    #[test]
    fn the_next_stamp_is_above_all_it_must_follow(
        last in 0u64..u64::MAX,
        seen in 0u64..u64::MAX,
        wall in 0u64..1 << 48,
    ) {
        let (last, seen) = (Hlc(last), Hlc(seen));
        let next = Hlc::next(last, seen, wall);
        prop_assert!(next > last && next > seen);
        prop_assert!(next >= Hlc::at(wall));
        let needed = Hlc::at(wall).max(last.successor()).max(seen.successor());
        prop_assert_eq!(next, needed, "and no further than it must");
    }

    #[test]
    fn text_form_sorts_as_the_numbers_do(a in any::<u64>(), b in any::<u64>()) {
        let (a, b) = (Hlc(a), Hlc(b));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(a.to_string().parse::<Hlc>().unwrap(), a);
    }
}

#[test]
fn a_full_counter_carries_into_the_milliseconds() {
    let full = Hlc(Hlc::at(1_000).0 | 0xffff);
    assert_eq!(full.successor(), Hlc::at(1_001));
}

#[test]
fn the_top_saturates_instead_of_wrapping() {
    assert_eq!(Hlc(u64::MAX).successor(), Hlc(u64::MAX));
    assert_eq!(Hlc::at(u64::MAX).wall_ms(), (1 << 48) - 1);
}

#[test]
fn only_sixteen_lower_case_digits_are_a_stamp() {
    for bad in ["", "01a1fb1dda00000", "01A1fb1dda000007", "+1a1fb1dda000007", "01a1fb1dda0000070"] {
        assert!(bad.parse::<Hlc>().is_err(), "{bad}");
    }
}
