//! What of a region outlives its processes: where it keeps things, and how others reach it.

use std::sync::Arc;

use sterna_log::memory::{Config, MemoryLog};
use sterna_log::{Log, Topic};
use sterna_storage::memory::{MemorySessions, MemoryTable, MemoryTails};
use sterna_storage::{Sessions, Table, Tails, tails};

use sterna_process::{Dial, Pipe};
use sterna_stream::{Origin, Region};

use crate::plan::Plan;

const INGRESS: &str = "sterna-ingress";
const LOG: &str = "sterna-log";

/// The ingress topic of a region in one of its lives.
pub fn ingress(origin: &Origin) -> Topic {
    topic(INGRESS).in_incarnation(origin.incarnation())
}

/// The log topic of a region in one of its lives, at home.
pub fn own_log(origin: &Origin) -> Topic {
    topic(LOG).in_incarnation(origin.incarnation())
}

/// The log topic where it is mirrored to.
pub fn mirrored_log(origin: &Origin) -> Topic {
    own_log(origin).mirrored_from(&origin.region())
}

fn topic(name: &str) -> Topic {
    name.parse().expect("a topic's name")
}

/// A region's stores.
#[derive(Clone)]
pub struct Stores {
    /// Kafka, or its like.
    pub log: Arc<dyn Log>,
    /// DynamoDB, or its like.
    pub table: Arc<dyn Table>,
    /// Redis, or its like.
    pub tails: Arc<dyn Tails>,
    /// Redis too, or its like.
    pub sessions: Arc<dyn Sessions>,
    /// The network to and from other regions.
    pub neighbours: Neighbours,
}

/// How a region's instances of state and those of other regions reach each other, for express (E19). Alone:
/// none.
#[derive(Clone, Default)]
pub struct Neighbours {
    /// Where each own instance listens, by number.
    pub doors: Vec<Pipe>,
    /// Every instance of the other regions: where it is, and the way to it.
    pub peers: Vec<(Region, Arc<dyn Dial>)>,
}

/// Stores in memory, with handles to do to them what happens to real ones.
#[derive(Clone)]
pub struct MemoryStores {
    /// The region's log.
    pub log: Arc<MemoryLog>,
    /// The region's table.
    pub table: Arc<MemoryTable>,
    /// The region's tails.
    pub tails: Arc<MemoryTails>,
    /// The region's sessions.
    pub sessions: Arc<MemorySessions>,
    /// The network to and from other regions.
    pub neighbours: Neighbours,
}

impl MemoryStores {
    /// Empty stores for a region that stands alone.
    pub fn new(plan: &Plan) -> Self {
        Self::with_table(plan, Arc::new(MemoryTable::new()))
    }

    /// Stores with a table that others replicate.
    ///
    /// # Panics
    /// Never: the topic names are constants.
    pub fn with_table(plan: &Plan, table: Arc<MemoryTable>) -> Self {
        let log = MemoryLog::new(plan.seed, Config::default());
        for topic in [ingress(&plan.origin()), own_log(&plan.origin())] {
            log.create(&topic, plan.partitions);
        }
        for peer in &plan.peers {
            log.create(&mirrored_log(peer), plan.partitions);
        }
        let tails = MemoryTails::new(tails::Limits::default());
        let (neighbours, sessions) = (Neighbours::default(), Arc::default());
        Self { log: Arc::new(log), table, tails: Arc::new(tails), sessions, neighbours }
    }

    /// The stores as the roles see them.
    pub fn stores(&self) -> Stores {
        Stores {
            log: self.log.clone(),
            table: self.table.clone(),
            tails: self.tails.clone(),
            sessions: self.sessions.clone(),
            neighbours: self.neighbours.clone(),
        }
    }
}
