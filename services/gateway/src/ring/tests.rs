//! The ring by itself: tiling, eviction, runs, and removal of members in the middle of a pass.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::shard::tests::world::{Text, segment, stream};

fn ring() -> Ring {
    let mut ring = Ring::new(stream("a"));
    assert!(!ring.join(&Cursor::new(), &Cursor::new()));
    ring
}

fn small(entries: usize) -> Limits {
    Limits { ring_entries: entries, ..Limits::default() }
}

/// E16: whatever order, repetition and grouping segments come in, each origin's seqs are entered densely and
/// once.
#[test]
fn entries_tile_whatever_order_pushes_come_in() {
    let pushes = proptest::collection::vec((0usize..3, 1u64..12, 0u64..3), 1..60);
    proptest!(|(pushes in pushes)| {
        let (mut ring, limits) = (ring(), small(1_000));
        for (origin, first, more) in pushes {
            ring.offer(segment(&stream("a"), ["ap", "eu", "us"][origin], first, first + more, 1), &limits);
        }
        let mut heads = Cursor::new();
        for entry in ring.entries_from(0) {
            let Segment { origin, first, .. } = &entry.segment;
            prop_assert!(*first <= heads.get(origin) + 1, "a hole");
            prop_assert!(entry.segment.last() > heads.get(origin), "nothing new");
            heads.advance(origin, entry.segment.last());
        }
        prop_assert_eq!(&heads, &ring.heads);
    });
}

/// E18: what is known beyond the ring is kept for as long as it is beyond.
#[test]
fn what_is_known_beyond_the_ring_is_let_go_when_it_is_here() {
    let mut ring = Ring::new(stream("a"));
    ring.join(&Cursor::new(), &"eu:1,us:2".parse().unwrap());
    for (origin, seq, is_kept) in [("us", 1, true), ("us", 2, true), ("eu", 1, false)] {
        ring.offer(segment(&stream("a"), origin, seq, seq, 1), &small(4));
        assert_eq!(ring.known.is_some(), is_kept, "{origin}:{seq}");
    }
}

/// Whoever is current gets an entry at once: a ring that holds one has no place for more.
#[test]
fn an_entry_alone_takes_one_place() {
    let mut ring = ring();
    ring.offer(segment(&stream("a"), "us", 1, 1, 1), &small(4));
    assert_eq!(ring.entries.capacity(), 1);
    ring.trim(1);
    assert_eq!(ring.entries.capacity(), 0);
}

/// G9: bounded in entries and in bytes; the newest entry always stays.
#[test]
fn old_entries_are_pushed_out_of_a_full_ring() {
    let mut by_count = ring();
    for seq in 1..=10 {
        by_count.offer(segment(&stream("a"), "us", seq, seq, 1), &small(4));
    }
    assert_eq!((by_count.base(), by_count.end()), (6, 10));
    let mut by_bytes = ring();
    let limits = Limits { ring_bytes: 250, ..Limits::default() };
    for seq in 1..=3 {
        by_bytes.offer(segment(&stream("a"), "us", seq, seq, 100), &limits);
    }
    assert_eq!((by_bytes.base(), by_bytes.end()), (1, 3));
    by_bytes.offer(segment(&stream("a"), "us", 4, 4, 900), &limits);
    assert_eq!((by_bytes.base(), by_bytes.end()), (3, 4));
}

/// G9, E29: encoded frames count like bodies, from when they are encoded until their entry goes, in each
/// encoding.
#[test]
fn encoded_frames_count_until_their_entry_goes() {
    let mut ring = ring();
    let limits = Limits { ring_bytes: 1_000, ..Limits::default() };
    let offer = |ring: &mut Ring, seq| ring.offer(segment(&stream("a"), "us", seq, seq, 100), &limits);
    for seq in 1..=4 {
        offer(&mut ring, seq);
    }
    assert_eq!(ring.held.get(), 400);
    for encoding in [Encoding::Json, Encoding::Json, Encoding::Protobuf] {
        ring.entries_from(0).for_each(|entry| drop(entry.frames(encoding, &Text, &ring.held).clone()));
    }
    let exact = |ring: &Ring| ring.entries_from(ring.base()).map(Entry::bytes).sum::<usize>();
    assert_eq!(ring.held.get(), exact(&ring));
    assert!(ring.held.get() > 1_200, "bodies, and frames of two encodings that repeat them");
    offer(&mut ring, 5);
    assert_eq!((ring.base(), ring.end()), (2, 5), "what was encoded counted");
    assert_eq!(ring.held.get(), exact(&ring));
    ring.trim(5);
    assert_eq!(ring.held.get(), 0);
}

