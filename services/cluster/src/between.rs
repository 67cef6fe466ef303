//! What is between regions in one process: their tables replicate, their logs are mirrored both ways, their
//! states call each other, with WAN delays.
//!
//! What a cloud does between regions is done here by the memory backends, as tasks of a process of its own,
//! so that each part can be stopped, delayed and cut. The regions themselves know nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use sterna_log::memory::Mirror;
use sterna_log::memory::MirrorConfig;
use sterna_process::{Clock, End, Pipe, Process};
use sterna_regions::RoundTrips;
pub use sterna_storage::memory::{Delay, Replication};
use sterna_stream::{Origin, Region};

use crate::plan::Plan;
use crate::stores::{MemoryStores, own_log};
pub use crate::wan::Direction;
use crate::wan::Wire;

/// How long a table item takes to another region: "usually less than a second" in a global table.
pub const TABLE_DELAY: Delay = Delay { min: Duration::from_millis(200), max: Duration::from_millis(900) };
/// Pause before a mirror that ended is started again, as an operator's supervisor would.
const MIRROR_PAUSE: Duration = Duration::from_secs(1);

/// Stores of several regions, and what goes between them.
pub struct Between {
    /// Each region's stores.
    pub stores: BTreeMap<Region, MemoryStores>,
    /// The tables' replication.
    pub tables: Arc<Replication>,
    /// The mirror from the first to the second of each pair.
    pub mirrors: BTreeMap<(Region, Region), Mirror>,
    /// What calls from the first to the second of each pair, and answers to calls of the second, go over.
    pub wan: BTreeMap<(Region, Region), Direction>,
    process: Process,
}

impl Between {
    /// Stores for each plan, as far from each other as `distances` says; the plans' `peers` are filled in.
    ///
    /// # Panics
    /// Outside a runtime, without a plan, or if two plans have one name.
    pub fn new(plans: &mut [Plan], distances: &RoundTrips, clock: &Arc<dyn Clock>) -> Self {
        let origins: Vec<Origin> = plans.iter().map(Plan::origin).collect();
        let names: Vec<Region> = plans.iter().map(|plan| plan.region.clone()).collect();
        let seed = plans[0].seed;
        let process = Process::new("between regions", seed, clock.clone());
        let tables = Arc::new(Replication::new(&names, TABLE_DELAY, seed));
        let mut stores = BTreeMap::new();
        let states: Vec<usize> = plans.iter().map(|plan| plan.state).collect();
        for plan in plans {
            plan.peers = origins.iter().filter(|peer| peer.region() != plan.region).cloned().collect();
            let table = tables.table(&plan.region).expect("each plan's region has a table");
            let before = stores.insert(plan.region.clone(), MemoryStores::with_table(plan, table));
            assert!(before.is_none(), "two regions have one name");
        }
        let mirrors = mirrors(&origins, &stores, distances);
        for mirror in mirrors.values() {
            process.spawn("a mirror", End::Fatal, keep_running(mirror.clone()));
        }
        let replication = tables.clone();
        process.spawn("the tables' replication", End::Fatal, async move { replication.run().await });
        let doors = names.into_iter().zip(states);
        let doors =
            doors.map(|(region, states)| (region, (0..states).map(|_| Pipe::new()).collect())).collect();
        let wan = neighbours(&doors, &mut stores, distances, &process);
        Self { stores, tables, mirrors, wan, process }
    }

    /// Cuts a region off from all others, or heals the cut: mirrors, table replication and calls, both ways.
    pub fn cut_off(&self, region: &Region, on: bool) {
        for ((from, to), direction) in &self.wan {
            if from == region || to == region {
                direction.cut(on);
            }
        }
        for ((from, to), mirror) in &self.mirrors {
            if from == region || to == region {
                mirror.cut(on);
                self.tables.pause(from, to, on);
            }
        }
    }

    /// Ends everything between regions.
    pub fn end(&self) {
        self.process.kill();
    }
}

async fn keep_running(mirror: Mirror) {
    loop {
        if let Err(error) = mirror.run().await {
            tracing::error!(%error, "alarm: a mirror ended; it is started again");
        }
        tokio::time::sleep(MIRROR_PAUSE).await;
    }
}

/// Connects the doors of the regions' states with each other.
fn neighbours(
    doors: &BTreeMap<Region, Vec<Pipe>>,
    stores: &mut BTreeMap<Region, MemoryStores>,
    distances: &RoundTrips,
    process: &Process,
) -> BTreeMap<(Region, Region), Direction> {
    let pairs = doors.keys().flat_map(|from| doors.keys().map(move |to| (from.clone(), to.clone())));
    let wan: BTreeMap<_, _> =
        pairs.filter(|(from, to)| from != to).map(|pair| (pair, Direction::default())).collect();
    for ((from, to), there) in &wan {
        let one_way = distances.one_way(from, to).unwrap_or_default();
        let back = wan[&(to.clone(), from.clone())].clone();
        for door in &doors[to] {
            let (process, there, back) = (process.clone(), there.clone(), back.clone());
            let wire = Wire { process, one_way, there, back, door: door.clone() };
            let peers = &mut stores.get_mut(from).expect("each region has stores").neighbours.peers;
            peers.push((to.clone(), Arc::new(wire)));
        }
    }
    for (region, doors) in doors {
        stores.get_mut(region).expect("each region has stores").neighbours.doors = doors.clone();
    }
    wan
}

fn mirrors(
    origins: &[Origin],
    stores: &BTreeMap<Region, MemoryStores>,
    distances: &RoundTrips,
) -> BTreeMap<(Region, Region), Mirror> {
    let mut mirrors = BTreeMap::new();
    for from in origins {
        for to in origins.iter().filter(|to| *to != from) {
            let (source, target) = (from.region(), to.region());
            let one_way = distances.one_way(&source, &target).unwrap_or_default();
            let config = MirrorConfig { one_way, ..MirrorConfig::default() };
            let (log, there) = (&stores[&source].log, &stores[&target].log);
            let mirror = Mirror::new((&source, log), there, &[own_log(from)], config);
            mirrors.insert((source, target), mirror.expect("the topics were made a moment ago"));
        }
    }
    mirrors
}
