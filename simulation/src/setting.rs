//! What a run looks like before anything happens: drawn from its seed, printed as its first line.
//!
//! Each region has dice of its own, so that a run of one region is the first of three as it would be alone.

use std::time::Duration;

use sterna_cluster::{Plan, Tenant};

use crate::dice::Dice;
use crate::faults::lives;
use crate::script::{ADMINISTRATOR, name};

/// The regions there may be, in order.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];
/// How often heads are compared where nothing else is configured.
const OFTEN_S: u32 = 30;
/// Longer than any run.
const RARELY_S: u32 = 3_600;
/// One region that is an hour ahead of the others.
const HOUR_MS: i64 = 3_600_000;

/// One region's shape.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its plan.
    pub plan: Plan,
    /// How long a member of a group may stay away.
    pub session: Duration,
    /// Shortest and longest time from a produce to its acknowledgement.
    pub produce_latency: (Duration, Duration),
    /// Records that a member fetches ahead.
    pub prefetch: usize,
    /// Shortest and longest time of one call of the table.
    pub table_latency: (Duration, Duration),
    /// How far its clock is ahead, milliseconds.
    pub ahead_ms: i64,
}

/// What is asked of a seed, beside its number.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// So many regions; else as many as the seed draws.
    pub regions: Option<usize>,
    /// Whether regions' lives may end, if the seed draws it.
    pub lives: bool,
}

impl From<Option<usize>> for Asked {
    fn from(regions: Option<usize>) -> Self {
        Self { regions, lives: true }
    }
}

/// One run's shape.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The regions, one to three.
    pub regions: Vec<Shape>,
    /// People with one device each.
    pub people: usize,
    /// Rooms with few members; one more has everybody.
    pub rooms: usize,
    /// Hostile clients.
    pub hostile: usize,
    /// Events that people mean to say.
    pub says: usize,
    /// Faults inside regions.
    pub faults: usize,
    /// Faults between regions; none where there is one.
    pub cuts: usize,
    /// Whether a region's life may end.
    pub lives: bool,
}

impl Setting {
    /// The setting of a seed, as it was asked for.
    pub fn of(seed: u64, asked: Asked) -> Self {
        let drawn = *Dice::new(seed, "regions").pick(&[1, 1, 2, 3, 3]);
        let count = asked.regions.unwrap_or(drawn).clamp(1, REGIONS.len());
        let dice = &mut Dice::new(seed, "setting");
        let mut shapes = vec![Shape::draw(dice, REGIONS[0], seed)];
        for name in &REGIONS[1..count] {
            let mut shape = Shape::draw(&mut Dice::new(seed, name), name, seed);
            shape.plan.partitions = shapes[0].plan.partitions;
            shapes.push(shape);
        }
        express(&mut Dice::new(seed, "express"), &mut shapes);
        let between = &mut Dice::new(seed, "between");
        if count > 1 && between.chance(150) {
            shapes[between.index(count)].ahead_ms = HOUR_MS;
        }
        let people = dice.between(20, 44) as usize;
        let mut setting = Self {
            people: if count == 1 { people } else { 60 },
            rooms: dice.between(3, 7) as usize,
            hostile: dice.between(1, 3) as usize,
            // Where people cross regions whose clocks are wrong, some of what they say is refused for good.
            says: dice.between(1_050, 1_300) as usize + if count == 1 { 0 } else { 250 },
            faults: dice.between(6, 11) as usize,
            cuts: if count == 1 { 0 } else { between.between(3, 7) as usize },
            regions: shapes,
            lives: asked.lives,
        };
        if lives::draw(seed, &setting).is_some() {
            setting.compare_often();
        }
        setting
    }

    /// What is left of an ended life may reach a region by its table alone; then nothing but the comparison
    /// of heads tells it to its devices (E16).
    fn compare_often(&mut self) {
        for shape in &mut self.regions {
            shape.plan.limits.compare_s = shape.plan.limits.compare_s.min(OFTEN_S);
        }
    }

    /// Whether there is a tenant with an owner and an access stream.
    pub fn provisioned(&self) -> bool {
        !self.regions[0].plan.tenants.is_empty()
    }

