//! What waits because it rests on events that this region does not hold yet, and what ends that (E24).
//!
//! Member events come with the stream itself, by push or by the table; access events stand in another stream,
//! mostly of another partition, so that the table is looked at for them. What waits too long is left to the
//! backlog, which asks the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use sterna_stream::{Cursor, Origin, StreamId, fixed};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Hub;
use super::followed::{Followed, Waiting};

impl Hub {
    /// Streams in which something waits.
    pub fn waiting(&self) -> Vec<StreamId> {
        sorted(self.waiting.all())
    }

    /// Those of them whose heads are to be read, for the member events that something waits for may come by
    /// table alone.
    pub fn lacking(&self) -> Vec<StreamId> {
        sorted(self.waiting_in().filter(|(_, followed)| followed.lacks_members()).map(|(stream, _)| stream))
    }

    /// The access streams whose heads are to be read.
    pub fn lacking_access(&self) -> Vec<StreamId> {
        let waiting = self.waiting_in().flat_map(|(_, followed)| &followed.waiting);
        let lacking = waiting.filter(|waiting| !self.tenants.holds(&waiting.segment));
        let streams: BTreeSet<StreamId> =
            lacking.filter_map(|waiting| fixed::access(waiting.segment.stream.tenant()).ok()).collect();
        streams.into_iter().collect()
    }

    fn waiting_in(&self) -> impl Iterator<Item = (&StreamId, &Followed)> {
        self.waiting.all().filter_map(|stream| Some((stream, self.streams.get(stream)?)))
    }

    /// Raised when something began to wait for an access stream, or one was shown: look for it now.
    pub fn look(&self) -> Arc<Notify> {
        self.tenants.look()
    }

    /// A segment of an access stream was consumed, and stands in the table.
    pub fn access_shown(&self) {
        self.tenants.look_now();
    }

    /// The lives of which an access stream was found to lack something: whether they have ended is asked
    /// with its head.
    pub fn lacking_lives(&self, access: &StreamId) -> Vec<Origin> {
        self.tenants.lacking(access.tenant())
    }

    /// The table holds an access stream up to here; of these lives, which have ended, it holds all that is
    /// left.
    pub fn access_held(&mut self, access: &StreamId, head: &Cursor, gathered: &[Origin]) {
        self.tenants.held(access.tenant(), head, gathered);
        sorted(self.waiting.of(access.tenant())).iter().for_each(|stream| self.release(stream));
    }

    /// The table holds a stream up to here. What has waited too long in it is left to the backlog.
    pub fn held(&mut self, stream: &StreamId, head: &Cursor, now: Instant) {
        let Some(followed) = self.streams.get_mut(stream) else { return };
        followed.held.merge(head);
        self.release(stream);
        let Some(followed) = self.streams.get_mut(stream) else { return };
        let before = followed.waiting.len();
        followed.waiting.retain(|waiting| now < waiting.until);
        self.counters.given_up += (before - followed.waiting.len()) as u64;
        self.waiting.set(stream, !followed.waiting.is_empty());
    }

    /// Delivers what waited and need not any more.
    pub(super) fn release(&mut self, stream: &StreamId) {
        loop {
            let Some(followed) = self.streams.get_mut(stream) else { return };
            let Some(at) = followed.first_ready(&self.tenants) else { return };
            let Waiting { segment, record, .. } = followed.waiting.remove(at);
            self.waiting.set(stream, !followed.waiting.is_empty());
            self.deliver(&segment, record);
        }
    }
}

fn sorted<'a>(streams: impl Iterator<Item = &'a StreamId>) -> Vec<StreamId> {
    let mut streams: Vec<StreamId> = streams.cloned().collect();
    streams.sort_unstable();
    streams
}
