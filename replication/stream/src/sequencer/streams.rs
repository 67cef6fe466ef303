//! The streams that a partition has loaded. A name is looked up where an input brings it; whatever the
//! machine keeps of a stream names its slot.
//!
//! A slot is one stream's for as long as that is loaded, and used again after it. So only what cannot outlast
//! the stream may keep one: a list of the partition. A stream that one of them names is not at rest, and is
//! not dropped.

use slab::Slab;

use super::stream::Stream;
use crate::ids::StreamId;
use crate::map::Map;

/// Where a loaded stream is found without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(usize);

#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Map<StreamId, Slot>,
    streams: Slab<Stream>,
}

impl Streams {
    pub(super) fn find(&self, name: &StreamId) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Stream> {
        self.streams.get(slot.0)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Stream> {
        self.streams.get_mut(slot.0)
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Makes the stream of this name, which is not there.
    pub(super) fn insert(&mut self, name: &StreamId, load: u64) -> Slot {
        let entry = self.streams.vacant_entry();
        let slot = Slot(entry.key());
        entry.insert(Stream::new(name.clone(), slot, load));
        self.slots.insert(name.clone(), slot);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(stream) = self.streams.try_remove(slot.0) {
            self.slots.remove(stream.name());
        }
    }
}
