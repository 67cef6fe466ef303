//! What may be shown: nothing that rests on member or access events that this region does not hold (E24).
//!
//! A page stops, per origin, at the first segment that rests on more than the table holds; asked again later,
//! it goes on. What a segment rests on of its own origin came before it anyway. Access events that were lost
//! with a region whose life has ended are not waited for, once all that is left of it is here.

use sterna_proto::record::Stored;
use sterna_stream::limits::CURSOR_ORIGINS;
use sterna_stream::mutant;
use sterna_stream::policy::{self, Ends, access_of};
use sterna_stream::{Cursor, Origin};

/// What this region holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Of the stream.
    pub stream: Cursor,
    /// Of the tenant's access stream.
    pub access: Cursor,
    /// Lives that have ended, and what is left of them in the access stream.
    pub ends: Ends,
}

/// Whether any of these segments rests on another origin's member events, or on access events.
pub fn concerns(segments: &[Stored]) -> bool {
    segments.iter().any(|stored| foreign(stored).next().is_some() || access_of(&stored.segment).is_some())
}

/// The lives of whose access events these segments rest on more than is held, at most as many as a cursor
/// names.
pub fn lacking<'a>(segments: impl Iterator<Item = &'a Stored>, held: &Held) -> Vec<Origin> {
    let mut needed = Cursor::new();
    segments.filter_map(|stored| access_of(&stored.segment)).for_each(|access| needed.merge(access));
    policy::lacking(&needed, &held.access).take(CURSOR_ORIGINS).cloned().collect()
}

/// Drops what may not be shown while the region holds `held`. Returns whether anything was dropped.
pub fn stop(segments: &mut Vec<Stored>, held: &Held) -> bool {
    let before = segments.len();
    let mut stopped: Vec<Origin> = Vec::new();
    segments.retain(|stored| {
        let origin = &stored.segment.origin;
        let members = foreign(stored).all(|(other, seq)| held.stream.get(other) >= seq);
        let access = access_of(&stored.segment).is_none_or(|access| held.ends.enough(&held.access, access));
        let ready = (members && access) || mutant!("ignore_policy_in_backlog");
        if !ready && !stopped.contains(origin) {
            stopped.push(origin.clone());
        }
        !stopped.contains(origin)
    });
    segments.len() < before
}

fn foreign(stored: &Stored) -> impl Iterator<Item = (&Origin, u64)> {
    let segment = &stored.segment;
    segment.policy.member.iter().filter(|(origin, _)| **origin != segment.origin)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sterna_stream::{Hlc, Policy, Position, Prefix, Segment};

    use super::*;

    fn segment(origin: &str, first: u64, rests_on: &str) -> Stored {
        Stored::new(Segment {
            stream: "acme/chat/a".parse().unwrap(),
            origin: origin.parse().unwrap(),
            first,
            stamps: vec![Hlc::at(first)].into(),
            bodies: vec![Bytes::new()].into(),
            from: Position { incarnation: 1, partition: 0, offset: 0 },
            policy: Policy { member: rests_on.parse().unwrap(), ..Policy::default() },
            prefix: Prefix::START,
            members: Vec::new(),
            member_before: 0,
        })
    }

    fn held(stream: &str, access: &str) -> Held {
        Held { stream: stream.parse().unwrap(), access: access.parse().unwrap(), ends: Ends::default() }
    }

    /// E24: so it is with events of the tenant's access stream, those of the segment's own origin included,
    /// for they stand in another stream; in that stream itself they are member events.
    #[test]
    fn a_page_stops_at_what_rests_on_an_access_event_that_is_not_held() {
        let mut all = [segment("ap", 1, ""), segment("us", 1, ""), segment("us", 2, "")];
        all[2].segment.policy.access = "us:7".parse().unwrap();
        assert!(concerns(&all) && !concerns(&all[..2]));
        let mut page = all.to_vec();
        assert!(stop(&mut page, &held("ap:9,us:9", "us:6")));
        assert_eq!(page, all[..2]);
        let mut page = all.to_vec();
        assert!(!stop(&mut page, &held("", "us:7")));
        all[2].segment.stream = "acme/access/main".parse().unwrap();
        assert!(!concerns(&all));
    }

    /// E1, E24: an access event that was lost with a region is not waited for once its life has ended and all
    /// that is left of it is here; what is left, and what other lives may still bring, is.
    #[test]
    fn a_page_does_not_wait_for_what_was_lost_with_an_ended_life() {
        let mut all = [segment("us", 1, ""), segment("us", 2, ""), segment("ap", 1, "")];
        all[1].segment.policy.access = "us:7".parse().unwrap();
        all[2].segment.policy.access = "eu:4,us:7".parse().unwrap();
        let mut here = held("", "eu:3,us:6");
        assert_eq!(lacking(all.iter(), &here), ["eu", "us"].map(|origin| origin.parse().unwrap()));
        let shown = |held: &Held| {
            let mut page = all.to_vec();
            stop(&mut page, held);
            page.len()
        };
        assert_eq!(shown(&here), 1);
        here.ends.learn(["us".parse().unwrap()], &"us:6".parse().unwrap());
        assert_eq!(shown(&here), 2, "the other rests on an event that may come");
        here.access = "eu:4,us:5".parse().unwrap();
        assert_eq!(shown(&here), 1, "what is left of it is not all held");
        here.access = "eu:4,us:6".parse().unwrap();
        assert_eq!(shown(&here), 3);
    }

    /// E24: what rests on an event that is not held stops its own origin, and no other.
    #[test]
    fn a_page_stops_at_what_rests_on_an_event_that_is_not_held() {
        let all = [
            segment("ap", 1, "us:3"),
            segment("ap", 2, "us:4"),
            segment("ap", 3, ""),
            segment("us", 4, "us:4"),
        ];
        assert!(concerns(&all));
        let mut page = all.to_vec();
        assert!(stop(&mut page, &held("us:3", "")));
        assert_eq!(page, [all[0].clone(), all[3].clone()]);
        let mut page = all.to_vec();
        assert!(!stop(&mut page, &held("us:4", "")));
        assert_eq!(page, all);
        assert!(!concerns(&all[2..]), "what rests on its own origin alone needs no look");
    }
}
