//! How far the access streams of tenants are known to stand in this region's table (E24).
//!
//! What rests on more waits until somebody has looked: at once when it is first met, then every second. An
//! access stream is in another partition than most of what rests on it, so that its own pushes do not say.
//! What was lost with a region whose life has ended is not waited for, once the table says that all that is
//! left of it is here; kept as long as the tenant is, and looked up anew where it is not known.

use std::collections::VecDeque;
use std::sync::Arc;

use sterna_stream::limits::CURSOR_ORIGINS;
use sterna_stream::map::Map;
use sterna_stream::policy::{self, Ends, access_of};
use sterna_stream::{Cursor, Origin, Segment, mutant};
use tokio::sync::Notify;

/// Tenants that are remembered; at the bound the one that was met first is looked up anew.
const TENANTS: usize = 10_000;

/// What is known of access streams.
#[derive(Default)]
pub(super) struct Tenants {
    known: Map<String, Known>,
    /// In the order they were met.
    order: VecDeque<String>,
    /// Somebody should look now.
    look: Arc<Notify>,
}

#[derive(Default)]
struct Known {
    held: Cursor,
    asked: Cursor,
    ends: Ends,
}

impl Tenants {
    /// Whether what a segment rests on is held.
    pub(super) fn holds(&self, segment: &Segment) -> bool {
        let Some(access) = access_of(segment) else { return true };
        let known = self.known.get(segment.stream.tenant());
        known.is_some_and(|known| known.ends.enough(&known.held, access)) || mutant!("ignore_access")
    }

    /// A segment waits: what it rests on is looked for at once, unless it was before.
    pub(super) fn ask(&mut self, segment: &Segment) {
        let Some(access) = access_of(segment) else { return };
        let known = self.of(segment.stream.tenant());
        if !known.asked.covers(access) {
            known.asked.merge(access);
            self.look.notify_one();
        }
    }

    /// An access stream was shown here: who waits for it looks again.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }

    /// The lives of whose access events more was asked for than is held, at most as many as a cursor names:
    /// they may have ended.
    pub(super) fn lacking(&self, tenant: &str) -> Vec<Origin> {
        let Some(known) = self.known.get(tenant) else { return Vec::new() };
        let needed = known.ends.lower(&known.asked);
        policy::lacking(&needed, &known.held).take(CURSOR_ORIGINS).cloned().collect()
    }

    /// The table holds a tenant's access stream up to here, and these lives were gathered before that was
    /// read.
    pub(super) fn held(&mut self, tenant: &str, head: &Cursor, gathered: &[Origin]) {
        let known = self.of(tenant);
        known.held.merge(head);
        known.ends.learn(gathered.iter().cloned(), head);
    }

    /// Raised when somebody should look now.
    pub(super) fn look(&self) -> Arc<Notify> {
        self.look.clone()
    }

    fn of(&mut self, tenant: &str) -> &mut Known {
        if !self.known.contains_key(tenant) {
            if self.order.len() >= TENANTS
                && let Some(first) = self.order.pop_front()
            {
                self.known.remove(&first);
            }
            self.order.push_back(tenant.to_owned());
        }
        self.known.entry(tenant.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E24: at the bound the first is forgotten, so that what rests on it is looked for again, and no other.
    #[test]
    fn a_tenant_that_is_forgotten_is_looked_for_again() {
        let mut tenants = Tenants::default();
        let head: Cursor = "us-east-1:3".parse().expect("a cursor");
        (0..TENANTS).for_each(|n| tenants.held(&format!("t{n}"), &head, &[]));
        let mut segments = ["t0/chat/a", "t1/chat/a"].map(|stream| {
            let mut segment = crate::hub::tests::segment("a", "us-east-1", 1, "");
            segment.stream = stream.parse().expect("a stream");
            segment.policy.access = head.clone();
            segment
        });
        assert!(segments.iter().all(|segment| tenants.holds(segment)));
        tenants.held("another", &head, &[]);
        assert_eq!(segments.each_ref().map(|segment| tenants.holds(segment)), [false, true]);
        tenants.held("t0", &head, &[]);
        segments[1].stream = "t2/chat/a".parse().expect("a stream");
        assert!(segments.iter().all(|segment| tenants.holds(segment)));
        assert_eq!((tenants.known.len(), tenants.order.len()), (TENANTS, TENANTS));
    }
}