    /// Partitions of every log.
    pub fn partitions(&self) -> u16 {
        self.regions[0].plan.partitions
    }
}

/// Mostly all regions use express, now and then one does not, or none does.
fn express(dice: &mut Dice, shapes: &mut [Shape]) {
    let (without, none) = (dice.chance(100).then(|| dice.index(shapes.len())), dice.chance(100));
    for (number, shape) in shapes.iter_mut().enumerate() {
        shape.plan.express = !none && without != Some(number);
    }
}

impl Shape {
    /// # Panics
    /// Never: the regions' names are constants.
    fn draw(dice: &mut Dice, region: &str, seed: u64) -> Self {
        let mut plan = Plan::small(region.parse().expect("a region's name"), seed);
        plan.partitions = *dice.pick(&[1, 2, 4]);
        plan.messaging = *dice.pick(&[1, 2, 2]);
        plan.state = 1 + dice.index(2);
        plan.shards = 1 + dice.index(2);
        plan.limits.ring_entries = *dice.pick(&[8, 16, 64, 256, 1_024]);
        plan.limits.stall_s = 10;
        // Where heads are hardly ever compared, nothing but the pushes themselves makes good what is missed.
        let rounds = [OFTEN_S, OFTEN_S, RARELY_S];
        plan.limits.compare_s = *Dice::new(seed, &format!("compare {region}")).pick(&rounds);
        plan.terms.publishes_per_s = 60;
        plan.sequencer.queue_records = *dice.pick(&[4, 16, 64, 4_096]);
        plan.sequencer.segment_events = *dice.pick(&[1, 4, 64, 512]);
        plan.sequencer.loaded_streams = *dice.pick(&[2, 64, 200_000]);
        plan.sequencer.window_ids = *dice.pick(&[128, 1 << 20]);
        plan.push_queue = *dice.pick(&[64, 8_192]);
        // Everything that is said in a tenant that is provisioned rests on its access stream (E24).
        if Dice::new(seed, "tenants").index(2) == 0 {
            plan.tenants = vec![Tenant::new("acme", &name(ADMINISTRATOR)).expect("a tenant's name")];
        }
        let ms = Duration::from_millis;
        Self {
            plan,
            session: Duration::from_secs(dice.between(3, 10)),
            produce_latency: *dice.pick(&[(ms(0), ms(0)), (ms(1), ms(8)), (ms(5), ms(60))]),
            prefetch: *dice.pick(&[4, 64, 512]),
            table_latency: *dice.pick(&[(ms(0), ms(0)), (ms(2), ms(12)), (ms(5), ms(80))]),
            ahead_ms: 0,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { region, messaging, state, shards, limits, sequencer, push_queue, express, .. } =
            &self.plan;
        write!(f, "{region}: messaging x{messaging}, state x{state}, shards x{shards}, ")?;
        write!(f, "express {express}, ring {}, push queue {push_queue}, ", limits.ring_entries)?;
        write!(f, "stream queue {}, segment {}, ", sequencer.queue_records, sequencer.segment_events)?;
        write!(f, "loaded {}, window {}, ", sequencer.loaded_streams, sequencer.window_ids)?;
        write!(f, "compare {} s, ", limits.compare_s)?;
        write!(f, "session {:?}, prefetch {}, ", self.session, self.prefetch)?;
        write!(f, "produce {:?}, table {:?}, ", self.produce_latency, self.table_latency)?;
        write!(f, "{} ms ahead", self.ahead_ms)
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} regions, {} partitions, ", self.regions.len(), self.partitions())?;
        write!(f, "{} people, {} rooms and one for all, ", self.people, self.rooms)?;
        write!(f, "{} hostile, {} events, ", self.hostile, self.says)?;
        write!(f, "{} faults inside and {} between regions", self.faults, self.cuts)?;
        write!(f, "{}", if self.provisioned() { ", a tenant" } else { "" })?;
        self.regions.iter().try_for_each(|shape| write!(f, "; {shape}"))
    }
}
