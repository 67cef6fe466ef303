//! Several regions in one process, started and ended together.

use std::collections::BTreeMap;
use std::sync::Arc;

use sterna_process::Clock;
use sterna_regions::RoundTrips;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::between::Between;
use crate::plan::Plan;
use crate::region::Region;

/// Regions that know each other, and what is between them.
pub struct Regions<S> {
    /// By name.
    pub regions: BTreeMap<sterna_stream::Region, Region<S>>,
    /// Their stores, the mirrors, the tables' replication.
    pub between: Between,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Regions<S> {
    /// Starts a region for each plan, as far from each other as `distances` says; the plans' `peers` are
    /// filled in.
    ///
    /// # Panics
    /// Outside a `LocalRuntime`, without a plan, or if two plans have one name.
    pub fn start(mut plans: Vec<Plan>, distances: &RoundTrips, clock: &Arc<dyn Clock>) -> Self {
        let between = Between::new(&mut plans, distances, clock);
        let start = |plan: Plan| {
            let stores = between.stores[&plan.region].stores();
            (plan.region.clone(), Region::start(plan, stores, clock.clone()))
        };
        let regions = plans.into_iter().map(start).collect();
        Self { regions, between }
    }

    /// Ends every region in good order, then what is between them.
    pub async fn drain(&mut self) {
        for region in self.regions.values_mut() {
            region.drain().await;
        }
        self.between.end();
    }
}
