#![allow(clippy::unwrap_used)]

use super::*;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn ms(table: &RoundTrips, a: &str, b: &str) -> Option<u128> {
    table.round_trip(&region(a), &region(b)).map(|round_trip| round_trip.as_millis())
}

#[test]
fn typical_pairs_are_the_same_both_ways_and_zero_within() {
    let table = RoundTrips::typical();
    for (a, b, expected) in TYPICAL_MS {
        assert_eq!(ms(&table, a, b), Some(expected.into()));
        assert_eq!(ms(&table, b, a), Some(expected.into()));
        assert_eq!(ms(&table, a, a), Some(0));
    }
    let half = table.one_way(&region("us-east-1"), &region("eu-west-1"));
    assert_eq!(half, Some(Duration::from_micros(33_500)));
}

#[test]
fn other_pairs_are_estimated_by_the_shortest_way() {
    let table = RoundTrips::typical();
    assert_eq!(ms(&table, "eu-central-1", "us-east-1"), Some(20 + 67));
    assert_eq!(ms(&table, "us-west-2", "eu-central-1"), Some(71 + 67 + 20));
    assert_eq!(ms(&table, "us-west-2", "ap-southeast-1"), Some(71 + 217), "not over Tokyo: 71 + 145 + 74");
    assert_eq!(ms(&table, "us-east-1", "mars-1"), None);
    assert_eq!(ms(&table, "mars-1", "mars-1"), Some(0));
}

#[test]
fn a_known_pair_is_not_shortened_by_a_way_over_others() {
    let mut table = RoundTrips::new();
    for (a, b, ms) in [("a", "b", 100), ("a", "c", 10), ("c", "b", 10)] {
        table.set(&region(a), &region(b), ms);
    }
    assert_eq!(ms(&table, "a", "b"), Some(100), "a known pair is taken as it is");
    table.set(&region("b"), &region("a"), 5);
    assert_eq!(ms(&table, "a", "b"), Some(5));
}

#[test]
fn estimates_keep_the_triangle_inequality() {
    let table = RoundTrips::typical();
    let names: Vec<_> = table.known.keys().cloned().collect();
    for (a, b, c) in names
        .iter()
        .flat_map(|a| names.iter().map(move |b| (a, b)))
        .flat_map(|(a, b)| names.iter().map(move |c| (a, b, c)))
    {
        let known = table.known[a].contains_key(b);
        assert!(known || ms(&table, a, b) <= ms(&table, a, c).zip(ms(&table, c, b)).map(|(x, y)| x + y));
    }
}

#[test]
fn the_nearest_region_is_chosen_and_ties_by_name() {
    let table = RoundTrips::typical();
    let all = ["us-east-1", "eu-west-1", "ap-northeast-1"].map(region);
    let nearest = |from: &str| table.nearest(&region(from), &all).map(Region::as_str);
    assert_eq!(nearest("eu-central-1"), Some("eu-west-1"));
    assert_eq!(nearest("ap-southeast-1"), Some("ap-northeast-1"));
    assert_eq!(nearest("us-east-1"), Some("us-east-1"));
    assert_eq!(nearest("mars-1"), None);
    let mut tie = RoundTrips::new();
    for name in ["c", "b"] {
        tie.set(&region("a"), &region(name), 7);
    }
    let (b, c) = (region("b"), region("c"));
    assert_eq!(tie.nearest(&region("a"), [&c, &b]), Some(&b));
    assert_eq!(tie.nearest(&region("a"), []), None);
}
