//! Both forms against the standard library's map, over random histories.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::memory::rows::Stamp;

fn row(sort: &str, version: u64) -> Row {
    Row { sort: sort.into(), slot: Slot { value: Bytes::new(), version, stamp: Stamp::default() } }
}

fn bound(rng: &mut Pcg64Mcg, sort: &str) -> Bound<String> {
    match rng.random_range(0..3u32) {
        0 => Bound::Unbounded,
        1 => Bound::Included(sort.to_owned()),
        _ => Bound::Excluded(sort.to_owned()),
    }
}

fn listed(mut within: Within<'_>, order: Order) -> Vec<(String, u64)> {
    let mut rows = Vec::new();
    while let Some(row) = within.next(order) {
        rows.push((row.sort.to_string(), row.slot.version));
    }
    rows
}

#[test]
fn few_and_many_items_answer_as_an_ordered_map_does() {
    let (mut few, mut many) = (0, 0);
    for seed in 0..40 {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let long = seed % 4 == 0;
        let names = if long { 600 } else { rng.random_range(2..60u32) };
        let name = |rng: &mut Pcg64Mcg| format!("eu-west-1#{:020}", rng.random_range(1..=names));
        let (mut sorted, mut model) = (Sorted::Few(Vec::new()), BTreeMap::new());
        for version in 0..if long { 900 } else { 200 } {
            // Also as segments come: greater than all.
            let greatest = format!("eu-west-1#{:020}", 1_000 + version);
            let sort = if long && rng.random_range(0..3u32) == 0 { greatest } else { name(&mut rng) };
            if rng.random_range(0..4u32) == 0 {
                sorted.remove(&sort);
                model.remove(&sort);
            } else {
                sorted.insert(row(&sort, version));
                model.insert(sort, version);
            }
            let sort = name(&mut rng);
            assert_eq!(sorted.get(&sort).map(|slot| slot.version), model.get(&sort).copied());
            assert_eq!(sorted.len(), model.len());
            let (low, high) = (name(&mut rng), name(&mut rng));
            let (from, to) = (bound(&mut rng, &low), bound(&mut rng, &high));
            let (from, to) = (from.as_ref().map(String::as_str), to.as_ref().map(String::as_str));
            let inside = |sort: &str| !below(sort, from) && !above(sort, to);
            let mut expected: Vec<_> =
                model.iter().filter(|(sort, _)| inside(sort)).map(|(sort, n)| (sort.clone(), *n)).collect();
            assert_eq!(listed(sorted.within(from, to), Order::Forward), expected);
            expected.reverse();
            assert_eq!(listed(sorted.within(from, to), Order::Reverse), expected);
            match sorted {
                Sorted::Few(_) => few += 1,
                Sorted::Many(_) => many += 1,
            }
        }
    }
    assert!(few > 1_000 && many > 1_000, "{few} {many}");
}
