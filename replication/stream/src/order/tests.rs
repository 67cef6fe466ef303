#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn entry(at: (u64, &str, u64), author: &str, id: u64, content: u8, resend: bool) -> Entry {
    Entry {
        place: Place { hlc: Hlc(at.0), origin: at.1.parse().unwrap(), seq: at.2 },
        author: author.parse().unwrap(),
        id: EventId::mint(id, 0),
        content: ContentHash([content; 16]),
        resend,
    }
}

/// Few ids, authors and contents, so that twins and clashes of every sort are common; seqs dense per origin.
fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let one = (0usize..3, 0u64..4, any::<bool>(), 0u64..3, 0u8..2, any::<bool>());
    prop::collection::vec(one, 0..14).prop_map(|drawn| {
        let origins = ["eu-west-1", "us-east-1", "us-east-1~2"];
        let mut heads = [(0u64, 0u64); 3];
        let make = |(at, step, ana, id, content, resend): (usize, u64, bool, u64, u8, bool)| {
            let (seq, hlc) = &mut heads[at];
            *seq += 1;
            *hlc += 1 + step;
            let author = if ana { "ana" } else { "bo" };
            entry((*hlc, origins[at], *seq), author, id, content, resend)
        };
        drawn.into_iter().map(make).collect()
    })
}

fn shuffled_entries() -> impl Strategy<Value = (Vec<Entry>, Vec<Entry>)> {
    any_entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
}

fn places(timeline: &Timeline) -> Vec<Place> {
    timeline.shown().map(|entry| entry.place.clone()).collect()
}

/// The rule once more, straight from its words: sort, then leave out whoever has an earlier equal, if one is
/// marked.
fn naive(entries: &[Entry]) -> Vec<Place> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|a, b| a.place.cmp(&b.place));
    let key = |e: &Entry| (e.author.clone(), e.id, e.content);
    let mut shown: Vec<&Entry> = Vec::new();
    for entry in &sorted {
        let marked = sorted.iter().any(|e| key(e) == key(entry) && e.resend);
        if !(marked && shown.iter().any(|e| key(e) == key(entry))) {
            shown.push(entry);
        }
    }
    shown.into_iter().map(|e| e.place.clone()).collect()
}

proptest! {
    /// E13, G4: equal event sets give equal display, whatever the order of arrival and however often each
    /// arrives.
    #[test]
    fn equal_sets_give_equal_display((entries, shuffled) in shuffled_entries(), again in 0usize..14) {
        let mut timeline = Timeline::default();
        for (n, entry) in shuffled.iter().enumerate() {
            prop_assert_ne!(timeline.add(entry.clone()), Added::Repeat);
            if n == again {
                prop_assert_eq!(timeline.add(shuffled[n / 2].clone()), Added::Repeat);
            }
        }
        prop_assert_eq!(places(&timeline), naive(&entries));
        prop_assert_eq!(timeline.len(), entries.len());
    }

    /// E13: what a reader keeps up to date from the reports alone is what is shown.
    #[test]
    fn the_reports_tell_every_change((_, shuffled) in shuffled_entries()) {
        let mut timeline = Timeline::default();
        let mut screen: BTreeSet<Place> = BTreeSet::new();
        for entry in shuffled {
            let place = entry.place.clone();
            let newest = screen.last().cloned();
            match timeline.add(entry) {
                Added::Repeat => prop_assert!(false, "every place is new"),
                Added::Twin { first, hides } => {
                    prop_assert!(timeline.shows(&first) && first < place);
                    for hidden in hides {
                        prop_assert!(screen.remove(&hidden) && first < hidden);
                    }
                }
                Added::Shown { late, hides } => {
                    prop_assert_eq!(late, newest.is_some_and(|newest| place < newest));
                    for hidden in hides {
                        prop_assert!(screen.remove(&hidden) && place < hidden);
                    }
                    screen.insert(place);
                }
            }
            prop_assert_eq!(screen.iter().cloned().collect::<Vec<_>>(), places(&timeline));
        }
    }

    /// E13: a reference means the first of several in display order, and that one is always shown.
    #[test]
    fn a_reference_means_the_first_in_display_order((entries, shuffled) in shuffled_entries()) {
        let mut timeline = Timeline::default();
        shuffled.into_iter().for_each(|entry| drop(timeline.add(entry)));
        for entry in &entries {
            let same = entries.iter().filter(|e| e.author == entry.author && e.id == entry.id);
            let first = same.map(|e| &e.place).min().unwrap();
            let found = timeline.find(&entry.author, entry.id).unwrap();
            prop_assert_eq!(&found.place, first);
            prop_assert!(timeline.shows(&found.place));
        }
    }
}

/// E13: of resend-marked twins the earlier is shown, also when it surfaces last.
#[test]
fn a_retry_in_another_region_is_shown_once() {
    let original = entry((5, "us-east-1", 1), "ana", 1, 1, false);
    let retry = entry((9, "eu-west-1", 1), "ana", 1, 1, true);
    let mut timeline = Timeline::default();
    assert_eq!(timeline.add(retry.clone()), Added::Shown { late: false, hides: SmallVec::new() });
    let added = timeline.add(original.clone());
    assert_eq!(added, Added::Shown { late: true, hides: SmallVec::from([retry.place]) });
    assert_eq!(places(&timeline), [original.place]);
}

/// E4: the same id with other content, or from another author, is another event: nobody can hide a
/// stranger's.
#[test]
fn a_reused_id_hides_nothing() {
    let real = entry((9, "us-east-1", 1), "ana", 1, 1, true);
    let other_content = entry((5, "us-east-1", 2), "ana", 1, 2, true);
    let strangers = entry((3, "eu-west-1", 1), "mallory", 1, 1, true);
    let mut timeline = Timeline::default();
    for entry in [&real, &other_content, &strangers] {
        assert!(matches!(timeline.add(entry.clone()), Added::Shown { .. }));
    }
    assert_eq!(places(&timeline).len(), 3);
    assert_eq!(timeline.find(&real.author, real.id), Some(&other_content));
}

/// E13: without a mark nothing is compared: readers need not remember every id they ever saw.
#[test]
fn unmarked_equals_are_both_shown() {
    let mut timeline = Timeline::default();
    timeline.add(entry((5, "us-east-1", 1), "ana", 1, 1, false));
    let second = timeline.add(entry((6, "eu-west-1", 1), "ana", 1, 1, false));
    assert_eq!(second, Added::Shown { late: false, hides: SmallVec::new() });
}
