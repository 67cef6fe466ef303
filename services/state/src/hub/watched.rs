//! Which streams are followed here, for those who watch it: what changed since they last looked, in the order
//! it changed first. At most one change per stream waits.

use std::collections::VecDeque;
use std::sync::Arc;

use sterna_stream::StreamId;
use sterna_stream::map::Map;
use tokio::sync::Notify;

/// Names one watcher; never used again.
pub type WatchId = u64;

/// Everybody who watches.
#[derive(Default)]
pub(super) struct Watched {
    watchers: Map<WatchId, Watcher>,
    last_id: WatchId,
}

#[derive(Default)]
struct Watcher {
    order: VecDeque<StreamId>,
    on: Map<StreamId, bool>,
    changed: Arc<Notify>,
}

impl Watched {
    /// A further watcher, who finds `followed` as changes.
    pub(super) fn watch(&mut self, followed: Vec<StreamId>) -> (WatchId, Arc<Notify>) {
        let mut watcher = Watcher::default();
        followed.into_iter().for_each(|stream| watcher.change(&stream, true));
        let changed = watcher.changed.clone();
        self.last_id += 1;
        self.watchers.insert(self.last_id, watcher);
        (self.last_id, changed)
    }

    pub(super) fn unwatch(&mut self, id: WatchId) {
        self.watchers.remove(&id);
    }

    /// A stream is followed from now on, or not any more.
    pub(super) fn change(&mut self, stream: &StreamId, on: bool) {
        self.watchers.values_mut().for_each(|watcher| watcher.change(stream, on));
    }

    /// Takes out at most so many changes.
    pub(super) fn changes(&mut self, id: WatchId, most: usize) -> Vec<(StreamId, bool)> {
        let Some(watcher) = self.watchers.get_mut(&id) else { return Vec::new() };
        let streams: Vec<StreamId> = watcher.order.drain(..most.min(watcher.order.len())).collect();
        let on = &mut watcher.on;
        streams.into_iter().filter_map(|stream| on.remove(&stream).map(|on| (stream, on))).collect()
    }
}

impl Watcher {
    fn change(&mut self, stream: &StreamId, on: bool) {
        if self.on.insert(stream.clone(), on).is_none() {
            self.order.push_back(stream.clone());
        }
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(n: usize) -> StreamId {
        format!("acme/chat/s{n}").parse().expect("a stream's name")
    }

    /// E15: a watcher learns what is followed when it comes, then each change once, the last word on each
    /// stream.
    #[test]
    fn a_watcher_learns_the_union_and_then_its_changes() {
        let mut watched = Watched::default();
        let (first, _) = watched.watch(vec![stream(0), stream(1)]);
        watched.change(&stream(2), true);
        watched.change(&stream(0), false);
        assert_eq!(watched.changes(first, 2), [(stream(0), false), (stream(1), true)]);
        assert_eq!(watched.changes(first, 2), [(stream(2), true)]);
        watched.change(&stream(1), false);
        watched.change(&stream(1), true);
        let (second, _) = watched.watch(vec![stream(1)]);
        watched.unwatch(first);
        assert_eq!(watched.changes(first, 9), []);
        assert_eq!(watched.changes(second, 9), [(stream(1), true)]);
        assert_eq!(watched.changes(second, 9), []);
    }
}
