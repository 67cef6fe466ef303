//! What came by express, in an owned partition: shown at once if it is what comes next of its origin, then
//! handled as if a mirror had brought it, except that nothing is counted or committed for it (E19, E20).
//!
//! What comes too early waits for the mirror; what comes too late, or finds too much that is not in the table
//! yet, is dropped: the mirror brings it.

use sterna_proto::record::Stored;

use super::ahead::Chain;
use super::records::Owned;
use crate::Inner;
use crate::ensure::From;

/// Segments of one partition that were shown on account of express and are not known to be in the table, or
/// come after such; further ones are left to the mirror.
pub(super) const SHOWN_UNSTORED_MAX: usize = 1_024;

impl Owned {
    /// A segment came by express.
    pub(super) async fn carried(&mut self, role: &Inner, stored: Stored) {
        let segment = &stored.segment;
        let chain = (segment.stream.clone(), segment.origin.clone());
        let next = role.hub.lock().next(&chain.0, &chain.1);
        match next {
            None => return role.express.count().unwanted += 1,
            Some(next) if segment.last() < next => return role.express.count().late += 1,
            Some(_) => role.hub.lock().heard_of(segment),
        }
        if !self.ahead.add(stored) {
            return role.express.count().shed += 1;
        }
        self.catch_up(role, &chain).await;
    }

    /// Shows what came early by express and is what comes next of a chain now.
    pub(super) async fn catch_up(&mut self, role: &Inner, chain: &Chain) {
        while !self.is_parked(chain) && self.express.open() < SHOWN_UNSTORED_MAX {
            let next = role.hub.lock().next(&chain.0, &chain.1);
            let Some(next) = next else { return self.ahead.forget(chain) };
            let Some(stored) = self.ahead.take(chain, next) else { return };
            role.express.count().shown += 1;
            let number = self.express.take(0);
            self.foreign(role, From::Express, number, stored).await;
        }
    }

    /// The same for all chains: their streams' heads may have moved without them.
    pub(super) async fn catch_up_all(&mut self, role: &Inner) {
        for chain in self.ahead.chains() {
            self.catch_up(role, &chain).await;
        }
    }
}
