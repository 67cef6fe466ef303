#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::counted;

const BOUND_MS: u64 = CLOCK_BOUND_MS + ID_LEAD_MS;

fn event(n: u128, time_ms: u64, resend: bool) -> Known {
    Known { id: EventId::mint(time_ms, n), content: ContentHash([1; 16]), resend }
}

fn at(seconds: u64) -> Hlc {
    Hlc::at(seconds * 1_000)
}

/// A window for 3 ordinary and 2 resend-marked ids, and a stream of load number 1 whose chain is known from
/// `floor`.
fn window(floor: Hlc) -> Window {
    let mut window = Window::new(3, 2, 0);
    window.open(1, floor);
    window
}

/// E4: equal id and content is a duplicate, the same id with other content is another event.
#[test]
fn id_and_content_together_make_a_duplicate() {
    let mut window = window(Hlc::ZERO);
    let first = event(1, 1_000, false);
    assert!(!window.remember(1, first, at(1)));
    assert_eq!(window.judge(1, first, Hlc::ZERO), Verdict::Duplicate);
    let other = Known { content: ContentHash([2; 16]), ..first };
    assert_eq!(window.judge(1, other, Hlc::ZERO), Verdict::New);
    assert!(window.remember(1, other, at(2)), "its id is re-used");
    assert!(!window.remember(1, other, at(2)), "known already");
    window.open(2, Hlc::ZERO);
    assert_eq!(window.judge(2, first, Hlc::ZERO), Verdict::New, "another stream's");
}

/// E13: a resend is conclusive only if the window reaches back to where its original may stand.
#[test]
fn a_resend_older_than_the_window_is_unclear() {
    let window = window(at(10_000));
    let time_ms = 10_000_000 + BOUND_MS;
    assert_eq!(window.judge(1, event(1, time_ms, true), Hlc::ZERO), Verdict::New);
    assert_eq!(window.judge(1, event(1, time_ms - 1, true), Hlc::ZERO), Verdict::Unclear);
    assert_eq!(window.judge(1, event(1, time_ms - 1, true), at(10_000)), Verdict::New, "the range was read");
}

/// E13: forgetting never turns into a wrong answer; an ordinary record needs the resend-marked ids only.
#[test]
fn forgetting_raises_the_floor_of_its_kind() {
    let mut window = window(Hlc::ZERO);
    for n in 1..=4 {
        window.remember(1, event(n, 1_000, false), at(n as u64));
    }
    assert_eq!(window.floor(1, true), at(1).successor());
    assert_eq!(window.floor(1, false), Hlc::ZERO, "no resend was forgotten");
    assert_eq!(
        window.judge(1, event(1, 1_000, false), Hlc::ZERO),
        Verdict::New,
        "an unmarked repeat is the author's"
    );
    assert_eq!(window.judge(1, event(1, 1_000, true), Hlc::ZERO), Verdict::Unclear);
    for n in 5..=7 {
        window.remember(1, event(n, 1_000, true), at(n as u64));
    }
    assert_eq!(window.floor(1, false), at(5).successor());
    assert_eq!(window.judge(1, event(5, 1_000, false), Hlc::ZERO), Verdict::Unclear, "a late original");
}

/// E13: a large window forgets several at once, never holds more than its bound, and says from where on it
/// knows all.
#[test]
fn a_large_window_keeps_its_bound_and_its_floor() {
    let room = 2 * AT_ONCE_OF;
    let mut window = Window::new(room, 1, 0);
    window.open(1, Hlc::ZERO);
    let event = |n: usize| event(n as u128, 1_000, false);
    for n in 1..=room + 4 {
        window.remember(1, event(n), Hlc(n as u64));
        assert!(
            window.ordinary.entries.len() <= room
                && window.index.numbers().count() == window.ordinary.entries.len()
        );
    }
    assert_eq!(window.floor(1, true), Hlc(6).successor(), "twice three made room for four");
    assert_eq!(window.judge(1, Known { resend: true, ..event(6) }, Hlc::ZERO), Verdict::Unclear);
    assert_eq!(window.judge(1, event(7), Hlc::ZERO), Verdict::Duplicate);
    assert_eq!(window.ordinary.entries.capacity(), room, "no memory for more");
}

