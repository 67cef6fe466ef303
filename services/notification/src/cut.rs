//! Which part of a long backlog is left out: everything but the newest n events in display order
//! (docs/protocol.md, section 8 c).
//!
//! Pure. Within an origin stamps rise with seq, so the newest n of all origins are a suffix of each.

use sterna_proto::record::Stored;
use sterna_stream::{Cursor, Hlc, Origin};

/// How many events a cursor is behind a head.
pub fn behind(after: &Cursor, head: &Cursor) -> u64 {
    head.iter().map(|(origin, seq)| seq.saturating_sub(after.get(origin))).sum()
}

/// Up to where to skip, per origin, so that `n` events remain. `newest` holds, per origin, at least its
/// newest min(n, all after `after`) events up to `head`.
pub fn cut(after: &Cursor, head: &Cursor, newest: &[Stored], n: usize) -> Cursor {
    let mut events: Vec<(Hlc, &Origin, u64)> = Vec::new();
    for stored in newest {
        let origin = &stored.segment.origin;
        let (from, to) = (after.get(origin), head.get(origin));
        let missed = stored.segment.events().filter(|(seq, ..)| *seq > from && *seq <= to);
        events.extend(missed.map(|(seq, hlc, _)| (hlc, origin, seq)));
    }
    events.sort_unstable_by(|a, b| b.cmp(a));
    events.truncate(n);
    let mut skip = head.clone();
    skip.merge(after);
    let kept = |origin: &Origin| events.iter().filter(|(_, o, _)| *o == origin).map(|(.., seq)| *seq).min();
    skip.iter().map(|(origin, end)| (origin.clone(), kept(origin).map_or(end, |oldest| oldest - 1))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use sterna_stream::{Policy, Position, Prefix, Segment};

    use super::*;

    fn segment(origin: &str, first: u64, stamps: &[u64]) -> Stored {
        Stored::new(Segment {
            stream: "acme/chat/a".parse().unwrap(),
            origin: origin.parse().unwrap(),
            first,
            stamps: stamps.iter().map(|&ms| Hlc::at(ms)).collect(),
            bodies: stamps.iter().map(|_| Bytes::new()).collect(),
            from: Position { incarnation: 1, partition: 0, offset: 0 },
            policy: Policy::default(),
            prefix: Prefix::START,
            members: Vec::new(),
            member_before: 0,
        })
    }

    fn cursor(text: &str) -> Cursor {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_events_of_all_origins_remain() {
        let newest = [segment("eu", 5, &[10, 40]), segment("us", 7, &[20, 30, 50])];
        let (after, head) = (cursor("eu:4,us:6"), cursor("eu:6,us:9"));
        assert_eq!(cut(&after, &head, &newest, 3), cursor("eu:5,us:7"), "40, 50 and 30 remain");
        assert_eq!(cut(&after, &head, &newest, 5), after, "nothing is skipped when all fit");
        assert_eq!(cut(&after, &head, &newest, 0), head, "everything is");
    }

    #[test]
    fn the_cut_never_goes_below_the_cursor_and_ignores_what_it_holds() {
        let newest = [segment("us", 1, &[1, 2, 3, 4])];
        assert_eq!(cut(&cursor("us:3"), &cursor("us:4"), &newest, 10), cursor("us:3"));
        let ahead = cursor("eu:9,us:3");
        assert_eq!(cut(&ahead, &cursor("us:4"), &newest, 10), ahead, "a device may be ahead of its region");
    }

    #[test]
    fn behind_counts_what_is_missing_and_not_what_is_ahead() {
        assert_eq!(behind(&cursor("eu:9,us:3"), &cursor("eu:4,us:10")), 7);
    }
}
