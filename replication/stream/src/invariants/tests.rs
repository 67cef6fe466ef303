//! Each invariant holds on what is right and bites on one thing that is wrong.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::digest::ContentHash;
use crate::ids::EventId;
use crate::limits;
use crate::order::Timeline;

fn entry(hlc: u64, origin: &str, seq: u64, id: u64, resend: bool) -> Entry {
    Entry {
        place: Place { hlc: Hlc(hlc), origin: origin.parse().unwrap(), seq },
        author: "ana".parse().unwrap(),
        id: EventId::mint(id, 0),
        content: ContentHash([0; 16]),
        resend,
    }
}

fn id_of(result: Result<(), Violation>) -> Option<&'static str> {
    result.err().map(|violation| violation.id)
}

/// G1, G2.
#[test]
fn an_acked_event_that_is_nowhere_is_found() {
    let acked = BTreeSet::from([1, 2, 3]);
    assert_eq!(acked_is_shown(&acked, &BTreeSet::from([0, 1, 2, 3])), Ok(()));
    assert_eq!(acked_is_durable(&acked, &acked), Ok(()));
    let lost = acked_is_shown(&acked, &BTreeSet::from([1])).unwrap_err();
    assert_eq!(lost.to_string(), "G2: an acked event is not shown (first 2, missing 2, of 3)");
    assert_eq!(id_of(acked_is_durable(&acked, &BTreeSet::new())), Some("G1"));
}

/// G3.
#[test]
fn an_event_or_its_twin_shown_beside_it_is_found() {
    let original = entry(5, "us-east-1", 1, 1, false);
    let twin = entry(9, "eu-west-1", 1, 1, true);
    let other = entry(9, "eu-west-1", 2, 2, false);
    assert_eq!(shown_once([&original, &other]), Ok(()));
    assert_eq!(id_of(shown_once([&twin, &other, &original])), Some("G3"));
    assert_eq!(id_of(shown_once([&original, &original])), Some("G3"));
    let mut timeline = Timeline::default();
    [twin, other, original].into_iter().for_each(|entry| drop(timeline.add(entry)));
    assert_eq!(shown_once(timeline.shown()), Ok(()), "what a timeline shows is shown once");
}

/// G4.
#[test]
fn an_event_before_what_its_author_saw_is_found() {
    let event = entry(7, "us-east-1", 1, 1, false);
    assert_eq!(causal(&event, Hlc(6)), Ok(()));
    assert_eq!(id_of(causal(&event, Hlc(7))), Some("G4"));
    assert_eq!(stamps_rise(2, Hlc(1), Hlc(2)), Ok(()));
    assert_eq!(id_of(stamps_rise(2, Hlc(2), Hlc(2))), Some("G4"));
}

/// G4.
#[test]
fn different_displays_are_found() {
    let places = [entry(1, "us-east-1", 1, 1, false).place, entry(2, "us-east-1", 2, 2, false).place];
    assert_eq!(display_equal(&places, &places), Ok(()));
    let swapped = [places[1].clone(), places[0].clone()];
    for other in [&swapped[..], &places[..1], &[]] {
        assert_eq!(id_of(display_equal(&places, other)), Some("G4"));
        assert_eq!(id_of(display_equal(other, &places)), Some("G4"));
    }
}

/// G5.
#[test]
fn a_shorter_or_different_copy_is_found() {
    let copy = [(1, Prefix([1; 32])), (2, Prefix([2; 32]))];
    assert_eq!(digests_equal(&copy, &copy), Ok(()));
    assert_eq!(id_of(digests_equal(&copy, &copy[..1])), Some("G5"));
    let forked = digests_equal(&copy, &[copy[0], (2, Prefix([3; 32]))]).unwrap_err();
    assert_eq!(forked.to_string(), "G5: different bytes under one key (after 1, by 2)");
}

/// G9.
#[test]
fn an_exceeded_bound_is_found() {
    let limit = limits::ALL.iter().find(|limit| limit.name == "RING_FRAMES").unwrap();
    assert_eq!(within(limit, 1_024), Ok(()));
    assert_eq!(id_of(within(limit, 1_025)), Some("G9"));
}

/// G4: every way to leave a hole or to overlap is found where it happens.
#[test]
fn holes_and_overlaps_are_found() {
    let mut tiling = Tiling::default();
    for seq in 1..=3 {
        tiling.event(seq).unwrap();
    }
    assert_eq!(id_of(tiling.clone().event(3)), Some("G4"), "twice");
    assert_eq!(id_of(tiling.clone().event(5)), Some("G4"), "a hole");
    assert_eq!(id_of(tiling.clone().gap(4, 9)), Some("G4"), "a gap beyond a hole");
    assert_eq!(id_of(tiling.clone().fetched(2)), Some("G4"), "a page of what is there");
    assert_eq!(id_of(tiling.clone().ends_at(4)), Some("G4"), "not at the head");
    tiling.gap(0, 2).unwrap();
    assert_eq!(tiling.at(), 3, "a gap below the cursor tells nothing");
    tiling.gap(0, 6).unwrap();
    assert_eq!(tiling.holes().collect::<Vec<_>>(), [(4, 6)]);
    tiling.fetched(5).unwrap();
    assert_eq!(id_of(tiling.fetched(5)), Some("G4"), "the same page twice");
    assert_eq!(tiling.holes().collect::<Vec<_>>(), [(4, 4), (6, 6)]);
    tiling.event(7).unwrap();
    assert_eq!((tiling.ends_at(7), tiling.events()), (Ok(()), 5));
}

proptest! {
    /// G4: however events, gaps and pages are cut, what was taken and what is still missing tile 1..head.
    #[test]
    fn taken_and_missing_tile_the_origin(
        runs in prop::collection::vec((any::<bool>(), 1u64..6), 0..20),
        pages in prop::collection::vec(1u64..80, 0..60),
    ) {
        let mut tiling = Tiling::default();
        for (is_gap, len) in runs {
            let at = tiling.at();
            if is_gap {
                prop_assert_eq!(tiling.gap(at.saturating_sub(len), at + len), Ok(()));
            } else {
                (at + 1..=at + len).try_for_each(|seq| tiling.event(seq)).unwrap();
            }
        }
        for seq in pages {
            let missing = tiling.holes().any(|(first, last)| first <= seq && seq <= last);
            prop_assert_eq!(tiling.fetched(seq).is_ok(), missing);
        }
        let missing: u64 = tiling.holes().map(|(first, last)| last - first + 1).sum();
        prop_assert_eq!(tiling.events() + missing, tiling.at());
    }
}
