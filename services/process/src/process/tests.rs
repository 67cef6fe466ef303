use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

use super::*;
use crate::ManualClock;

fn process(name: &str) -> Process {
    Process::new(name, 1, Arc::new(ManualClock::new(0)))
}

/// Counts, for a test, how often a task came round.
fn ticking(count: &Arc<AtomicU32>) -> impl Future<Output = ()> + Send + 'static {
    let count = count.clone();
    async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// E34: everything a role spawned ends with it, and nothing can be spawned on it afterwards.
#[tokio::test(start_paused = true)]
async fn a_killed_process_runs_nothing() {
    let process = process("a");
    let count = Arc::new(AtomicU32::new(0));
    process.spawn("ticks", End::Fatal, ticking(&count));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    process.kill();
    process.spawn("more ticks", End::Fatal, ticking(&count));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(Arc::strong_count(&count), 1, "the tasks' state was dropped");
    assert_eq!((process.state(), process.exited().await), (State::Dead, Exit::Killed));
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_goes_on_where_it_stood() {
    let process = process("a");
    let count = Arc::new(AtomicU32::new(0));
    process.spawn("ticks", End::Fatal, ticking(&count));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    process.pause(true);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    process.pause(false);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

/// Shards are `!Send` in production as in simulation.
#[test]
fn local_tasks_have_the_same_owner() {
    crate::paused(async {
        let process = process("shard");
        let state = Rc::new(Cell::new(0));
        let inside = state.clone();
        process.spawn_local("shard", End::Fatal, async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                inside.set(inside.get() + 1);
            }
        });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        process.kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((state.get(), Rc::strong_count(&state)), (1, 1));
    });
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_fatal_task_is_reported_and_of_an_expected_one_is_not() {
    let process = process("a");
    process.spawn("session", End::Expected, async {});
    let exited = tokio::time::timeout(Duration::from_secs(1), process.exited()).await;
    assert!(exited.is_err());
    process.spawn("consumer", End::Fatal, tokio::time::sleep(Duration::from_secs(1)));
    assert_eq!(process.exited().await, Exit::Ended("consumer"));
    assert_eq!(process.state(), State::Running, "what to do about it is the supervisor's matter");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_whatever_the_tasks_end_means() {
    let process = process("a");
    process.spawn("session", End::Expected, async { panic!("on purpose") });
    assert_eq!(process.exited().await, Exit::Panicked("session"));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_in_good_order() {
    let process = process("a");
    let drain = process.drain_signal();
    process.spawn("worker", End::Fatal, async move {
        drain.raised().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    });
    let began = Instant::now();
    assert_eq!(process.drain(Duration::from_secs(10)).await, Drained { cut: 0 });
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!((process.state(), process.exited().await), (State::Dead, Exit::Drained));
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_bounded() {
    let process = process("a");
    let count = Arc::new(AtomicU32::new(0));
    process.spawn("deaf", End::Expected, ticking(&count));
    process.spawn("deaf too", End::Expected, ticking(&count));
    let began = Instant::now();
    assert_eq!(process.drain(Duration::from_secs(10)).await, Drained { cut: 2 });
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let counted = count.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(count.load(Ordering::SeqCst), counted);
}

/// E35: watchers of one signal wake in the order in which they waited, in every run.
#[tokio::test(start_paused = true)]
async fn watchers_of_a_drain_wake_in_order() {
    let process = process("a");
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for n in 0..50 {
        let (drain, order) = (process.drain_signal(), order.clone());
        process.spawn("watcher", End::Fatal, async move {
            drain.raised().await;
            order.lock().unwrap().push(n);
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.drain(Duration::from_secs(1)).await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_counts_as_ended() {
    let process = process("a");
    let task = process.spawn("session", End::Expected, std::future::pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    task.abort();
    assert_eq!(process.drain(Duration::from_secs(1)).await, Drained { cut: 0 });
}
