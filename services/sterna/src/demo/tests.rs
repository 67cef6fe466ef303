//! The demo in small, in paused time: the same run for one seed, every promise kept.

#![allow(clippy::unwrap_used)]

use tokio::runtime::{Builder, LocalOptions};

use super::*;

fn on_paused_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(test)
}

fn demo(options: &Options) -> Report {
    let stop = Drain::new();
    on_paused_time(run(options, &stop, &mut Screen::Quiet)).unwrap()
}

fn small(seed: u64) -> Options {
    Options { people: 12, rate: 40, seconds: Some(20), seed, ..Options::default() }
}

/// G1 to G5 over three regions: roles crash, a region is cut off, another loses its gateway, devices die.
#[test]
fn every_promise_is_kept_over_three_regions_while_everything_breaks() {
    for seed in 1..=2 {
        let report = demo(&small(seed));
        assert!(report.kept, "seed {seed}: {report}");
        assert!(report.verdict.sent >= 700, "{report}");
        assert_eq!(report.verdict.safe, report.verdict.acked, "second acks: {report}");
        assert!(report.changed_region >= 2, "people of a region without gateway go on elsewhere: {report}");
        assert_eq!(report.faults.len(), 7, "{report}");
        for pair in &report.delivery {
            assert!(pair.calm.samples > 0, "{} to {}: {report}", pair.from, pair.to);
            assert!(
                u128::from(pair.calm.p50_us) >= u128::from(pair.one_way_us),
                "faster than light: {report}"
            );
        }
    }
}

/// E19: express changes when others see an event, and nothing else.
#[test]
fn express_brings_delivery_to_the_one_way_limit_and_mirrors_alone_keep_every_promise() {
    let median = |report: &Report| {
        let far = report.delivery.iter().filter(|pair| pair.from != pair.to);
        far.map(|pair| pair.calm.p50_us.saturating_sub(pair.one_way_us)).max().unwrap()
    };
    let [with, without] = [true, false].map(|express| demo(&Options { express, ..small(5) }));
    assert!(with.kept && without.kept, "{with}\n{without}");
    assert!(median(&with) <= 2_000, "more than 2 ms above the limit: {with}");
    assert!(median(&without) > 10_000, "mirrors alone take longer, else this shows nothing: {without}");
}

#[test]
fn one_region_alone_keeps_every_promise_too() {
    let regions = vec!["eu-west-1".parse().unwrap()];
    let report = demo(&Options { regions, people: 6, rate: 30, seconds: Some(8), ..Options::default() });
    assert!(report.kept && report.delivery.len() == 1 && report.changed_region == 0, "{report}");
}

/// The ledger is believed because it has been seen to notice.
#[test]
fn a_promise_broken_on_purpose_is_noticed() {
    for sabotage in [Sabotage::Lose, Sabotage::Twice, Sabotage::Swap] {
        let options = Options { sabotage: Some(sabotage), seconds: Some(4), ..small(3) };
        let report = demo(&options);
        let verdict = report.verdict;
        let counts = (verdict.lost > 0, verdict.shown_twice > 0, verdict.reordered > 0);
        let expected = (sabotage == Sabotage::Lose, sabotage == Sabotage::Twice, sabotage == Sabotage::Swap);
        assert_eq!(counts, expected, "{sabotage:?}: {report}");
        assert!(!report.kept);
    }
}

#[test]
fn an_interrupted_demo_is_made_whole_and_judged() {
    let options = Options { seconds: Some(60), ..small(5) };
    let (stop, mut screen) = (Drain::new(), Screen::Quiet);
    let report = on_paused_time(async {
        let soon = async {
            // In the middle of the cut.
            tokio::time::sleep(Duration::from_millis(26_000)).await;
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
