//! What goes wrong, when, and how it is made good again.
//!
//! Faults are drawn before the run; each lasts for a while and is undone by its own [`Undo`]. At the end of
//! the traffic everything is healed, whatever is still under way.

use std::time::Duration;

use sterna_cluster::region::Place;
use sterna_log::faulty::ProduceFault;
use sterna_process::Process;
use sterna_storage::faulty::Fault as StoreFault;

use crate::dice::Dice;
use crate::script::HEAL_AT_MS;
use crate::setting::Setting;
use crate::world::World;

/// Faults begin here, milliseconds of the run: people have met by then.
const FROM_MS: u64 = 5_000;

/// A call of a slow table.
const SLOW: Duration = Duration::from_millis(300);

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Who is there dies at its n-th poll from now and is started again after a while.
    Dies {
        /// Where.
        place: Place,
        /// Which poll.
        poll: u64,
        /// How long nobody is there, milliseconds.
        down_ms: u64,
    },
    /// Who is there stops, as a VM does, and goes on later with all that it had fetched.
    Sleeps {
        /// Where.
        place: Place,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The table is slow for a second, so that puts are under way when who is there stops; it goes on after
    /// somebody else has taken over.
    Zombie {
        /// Where.
        place: Place,
        /// How long, milliseconds.
        ms: u64,
    },
    /// All roles die at once.
    PowerLoss {
        /// How long nobody is there, milliseconds.
        down_ms: u64,
    },
    /// The next writes to the table go wrong in this way.
    Writes {
        /// How.
        fault: StoreFault,
        /// How many.
        times: u64,
    },
    /// Some of all the table's calls go wrong, of a thousand.
    TableFlaky {
        /// Throttled calls.
        throttled: u32,
        /// Writes applied and reported unknown.
        unknown: u32,
        /// Writes reported unknown that land late.
        late: u32,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The table answers nobody.
    TableDown {
        /// How long, milliseconds.
        ms: u64,
    },
    /// The next produces to the ingress (or the log) go wrong in this way.
    Produces {
        /// How.
        fault: ProduceFault,
        /// Whether to the ingress; else to the log.
        ingress: bool,
        /// How many.
        times: u64,
    },
    /// Half of the log's calls take up to half a second longer.
    LogSlow {
        /// How long, milliseconds.
        ms: u64,
    },
    /// The log answers nobody.
    LogDown {
        /// How long, milliseconds.
        ms: u64,
    },
    /// Too few replicas are in sync for a durable produce.
    FewReplicas {
        /// How long, milliseconds.
        ms: u64,
    },
    /// All tails are gone.
    TailsWiped,
    /// The last appends to tails are gone.
    TailsLost {
        /// How many.
        writes: usize,
    },
    /// What a group has committed is forgotten; somebody of it dies, so that it is asked for.
    OffsetsForgotten {
        /// Whether the sequencers'; else state's.
        sequencers: bool,
    },
    /// The region's clock jumps.
    ClockSteps {
        /// By so many milliseconds.
        by_ms: i64,
    },
}

/// How a fault is made good.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Whoever belongs there is started.
    Start(Vec<Place>),
    /// The table is well again, and this one stops for so many milliseconds.
    Stop(Place, u64),
    /// It goes on.
    Wake(Process),
    /// The table is well.
    Table,
    /// The log is well.
    Log,
    /// All replicas are in sync.
    Replicas,
}

