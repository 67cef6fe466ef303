//! What goes wrong with express: it is cut alone, or is the only way left; it brings a segment twice, late
//! and in any order; and whoever took from it dies.
//!
//! Express changes when something is shown, and nothing else: so nothing here is judged by rules of its own,
//! but for [`Undo::Bring`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sterna_cluster::MemoryStores;
use sterna_cluster::region::Place;
use sterna_process::End;
use sterna_storage::{Key, Table, Tails, layout};
use sterna_stream::{Cursor, Origin, StreamId};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::faults::between::Way;
use crate::script::HEAL_AT_MS;
use crate::setting::Setting;
use crate::site::count_express;
use crate::world::World;

mod courier;

/// Those begin here, milliseconds of the run: people have met by then.
const FROM_MS: u64 = 5_000;
/// How often a state is looked at that is to die.
const LOOK: Duration = Duration::from_millis(10);

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Express {
    /// Nothing gets from the one to the other by express; mirror and table go on.
    Cut {
        /// Which.
        way: Way,
        /// How long, milliseconds.
        ms: u64,
    },
    /// The mirror is cut, and the table's replication if so: express goes on alone.
    Alone {
        /// Which.
        way: Way,
        /// Whether the table's replication is cut, too.
        table: bool,
        /// How long, milliseconds.
        ms: u64,
    },
    /// Express is the only way, and every state there dies while a tail holds what express alone brought.
    Dies {
        /// Which.
        way: Way,
        /// How long nobody is there, milliseconds.
        down_ms: u64,
        /// How long express is the only way, milliseconds.
        ms: u64,
    },
    /// Segments of the log come again, late, and in any order.
    Again {
        /// Which.
        way: Way,
        /// How many.
        segments: u64,
    },
}

/// How one is made good.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Express goes on.
    Open(Way),
    /// The mirror goes on, and the table's replication. What was held is looked at before that.
    Bring(Way, Held),
}

/// What a tail held, and no table, of a region when the states there died; nothing before that.
#[derive(Clone, Default)]
pub struct Held(Rc<RefCell<Option<Left>>>);

/// See [`Held`].
#[derive(Clone)]
pub struct Left {
    /// When they died, milliseconds of the run.
    pub since_ms: u64,
    /// The segments: their places in the table, and their bytes.
    pub segments: Vec<(Key, Bytes)>,
}

/// Those of a seed: where nobody uses express there are none.
pub fn schedule(seed: u64, setting: &Setting) -> Vec<(u64, super::Fault)> {
    let express = setting.regions.iter().filter(|shape| shape.plan.express).count();
    if express < 2 {
        return Vec::new();
    }
    let dice = &mut Dice::new(seed, "express faults");
    let regions = setting.regions.len();
    let mut faults = Vec::new();
    for _ in 0..dice.between(1, 3) {
        let at = dice.between(FROM_MS, HEAL_AT_MS - 3_000);
        let fault = draw(dice, regions);
        // Whoever dies has time to be followed by another, and that one to put what is left.
        let latest = if matches!(fault, Express::Dies { .. }) { HEAL_AT_MS / 2 } else { HEAL_AT_MS };
        faults.push((at.min(latest), super::Fault::Express(fault)));
    }
    faults
}

fn draw(dice: &mut Dice, regions: usize) -> Express {
    let from = dice.index(regions);
    let way = (from, (from + 1 + dice.index(regions - 1)) % regions);
    let ms = dice.between(500, 20_000);
    match dice.index(6) {
        0 => Express::Cut { way, ms },
        1 => Express::Alone { way, table: dice.chance(500), ms },
        2..=3 => Express::Dies { way, down_ms: dice.between(10, 2_000), ms: ms + 20_000 },
        _ => Express::Again { way, segments: dice.between(5, 80) },
    }
}

