//! What may be shown: nothing that rests on member or access events that this region does not hold (E24).
//!
//! A page stops, per origin, at the first segment that rests on more than the table holds; asked again later,
//! it goes on. What a segment rests on of its own origin came before it anyway.

use sterna_proto::record::Stored;
use sterna_stream::mutant;
use sterna_stream::policy::access_of;
use sterna_stream::{Cursor, Origin};

/// What this region holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Of the stream.
    pub stream: Cursor,
    /// Of the tenant's access stream.
    pub access: Cursor,
}

/// Whether any of these segments rests on another origin's member events, or on access events.
pub fn concerns(segments: &[Stored]) -> bool {
    segments.iter().any(|stored| foreign(stored).next().is_some() || access_of(&stored.segment).is_some())
}

/// Drops what may not be shown while the region holds `held`. Returns whether anything was dropped.
pub fn stop(segments: &mut Vec<Stored>, held: &Held) -> bool {
    let before = segments.len();
    let mut stopped: Vec<Origin> = Vec::new();
    segments.retain(|stored| {
        let origin = &stored.segment.origin;
        let members = foreign(stored).all(|(other, seq)| held.stream.get(other) >= seq);
        let access = access_of(&stored.segment).is_none_or(|access| held.access.covers(access));
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
            stamps: vec![Hlc::at(first)],
            bodies: vec![Bytes::new()],
            from: Position { incarnation: 1, partition: 0, offset: 0 },
            policy: Policy { member: rests_on.parse().unwrap(), ..Policy::default() },
            prefix: Prefix::START,
            members: Vec::new(),
            member_before: 0,
        })
    }

    fn held(stream: &str, access: &str) -> Held {
        Held { stream: stream.parse().unwrap(), access: access.parse().unwrap() }
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
