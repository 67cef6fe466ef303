//! What an event was authorised against, and whether a region knows enough to show it (E24).
//!
//! Pure comparison of cursors: folding the events those cursors count is [`crate::member`]'s work.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::fixed;
use crate::ids::Origin;
use crate::segment::Segment;

/// Cursors of the tenant's access stream and of the stream's own member events at the moment of
/// authorisation.
///
/// The member cursor counts seqs of the stream itself: it names the newest member event per origin that was
/// folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How far the tenant's access stream had been folded.
    pub access: Cursor,
    /// The newest member event of the stream itself that had been folded, per origin.
    pub member: Cursor,
}

impl Policy {
    /// Takes in what another event was authorised against.
    pub fn merge(&mut self, other: &Self) {
        self.access.merge(&other.access);
        self.member.merge(&other.member);
    }

    /// Whether whoever has folded `held` may deliver what was authorised against `self`.
    pub fn ready(&self, held: &Self) -> bool {
        held.access.covers(&self.access) && held.member.covers(&self.member)
    }
}

/// The access events that a segment rests on, for whoever shows it. In the access stream itself they are its
/// own member events, and named as such.
pub fn access_of(segment: &Segment) -> Option<&Cursor> {
    let cursor = &segment.policy.access;
    (!cursor.is_empty() && !fixed::is_access(&segment.stream)).then_some(cursor)
}

/// Lives of regions that have ended, and how far all that is left of each reaches in one stream.
///
/// What rests on more of such a life rests on what was lost with its region: nobody will ever hold it, and
/// whatever it said was lost with it. So nobody waits for it, but still for all that is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends(BTreeMap<Origin, u64>);

impl Ends {
    /// These lives are gathered: all that is left of them stands here. `head` is how far the stream stands
    /// here, read after that was known: read before, it may lack some of what was gathered.
    pub fn learn(&mut self, gathered: impl IntoIterator<Item = Origin>, head: &Cursor) {
        for origin in gathered {
            let last = head.get(&origin);
            let known = self.0.entry(origin).or_insert(last);
            *known = last.max(*known);
        }
    }

    /// What has to be held before something that rests on `needed` may be shown: of each life that has ended
    /// no more than is left.
    pub fn lower(&self, needed: &Cursor) -> Cursor {
        let left = |origin, seq: u64| self.0.get(origin).map_or(seq, |last| seq.min(*last));
        needed.iter().map(|(origin, seq)| (origin.clone(), left(origin, seq))).collect()
    }

    /// Whether `held` is enough to show what rests on `needed`.
    pub fn enough(&self, held: &Cursor, needed: &Cursor) -> bool {
        held.covers(needed) || (!self.0.is_empty() && held.covers(&self.lower(needed)))
    }

    /// Each life with the seq at which what is left of it ends; 0 where nothing is.
    pub fn iter(&self) -> impl Iterator<Item = (&Origin, u64)> {
        self.0.iter().map(|(origin, last)| (origin, *last))
    }

    /// Whether no life is known to have ended.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Origin, u64)> for Ends {
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(lives: I) -> Self {
        Self(lives.into_iter().collect())
    }
}

/// The origins of which `held` has less than is `needed`.
pub fn lacking<'a>(needed: &'a Cursor, held: &'a Cursor) -> impl Iterator<Item = &'a Origin> {
    needed.iter().filter(|(origin, seq)| held.get(origin) < *seq).map(|(origin, _)| origin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(text: &str) -> Cursor {
        text.parse().expect("a cursor")
    }

    fn origin(text: &str) -> Origin {
        text.parse().expect("an origin")
    }

    /// E1, E24: of a life that has ended what is left is waited for and no more; of another all of it; a
    /// later life of the region is another.
    #[test]
    fn what_was_lost_with_an_ended_life_is_not_waited_for() {
        let needed = cursor("eu:4,us:9,us~2:3");
        let mut ends = Ends::default();
        assert_eq!(ends.lower(&needed), needed);
        assert!(!ends.enough(&cursor("eu:4,us:7,us~2:3"), &needed));
        ends.learn([origin("us")], &cursor("eu:1,us:7"));
        assert_eq!(ends.lower(&needed), cursor("eu:4,us:7,us~2:3"));
        for (held, enough) in [
            ("eu:4,us:7,us~2:3", true),
            ("eu:4,us:6,us~2:3", false),
            ("eu:3,us:7,us~2:3", false),
            ("eu:4,us:7,us~2:2", false),
            ("eu:4,us~2:3", false),
        ] {
            assert_eq!(ends.enough(&cursor(held), &needed), enough, "{held}");
        }
        assert_eq!(
            lacking(&needed, &cursor("eu:4,us:7")).collect::<Vec<_>>(),
            [&origin("us"), &origin("us~2")]
        );
    }

    /// E1, E24: nothing may be left of a life in a stream; what surfaces of it after all counts from then on.
    #[test]
    fn what_is_left_may_be_nothing_and_never_shrinks() {
        let mut ends = Ends::default();
        ends.learn([origin("us")], &Cursor::new());
        assert!(ends.enough(&Cursor::new(), &cursor("us:9")));
        ends.learn([origin("us")], &cursor("us:5"));
        assert!(!ends.enough(&cursor("us:4"), &cursor("us:9")));
        ends.learn([origin("us")], &cursor("us:2"));
        assert_eq!(ends.iter().collect::<Vec<_>>(), [(&origin("us"), 5)]);
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        let one = prop_oneof![Just("ap"), Just("eu"), Just("us"), Just("us~2")];
        proptest::collection::vec((one, 0_u64..6), 0..5)
            .prop_map(|pairs| pairs.into_iter().map(|(name, seq)| (origin(name), seq)).collect())
    }

    proptest! {
        /// E24: whatever ended, nothing is waited for beyond what is needed, of lives that go on nothing
        /// less, and of ended ones nothing that is left is passed over.
        #[test]
        fn nothing_that_can_come_is_passed_over(
            needed in cursors(), held in cursors(), left in cursors(), ended in any::<[bool; 2]>(),
        ) {
            let gone = ["us", "us~2"].into_iter().zip(ended).filter(|(_, ended)| *ended);
            let gone: Vec<Origin> = gone.map(|(name, _)| origin(name)).collect();
            let mut ends = Ends::default();
            ends.learn(gone.clone(), &left);
            let everything: Cursor = needed
                .iter()
                .map(|(o, seq)| (o.clone(), if gone.contains(o) { seq.min(left.get(o)) } else { seq }))
                .collect();
            prop_assert_eq!(ends.enough(&held, &needed), held.covers(&everything) || held.covers(&needed));
            prop_assert!(ends.enough(&everything, &needed) && needed.covers(&ends.lower(&needed)));
        }
    }
}
