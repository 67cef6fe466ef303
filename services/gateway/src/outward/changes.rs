//! Whether members of a stream changed since something was decided (E24): counted only for streams that a
//! decision is being made about or kept for, so that it costs nothing to be told of all others, and a change
//! visits no session.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sterna_stream::StreamId;
use sterna_stream::map::Map;

/// The streams that decisions are being made about or kept for.
#[derive(Clone, Default)]
pub(crate) struct Changes(Rc<RefCell<Map<StreamId, Rc<Cell<u64>>>>>);

/// One stream, as long as a decision about it takes or is kept.
pub(crate) struct Watched {
    changes: Changes,
    stream: StreamId,
    count: Rc<Cell<u64>>,
}

impl Changes {
    /// Counts changes of `stream` from now on.
    pub(crate) fn watch(&self, stream: &StreamId) -> Watched {
        let count = self.0.borrow_mut().entry(stream.clone()).or_default().clone();
        Watched { changes: self.clone(), stream: stream.clone(), count }
    }

    /// Members of `stream` changed.
    pub(crate) fn passed(&self, stream: &StreamId) {
        if let Some(count) = self.0.borrow().get(stream) {
            count.set(count.get() + 1);
        }
    }

    /// What every stream of a tenant rests on changed.
    pub(crate) fn tenant_passed(&self, tenant: &str) {
        let streams = self.0.borrow();
        let concerned = streams.iter().filter(|(stream, _)| stream.tenant() == tenant);
        concerned.for_each(|(_, count)| count.set(count.get() + 1));
    }

    /// Something may have been missed: every decision is made again.
    pub(crate) fn all_passed(&self) {
        self.0.borrow().values().for_each(|count| count.set(count.get() + 1));
    }
}

impl Watched {
    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// How many changes there were since somebody watches.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The map's and this one.
        if Rc::strong_count(&self.count) == 2 {
            self.changes.0.borrow_mut().remove(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E24: a change is seen by every decision it passed by, and nothing is kept of decided streams.
    #[test]
    fn a_change_is_counted_for_whoever_decides_meanwhile() {
        let changes = Changes::default();
        let (room, other): (StreamId, StreamId) =
            ("acme/chat/room".parse().expect("an id"), "acme/chat/other".parse().expect("an id"));
        changes.passed(&room);
        let first = changes.watch(&room);
        let before = first.count();
        changes.passed(&other);
        assert_eq!(first.count(), before);
        let second = changes.watch(&room);
        changes.passed(&room);
        assert_eq!((first.count(), second.count()), (before + 1, before + 1));
        drop(first);
        changes.all_passed();
        changes.tenant_passed("other");
        changes.tenant_passed("acme");
        assert_eq!(second.count(), before + 3);
        drop(second);
        assert!(changes.0.borrow().is_empty());
    }
}