/// The faults of a seed, in order of time.
pub fn schedule(seed: u64, setting: &Setting) -> Vec<(u64, Fault)> {
    let dice = &mut Dice::new(seed, "faults");
    let mut faults: Vec<(u64, Fault)> = (0..setting.faults)
        .map(|_| (dice.between(FROM_MS, HEAL_AT_MS - 3_000), draw(dice, setting)))
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn draw(dice: &mut Dice, setting: &Setting) -> Fault {
    match dice.index(22) {
        20.. => Fault::Zombie {
            place: Place::Messaging(dice.index(setting.plan.messaging)),
            ms: setting.session.as_millis() as u64 + dice.between(2_000, 8_000),
        },
        0..=3 => Fault::Dies {
            place: place(dice, setting),
            poll: dice.between(0, 60),
            down_ms: dice.between(10, 4_000),
        },
        4..=6 => Fault::Sleeps { place: place(dice, setting), ms: dice.between(300, 25_000) },
        7 => Fault::PowerLoss { down_ms: dice.between(50, 2_000) },
        8..=9 => Fault::Writes {
            fault: *dice.pick(&[StoreFault::Unknown, StoreFault::Late, StoreFault::Lost]),
            times: dice.between(1, 12),
        },
        10 => Fault::TableFlaky {
            throttled: dice.between(0, 400) as u32,
            unknown: dice.between(0, 200) as u32,
            late: dice.between(0, 100) as u32,
            ms: dice.between(1_000, 10_000),
        },
        11 => Fault::TableDown { ms: dice.between(200, 6_000) },
        12..=14 => Fault::Produces {
            fault: *dice.pick(&[
                ProduceFault::Unavailable,
                ProduceFault::Refused,
                ProduceFault::Applied,
                ProduceFault::Lost,
                ProduceFault::Late,
            ]),
            ingress: dice.chance(500),
            times: dice.between(1, 8),
        },
        15 => Fault::LogSlow { ms: dice.between(1_000, 8_000) },
        16 => {
            let three = [Fault::LogDown { ms: 3_000 }, Fault::FewReplicas { ms: 2_000 }, Fault::TailsWiped];
            dice.pick(&three).clone()
        }
        17 => Fault::TailsLost { writes: dice.between(1, 40) as usize },
        18 => Fault::OffsetsForgotten { sequencers: dice.chance(500) },
        _ => Fault::ClockSteps { by_ms: dice.between(0, 120_000).cast_signed() - 60_000 },
    }
}

/// Mostly those that write: they have the most to lose.
fn place(dice: &mut Dice, setting: &Setting) -> Place {
    let plan = &setting.plan;
    match dice.index(8) {
        0..=2 => Place::Messaging(dice.index(plan.messaging)),
        3..=4 => Place::State(dice.index(plan.state)),
        5 => Place::Gateway(dice.index(plan.shards)),
        6 => Place::Persistence,
        _ => Place::Notification,
    }
}

impl Fault {
    /// Makes it happen; says how it is undone, and after how long.
    pub fn happen(&self, world: &mut World) -> Option<(u64, Undo)> {
        match self {
            Self::Dies { place, poll, down_ms } => {
                world.region.borrow().process(*place)?.die_at_poll(*poll);
                Some((*down_ms, Undo::Start(vec![*place])))
            }
            Self::Sleeps { place, ms } => {
                let process = world.region.borrow().process(*place)?.clone();
                process.pause(true);
                Some((*ms, Undo::Wake(process)))
            }
            Self::Zombie { place, ms } => {
                let mut chances = world.table_chances();
                (chances.delay_min, chances.delay_max) = (SLOW, SLOW * 2);
                world.table_faults.set_chances(chances);
                Some((1_000, Undo::Stop(*place, *ms)))
            }
            Self::PowerLoss { down_ms } => {
                let places: Vec<Place> = world.region.borrow().places().collect();
                places.iter().for_each(|place| world.region.borrow_mut().kill(*place));
                Some((*down_ms, Undo::Start(places)))
            }
            Self::OffsetsForgotten { sequencers } => Some(world.forget_offsets(*sequencers)),
            Self::TailsWiped => {
                world.stores.tails.wipe();
                None
            }
            Self::TailsLost { writes } => {
                world.stores.tails.lose_last(*writes);
                None
            }
            Self::ClockSteps { by_ms } => {
                world.clock.step_ms(*by_ms);
                None
            }
            _ => self.happen_to_stores(world),
        }
    }

    fn happen_to_stores(&self, world: &mut World) -> Option<(u64, Undo)> {
        match self {
            Self::Writes { fault, times } => {
                (0..*times).for_each(|_| world.table_faults.next_write(*fault));
                None
            }
            Self::TableFlaky { throttled, unknown, late, ms } => {
                let mut chances = world.table_chances();
                (chances.throttle, chances.unknown, chances.late) = (*throttled, *unknown, *late);
                world.table_faults.set_chances(chances);
                Some((*ms, Undo::Table))
            }
            Self::TableDown { ms } => {
                world.table_faults.set_down(true);
                Some((*ms, Undo::Table))
            }
            Self::Produces { fault, ingress, times } => {
                let topic = world.topic(*ingress);
                world.log_faults.force(*fault, Some(&topic), *times);
                None
            }
            Self::LogSlow { ms } => {
                world.log_faults.set(|chances| chances.slow = 500);
                Some((*ms, Undo::Log))
            }
            Self::LogDown { ms } => {
                world.log_faults.set_down(true);
                Some((*ms, Undo::Log))
            }
            Self::FewReplicas { ms } => {
                world.stores.log.set_in_sync(1);
                Some((*ms, Undo::Replicas))
            }
            _ => None,
        }
    }
}

impl Undo {
    /// Makes it good.
    pub fn happen(&self, world: &mut World) {
        match self {
            Self::Start(places) => places.iter().for_each(|place| world.start(*place)),
            Self::Stop(place, ms) => {
                world.table_faults.set_chances(world.table_chances());
                let process = world.region.borrow().process(*place).cloned();
                if let Some(process) = process {
                    process.pause(true);
                    world.later(*ms, Self::Wake(process));
                }
            }
            Self::Wake(process) => process.pause(false),
            Self::Table => {
                world.table_faults.set_chances(world.table_chances());
                world.table_faults.set_down(false);
            }
            Self::Log => world.log_faults.heal(),
            Self::Replicas => world.stores.log.set_in_sync(3),
        }
    }
}
