//! Where to connect (docs/protocol.md, section 7, `connecting`, and section 13).
//!
//! Cold by the DNS name; then by the addresses that `welcome` gave, which are stored. Two failures at one
//! endpoint lead to the next. After a hop or a move the client stays and goes back only by `move`; a new
//! start of the application asks the DNS name again once ten minutes have passed. Nothing a `move` says is
//! ever an address.

use sterna_protocol::frame::Endpoint;
use sterna_stream::Region;

use crate::config::{ENDPOINT_FAILURES, ENDPOINTS, STAY_MS};

/// Where attempts go.
#[derive(Debug)]
pub(super) struct Endpoints {
    cold: Box<str>,
    known: Vec<Endpoint>,
    home: Option<Region>,
    /// The present one; `None` is the DNS name.
    at: Option<Region>,
    failures: u32,
    hopped_ms: Option<u64>,
}

impl Endpoints {
    pub(super) fn new(cold: Box<str>, known: Vec<Endpoint>, home: Option<Region>) -> Self {
        Self { cold, known, home, at: None, failures: 0, hopped_ms: None }
    }

    pub(super) fn known(&self) -> &[Endpoint] {
        &self.known
    }

    pub(super) fn home(&self) -> Option<&Region> {
        self.home.as_ref()
    }

    /// The present endpoint; `None` is the DNS name.
    pub(super) fn at(&self) -> Option<&Region> {
        self.at.as_ref()
    }

    pub(super) fn url(&self) -> Box<str> {
        self.at.as_ref().and_then(|at| self.url_of(at)).unwrap_or_else(|| self.cold.clone())
    }

    /// A region's address, if it is known.
    pub(super) fn url_of(&self, region: &Region) -> Option<Box<str>> {
        self.known.iter().find(|one| one.region == *region).map(|one| one.url.clone())
    }

    /// The application connects anew.
    pub(super) fn restart(&mut self, now_ms: u64) {
        if self.hopped_ms.is_none_or(|hopped| now_ms - hopped >= STAY_MS) {
            (self.at, self.hopped_ms) = (None, None);
        }
        self.failures = 0;
    }

    /// An attempt failed at the present endpoint. Says whether it goes elsewhere next.
    pub(super) fn failed(&mut self, now_ms: u64) -> bool {
        self.failures += 1;
        if self.failures < ENDPOINT_FAILURES || self.known.is_empty() {
            return false;
        }
        self.failures = 0;
        let next = self.next();
        let hops = next != self.at;
        if hops {
            self.hopped_ms = Some(now_ms);
            self.at = next;
        }
        hops
    }

    /// The session is in `region` now, by a `move`.
    pub(super) fn moved(&mut self, region: Region, now_ms: u64) {
        (self.at, self.failures, self.hopped_ms) = (Some(region), 0, Some(now_ms));
    }

    /// `welcome` came from `region` and names these; `by_name` if the DNS name led there. Says whether there
    /// is something new to store.
    pub(super) fn learn(&mut self, region: &Region, mut named: Vec<Endpoint>, by_name: bool) -> bool {
        named.truncate(ENDPOINTS);
        let before = (self.home.clone(), self.known.clone());
        if !named.is_empty() {
            self.known = named;
        }
        if by_name {
            self.home = Some(region.clone());
        }
        self.failures = 0;
        if self.url_of(region).is_some() {
            self.at = Some(region.clone());
        }
        before != (self.home.clone(), self.known.clone())
    }

    /// After the DNS name the regions in their order, except that the home region is what the DNS name leads
    /// to.
    fn next(&self) -> Option<Region> {
        let regions = self.known.iter().map(|one| &one.region).filter(|one| Some(*one) != self.home.as_ref());
        let order: Vec<Option<&Region>> = [None].into_iter().chain(regions.map(Some)).collect();
        let now = order.iter().position(|one| *one == self.at.as_ref()).unwrap_or(0);
        order[(now + 1) % order.len()].cloned()
    }
}
