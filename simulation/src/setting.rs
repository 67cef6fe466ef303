//! What a run looks like before anything happens: drawn from its seed, printed as its first line.

use std::time::Duration;

use sterna_cluster::Plan;

use crate::dice::Dice;

/// One run's shape.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The region's plan.
    pub plan: Plan,
    /// How long a member of a group may stay away.
    pub session: Duration,
    /// Shortest and longest time from a produce to its acknowledgement.
    pub produce_latency: (Duration, Duration),
    /// Records that a member fetches ahead.
    pub prefetch: usize,
    /// Shortest and longest time of one call of the table.
    pub table_latency: (Duration, Duration),
    /// People with one device each.
    pub people: usize,
    /// Rooms with few members; one more has everybody.
    pub rooms: usize,
    /// Hostile clients.
    pub hostile: usize,
    /// Events that people mean to say.
    pub says: usize,
    /// Faults.
    pub faults: usize,
}

impl Setting {
    /// The setting of a seed.
    ///
    /// # Panics
    /// Never: the region's name is a constant.
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, "setting");
        let region = "us-east-1".parse().expect("a region's name");
        let mut plan = Plan::small(region, seed);
        plan.partitions = *dice.pick(&[1, 2, 4]);
        plan.messaging = *dice.pick(&[1, 2, 2]);
        plan.state = 1 + dice.index(2);
        plan.shards = 1 + dice.index(2);
        plan.limits.ring_entries = *dice.pick(&[8, 16, 64, 256, 1_024]);
        plan.limits.stall_s = 10;
        plan.terms.publishes_per_s = 60;
        plan.sequencer.queue_records = *dice.pick(&[4, 16, 64, 4_096]);
        plan.sequencer.segment_events = *dice.pick(&[1, 4, 64, 512]);
        plan.sequencer.loaded_streams = *dice.pick(&[2, 64, 200_000]);
        plan.sequencer.window_ids = *dice.pick(&[128, 1 << 20]);
        plan.push_queue = *dice.pick(&[64, 8_192]);
        let ms = Duration::from_millis;
        Self {
            plan,
            session: Duration::from_secs(dice.between(3, 10)),
            produce_latency: *dice.pick(&[(ms(0), ms(0)), (ms(1), ms(8)), (ms(5), ms(60))]),
            prefetch: *dice.pick(&[4, 64, 512]),
            table_latency: *dice.pick(&[(ms(0), ms(0)), (ms(2), ms(12)), (ms(5), ms(80))]),
            people: dice.between(20, 44) as usize,
            rooms: dice.between(3, 7) as usize,
            hostile: dice.between(1, 3) as usize,
            says: dice.between(1_050, 1_300) as usize,
            faults: dice.between(6, 11) as usize,
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan { partitions, messaging, state, shards, limits, sequencer, push_queue, .. } = &self.plan;
        write!(f, "{partitions} partitions, messaging x{messaging}, state x{state}, shards x{shards}, ")?;
        write!(f, "ring {}, push queue {push_queue}, ", limits.ring_entries)?;
        write!(f, "stream queue {}, segment {}, ", sequencer.queue_records, sequencer.segment_events)?;
        write!(f, "loaded {}, window {}, ", sequencer.loaded_streams, sequencer.window_ids)?;
        write!(f, "session {:?}, prefetch {}, ", self.session, self.prefetch)?;
        write!(f, "produce {:?}, table {:?}, ", self.produce_latency, self.table_latency)?;
        write!(f, "{} people, {} rooms and one for all, ", self.people, self.rooms)?;
        write!(f, "{} hostile, {} events, {} faults", self.hostile, self.says, self.faults)
    }
}
