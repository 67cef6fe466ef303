//! What goes wrong between regions: mirrors and table replication, each by itself or together.
//!
//! Either way is enough (E20), so mostly one of them is left alone; a cut takes both.

use std::time::Duration;

use sterna_cluster::between::{Delay, TABLE_DELAY};

use crate::dice::Dice;
use crate::world::World;

/// From the region with the first number to the one with the second.
pub type Way = (usize, usize);

/// How often a flapping cut changes.
const FLAP_MS: u64 = 700;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing gets from the one to the other, or either way.
    Cut {
        /// Which.
        way: Way,
        /// Whether the other way, too.
        both: bool,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The way is cut and healed, over and over.
    Flaps {
        /// Which.
        way: Way,
        /// How often.
        times: u64,
    },
    /// The mirror stops and loses what it had not flushed.
    MirrorStops {
        /// Which.
        way: Way,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The mirror copies again what came after its last flush, or everything.
    MirrorReplays {
        /// Which.
        way: Way,
        /// Everything, old marks too.
        all: bool,
    },
    /// The mirror leaves records out; later somebody moves its offsets back.
    MirrorSkips {
        /// Which.
        way: Way,
        /// How many records.
        records: u64,
        /// After how long the offsets are moved back, milliseconds.
        ms: u64,
    },
    /// The mirror leaves records out for good; so long the table brings nothing either.
    MirrorLoses {
        /// Which.
        way: Way,
        /// How many records.
        records: u64,
        /// How long the table's replication stops, milliseconds.
        ms: u64,
    },
    /// The mirror takes longer.
    MirrorSlow {
        /// Which.
        way: Way,
        /// How long one way takes, milliseconds.
        one_way_ms: u64,
        /// How long it is so, milliseconds.
        ms: u64,
    },
    /// The table's replication stops; nothing is lost.
    TablePaused {
        /// Which.
        way: Way,
        /// How long, milliseconds.
        ms: u64,
    },
    /// Items take from nothing to seconds, and arrive in any order.
    TableReordered {
        /// Which.
        way: Way,
        /// The longest, milliseconds.
        longest_ms: u64,
        /// How long it is so, milliseconds.
        ms: u64,
    },
    /// The newest items do not arrive.
    TableBehind {
        /// Which.
        way: Way,
        /// How many.
        items: u64,
        /// How long, milliseconds.
        ms: u64,
    },
}

/// How one is made good.
#[derive(Clone, Debug)]
pub enum Undo {
    /// The way is open, both ways if so.
    Open(Way, bool),
    /// It is cut, or opened, so many times more.
    Flap(Way, u64),
    /// The mirror runs.
    Run(Way),
    /// The mirror's offsets are moved back to the beginning.
    Again(Way),
    /// The table brings what the mirror will not.
    Fill(Way),
    /// The mirror is as fast as the WAN.
    Fast(Way),
    /// The table's replication goes on.
    Resume(Way),
    /// All items arrive in the usual time.
    Arrive(Way),
}

/// One of them, for so many regions, of which there are at least two.
pub fn draw(dice: &mut Dice, regions: usize) -> Between {
    let from = dice.index(regions);
    let way = (from, (from + 1 + dice.index(regions - 1)) % regions);
    let ms = dice.between(500, 20_000);
    match dice.index(12) {
        0..=1 => Between::Cut { way, both: true, ms },
        2 => Between::Cut { way, both: false, ms },
        3 => Between::Flaps { way, times: dice.between(2, 12) },
        4 => Between::MirrorStops { way, ms },
        5 => Between::MirrorReplays { way, all: dice.chance(500) },
        6..=7 => Between::MirrorSkips { way, records: dice.between(1, 40), ms },
        8 => Between::MirrorSlow { way, one_way_ms: dice.between(200, 5_000), ms },
        9 => Between::TablePaused { way, ms },
        10 => Between::TableReordered { way, longest_ms: dice.between(1_000, 15_000), ms },
        _ => Between::TableBehind { way, items: dice.between(1, 60), ms },
    }
}

/// A hole that no mirror closes, between two of so many regions.
pub fn draw_hole(dice: &mut Dice, regions: usize) -> Between {
    let from = dice.index(regions);
    let way = (from, (from + 1 + dice.index(regions - 1)) % regions);
    Between::MirrorLoses { way, records: dice.between(1, 60), ms: dice.between(500, 20_000) }
}

impl Between {
    /// Under which name it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut { both: true, .. } => "a cut between regions, both ways",
            Self::Cut { both: false, .. } => "a cut between regions, one way",
            Self::Flaps { .. } => "a flapping cut",
            Self::MirrorStops { .. } => "a mirror stopped",
            Self::MirrorReplays { all: true, .. } => "a mirror replays all, old marks too",
            Self::MirrorReplays { all: false, .. } => "a mirror replays from its last flush",
            Self::MirrorSkips { .. } => "a mirror skips records",
            Self::MirrorLoses { .. } => "a hole of a mirror that stays until a table fills it",
            Self::MirrorSlow { .. } => "a mirror is slow",
            Self::TablePaused { .. } => "table replication paused",
            Self::TableReordered { .. } => "table replication reordered",
            Self::TableBehind { .. } => "the newest table items held back",
        }
    }

    /// Makes it happen; says how it is undone, and after how long.
    pub(super) fn happen(&self, world: &World) -> Option<(u64, Undo)> {
        match *self {
            Self::Cut { way, both, ms } => {
                world.cut(way, true);
                if both {
                    world.cut((way.1, way.0), true);
                }
                Some((ms, Undo::Open(way, both)))
            }
            Self::Flaps { way, times } => {
                world.cut(way, true);
                Some((FLAP_MS, Undo::Flap(way, 2 * times)))
            }
            Self::MirrorStops { way, ms } => {
                world.mirror(way).stop(true);
                Some((ms, Undo::Run(way)))
            }
            Self::MirrorReplays { way, all } => {
                if all {
                    world.mirror(way).replay_all()
                } else {
                    world.mirror(way).replay()
                }
                None
            }
            Self::MirrorSkips { way, records, ms } => {
                world.mirror(way).skip(records);
                Some((ms, Undo::Again(way)))
            }
            Self::MirrorLoses { way, records, ms } => {
                world.mirror(way).skip(records);
                world.tables(way, |tables, from, to| tables.pause(from, to, true));
                Some((ms, Undo::Fill(way)))
            }
            Self::MirrorSlow { way, one_way_ms, ms } => {
                world.mirror(way).delay(Duration::from_millis(one_way_ms));
                Some((ms, Undo::Fast(way)))
            }
            Self::TablePaused { way, ms } => {
                world.tables(way, |tables, from, to| tables.pause(from, to, true));
                Some((ms, Undo::Resume(way)))
            }
            Self::TableReordered { way, longest_ms, ms } => {
                let delay = Delay { min: Duration::ZERO, max: Duration::from_millis(longest_ms) };
                world.tables(way, |tables, from, to| tables.set_delay(from, to, delay));
                Some((ms, Undo::Arrive(way)))
            }
            Self::TableBehind { way, items, ms } => {
                world.tables(way, |tables, from, to| tables.hold_back(from, to, items));
                Some((ms, Undo::Arrive(way)))
            }
        }
    }
}

impl Undo {
    /// Makes it good.
    pub(super) fn happen(&self, world: &mut World) {
        match *self {
            Self::Open(way, both) => {
                world.cut(way, false);
                if both {
                    world.cut((way.1, way.0), false);
                }
            }
            Self::Flap(way, times) => {
                world.cut(way, times % 2 == 1 && !world.healed());
                if times > 0 && !world.healed() {
                    let undo = super::Undo::Between(Self::Flap(way, times - 1));
                    world.later(FLAP_MS, undo);
                }
            }
            Self::Run(way) => world.mirror(way).stop(false),
            Self::Again(way) => world.mirror(way).replay_all(),
            Self::Fast(way) => world.mirror(way).delay(world.distance(way)),
            Self::Fill(way) | Self::Resume(way) => {
                world.tables(way, |tables, from, to| tables.pause(from, to, false))
            }
            Self::Arrive(way) => world.tables(way, |tables, from, to| {
                tables.hold_back(from, to, 0);
                tables.set_delay(from, to, TABLE_DELAY);
            }),
        }
    }
}