/// E13: a range that was remembered whole lowers the floors; what was forgotten meanwhile does not.
#[test]
fn a_range_lowers_the_floors_as_far_as_it_is_still_known() {
    let mut window = window(at(100));
    window.begin_range(1);
    window.remember(1, event(1, 1_000, false), at(50));
    window.remember(1, event(2, 1_000, true), at(60));
    window.end_range(1, at(40), true, true);
    assert_eq!((window.floor(1, true), window.floor(1, false)), (at(40), at(40)));
    window.begin_range(1);
    for n in 3..=6 {
        window.remember(1, event(n, 1_000, false), at(7 + n as u64));
    }
    window.end_range(1, at(10), true, true);
    assert_eq!(window.floor(1, false), at(10));
    assert_eq!(window.floor(1, true), at(50).successor(), "the one at 50 had to go");
    window.begin_range(1);
    window.end_range(1, at(5), false, true);
    assert_eq!(
        (window.floor(1, true), window.floor(1, false)),
        (at(50).successor(), at(5)),
        "not all fitted"
    );
}

/// E29: memory is bounded, also by streams that are gone.
#[test]
fn the_window_holds_no_more_than_its_bounds() {
    let mut window = window(Hlc::ZERO);
    for n in 1..=1_000u64 {
        window.open(n, Hlc::ZERO);
        window.remember(n, event(u128::from(n), n, n % 3 == 0), at(n));
        window.close(n);
    }
    let held = (window.index.numbers().count(), window.ordinary.entries.len(), window.resends.entries.len());
    assert_eq!(held, (5, 3, 2));
    assert!(window.floors.is_empty());
    assert_eq!(window.judge(1_000, event(1_000, 1_000, false), Hlc::ZERO), Verdict::Duplicate);
    assert_eq!(
        window.judge(1_000, event(1, 1, true), Hlc::ZERO),
        Verdict::Unclear,
        "a closed stream knows nothing"
    );
}

/// E13: entries are found by number, and numbers begin anew after the last one.
#[test]
fn what_is_remembered_is_found_where_numbers_begin_anew() {
    let mut window = window(Hlc::ZERO);
    (window.ordinary.first, window.resends.first) = (NUMBERS - 2, NUMBERS - 1);
    for n in 1..=20 {
        window.remember(1, event(n, 1_000, n % 2 == 0), at(1));
        for known in n.saturating_sub(3).max(1)..=n {
            let verdict = window.judge(1, event(known, 1_000, known % 2 == 0), Hlc::ZERO);
            assert_eq!(verdict, Verdict::Duplicate, "{known} of {n}");
        }
    }
    assert_eq!(window.index.numbers().count(), 5);
}

/// E29: however ids are spread over time, or crowded into one moment after the other, the index has room for
/// no more than a multiple of what the window may hold.
#[test]
fn the_index_gives_back_what_a_crowd_left() {
    let ids = 4_096;
    let mut window = Window::new(ids, 1, 0);
    window.open(1, Hlc::ZERO);
    for n in 0..40 * ids as u64 {
        // Each moment gets a crowd, and one that stays behind from then on.
        let crowd = n / ids as u64 * 1_000;
        let time_ms = if n % 100 == 0 { n % 16_000 } else { crowd };
        window.remember(1, event(u128::from(n), time_ms, false), Hlc(n));
        if n % 1_000 == 0 {
            let (held, room) = (window.index.numbers().count(), window.index.room());
            let last = Known { id: EventId::mint(time_ms, u128::from(n)), ..event(0, 0, false) };
            assert_eq!(window.judge(1, last, Hlc::ZERO), Verdict::Duplicate);
            assert!(
                held <= ids && room <= 16 * ids + index::ROOM_KEPT * index::TABLES,
                "{n}: {held} held, room for {room}"
            );
        }
    }
}

