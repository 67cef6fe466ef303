//! The protocol as a random model (docs/protocol.md, section 8) over the real ring and join of the gateway
//! and the real client: three regions, each an origin with mirrors that lag, rings of 3 to 30 entries, moves,
//! cuts with loss in flight, slow readers that are cut off, holes that are skipped and fetched later.
//!
//! Goal: every seq once per device, whatever happens; no client ever meets a hole. Method: one seed draws all
//! choices, in paused time; after everything heals, with no later event, every device has everything.
//!
//! Five mistakes are known that break it; each is built in and must turn it red (`mutants`).
#![allow(clippy::unwrap_used)]

mod device;
mod regions;

use std::time::Duration;

use device::{Device, Rare};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use regions::{ORIGINS, Regions};
use sterna_process::paused;
use tokio::time::{Instant, sleep};

const SEEDS: u64 = 120;
const STEPS: usize = 700;
const DEVICES: usize = 4;
/// Longest that everything may take to be everywhere once nothing is broken, in the model's time.
const HEALS: Duration = Duration::from_secs(240);

struct Model {
    random: StdRng,
    regions: Regions,
    devices: Vec<Device>,
    seed: u64,
}

/// E17, G2: every seq exactly once per device.
#[test]
fn every_seq_comes_once_to_every_device() {
    let mut all = Rare::default();
    for seed in 0..SEEDS {
        all.add(&paused(async move { Model::new(seed).run().await }));
    }
    all.each_taken_at_least(SEEDS / 4);
}

/// The known mistakes, each switched on in a process of its own: the model must notice every one, and soon.
#[cfg(sterna_mutants)]
#[test]
fn each_known_mistake_turns_the_model_red() {
    const MISTAKES: [&str; 5] = [
        "seen_not_dropped",
        "gap_lowers_cursor",
        "hole_not_remembered",
        "history_before_attach",
        "kept_after_eviction",
    ];
    let program = std::env::current_exe().unwrap();
    for mistake in MISTAKES {
        let model = ["every_seq_comes_once_to_every_device", "--exact"];
        let ended = std::process::Command::new(&program).args(model).env("STERNA_MUTANT", mistake).output();
        let ended = ended.unwrap();
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(told.contains("running 1 test"), "the model has another name: {told}");
        assert!(!ended.status.success(), "{mistake} survived");
        let found = told.lines().find_map(|line| line.split_once("seed ")?.1.split(':').next()?.parse().ok());
        let found: u64 = found.unwrap_or_else(|| panic!("{mistake} failed elsewhere: {told}"));
        assert!(found < 20, "{mistake} was only found by seed {found}");
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let regions = Regions::new(&mut random);
        let devices = (0..DEVICES).map(|n| Device::new(seed, n, &mut random)).collect();
        Self { random, regions, devices, seed }
    }

    async fn run(mut self) -> Rare {
        for _ in 0..STEPS {
            self.step().await;
        }
        self.heal().await;
        let mut seen = Rare::default();
        for device in &self.devices {
            device.has_everything(&self.regions);
            seen.add(&device.rare);
        }
        seen
    }

    async fn step(&mut self) {
        let which = self.random.random_range(0..DEVICES);
        match self.random.random_range(0..100) {
            0..18 => self.regions.produce(&mut self.random),
            18..40 => self.regions.consume(&mut self.random),
            40..52 => self.regions.readable(&mut self.random),
            52..58 => self.regions.answer_interest(),
            58..66 => self.regions.answer_page(&mut self.random),
            66..70 => self.regions.answer_pull(&mut self.random),
            70..72 => self.devices[which].cut(),
            72..75 => self.devices[which].ask_to_move(&self.regions, &mut self.random),
            75..78 => self.devices[which].fetch(&self.regions, &mut self.random),
            78..80 => sleep(Duration::from_millis(self.random.random_range(1..1_500))).await,
            _ => {
                let most = self.devices[which].sip;
                self.devices[which].read(&self.regions, most);
            }
        }
        self.devices.iter_mut().for_each(|device| device.tick(&self.regions));
        for _ in 0..self.random.random_range(0..4) {
            tokio::task::yield_now().await;
        }
        self.regions.collect();
    }

    /// Everything is everywhere and readable, heads are compared, devices read on and fetch their holes.
    async fn heal(&mut self) {
        let until = Instant::now() + HEALS;
        while !self.devices.iter().all(|device| device.is_done(&self.regions)) {
            assert!(Instant::now() < until, "seed {}: not within {HEALS:?}: {}", self.seed, self.state());
            self.regions.heal();
            sleep(Duration::from_millis(400)).await;
            self.regions.answer_interest();
            self.regions.compare_heads();
            self.regions.collect();
            for _ in 0..20 {
                self.regions.answer_page(&mut self.random);
                self.regions.answer_pull(&mut self.random);
            }
            for _ in 0..30 {
                tokio::task::yield_now().await;
                for device in &mut self.devices {
                    device.read(&self.regions, 2_000);
                    device.fetch(&self.regions, &mut self.random);
                }
            }
            self.devices.iter_mut().for_each(|device| device.tick(&self.regions));
        }
    }

    fn state(&self) -> String {
        let devices: Vec<String> = self.devices.iter().map(Device::told).collect();
        format!("{:?} of {:?}; {devices:?}", self.regions.heads(), ORIGINS)
    }
}
