use super::*;
use crate::encode::Subprotocols;
use crate::shard::tests::world::{cursor, segment, stream};

fn floor(hlc: u64) -> Place {
    Place { hlc: sterna_stream::Hlc(hlc), origin: "m".parse().unwrap(), seq: 1 }
}

fn gap(reason: GapReason, from: &str, to: &str) -> Gap {
    Gap { reason, from: cursor(from), to: cursor(to) }
}

/// E24: of each origin a prefix is hidden; of equal stamps the origin decides.
#[test]
fn a_prefix_stands_below_the_floor() {
    let (early, late) = (segment(&stream("a"), "a", 3, 6, 1), segment(&stream("a"), "z", 3, 6, 1));
    for (hlc, of_early, of_late) in [(2, 0, 0), (3, 1, 0), (5, 3, 2), (6, 4, 3), (7, 4, 4)] {
        assert_eq!((below(&early, &floor(hlc)), below(&late, &floor(hlc))), (of_early, of_late), "{hlc}");
    }
}

/// E24: gaps and what is left of the segments tile what the page would have brought.
#[test]
fn a_page_is_told_without_what_is_hidden() {
    let segments = vec![segment(&stream("a"), "a", 3, 6, 1), segment(&stream("a"), "z", 1, 2, 1)];
    let whole = Page { gap: Some(gap(GapReason::Skipped, "", "a:2,q:9")), segments };
    let (gaps, left) = page(&whole, &cursor(""), &floor(5));
    assert_eq!(gaps, [gap(GapReason::Skipped, "", "q:9"), gap(GapReason::Hidden, "q:9", "a:5,q:9,z:2")]);
    let left: Vec<_> = left.iter().map(|segment| (segment.first, segment.last())).collect();
    assert_eq!(left, [(6, 6)]);
    let (gaps, left) = page(&whole, &cursor(""), &floor(0));
    assert_eq!((gaps, left.len()), (vec![gap(GapReason::Skipped, "", "a:2,q:9")], 2), "nothing is hidden");
}

#[test]
fn what_stands_above_the_floor_is_nobodys_business_here() {
    let one = segment(&stream("a"), "a", 3, 6, 1);
    assert!(frames((2, &one), &floor(3), Encoding::Json, &Subprotocols).is_some());
    assert!(frames((2, &one), &floor(2), Encoding::Json, &Subprotocols).is_none());
    let mut floors = Floors::default();
    floors.set(7, Some(floor(4)));
    floors.set(8, Some(floor(2)));
    assert_eq!(floors.hiding(&one).collect::<Vec<_>>(), [7]);
    floors.set(7, None);
    floors.set(8, None);
    assert!(floors.is_empty());
}
