#![allow(clippy::unwrap_used)]
//! The contract, run by the memory log, and what only it can show: damage, replicas, latency, limits.

use super::*;
use crate::contract::{self, delivery, membership, produce, proofs, read};

mod cluster;
mod members;
mod threads;

fn make(seed: u64, change: impl FnOnce(&mut Config)) -> Arc<dyn Log> {
    let mut config = Config::default();
    change(&mut config);
    let log = MemoryLog::new(seed, config);
    for topic in contract::topics() {
        log.create(&topic, contract::PARTITIONS);
    }
    Arc::new(log)
}

macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $case() {
                $module::$case(make(1, |_| {})).await;
            }
        )*
    };
}

crate::each_log_case!(tests);

/// The whole suite where acknowledgements take their time, holes are everywhere, and batches are tiny.
#[tokio::test(start_paused = true)]
async fn the_contract_holds_with_latency_holes_and_small_batches() {
    for seed in 0..5 {
        contract::all(async || {
            make(seed, |config| {
                config.produce_latency = (Duration::from_millis(1), Duration::from_millis(30));
                config.hole_per_mille = 500;
                config.prefetch_records_max = 3;
                config.leave_on_drop = seed % 2 == 0;
            })
        })
        .await;
    }
}

// === what the tests in this folder share ===

fn topic() -> Topic {
    "sterna-log".parse().unwrap()
}

fn cluster(partitions: u16, change: impl FnOnce(&mut Config)) -> MemoryLog {
    let mut config = Config::default();
    change(&mut config);
    let log = MemoryLog::new(1, config);
    log.create(&topic(), partitions);
    log
}

fn record(value: &str) -> Record {
    Record {
        topic: topic(),
        partition: 0,
        key: bytes::Bytes::new(),
        value: bytes::Bytes::copy_from_slice(value.as_bytes()),
        headers: crate::Headers::new(),
        timestamp_ms: 1,
    }
}

async fn fill(log: &MemoryLog, range: std::ops::Range<u64>) -> Vec<Offset> {
    let mut offsets = Vec::new();
    for n in range {
        offsets.push(log.produce(record(&n.to_string())).await.unwrap());
    }
    offsets
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.record.value).unwrap().parse().unwrap()).collect()
}
