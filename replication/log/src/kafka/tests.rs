//! The contract, kept by a real broker, and what only a real one can show.
//!
//! `STERNA_KAFKA` says where it is; `cargo xtask stack up` starts one and prints what to export.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::contract::space::Space;
use crate::contract::{self, delivery, membership, produce, proofs, read};

mod alone;

/// Where the broker is. A test that cannot reach it fails: nothing passes by being skipped.
fn config() -> Config {
    let brokers = std::env::var("STERNA_KAFKA")
        .expect("STERNA_KAFKA names no Kafka broker; start one with `cargo xtask stack up`");
    Config { session_timeout: Duration::from_secs(5), ..Config::new(brokers) }
}

/// Names that nobody else has: a number per test, within a number per process.
fn space() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}-", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

const LAYOUT: Layout =
    Layout { partitions: contract::PARTITIONS, replicas: 1, in_sync_min: 1, retention_ms: None };

async fn make() -> Arc<dyn Log> {
    let prefix = space();
    let topics = contract::topics().map(|topic| Space::outside(&prefix, &topic));
    provision(&config(), &topics, LAYOUT).await.unwrap();
    let log = Arc::new(KafkaLog::connect(config()).unwrap());
    Arc::new(Space::new(log, &prefix))
}

macro_rules! tests {
    ($($module:ident::$case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $module::$case(make().await).await;
            }
        )*
    };
}

crate::each_log_case!(tests);
