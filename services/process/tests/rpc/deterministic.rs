//! E35: one seed, one run. The same scenario twice gives the same trace, over memory pipes and direct links.
//! Sleeps are the scenario's own (paused time in memory), never a wait for something to happen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use sha2::{Digest, Sha256};
use sterna_process::{End, ManualClock, Process, Way};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::service::Routes;

use crate::echo::{Echo, EchoClient};
use crate::run;

const CALLERS: usize = 20;
const CALLS: usize = 40;

type Trace = Arc<Mutex<Sha256>>;

fn note(trace: &Trace, began: Instant, who: usize, what: &str) {
    let line = format!("{} {who} {what}\n", began.elapsed().as_nanos());
    trace.lock().unwrap().update(line);
}

/// One caller: seeded delays, unary calls, streams, deadlines.
async fn person(who: usize, process: Process, mut client: EchoClient, trace: Trace, began: Instant) {
    let mut rng = process.rng(&format!("person {who}"));
    for _ in 0..CALLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..50))).await;
        let size: usize = rng.random_range(1..20_000);
        let id = rng.event_id(process.clock().as_ref());
        let outcome = if rng.random_bool(0.3) {
            let messages: Vec<_> = (0..rng.random_range(1..8)).map(|_| Bytes::from(vec![1; size])).collect();
            match client.chat(tokio_stream::iter(messages)).await {
                Ok(answers) => {
                    format!("{:?}", answers.map(|a| a.map_err(|s| s.code())).collect::<Vec<_>>().await.len())
                }
                Err(status) => format!("{:?}", status.code()),
            }
        } else {
            format!(
                "{:?}",
                client.say(Bytes::from(vec![2; size])).await.map_err(|s| s.code()).map(|b| b.len())
            )
        };
        note(&trace, began, who, &format!("{id:x} {outcome}"));
    }
}

fn trace_of(seed: u64) -> String {
    let trace = Trace::default();
    let shared = trace.clone();
    run(Way::Duplex, move |_| async move {
        let began = Instant::now();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000));
        let caller = Process::new("caller", seed, clock.clone());
        let mut callees = Vec::new();
        for (n, way) in [Way::Direct, Way::Duplex, Way::Duplex].into_iter().enumerate() {
            let callee = Process::new(&format!("callee {n}"), seed, clock.clone());
            let link = way.connect(&caller, &callee, Routes::new(Echo::default())).await.unwrap();
            callees.push((callee, link));
        }
        for who in 0..CALLERS {
            let client = EchoClient::new(callees[who % callees.len()].1.clone());
            let person = person(who, caller.clone(), client, shared.clone(), began);
            caller.spawn_local("person", End::Expected, person);
        }
        let mut rng = caller.rng("faults");
        for (callee, _) in &callees {
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..400))).await;
            callee.pause(true);
            tokio::time::sleep(Duration::from_millis(rng.random_range(10..100))).await;
            callee.pause(false);
        }
        callees[1].0.die_at_poll(rng.random_range(1..200));
        note(&shared, began, usize::MAX, &format!("{:?}", callees[1].0.exited().await));
        caller.drain(Duration::from_secs(60)).await;
        note(&shared, began, usize::MAX, "drained");
    });
    let hash = trace.lock().unwrap().clone().finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// E35: same seed, same trace; another seed, another one.
#[test]
fn one_seed_gives_one_trace() {
    let traces: Vec<_> = (0..5).map(|_| trace_of(42)).collect();
    assert!(traces.iter().all(|trace| *trace == traces[0]), "{traces:?}");
    assert_ne!(trace_of(43), traces[0]);
}

/// E35: and in another process, where addresses and hash keys are others.
#[test]
fn one_seed_gives_one_trace_in_another_process() {
    const HANDED_ON: &str = "STERNA_TEST_TRACE";
    let here = trace_of(7);
    if let Ok(there) = std::env::var(HANDED_ON) {
        assert_eq!(here, there);
        return;
    }
    let test = "deterministic::one_seed_gives_one_trace_in_another_process";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", test]).env(HANDED_ON, here).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
