//! The memory backends, bare and behind harmless decorators, under both clocks and both runtimes.

use std::sync::Arc;
use std::time::Duration;

use sterna_stream::Region;

use crate::contract;
use crate::faulty::{Chances, Faults, FaultySessions, FaultyTable, FaultyTails};
use crate::memory::{Delay, MemoryBlobs, MemorySessions, MemoryTable, MemoryTails, Replication};
use crate::tails::Limits;

const TAILS: Limits = Limits { entries: 60, bytes: 100 * 1_024, tails: 64 };

fn quiet() -> Arc<Faults> {
    let delay_max = Duration::from_millis(3);
    Faults::new(Chances { delay_max, ..Chances::default() }, 1)
}

async fn all_suites() {
    let table = Arc::new(MemoryTable::new());
    table.set_eventual_lag(Duration::from_secs(1));
    contract::table(table, "suite").await;
    contract::tails(Arc::new(MemoryTails::new(TAILS)), TAILS, "suite").await;
    contract::sessions(Arc::new(MemorySessions::new()), "suite").await;
    contract::blobs(Arc::new(MemoryBlobs::new()), "suite").await;
}

async fn decorated_suites() {
    let regions: Vec<Region> = ["us-east-1", "eu-west-1"].map(|name| name.parse().expect("valid")).into();
    let delay = Delay { min: Duration::ZERO, max: Duration::from_millis(50) };
    let replication = Replication::new(&regions, delay, 1);
    let table = replication.table(&regions[0]).expect("known");
    contract::table(Arc::new(FaultyTable::new(table, quiet())), "decorated").await;
    let tails = Arc::new(MemoryTails::new(TAILS));
    contract::tails(Arc::new(FaultyTails::new(tails, quiet())), TAILS, "decorated").await;
    let sessions = Arc::new(MemorySessions::new());
    contract::sessions(Arc::new(FaultySessions::new(sessions, quiet())), "decorated").await;
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_every_contract_under_paused_time() {
    all_suites().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_every_contract_on_threads_in_real_time() {
    all_suites().await;
}

#[tokio::test(start_paused = true)]
async fn decorated_and_replicated_memory_keeps_every_contract() {
    decorated_suites().await;
}

#[tokio::test]
#[should_panic(expected = "T1 absent: stores version 1")]
async fn a_suite_names_each_sentence_that_does_not_hold() {
    let faults = quiet();
    faults.set_read_only(true);
    contract::table(Arc::new(FaultyTable::new(Arc::new(MemoryTable::new()), faults)), "broken").await;
}
