#![allow(clippy::unwrap_used)]
//! Real time and real threads.

use std::collections::BTreeSet;

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::Polled;

const PRODUCERS: u64 = 3;
const EACH: u64 = 5_000;

macro_rules! at_once {
    ($($module:ident::$case:ident),* $(,)?) => {
        /// The whole suite in real time, all cases side by side.
        #[tokio::test]
        async fn the_contract_holds_in_real_time() {
            let log = || make(1, |config| {
                config.session_timeout = Duration::from_secs(2);
                config.produce_latency = (Duration::ZERO, Duration::from_millis(2));
            });
            let cases: Vec<LocalBoxFuture<'static, ()>> = vec![$($module::$case(log()).boxed_local()),*];
            futures_util::future::join_all(cases).await;
        }
    };
}

crate::each_log_case!(at_once);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

async fn produce(log: &MemoryLog, producer: u64) {
    for n in 0..EACH {
        let mut record = record(&(producer * EACH + n).to_string());
        record.partition = (n % 4) as u16;
        log.produce(record).await.unwrap();
        if n % 16 == producer {
            tokio::task::yield_now().await;
        }
    }
}

/// Delivers until everything was delivered to somebody.
async fn consume(log: &MemoryLog, delivered: &watch::Sender<BTreeSet<u64>>) {
    let mut member = log.join(&"g".parse().unwrap(), &[topic()]).await.unwrap();
    let mut all = delivered.subscribe();
    loop {
        let polled = tokio::select! {
            biased;
            _ = all.wait_for(|all| all.len() as u64 == PRODUCERS * EACH) => return,
            polled = member.next() => polled.unwrap(),
        };
        match polled {
            Polled::Assigned { partition, committed, .. } => {
                member.start(partition, &[(topic(), committed[0].1.unwrap_or(0))]);
            }
            Polled::Records(batch) => {
                let upto = [(batch.topic.clone(), batch.next)];
                // Fenced while it is handed over: then the new owner delivers it again.
                let _ = member.commit(batch.partition, batch.generation, &upto).await;
                delivered.send_modify(|all| all.extend(numbers(&batch.entries)));
            }
            Polled::Revoked { .. } => {}
        }
    }
}

/// Producers and members, each on a thread and runtime of its own: every record arrives, no wake is lost.
#[test]
fn records_cross_threads_and_no_wake_is_lost() {
    let log = cluster(4, |_| {});
    let delivered = watch::Sender::new(BTreeSet::new());
    std::thread::scope(|threads| {
        for producer in 0..PRODUCERS {
            let log = &log;
            threads.spawn(move || runtime().block_on(produce(log, producer)));
        }
        for _ in 0..2 {
            threads.spawn(|| {
                let outcome = runtime()
                    .block_on(async { timeout(contract::PATIENCE, consume(&log, &delivered)).await });
                assert!(outcome.is_ok(), "waited for all; last seen: {}", delivered.borrow().len());
            });
        }
    });
    assert!(delivered.borrow().iter().copied().eq(0..PRODUCERS * EACH));
}
