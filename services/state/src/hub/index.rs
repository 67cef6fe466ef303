//! In which streams something waits, by tenant: who looks for what is waited for visits those and no others,
//! however many are followed.

use std::collections::{BTreeMap, BTreeSet};

use sterna_stream::StreamId;

/// Streams in which something waits.
#[derive(Default)]
pub(super) struct Index {
    tenants: BTreeMap<String, BTreeSet<StreamId>>,
    /// How often a stream was handed out.
    #[cfg(test)]
    pub(super) visits: std::cell::Cell<usize>,
}

impl Index {
    /// Something waits in a stream, or nothing any more.
    pub(super) fn set(&mut self, stream: &StreamId, waits: bool) {
        if waits {
            self.tenants.entry(stream.tenant().to_owned()).or_default().insert(stream.clone());
        } else if let Some(streams) = self.tenants.get_mut(stream.tenant()) {
            streams.remove(stream);
            if streams.is_empty() {
                self.tenants.remove(stream.tenant());
            }
        }
    }

    /// All of them, tenant by tenant.
    pub(super) fn all(&self) -> impl Iterator<Item = &StreamId> {
        self.tenants.values().flatten().inspect(|_| self.visited())
    }

    /// Those of one tenant.
    pub(super) fn of(&self, tenant: &str) -> impl Iterator<Item = &StreamId> {
        self.tenants.get(tenant).into_iter().flatten().inspect(|_| self.visited())
    }

    fn visited(&self) {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
    }
}