/// Steps to remember a crowd of `n` ids of one moment, and then as many others that push it out: those that a
/// table which grows or shrinks moves are counted, too.
fn cost_of_a_crowd(n: u64) -> u64 {
    let mut window = Window::new(n as usize, 1, 0);
    window.open(1, Hlc::ZERO);
    counted::of(|| {
        for at in 0..2 * n {
            let time_ms = if at < n { 1_000 } else { 2_000 + at * 16 };
            window.remember(1, event(u128::from(at), time_ms, false), Hlc(at));
        }
    })
}

/// E29: what tables move when they grow and shrink is paid for by those who came and went: a few steps each,
/// however large the crowd is.
#[test]
fn a_crowd_costs_each_of_its_members_a_few_steps() {
    for n in [1_000, 4_000, 16_000, 64_000] {
        let each = cost_of_a_crowd(n) as f64 / (2 * n) as f64;
        assert!((1.0..6.0).contains(&each), "{each} steps each of {n}");
    }
}

/// The salt has a part in where an id stands.
#[test]
fn where_an_id_stands_depends_on_the_salt() {
    let spot = |salt| by_id(&Window::new(3, 2, salt).hasher, 1, event(1, 1_000, false).id);
    assert_eq!(spot(7), spot(7));
    assert_ne!(spot(7).hash, spot(8).hash);
}

/// Steps to judge and remember `n` events of one stream with one id, each with another content.
fn cost_of_one_id(n: u64) -> u64 {
    let mut window = Window::new(3_000, 10, 0);
    window.open(1, Hlc::ZERO);
    counted::of(|| {
        for seq in 1..=n {
            let mut content = ContentHash::default();
            content.0[..8].copy_from_slice(&seq.to_be_bytes());
            let event = Known { content, ..event(1, 1_000, false) };
            assert_eq!(window.judge(1, event, Hlc::ZERO), Verdict::New);
            assert_eq!(window.remember(1, event, at(seq)), seq % 3_001 != 1, "the first one is gone");
        }
    })
}

/// E4: an id that is used again and again, each time with other content, makes no look longer; four times the
/// events cost four times the probes, also when the oldest are forgotten.
#[test]
fn a_reused_id_costs_no_more_than_others() {
    let (few, many) = (cost_of_one_id(1_000), cost_of_one_id(4_000));
    assert!(few < 10_000 && many < 6 * few, "{few} probes for 1,000 events, {many} for 4,000");
}

proptest! {
    /// E4, E13: what the window says it holds is what two lists would hold, whatever ids are used again.
    #[test]
    fn the_window_holds_what_two_lists_would(
        events in prop::collection::vec((1u128..4, 0u8..4, any::<bool>()), 0..60),
        times in prop::sample::select(vec![[1_000; 4], [0, 15, 16, 16_384], [0, 1, 1 << 47, (1 << 48) - 1]]),
    ) {
        let mut window = window(Hlc::ZERO);
        let mut lists = [VecDeque::new(), VecDeque::new()];
        for (n, content, resend) in events {
            let known = Known { content: ContentHash([content; 16]), ..event(n, times[n as usize], resend) };
            window.remember(1, known, at(1));
            if !lists.iter().any(|list| list.contains(&(n, content))) {
                let (list, room) = (&mut lists[usize::from(resend)], if resend { 2 } else { 3 });
                list.push_back((n, content));
                if list.len() > room {
                    list.pop_front();
                }
            }
            for (n, content) in (1..4).flat_map(|n| (0..4).map(move |content| (n, content))) {
                let event = event(n, times[n as usize], false);
                let known = Known { content: ContentHash([content; 16]), ..event };
                let listed = lists.iter().any(|list| list.contains(&(n, content)));
                prop_assert_eq!(window.holds(1, known), listed);
            }
            prop_assert_eq!(window.index.numbers().count(), lists.iter().map(VecDeque::len).sum::<usize>());
        }
        let again = window.index.numbers().filter(|number| number & AGAIN != 0).count();
        prop_assert_eq!(window.again, again);
    }
}
