//! A place in a region's plan, whoever fills it now: links through it survive their callee's restart.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Carrier, Link};

/// Where one role instance is found, in whichever of its lives. Clones are the same place.
#[derive(Clone, Default)]
pub struct Slot(Arc<RwLock<Option<Link>>>);

impl Slot {
    /// A place that nobody fills: calls through it are answered `unavailable`.
    pub fn new() -> Slot {
        Slot::default()
    }

    /// Whoever `link` reaches fills the place from now on; calls underway stay where they are.
    pub fn fill(&self, link: Link) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// A link to whoever fills the place at the moment of each call.
    pub fn link(&self) -> Link {
        Link::new(Carrier::Slot(self.clone()))
    }

    pub(super) fn filler(&self) -> Option<Link> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
