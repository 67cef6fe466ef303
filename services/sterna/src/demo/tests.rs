//! The demo in small, in paused time: the same run for one seed, every promise kept.

#![allow(clippy::unwrap_used)]

use tokio::runtime::{Builder, LocalOptions};

use super::*;

fn demo(options: Options) -> Report {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let stop = Drain::new();
    runtime.block_on(run(&options, &stop, &mut Screen::Quiet)).unwrap()
}

/// G1 to G4 with every role crashed once and devices killed while they talk.
#[test]
fn every_promise_is_kept_while_roles_crash_and_devices_die() {
    for seed in 1..=3 {
        let options = Options { people: 12, rate: 60, seconds: 6, seed, listen: None };
        let report = demo(options);
        assert!(report.kept, "seed {seed}: {report}");
        assert!(report.verdict.sent >= 300, "{report}");
        assert!(report.delivery_calm.samples > 0 && report.ack_calm.samples > 0, "{report}");
    }
}

#[test]
fn an_interrupted_demo_is_made_whole_and_judged() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    let options = Options { people: 6, rate: 30, seconds: 60, seed: 5, listen: None };
    let (stop, mut screen) = (Drain::new(), Screen::Quiet);
    let report = runtime.block_on(async {
        let soon = async {
            // In the middle of the first crash.
            tokio::time::sleep(Duration::from_millis(18_800)).await;
            stop.raise();
            std::future::pending().await
        };
        tokio::select! {
            biased;
            report = run(&options, &stop, &mut screen) => report.unwrap(),
            () = soon => unreachable!(),
        }
    });
    assert!(report.kept && report.seconds < 60.0, "{report}");
}
