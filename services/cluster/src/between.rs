//! What is between regions in one process: their tables replicate, their logs are mirrored both ways, their
//! states call each other, with WAN delays. And what a disaster does to a region's stores, and what makes a
//! new life of it ([`crate::rebuild`]).
//!
//! What a cloud does between regions is done here by the memory backends, as tasks of a process of its own,
//! so that each part can be stopped, delayed and cut. The regions themselves know nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sterna_log::Log;
pub use sterna_log::memory::Mirror;
use sterna_log::memory::MirrorConfig;
use sterna_process::{Clock, End, Pipe, Process};
use sterna_regions::RoundTrips;
use sterna_storage::Table;
pub use sterna_storage::memory::{Delay, Replication};
use sterna_stream::{Origin, Region};

use crate::plan::Plan;
use crate::rebuild::{self, Rebuild, Rebuilt, United};
use crate::stores::{MemoryStores, ingress, mirrored_log, own_log};
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
    /// The mirror from the first to the second of each pair, of the first's log in its present life.
    pub mirrors: BTreeMap<(Region, Region), Mirror>,
    /// The mirrors of ended lives' logs: late records may still come.
    former: BTreeMap<(Region, Region), Vec<Mirror>>,
    /// Who each region is now.
    origins: BTreeMap<Region, Origin>,
    /// Regions whose tables were destroyed and are to be filled from the others'.
    emptied: BTreeSet<Region>,
    distances: RoundTrips,
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
        let origins = origins.into_iter().map(|origin| (origin.region(), origin)).collect();
        for mirror in mirrors.values() {
            process.spawn("a mirror", End::Fatal, keep_running(mirror.clone()));
        }
        let replication = tables.clone();
        process.spawn("the tables' replication", End::Fatal, async move { replication.run().await });
        let doors = names.into_iter().zip(states);
        let doors =
            doors.map(|(region, states)| (region, (0..states).map(|_| Pipe::new()).collect())).collect();
        let wan = neighbours(&doors, &mut stores, distances, &process);
        let (former, emptied, distances) = (BTreeMap::new(), BTreeSet::new(), distances.clone());
        Self { stores, tables, mirrors, former, origins, emptied, distances, wan, process }
    }

    /// Cuts a region off from all others, or heals the cut: mirrors, table replication and calls, both ways.
    pub fn cut_off(&self, region: &Region, on: bool) {
        for ((from, to), direction) in &self.wan {
            if from == region || to == region {
                direction.cut(on);
            }
        }
        for (from, to) in self.mirrors.keys() {
            if from == region || to == region {
                self.mirrors_of(from, to).for_each(|mirror| mirror.cut(on));
                self.tables.pause(from, to, on);
            }
        }
    }

    /// The mirrors from one region to another, of the present life's log and of those before.
    pub fn mirrors_of(&self, from: &Region, to: &Region) -> impl Iterator<Item = &Mirror> {
        let way = (from.clone(), to.clone());
        let former = self.former.get(&way).into_iter().flatten();
        former.chain(self.mirrors.get(&way))
    }

    /// Who the other regions are now.
    pub fn peers_of(&self, region: &Region) -> Vec<Origin> {
        self.origins.values().filter(|origin| origin.region() != *region).cloned().collect()
    }

    /// A region's stores are destroyed: log, table, tails, sessions, and the items that are held back from
    /// another region's table ([`Replication::hold_back`]). Its roles must be dead.
    pub fn destroy(&mut self, region: &Region) {
        self.tables.destroy_behind(region);
        self.emptied.insert(region.clone());
        let stores = &self.stores[region];
        stores.log.wipe();
        stores.tails.wipe();
        stores.sessions.wipe();
        for (from, to) in self.mirrors.keys().filter(|(from, to)| from == region || to == region) {
            self.mirrors_of(from, to).for_each(|mirror| mirror.stop(true));
        }
    }

    /// Rebuilds a region whose roles are dead: `ends` is the life that ends, `witness` the region that
    /// raises its incarnation, `wall_ms` the time. A table that was destroyed is first filled from the
    /// others', as a new replica of a global table is. What it gives goes to [`crate::Region::begin`].
    ///
    /// # Errors
    /// As [`Rebuild::run`]; may be called again.
    pub async fn rebuild(
        &mut self,
        region: &Region,
        witness: &Region,
        ends: u32,
        wall_ms: u64,
    ) -> Result<Rebuilt, rebuild::Error> {
        if self.emptied.remove(region) {
            self.stores
                .keys()
                .filter(|other| *other != region)
                .for_each(|other| self.tables.copy(other, region));
        }
        let rebuild = self.with_stores(region, witness, ends, wall_ms);
        let origin = Origin::of(region, ends + 1);
        rebuild.run(async |_| self.follow(&origin)).await
    }

    /// What is left of a rebuilt region's lives up to `ends` is gathered, and no more of them is waited for.
    ///
    /// # Errors
    /// As [`Rebuild::gather`]; may be called again.
    pub async fn gather(
        &self,
        region: &Region,
        witness: &Region,
        ends: u32,
    ) -> Result<United, rebuild::Error> {
        self.with_stores(region, witness, ends, 0).gather().await
    }

    fn with_stores(&self, region: &Region, witness: &Region, ends: u32, wall_ms: u64) -> Rebuild {
        let table = |region: &Region| self.stores[region].table.clone() as Arc<dyn Table>;
        let others = || self.stores.iter().filter(|(other, _)| *other != region);
        Rebuild {
            region: region.clone(),
            ends,
            witness: (witness.clone(), table(witness)),
            table: table(region),
            log: self.stores[region].log.clone(),
            others: others().map(|(other, _)| table(other)).collect(),
            mirrored: others().map(|(_, stores)| stores.log.clone() as Arc<dyn Log>).collect(),
            wall_ms,
        }
    }

    /// The topics of a region's new life at home and everywhere else, and mirrors of its log.
    fn follow(&mut self, origin: &Origin) -> Result<(), sterna_log::Error> {
        let region = origin.region();
        let log = self.stores[&region].log.clone();
        for peer in self.peers_of(&region) {
            let (other, remote) = (peer.region(), mirrored_log(&peer));
            let partitions = self.stores[&other].log.partitions(&own_log(&peer))?;
            log.create(&ingress(origin), partitions);
            log.create(&own_log(origin), partitions);
            let emptied = !log.has(&remote);
            log.create(&remote, partitions);
            let to_it = &self.mirrors[&(other.clone(), region.clone())];
            if emptied {
                to_it.replay_all();
                to_it.stop(false);
            }
            let way = (region.clone(), other.clone());
            if self.origins[&region] == *origin {
                continue;
            }
            let one_way = self.distances.one_way(&region, &other).unwrap_or_default();
            let config = MirrorConfig { one_way, ..MirrorConfig::default() };
            let there = &self.stores[&other].log;
            let mirror = Mirror::new((&region, &log), there, &[own_log(origin)], config)?;
            self.process.spawn("a mirror", End::Fatal, keep_running(mirror.clone()));
            if let Some(before) = self.mirrors.insert(way.clone(), mirror) {
                self.former.entry(way).or_default().push(before);
            }
        }
        self.origins.insert(region, origin.clone());
        Ok(())
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
