//! Sealed grants to publish that a session keeps for its next publishes.

use bytes::Bytes;
use smallvec::SmallVec;
use sterna_stream::StreamId;
use sterna_stream::ids::EventKind;
use sterna_stream::map::hash_of;

use crate::outward::changes::Watched;

/// Grants that one session keeps; the oldest goes first.
const GRANTS: usize = 8;

#[derive(Default)]
pub(super) struct Grants {
    /// Of the streams' names, in the order of `kept`: they tell nearly all of the others apart, and stand in
    /// one line of memory, where the grants stand in many.
    marks: [u32; GRANTS],
    kept: SmallVec<[Granted; 1]>,
}

/// A sealed grant; void when members of its stream change.
pub(super) struct Granted {
    pub(super) stream: Watched,
    /// Of the changes, when it was decided.
    pub(super) changes: u64,
    pub(super) kind: EventKind,
    pub(super) sealed: Bytes,
    /// Wall milliseconds.
    pub(super) until_ms: u64,
}

impl Grants {
    /// The one for this, while it is good.
    pub(super) fn get(&self, stream: &StreamId, kind: &EventKind, now_ms: u64) -> Option<Bytes> {
        let mark = mark(stream);
        let marked = self.marks.iter().zip(&self.kept).filter(|(its, _)| **its == mark);
        let granted = marked.map(|(_, granted)| granted).find(|granted| granted.is_for(stream, kind))?;
        let is_good = granted.until_ms > now_ms && granted.changes == granted.stream.count();
        is_good.then(|| granted.sealed.clone())
    }

    /// Instead of an earlier one for the same.
    pub(super) fn keep(&mut self, granted: Granted) {
        self.kept.retain(|kept| !kept.is_for(granted.stream.stream(), &granted.kind));
        if self.kept.len() >= GRANTS {
            self.kept.remove(0);
        }
        self.kept.push(granted);
        for (its, kept) in self.marks.iter_mut().zip(&self.kept) {
            *its = mark(kept.stream.stream());
        }
    }
}

impl Granted {
    fn is_for(&self, stream: &StreamId, kind: &EventKind) -> bool {
        self.stream.stream() == stream && self.kind == *kind
    }
}

fn mark(stream: &StreamId) -> u32 {
    hash_of(stream) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outward::changes::Changes;

    fn granted(changes: &Changes, stream: &str, kind: &str, sealed: u8) -> Granted {
        let stream = changes.watch(&stream.parse().expect("an id"));
        let (changes, kind) = (stream.count(), kind.parse().expect("a kind"));
        Granted { stream, changes, kind, sealed: Bytes::from(vec![sealed]), until_ms: 10 }
    }

    fn get(grants: &Grants, stream: &str, kind: &str, now_ms: u64) -> Option<u8> {
        let (stream, kind) = (stream.parse().expect("an id"), kind.parse().expect("a kind"));
        grants.get(&stream, &kind, now_ms).map(|sealed| sealed[0])
    }

    /// E24: a grant is for its stream and kind, until it ends or members change; a later one replaces it.
    #[test]
    fn a_grant_is_used_for_what_it_is_for_and_while_it_is_good() {
        let (changes, mut grants) = (Changes::default(), Grants::default());
        grants.keep(granted(&changes, "acme/chat/a", "message", 1));
        grants.keep(granted(&changes, "acme/chat/a", "topic", 2));
        grants.keep(granted(&changes, "acme/chat/b", "message", 3));
        assert_eq!(get(&grants, "acme/chat/a", "message", 9), Some(1));
        assert_eq!(get(&grants, "acme/chat/a", "topic", 9), Some(2));
        assert_eq!(get(&grants, "acme/chat/b", "topic", 9), None);
        assert_eq!(get(&grants, "acme/chat/a", "message", 10), None, "it has ended");
        changes.passed(&"acme/chat/a".parse().expect("an id"));
        assert_eq!(get(&grants, "acme/chat/a", "topic", 9), None, "members changed");
        assert_eq!(get(&grants, "acme/chat/b", "message", 9), Some(3));
        grants.keep(granted(&changes, "acme/chat/a", "topic", 4));
        assert_eq!(get(&grants, "acme/chat/a", "topic", 9), Some(4));
        assert_eq!(grants.kept.len(), 3);
    }

    #[test]
    fn the_oldest_goes_first() {
        let (changes, mut grants) = (Changes::default(), Grants::default());
        for n in 0..=GRANTS as u8 {
            grants.keep(granted(&changes, &format!("acme/chat/{n}"), "message", n));
        }
        let kept: Vec<_> =
            (0..=GRANTS as u8).map(|n| get(&grants, &format!("acme/chat/{n}"), "message", 9)).collect();
        assert_eq!(kept[0], None);
        assert_eq!(kept[1..], (1..=GRANTS as u8).map(Some).collect::<Vec<_>>());
    }
}