/// G9: what is held above a gap is bounded; the rest is pulled later.
#[test]
fn what_is_held_above_a_gap_is_bounded() {
    let (mut ring, limits) = (ring(), small(1_000));
    for seq in (3..3 + 2 * HELD_SEGMENTS as u64).rev() {
        ring.offer(segment(&stream("a"), "us", seq, seq, 1), &limits);
    }
    assert_eq!(ring.gaps.as_ref().unwrap().held.len(), HELD_SEGMENTS);
    ring.offer(segment(&stream("a"), "us", 1, 2 + HELD_SEGMENTS as u64, 1), &limits);
    assert!(ring.gaps.is_none(), "held ones complete it");
}

/// A run is the same bytes as its entries one by one, from wherever in it a session stands.
#[test]
fn a_run_is_its_entries_copied_together() {
    let (mut ring, limits) = (ring(), small(100));
    for place in 0..RUN_MEMBERS as u32 {
        ring.add(Member { session: place, follow: 0 });
    }
    for seq in 1..=9 {
        ring.offer(segment(&stream("a"), "us", seq, seq, seq as usize), &limits);
        ring.prepare(Encoding::Protobuf, &Text);
        if seq == 1 {
            assert!(ring.run(0, Encoding::Protobuf).is_none(), "one entry needs no copy");
            continue;
        }
        for at in 0..seq {
            let frames = ring
                .entries_from(at)
                .map(|entry| entry.frames(Encoding::Protobuf, &Text, &ring.held).to_vec());
            let one_by_one = frames.collect::<Vec<_>>().concat();
            assert_eq!(ring.run(at, Encoding::Protobuf).unwrap(), one_by_one);
        }
        assert!(ring.run(0, Encoding::Json).is_none());
    }
    ring.trim(9);
    assert!(ring.is_empty() && ring.run(9, Encoding::Protobuf).is_none());
}

/// Members leave in the middle of a pass: nobody who stays is visited twice or left out, and places stay
/// true.
#[test]
fn leaving_members_disturb_no_pass() {
    let steps = proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..80);
    proptest!(|(steps in steps)| {
        let mut ring = ring();
        let mut places: Vec<Option<u32>> =
            (0..20).map(|session| Some(ring.add(Member { session, follow: 0 }))).collect();
        let mut visited = [false; 20];
        for (visit, who) in steps {
            if visit {
                if let Some(member) = ring.members.get(ring.pass.next as usize) {
                    prop_assert!(!std::mem::replace(&mut visited[member.session as usize], true));
                    ring.pass.next += 1;
                }
            } else if let Some(place) = places[who.index(20)].take() {
                for (member, place) in ring.remove(place) {
                    places[member.session as usize] = Some(place);
                }
            }
            for (session, place) in places.iter().enumerate().filter_map(|(s, p)| p.map(|p| (s, p))) {
                prop_assert_eq!(ring.members[place as usize].session as usize, session);
                prop_assert_eq!(place < ring.pass.next, visited[session]);
            }
        }
    });
}

/// E1, E16: what was lost with a life is passed by the entry behind it and by nothing else: not beyond, not
/// of another origin, not unless it is missing. What of it surfaces behind what was passed is entered, and
/// who joins may stand on either side or in the middle.
#[test]
fn what_was_lost_is_passed_and_nothing_beyond_it() {
    let (mut ring, limits) = (ring(), small(100));
    let offer =
        |ring: &mut Ring, origin: &str, seq| ring.offer(segment(&stream("a"), origin, seq, seq, 1), &limits);
    let cursor = |text: &str| text.parse::<Cursor>().unwrap();
    ring.lose(&cursor("us:6"));
    assert!(matches!(offer(&mut ring, "us", 1), Offered::Entered { .. }));
    assert_eq!(offer(&mut ring, "us", 7), Offered::Gap { pull: true }, "what is not pulled is not lost");
    assert_eq!(offer(&mut ring, "us", 9), Offered::Gap { pull: false });
    assert_eq!(offer(&mut ring, "eu", 7), Offered::Gap { pull: false });
    ring.lose(&cursor("us:6"));
    assert!(matches!(offer(&mut ring, "us", 3), Offered::Entered { .. }), "it surfaces");
    assert_eq!(offer(&mut ring, "us", 2), Offered::Old, "told as lost");
    assert_eq!(ring.heads, cursor("us:7"), "what was held behind it is entered; neither 9 nor eu");
    let after: Vec<u64> = ring.entries_from(0).map(Entry::after).collect();
    assert_eq!(after, [0, 1, 3]);
    for (sent, needed) in [("us:1", vec![1, 2]), ("us:3", vec![2]), ("us:6", vec![2]), ("us:7", vec![])] {
        assert_eq!(ring.completes(&cursor(sent)), Some(needed), "{sent}");
    }
    ring.trim(2);
    assert_eq!(ring.completes(&cursor("us:2")), None);
}