impl Express {
    /// Under which name it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "express cut alone",
            Self::Alone { table: false, .. } => "a mirror cut, express goes on",
            Self::Alone { table: true, .. } => "mirror and table cut, express goes on",
            Self::Dies { .. } => "states die with what express alone brought",
            Self::Again { .. } => "express brings segments twice, late and in any order",
        }
    }

    /// Makes it happen; says how it is undone, and after how long.
    pub(super) fn happen(&self, world: &World) -> Option<(u64, Undo)> {
        match *self {
            Self::Cut { way, ms } => {
                world.wan(way).cut(true);
                Some((ms, Undo::Open(way)))
            }
            Self::Alone { way, table, ms } => {
                world.mirror(way).cut(true);
                world.tables(way, |tables, from, to| tables.pause(from, to, table));
                Some((ms, Undo::Bring(way, Held::default())))
            }
            Self::Dies { way, down_ms, ms } => {
                world.mirror(way).cut(true);
                world.tables(way, |tables, from, to| tables.pause(from, to, true));
                let (held, down) = (Held::default(), Duration::from_millis(down_ms));
                let death = death(world, way, held.clone(), down, Duration::from_millis(ms / 2));
                world.outside().spawn_local("a death", End::Expected, death);
                Some((ms, Undo::Bring(way, held)))
            }
            Self::Again { way, segments } => {
                let courier = courier::carry(world, way, segments);
                world.outside().spawn_local("a courier", End::Expected, courier);
                None
            }
        }
    }
}

impl Undo {
    /// Makes it good.
    pub(super) fn happen(&self, world: &World) {
        match self {
            Self::Open(way) => world.wan(*way).cut(false),
            Self::Bring(way, _) => {
                world.mirror(*way).cut(false);
                world.tables(*way, |tables, from, to| tables.pause(from, to, false));
            }
        }
    }
}

impl Held {
    /// How long whoever comes next has to put what is left into the table, milliseconds: a group's longest
    /// session, the grace time, and as much again.
    pub const TIME_MS: u64 = 20_000;

    /// What it is.
    pub fn left(&self) -> Option<Left> {
        self.0.borrow().clone()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.borrow().as_ref().map_or(0, |left| left.segments.len());
        write!(f, "Held({count})")
    }
}

/// Waits until a tail holds what the table does not, kills every state, and starts them again.
fn death(
    world: &World,
    (from, to): Way,
    held: Held,
    down: Duration,
    patience: Duration,
) -> impl Future<Output = ()> + 'static {
    let (origin, site) = (world.sites[from].origin(), &world.sites[to]);
    let (region, paths, trace) = (site.region.clone(), site.paths.clone(), world.trace.clone());
    let (stores, rooms) = (site.stores.clone(), world.rooms.clone());
    let states: Vec<Place> = (0..site.plan.state).map(Place::State).collect();
    async move {
        let until = Instant::now() + patience;
        let segments = loop {
            if Instant::now() >= until {
                return;
            }
            sleep(LOOK).await;
            // The room for all: somebody is always in it, for whom whoever comes next looks at its tail.
            let Some(room) = rooms.borrow().last().cloned().flatten() else { continue };
            let left = left(&stores, &room, &origin).await;
            if !left.is_empty() {
                break left;
            }
        };
        states.iter().for_each(|place| region.borrow_mut().kill(*place));
        trace.line(
            "fault",
            "kills",
            format_args!("{states:?}, {} segments are in a tail alone", segments.len()),
        );
        *held.0.borrow_mut() = Some(Left { since_ms: trace.elapsed_ms(), segments });
        sleep(down).await;
        for place in states {
            count_express(&region.borrow(), place, &paths);
            region.borrow_mut().restart(place);
        }
    }
}

/// What of an origin a stream's tail holds and the table does not.
async fn left(stores: &MemoryStores, stream: &StreamId, origin: &Origin) -> Vec<(Key, Bytes)> {
    let newest = layout::segment_at(stream, origin, u64::MAX);
    let head = match stores.table.query(newest).await.map(|page| page.items.into_iter().next()) {
        Ok(Some(item)) => layout::parse_segment(&item.key.sort).map_or(0, |(_, first)| first),
        Ok(None) => 0,
        Err(_) => return Vec::new(),
    };
    let parts = stores.tails.read(stream, &Cursor::new(), usize::MAX).await.unwrap_or_default();
    let entries = parts.into_iter().filter(|part| part.origin == *origin).flat_map(|part| part.entries);
    let beyond = entries.filter(|entry| entry.first > head);
    beyond.map(|entry| (layout::segment(stream, origin, entry.first), entry.bytes)).collect()
}
